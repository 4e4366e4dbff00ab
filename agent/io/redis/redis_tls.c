#include "io/redis/redis_tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

/* The reason in OpenSSL's queue, which is emptied. Behind a system call that failed it has only
 * "system lib". */
static void reason(char *why, size_t cap, const char *what)
{
	unsigned long first = ERR_peek_error(), last = ERR_peek_last_error();
	const char *text = ERR_SYSTEM_ERROR(first) ? strerror(ERR_GET_REASON(first))
	                   : last                  ? ERR_reason_error_string(last)
	                                           : NULL;

	snprintf(why, cap, "%s: %s", what, text ? text : errno ? strerror(errno) : "failed");
	ERR_clear_error();
}

static bool load(SSL_CTX *context, const struct config_redis *conf, char *why, size_t cap)
{
	const char *key = conf->key_file ? conf->key_file : conf->cert_file;

	errno = 0;
	if (conf->ca_file ? SSL_CTX_load_verify_file(context, conf->ca_file) != 1
	                  : SSL_CTX_set_default_verify_paths(context) != 1)
		reason(why, cap, conf->ca_file ? conf->ca_file : "the system's authorities");
	else if (conf->cert_file &&
	         SSL_CTX_use_certificate_chain_file(context, conf->cert_file) != 1)
		reason(why, cap, conf->cert_file);
	else if (key && (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1 ||
	                 SSL_CTX_check_private_key(context) != 1))
		reason(why, cap, key);
	else
		return true;
	return false;
}

SSL_CTX *redis_tls_context(const struct config_redis *conf, char *why, size_t cap)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());

	if (!context) {
		reason(why, cap, "TLS");
		return NULL;
	}
	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_mode(context,
	                 SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	if (load(context, conf, why, cap))
		return context;
	SSL_CTX_free(context);
	return NULL;
}

static bool is_address(const char *name)
{
	unsigned char bytes[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1;
}

SSL *redis_tls_start(SSL_CTX *context, int fd, const char *name)
{
	SSL *ssl = SSL_new(context);
	bool ok;

	if (!ssl)
		return NULL;
	if (is_address(name)) {
		ok = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
	} else {
		SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
		ok = SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
	}
	if (!ok || SSL_set_fd(ssl, fd) != 1) {
		SSL_free(ssl);
		return NULL;
	}
	SSL_set_connect_state(ssl);
	return ssl;
}

static enum tls_result outcome(SSL *ssl, int result, char *why, size_t cap)
{
	long verdict;

	if (result > 0)
		return TLS_DONE;
	switch (SSL_get_error(ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return TLS_WANT_READ;
	case SSL_ERROR_WANT_WRITE:
		return TLS_WANT_WRITE;
	case SSL_ERROR_ZERO_RETURN:
		return TLS_CLOSED;
	default:
		break;
	}
	verdict = SSL_get_verify_result(ssl);
	if (!SSL_is_init_finished(ssl) && verdict != X509_V_OK) {
		snprintf(why, cap, "its certificate: %s", X509_verify_cert_error_string(verdict));
		ERR_clear_error();
	} else {
		reason(why, cap, "TLS");
	}
	return TLS_FAILED;
}

enum tls_result redis_tls_handshake(SSL *ssl, char *why, size_t cap)
{
	ERR_clear_error();
	errno = 0;
	return outcome(ssl, SSL_do_handshake(ssl), why, cap);
}

enum tls_result redis_tls_read(SSL *ssl, void *buf, size_t len, size_t *done, char *why, size_t cap)
{
	ERR_clear_error();
	errno = 0;
	return outcome(ssl, SSL_read_ex(ssl, buf, len, done), why, cap);
}

enum tls_result redis_tls_write(SSL *ssl, const void *buf, size_t len, size_t *done, char *why,
                                size_t cap)
{
	ERR_clear_error();
	errno = 0;
	return outcome(ssl, SSL_write_ex(ssl, buf, len, done), why, cap);
}
