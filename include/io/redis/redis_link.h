/* redis_link.h - one connection to a Redis server: commands out, replies in.
 *
 * hiredis reads the replies (redisReader); the socket is ours, and the commands are, which it would
 * print by sprintf(). Debian 12's hiredis 0.14 has no TLS, waits for name servers while it
 * connects, and takes a reply of any size; this does not.
 *
 *   CLOSED -> OPENING (base/outbound.h) -> [GREETING (TLS)] -> UP -> CLOSED
 *
 * Replies are handed on for TURN_MAX of time. Then the rest of the loop has its turn for as long at
 * least, while the server waits: a Redis that never ends takes no more than half of the loop. A
 * reply of more than REDIS_REPLY_MAX bytes, a reply that was not asked for and a server that is
 * silent for too long end the connection. */
#ifndef SLO_IO_REDIS_REDIS_LINK_H
#define SLO_IO_REDIS_REDIS_LINK_H

#include <ev.h>
#include <hiredis/hiredis.h>
#include <openssl/ssl.h>
#include <stdbool.h>

#include "io/base/outbound.h"
#include "slo.h"
#include "conf/redis_url.h"

#define REDIS_REPLY_MAX ((size_t)2 << 20) /* bytes of one reply, all in all */

enum redis_link_state { LINK_CLOSED, LINK_OPENING, LINK_GREETING, LINK_UP };

/* Called from the loop. Each may close or open the link. */
struct redis_link_user {
	void *user;
	void (*up)(void *user);
	void (*reply)(void *user, const redisReply *reply); /* in the order of the commands */
	void (*down)(void *user, const char *why);          /* it is closed already */
};

struct redis_link {
	struct outbound to;
	const struct redis_link_user *user;
	enum redis_link_state state;
	SSL_CTX *tls; /* borrowed; NULL: none */
	SSL *ssl;
	const char *tls_name; /* borrowed */
	redisReader *reader;
	redisReplyObjectFunctions make; /* hiredis' own, but for createArray */
	__typeof__(((redisReplyObjectFunctions *)0)->createArray) make_array; /* hiredis' */
	size_t unanswered;                                                    /* commands */
	size_t owed;      /* arguments of the command that is being made */
	size_t in_reply;  /* bytes that came since a reply was complete */
	slo_nsec longest; /* slice, since the start */
	char *out;        /* [out_len] to be sent from out_at on */
	size_t out_at, out_len, out_cap;
	bool starved;  /* a command found no memory */
	bool listens;  /* set by the user: it subscribes, so messages come that no command asked for
	                */
	ev_timer more; /* the next slice */
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

/* Whether an error reply says that another server, or this one later, has to be asked: READONLY and
 * MASTERDOWN after a failover, MOVED and CLUSTERDOWN of a cluster, LOADING at its start. Then the
 * connection is of no use, and the name has to be looked up again. */
bool redis_link_is_elsewhere(const redisReply *reply);

/* Whether an error, or what down() says of one, is that the ACL of our user forbids what was asked.
 */
bool redis_link_is_denied(const char *error);

/* On a link that is UP. A failure closes it later, by down(). */
void redis_link_command(struct redis_link *l, int argc, const char **argv, const size_t *len);
/* The same in pieces: argc arguments follow at once, and each as a whole or as parts of `len` bytes
 * in all. */
void redis_link_begin(struct redis_link *l, size_t argc);
void redis_link_arg(struct redis_link *l, const void *p, size_t len);
void redis_link_arg_begin(struct redis_link *l, size_t len);
void redis_link_arg_part(struct redis_link *l, const void *p, size_t len);
void redis_link_arg_end(struct redis_link *l);
/* Bytes of commands that the socket has not taken yet. */
size_t redis_link_unsent(const struct redis_link *l);
/* Before the link is closed: waits until all commands are answered, or until then, and nothing else
 * happens meanwhile. A Redis whose reply finds the connection closed leaves the commands behind it
 * unread. No callback follows. */
void redis_link_finish(struct redis_link *l, slo_nsec until);

#endif
