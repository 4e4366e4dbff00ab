/* redis_profiles.h - which key of Redis is whose profile, and what becomes of its value.
 *
 * A profile of Redis is taken like one from a file: it replaces what is in force if it is strictly
 * newer by `created`. A key that is gone takes only its own profile along; the file's, if there is
 * one, then counts again, however old. */
#ifndef SLO_IO_REDIS_REDIS_PROFILES_H
#define SLO_IO_REDIS_REDIS_PROFILES_H

#include <stdbool.h>
#include <sys/queue.h>

#include "io/agent/agent.h"

#define REDIS_GONE_SCANS 3 /* a key that as many scans in a row do not have is gone */
#define REDIS_KEY_MAX    (2 * CONFIG_NAME_MAX + 32)

/* The key of one (model, deployment). */
struct redis_entry {
	UT_hash_handle hh;
	STAILQ_ENTRY(redis_entry) wanted; /* its value is to be asked for */
	struct agent_model *model;
	struct deployment *deployment;
	uint64_t hash;   /* of the value that was judged last */
	uint64_t ours;   /* of the value that our profile was */
	uint64_t scan;   /* that saw it last */
	double created;  /* of our profile */
	unsigned missed; /* scans in a row */
	bool judged;     /* hash holds */
	bool loaded;     /* our profile came into force, and was not dropped */
	bool refused;    /* the value is no profile */
	char key[];      /* terminated */
};
STAILQ_HEAD(redis_entries, redis_entry);

struct redis_profiles {
	struct redis_entry *by_key;
	struct redis_entry **entry; /* [count], in configuration order */
	size_t count;
};

/* aibrix:profile_MODEL_DEPLOYMENT. */
void redis_profiles_key(const char *model, const char *deployment, char out[REDIS_KEY_MAX]);

/* Builds the table anew from the agent's fleet; what is known of keys that stay is kept, of the
 * others that they were there is forgotten. Of two pairs with the same key the first has it, which
 * is logged. SLO_ENOMEM: the table is empty. */
MUSTCHECK slo_err redis_profiles_build(struct redis_profiles *t, struct agent *a);
void redis_profiles_fini(struct redis_profiles *t);

/* NULL: it is nobody's. */
struct redis_entry *redis_profiles_find(const struct redis_profiles *t, const char *key,
                                        size_t len);
/* Whether the profile in force came from this key. */
bool redis_profiles_in_force(const struct redis_entry *e);

/* The value of a key. One that was judged before costs no more than its hash. */
void redis_profiles_value(struct agent *a, struct redis_entry *e, const char *text, size_t len);
/* The key has no text; why is for the log. */
void redis_profiles_refuse(struct agent *a, struct redis_entry *e, const char *why);
/* A complete scan did not have it. */
void redis_profiles_missed(struct agent *a, struct redis_entry *e);
/* Drops its profile, if that is in force. */
void redis_profiles_drop(struct agent *a, struct redis_entry *e);

#endif
