/* profile_notes.h - what is probably wrong with the profiles in force (wire/profile_check.h), by
 * model and deployment: told once in the log, and in /state.json as long as it holds. There are at
 * most as many as deployments were ever configured. */
#ifndef SLO_IO_AGENT_PROFILE_NOTES_H
#define SLO_IO_AGENT_PROFILE_NOTES_H

#include <stdbool.h>

#include "core/sched.h" /* uthash.h, as this project wants it */
#include "wire/profile_check.h"

struct profile_note {
	UT_hash_handle hh;
	size_t count;
	struct profile_finding *findings; /* [count], at least one */
	char key[];                       /* MODEL/DEPLOYMENT, see profile_name(); terminated */
};

struct profile_notes {
	struct profile_note *by_key;
};

/* Replaces what was known of that profile; count 0: nothing is wrong any more. Returns whether it
 * is news: something is wrong that was not wrong before. Without memory nothing is kept. */
bool profile_notes_set(struct profile_notes *n, const char *model, const char *deployment,
                       const struct profile_finding *findings, size_t count);
/* NULL: nothing is wrong. */
const struct profile_note *profile_notes_find(const struct profile_notes *n, const char *model,
                                              const char *deployment);
void profile_notes_fini(struct profile_notes *n);

#endif
