/* profile_trouble.h - why profiles that somebody wrote are not in force, by model and deployment,
 * as long as it lasts: watch_fleet.c makes warnings of it. There are at most as many as deployments
 * were ever configured. */
#ifndef SLO_IO_AGENT_PROFILE_TROUBLE_H
#define SLO_IO_AGENT_PROFILE_TROUBLE_H

#include <stddef.h>

#include "core/sched.h" /* uthash.h, as this project wants it */

#define PROFILE_TROUBLE_TEXT 512 /* bytes, terminated; more is cut */

enum profile_trouble {
	TROUBLE_FILE_REFUSED,
	TROUBLE_REDIS_REFUSED,
	TROUBLE_FILE_STALE, /* its `created` is not newer than that of the same source in force */
	TROUBLE_REDIS_STALE,
	TROUBLE_MISPLACED, /* no file where it must be, and one that nobody reads */
	PROFILE_TROUBLES,  /* how many there are */
};

struct profile_troubles {
	struct profile_troubled *by_key;
};

/* Without memory it is forgotten. */
void profile_trouble_set(struct profile_troubles *t, const struct deployment *d,
                         enum profile_trouble kind, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void profile_trouble_clear(struct profile_troubles *t, const struct deployment *d,
                           enum profile_trouble kind);
/* Of all deployments. */
void profile_trouble_clear_all(struct profile_troubles *t, enum profile_trouble kind);
/* Its sentence; NULL: there is none. */
const char *profile_trouble_of(const struct profile_troubles *t, const struct deployment *d,
                               enum profile_trouble kind);
void profile_troubles_fini(struct profile_troubles *t);

#endif
