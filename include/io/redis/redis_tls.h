/* redis_tls.h - TLS on a non-blocking socket, by OpenSSL. */
#ifndef SLO_IO_REDIS_REDIS_TLS_H
#define SLO_IO_REDIS_REDIS_TLS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#include "conf/config.h"

enum tls_result {
	TLS_DONE,
	TLS_WANT_READ,  /* again when the socket is readable */
	TLS_WANT_WRITE, /* again when it is writable */
	TLS_CLOSED,     /* by the peer, in order */
	TLS_FAILED,     /* *why says */
};

/* Reads the files, so once and not for each connection. NULL: why has the reason. */
SSL_CTX *redis_tls_context(const struct config_redis *conf, char *why, size_t cap);
/* The peer has to prove that it is `name`, a host name or an address. NULL: out of memory. */
SSL *redis_tls_start(SSL_CTX *context, int fd, const char *name);

enum tls_result redis_tls_handshake(SSL *ssl, char *why, size_t cap);
/* 1 to len bytes into or from buf when TLS_DONE. */
enum tls_result redis_tls_read(SSL *ssl, void *buf, size_t len, size_t *done, char *why,
                               size_t cap);
enum tls_result redis_tls_write(SSL *ssl, const void *buf, size_t len, size_t *done, char *why,
                                size_t cap);

#endif
