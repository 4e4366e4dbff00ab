/* redis_private.h - what the files of the Redis client share. */
#ifndef SLO_IO_REDIS_REDIS_PRIVATE_H
#define SLO_IO_REDIS_REDIS_PRIVATE_H

#include "core/rng.h"
#include "io/redis/redis_client.h"
#include "io/redis/redis_link.h"
#include "io/redis/redis_profiles.h"

/* Commands under way: enough to keep the server busy, few enough that their replies are little. */
#define REDIS_WINDOW 32

enum command_kind {
	COMMAND_GREETING, /* AUTH, SELECT */
	COMMAND_SCAN,
	COMMAND_VALUE,
	COMMAND_TRACE,
	COMMAND_FORGOTTEN, /* its reply is of no use any more */
};

struct command {
	enum command_kind kind;
	struct redis_entry *entry; /* of COMMAND_VALUE */
};

/* One pass over all keys:
 *
 *   SCAN ... SCAN        until the cursor is "0", while
 *     VALUE VALUE ...    of those that are wanted; then
 *   sweep                over the table: what was not seen is missed */
struct redis_round {
	bool running;
	bool scanning;  /* a SCAN is under way */
	bool scanned;   /* the cursor came round */
	bool sweeping;  /* the values are here too */
	uint64_t scan;  /* its number */
	size_t values;  /* VALUE under way */
	size_t unknown; /* keys so far */
	size_t swept;   /* entries so far; with what they add up to: */
	size_t seen, in_force, refused;
	slo_nsec began;
	uint32_t pages; /* answers to SCAN so far */
	char cursor[24];
	struct redis_entries wanted;
};

struct redis_client {
	struct agent *agent;
	const struct config_redis *conf;
	struct redis_url url;                     /* of the link */
	char server_name[REDIS_URL_HOST_MAX + 1]; /* in its certificate */
	struct redis_link_user link_user;
	struct redis_link link;
	SSL_CTX *tls;
	struct rng rng; /* jitter */
	unsigned failures;
	bool ready; /* greeted */
	bool news;  /* the next complete scan is worth a line */
	struct redis_profiles profiles;
	struct redis_round round;
	struct command command[REDIS_WINDOW]; /* [first, first + commands), a ring */
	size_t first, commands;
	ev_timer retry, refresh, sweep;
	ev_periodic trace_tick;
	size_t trace_next; /* the model whose trace is written next; model_count: none */
	long long trace_time;
	slo_nsec succeeded; /* 0: never */
	struct redis_status status;
};

/* redis_client.c */
bool redis_has_room(const struct redis_client *c);
void redis_send(struct redis_client *c, struct command command, int argc, const char **argv,
                const size_t *len);
/* Closes, says why, and tries again later. */
void redis_down(struct redis_client *c, const char *why);
/* Sends what there is to send, as far as the window goes. */
void redis_advance(struct redis_client *c);

/* redis_round.c */
void redis_round_init(struct redis_client *c);
void redis_round_begin(struct redis_client *c);
void redis_round_abandon(struct redis_client *c);
void redis_round_advance(struct redis_client *c);
void redis_round_keys(struct redis_client *c, const redisReply *reply);
void redis_round_value(struct redis_client *c, struct redis_entry *e, const redisReply *reply);

/* redis_trace.c */
void redis_trace_init(struct redis_client *c);
void redis_trace_configure(struct redis_client *c);
void redis_trace_advance(struct redis_client *c);
void redis_trace_written(struct redis_client *c, const redisReply *reply);

#endif
