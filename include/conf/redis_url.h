/* redis_url.h - where a Redis server is, and who we are to it, from a URL.
 *
 *     redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]       TCP
 *     rediss://...                                     the same with TLS
 *     unix://[[USER]:PASSWORD@]/PATH[?db=DB]           a unix socket, also redis+unix://
 *     redis+sentinel://[[USER]:PASSWORD@]HOST[:PORT][,HOST[:PORT]...]/SERVICE[/DB]
 *                                                      Sentinels, who know where the server is;
 * only where redis_url_parse_sentinels() reads it
 *
 * HOST is a name, an IPv4 address or an IPv6 address in brackets. %XX stands for any byte but NUL
 * in USER, PASSWORD and PATH, and must be used there for @ : / ? # and %. */
#ifndef SLO_CONF_REDIS_URL_H
#define SLO_CONF_REDIS_URL_H

#include <stddef.h>
#include <stdint.h>

#include "slo.h"

#define REDIS_URL_HOST_MAX 253 /* bytes */
#define REDIS_URL_WORD_MAX 511 /* of a user or password, decoded */
#define REDIS_URL_PATH_MAX 107 /* what a unix socket may have */
#define REDIS_URL_DB_MAX   1000000
#define REDIS_URL_PORT     6379

enum redis_url_kind { REDIS_URL_NONE, REDIS_URL_TCP, REDIS_URL_TLS, REDIS_URL_UNIX };

struct redis_url {
	enum redis_url_kind kind;
	uint16_t port;
	uint32_t db;
	char host[REDIS_URL_HOST_MAX + 1];     /* without brackets; TCP and TLS */
	char path[REDIS_URL_PATH_MAX + 1];     /* UNIX */
	char user[REDIS_URL_WORD_MAX + 1];     /* "": the default one */
	char password[REDIS_URL_WORD_MAX + 1]; /* "": none */
};

/* SLO_EINVAL: *why says what is wrong with it, a constant that quotes nothing. */
MUSTCHECK slo_err redis_url_parse(const char *url, size_t len, struct redis_url *out,
                                  const char **why);

#define REDIS_SENTINELS_MAX     8
#define REDIS_SENTINEL_PORT     26379
#define REDIS_SENTINEL_NAME_MAX 63 /* of a service */

struct redis_sentinels {
	size_t count; /* 0: none, the server's own address is known */
	struct redis_sentinel {
		uint16_t port;
		char host[REDIS_URL_HOST_MAX + 1];
	} at[REDIS_SENTINELS_MAX];
	char service[REDIS_SENTINEL_NAME_MAX + 1]; /* what they call it */
};

/* Like redis_url_parse(), but may also name Sentinels. Then the host of `server` is empty and its
 * port 0: a Sentinel tells them. User and password are the server's; Sentinels are asked without.
 */
MUSTCHECK slo_err redis_url_parse_sentinels(const char *url, size_t len, struct redis_url *server,
                                            struct redis_sentinels *out, const char **why);

/* Without user and password, for people; always terminated. */
#define REDIS_URL_TEXT_MAX 288
void redis_url_print(const struct redis_url *u, char out[REDIS_URL_TEXT_MAX]);

#endif
