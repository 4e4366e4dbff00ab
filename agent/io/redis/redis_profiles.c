#include "io/redis/redis_profiles.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "io/base/clock.h"
#include "wire/profile_name.h"

void redis_profiles_key(const char *model, const char *deployment, char out[REDIS_KEY_MAX])
{
	snprintf(out, REDIS_KEY_MAX, "aibrix:profile_%s_%s", model, deployment);
}

/* The table */

static void clear(struct redis_profiles *t)
{
	HASH_CLEAR(hh, t->by_key);
	for (size_t i = 0; t->entry && i < t->count; i++)
		free(t->entry[i]);
	free(t->entry);
	*t = (struct redis_profiles){ 0 };
}

void redis_profiles_fini(struct redis_profiles *t)
{
	clear(t);
}

struct redis_entry *redis_profiles_find(const struct redis_profiles *t, const char *key, size_t len)
{
	struct redis_entry *e;

	HASH_FIND(hh, t->by_key, key, len, e);
	return e;
}

bool redis_profiles_in_force(const struct redis_entry *e)
{
	const struct profile *p = e->deployment->profile;

	/* What replaces it is newer, so `created` tells whose it is. */
	return e->loaded && p && !(profile_created(p) > e->created) &&
	       !(profile_created(p) < e->created);
}

/* What a new entry has to know of the one that it follows. */
static void inherit(struct redis_entry *e, const struct redis_entry *old)
{
	e->loaded = old->loaded;
	e->created = old->created;
	e->missed = old->missed;
	e->loaded = redis_profiles_in_force(e);
	e->judged = old->judged && e->loaded;
	e->hash = old->hash;
	e->ours = old->ours;
}

static bool add(struct redis_profiles *t, const struct redis_profiles *old, struct agent *a,
                struct agent_model *m, struct deployment *d)
{
	struct redis_entry *e, *known;
	char key[REDIS_KEY_MAX];
	size_t len;

	redis_profiles_key(m->conf->name, d->name, key);
	len = strlen(key);
	known = redis_profiles_find(t, key, len);
	if (known) {
		log_write(a->log, LOG_WARNING,
		          "redis: key %s is that of %s/%s and of %s/%s; only the first has it", key,
		          known->model->conf->name, known->deployment->name, m->conf->name,
		          d->name);
		return true;
	}
	e = calloc(1, sizeof(*e) + len + 1);
	if (!e)
		return false;
	memcpy(e->key, key, len);
	e->model = m;
	e->deployment = d;
	HASH_ADD_KEYPTR(hh, t->by_key, e->key, len, e);
	if (!e->hh.tbl) {
		free(e);
		return false;
	}
	t->entry[t->count++] = e;
	known = redis_profiles_find(old, key, len);
	if (known)
		inherit(e, known);
	return true;
}

slo_err redis_profiles_build(struct redis_profiles *t, struct agent *a)
{
	struct redis_profiles old = *t;
	size_t pairs = 0;
	bool ok = true;

	for (size_t i = 0; i < a->model_count; i++)
		pairs += a->models[i]->sched->pool.deployments;
	*t = (struct redis_profiles){ .entry = calloc(pairs + 1, sizeof(struct redis_entry *)) };
	for (size_t i = 0; i < a->model_count && t->entry; i++) {
		struct pool *pool = &a->models[i]->sched->pool;

		for (size_t d = 0; d < pool->deployments && ok; d++)
			ok = add(t, &old, a, a->models[i], pool->deployment[d]);
	}
	clear(&old);
	if (t->entry && ok)
		return SLO_OK;
	clear(t);
	return SLO_ENOMEM;
}

/* Values */

/* A value that is not newer than what is in force: a mistake if it follows our own there. Another
 * source may well be newer. */
static void note_stale(struct agent *a, const struct redis_entry *e)
{
	if (redis_profiles_in_force(e) && e->hash != e->ours)
		profile_trouble_set(&a->profile_troubles, e->deployment, TROUBLE_REDIS_STALE,
		                    "redis %.150s has changed, but its \"created\" is not newer "
		                    "than that in force",
		                    e->key);
	else
		profile_trouble_clear(&a->profile_troubles, e->deployment, TROUBLE_REDIS_STALE);
}

void redis_profiles_value(struct agent *a, struct redis_entry *e, const char *text, size_t len)
{
	uint64_t hash = profile_text_hash(text, len);
	char where[REDIS_KEY_MAX + 8];
	slo_err err;

	if (e->judged && e->hash == hash) {
		if (!redis_profiles_in_force(e)) /* meanwhile another source gave a newer one */
			profile_trouble_clear(&a->profile_troubles, e->deployment,
			                      TROUBLE_REDIS_STALE);
		return;
	}
	snprintf(where, sizeof(where), "redis %s", e->key);
	err = agent_take_profile(a, e->deployment, where, text, len, true);
	e->judged = err != SLO_ENOMEM;
	e->hash = hash;
	e->refused = err != SLO_OK && err != SLO_ESTALE;
	if (err == SLO_ESTALE)
		note_stale(a, e);
	if (err != SLO_OK)
		return;
	e->loaded = true;
	e->ours = hash;
	e->created = profile_created(e->deployment->profile);
}

void redis_profiles_refuse(struct agent *a, struct redis_entry *e, const char *why)
{
	if (!e->refused || e->judged)
		log_limited(a->log, clock_nsec(), LOG_CAUSE_PROFILE_REFUSED, LOG_ERR,
		            "redis %s: %s%s", e->key, why,
		            e->deployment->profile ? "; the previous profile stays" : "");
	profile_trouble_clear(&a->profile_troubles, e->deployment, TROUBLE_REDIS_STALE);
	profile_trouble_set(&a->profile_troubles, e->deployment, TROUBLE_REDIS_REFUSED,
	                    "redis %.150s: %s", e->key, why);
	e->refused = true;
	e->judged = false;
}

void redis_profiles_drop(struct agent *a, struct redis_entry *e)
{
	if (redis_profiles_in_force(e)) {
		log_limited(a->log, clock_nsec(), LOG_CAUSE_PROFILE_GONE, LOG_NOTICE,
		            "redis %s: the key is gone, so its profile is dropped", e->key);
		cell_fit_forget(&a->cell_fits, e->deployment->profile);
		sched_profile_drop(a->sched, e->deployment);
		(void)agent_load_profile(a, e->model, e->deployment);
	}
	e->loaded = false;
}

void redis_profiles_missed(struct agent *a, struct redis_entry *e)
{
	profile_trouble_clear(&a->profile_troubles, e->deployment, TROUBLE_REDIS_REFUSED);
	profile_trouble_clear(&a->profile_troubles, e->deployment, TROUBLE_REDIS_STALE);
	e->refused = e->judged = false;
	if (e->missed < REDIS_GONE_SCANS && ++e->missed == REDIS_GONE_SCANS)
		redis_profiles_drop(a, e);
}
