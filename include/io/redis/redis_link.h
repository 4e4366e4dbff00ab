/* redis_link.h - one connection to a Redis server: commands out, replies in.
 *
 * hiredis makes the commands and reads the replies (redisFormatCommandArgv, redisReader); the
 * socket is ours. Debian 12's hiredis 0.14 has no TLS, waits for name servers while it connects,
 * and takes a reply of any size; this does not.
 *
 *   CLOSED -> LOOKING_UP -> CONNECTING -> [GREETING (TLS)] -> UP -> CLOSED
 *
 * Replies are handed on for SLICE of time, then the rest of the loop has its turn, and the server
 * waits meanwhile. A reply of more than REDIS_REPLY_MAX bytes, a reply that was not asked for and
 * a server that is silent for too long end the connection. */
#ifndef SLO_IO_REDIS_REDIS_LINK_H
#define SLO_IO_REDIS_REDIS_LINK_H

#include <ev.h>
#include <hiredis/hiredis.h>
#include <openssl/ssl.h>
#include <stdbool.h>

#include "io/base/lookup.h"
#include "slo.h"
#include "conf/redis_url.h"

#define REDIS_REPLY_MAX ((size_t)2 << 20) /* bytes of one reply, all in all */

enum redis_link_state { LINK_CLOSED, LINK_LOOKING_UP, LINK_CONNECTING, LINK_GREETING, LINK_UP };

/* Called from the loop. Each may close or open the link. */
struct redis_link_user {
	void *user;
	void (*up)(void *user);
	void (*reply)(void *user, const redisReply *reply); /* in the order of the commands */
	void (*down)(void *user, const char *why);          /* it is closed already */
};

struct redis_link {
	struct ev_loop *loop;
	const struct redis_link_user *user;
	enum redis_link_state state;
	int fd; /* -1: none */
	struct lookup *lookup;
	struct lookup_addresses addresses;
	size_t next_address; /* to try when this one fails */
	SSL_CTX *tls;        /* borrowed; NULL: none */
	SSL *ssl;
	const char *tls_name; /* borrowed */
	redisReader *reader;
	redisReplyObjectFunctions make; /* hiredis' own, but for createArray */
	__typeof__(((redisReplyObjectFunctions *)0)->createArray) make_array; /* hiredis' */
	size_t unanswered;                                                    /* commands */
	size_t in_reply;  /* bytes that came since a reply was complete */
	uint64_t opened;  /* how often; tells one connection from the next */
	slo_nsec longest; /* slice, since the start */
	char *out;        /* [out_len] to be sent from out_at on */
	size_t out_at, out_len, out_cap;
	bool starved; /* a command found no memory */
	ev_io readable, writable;
	ev_timer more;     /* the next slice */
	ev_timer deadline; /* to be up, or of the next reply */
};

/* user must outlive l. */
void redis_link_init(struct redis_link *l, struct ev_loop *loop,
                     const struct redis_link_user *user);
/* On a closed link. up() or down() follows, never before this returns. tls and tls_name are for
 * rediss:// and must outlive the connection, as url must. */
void redis_link_open(struct redis_link *l, const struct redis_url *url, SSL_CTX *tls,
                     const char *tls_name);
/* No callback follows; also for a closed link. */
void redis_link_close(struct redis_link *l);

/* On a link that is UP. A failure closes it later, by down(). */
void redis_link_command(struct redis_link *l, int argc, const char **argv, const size_t *len);

#endif
