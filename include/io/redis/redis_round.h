/* redis_round.h - one pass over the profiles in Redis, again and again:
 *
 *   SCAN ... SCAN        until the cursor is "0", while
 *     VALUE VALUE ...    of those that are wanted; then
 *   sweep                over the table: what was not seen is missed; then
 *   refresh              rests until the next one
 *
 * It is driven by its owner, who hands it the replies and has it advance whenever the window may
 * have room. */
#ifndef SLO_IO_REDIS_REDIS_ROUND_H
#define SLO_IO_REDIS_REDIS_ROUND_H

#include "io/redis/redis_profiles.h"
#include "io/redis/redis_window.h"

/* What a round found. */
struct redis_found {
	size_t keys;     /* of ours */
	size_t in_force; /* of their profiles */
	size_t refused;  /* of their values */
	size_t unknown;  /* keys of profiles that are not ours */
};

struct redis_round {
	struct agent *agent;
	struct redis_window *window;
	const struct redis_profiles *profiles;
	/* A round was complete; it took so long. Returns when the next one is to begin. */
	slo_nsec (*finished)(void *user, const struct redis_found *found, slo_nsec took);
	void *user;
	ev_timer sweep, refresh;
	bool running;
	bool scanning; /* a SCAN is under way */
	bool scanned;  /* the cursor came round */
	bool sweeping; /* the values are here too */
	uint64_t scan; /* its number */
	size_t values; /* VALUE under way */
	size_t swept;  /* entries so far */
	struct redis_found found;
	slo_nsec began;
	uint32_t pages; /* answers to SCAN so far */
	char cursor[24];
	struct redis_entries wanted;
};

/* All that is above `sweep` must be set. */
void redis_round_init(struct redis_round *r);
void redis_round_begin(struct redis_round *r);
/* Also of one that does not run. Replies that come yet are forgotten. */
void redis_round_abandon(struct redis_round *r);
/* Asks for what there is to ask, as far as the window goes. */
void redis_round_advance(struct redis_round *r);
/* The replies to its commands. Not NULL: why this connection is of no use any more. */
const char *redis_round_keys(struct redis_round *r, const redisReply *reply);
const char *redis_round_value(struct redis_round *r, struct redis_entry *e,
                              const redisReply *reply);

#endif
