/* Profiles: their text put in force; and files, profiles.dir/MODEL/DEPLOYMENT.json. */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/agent/agent.h"
#include "io/base/clock.h"
#include "io/base/file.h"
#include "wire/profdoc.h"
#include "wire/profile_name.h"

#define FAR_AHEAD (366 * 86400.) /* seconds; less may be a matter of clocks */
#define AHEAD     60.            /* seconds; it keeps those out that are made now */

/* What Redis holds can be much, and others write there; a file is the operator's own. */
static void say(struct agent *a, bool limited, enum log_cause cause, int level, const char *fmt,
                ...) __attribute__((format(printf, 5, 6)));
static void say(struct agent *a, bool limited, enum log_cause cause, int level, const char *fmt,
                ...)
{
	char line[1100];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (limited)
		log_limited(a->log, clock_nsec(), cause, level, "%s", line);
	else
		log_write(a->log, level, "%s", line);
}

static void report_loaded(struct agent *a, const struct deployment *d, const char *where,
                          bool limited)
{
	const struct profile *p = d->profile;

	say(a, limited, LOG_CAUSE_PROFILE_LOADED, LOG_INFO,
	    "profile %s: %zu cells, %zu with throughput 0, %zu without data", where,
	    profile_cells(p), profile_zero_cells(p), profile_no_data(p));
}

/* A reload that finds the same is not told again. */
static void report_doubts(struct agent *a, const struct deployment *d,
                          const struct slo_profile_doc *doc, const char *where, bool limited)
{
	struct profile_finding found[PROFILE_FINDINGS_MAX];
	size_t count = profile_check(doc, d->pool->promise.kind != GOAL_NONE, found);

	if (!profile_notes_set(&a->profile_notes, d->pool->name, d->name, found, count))
		return;
	for (size_t i = 0; i < count; i++)
		say(a, limited, LOG_CAUSE_PROFILE_DOUBT, LOG_WARNING, "profile %s: %s", where,
		    found[i].text);
}

/* If it is newer than the one in force. */
static slo_err put_in_force(struct agent *a, struct deployment *d,
                            const struct slo_profile_doc *doc)
{
	const struct profile *old = d->profile;
	struct profile *p = profile_new(doc);
	slo_err err = p ? sched_profile_set(a->sched, d, p) : SLO_ENOMEM;

	if (err != SLO_OK)
		profile_free(p);
	else if (old)
		cell_fit_forget(&a->cell_fits, old);
	return err;
}

/* What is made now is not newer than one that was made by a clock that went ahead. */
static void report_stale(struct agent *a, const struct deployment *d, const char *where,
                         bool limited)
{
	double ahead = profile_created(d->profile) - clock_unix_seconds();

	if (ahead > AHEAD)
		say(a, limited, LOG_CAUSE_PROFILE_STALE, LOG_WARNING,
		    "%s: its \"created\" is not newer than that in force, which is %.1f hours "
		    "ahead "
		    "of this machine's clock, so it is ignored, as are all that are made until "
		    "then; give it a \"created\" beyond that (%.0f), or correct the clock",
		    where, ahead / 3600, profile_created(d->profile));
	else
		say(a, limited, LOG_CAUSE_PROFILE_STALE, LOG_NOTICE,
		    "%s: its \"created\" is not newer than that in force, so it is ignored", where);
}

slo_err agent_take_profile(struct agent *a, struct deployment *d, const char *where,
                           const char *text, size_t len, bool limited)
{
	struct slo_profile_doc *doc = NULL;
	char why[1024];
	struct doc_error e;
	double ahead;
	slo_err err = profdoc_parse(text, len, &doc, &e);

	if (err != SLO_OK) {
		e.file = where;
		doc_error_format(&e, why, sizeof(why));
		say(a, limited, LOG_CAUSE_PROFILE_REFUSED, LOG_ERR, "%s%s", why,
		    d->profile ? "; the previous profile stays" : "");
		return err;
	}
	if (doc->gpu[0] && strcmp(doc->gpu, d->name) != 0)
		say(a, limited, LOG_CAUSE_PROFILE_GPU, LOG_WARNING,
		    "%s: says gpu \"%s\", but its name makes it a profile of \"%s\"", where,
		    doc->gpu, d->name);
	ahead = doc->created - clock_unix_seconds();
	if (ahead > FAR_AHEAD)
		say(a, limited, LOG_CAUSE_PROFILE_DOUBT, LOG_WARNING,
		    "%s: its \"created\" is %.0f days ahead of this machine's clock: profiles that "
		    "are made until then are ignored; correct it, or the clock",
		    where, ahead / 86400);
	err = put_in_force(a, d, doc);
	if (err == SLO_OK) {
		report_loaded(a, d, where, limited);
		report_doubts(a, d, doc, where, limited);
	}
	profdoc_free(doc);
	if (err == SLO_OK)
		return SLO_OK;
	if (err == SLO_ESTALE)
		report_stale(a, d, where, limited);
	else
		say(a, limited, LOG_CAUSE_PROFILE_REFUSED, LOG_ERR, "%s: out of memory", where);
	return err;
}

/* Files */

/* The text of a file that was put in force. */
struct profile_file {
	UT_hash_handle hh;
	uint64_t hash;
	bool wanted; /* its deployment is still there */
	char key[];  /* of profile_name(), terminated */
};

static void file_forget(struct agent *a, struct profile_file *f)
{
	HASH_DEL(a->files, f);
	free(f);
}

/* NULL: what it says now counts, whatever it said before. */
static struct profile_file *file_known(struct agent *a, const struct deployment *d, const char *key)
{
	struct profile_file *f;

	HASH_FIND_STR(a->files, key, f);
	if (f && !d->profile) { /* dropped: what comes next may be older */
		file_forget(a, f);
		f = NULL;
	}
	if (f)
		f->wanted = true;
	return f;
}

/* Without memory it is not known: the next reload then says a word more. */
static void file_remember(struct agent *a, struct profile_file *f, const char *key, uint64_t hash)
{
	size_t len = strlen(key);

	if (!f) {
		f = calloc(1, sizeof(*f) + len + 1);
		if (!f)
			return;
		memcpy(f->key, key, len);
		HASH_ADD_KEYPTR(hh, a->files, f->key, len, f);
		if (!f->hh.tbl) {
			free(f);
			return;
		}
	}
	f->hash = hash;
	f->wanted = true;
}

/* A file that is not there is only worth a word. */
bool agent_load_profile(struct agent *a, struct agent_model *m, struct deployment *d)
{
	char key[CONFIG_PROFILE_NAME_SIZE], path[PATH_MAX];
	struct profile_file *known;
	slo_err err = SLO_ESTALE;
	uint64_t hash;
	size_t len;
	char *text;

	if (!a->conf->profile_dir)
		return true;
	if (profile_name(m->conf->name, d->name, key, sizeof(key)) != SLO_OK ||
	    snprintf(path, sizeof(path), "%s/%s", a->conf->profile_dir, key) >= (int)sizeof(path)) {
		log_write(a->log, LOG_ERR, "profile of %s/%s: its path is too long", m->conf->name,
		          d->name);
		return false;
	}
	known = file_known(a, d, key);
	text = file_read(path, PROFDOC_TEXT_MAX, &len);
	if (!text) {
		bool learns = !d->profile && d->pool->promise.kind != GOAL_NONE && fleet_learned(d);

		log_write(a->log,
		          errno != ENOENT ? LOG_ERR
		          : learns        ? LOG_INFO
		                          : LOG_WARNING,
		          "profile %s: %s%s", path, file_why(errno),
		          d->profile ? "; the previous profile stays"
		          : learns   ? "; its times are learned"
		                     : "; without one its servers get only what falls back");
		return errno == ENOENT;
	}
	hash = profile_text_hash(text, len);
	/* As it was, it is what is in force, or older than that. */
	if (!known || known->hash != hash)
		err = agent_take_profile(a, d, path, text, len, false);
	free(text);
	if (err == SLO_OK)
		file_remember(a, known, key, hash);
	return err == SLO_OK || err == SLO_ESTALE;
}

size_t agent_load_profiles(struct agent *a)
{
	struct profile_file *f, *next;
	size_t refused = 0;

	for (f = a->files; f; f = f->hh.next)
		f->wanted = false;
	for (size_t i = 0; i < a->model_count; i++) {
		struct pool *pool = &a->models[i]->sched->pool;

		for (size_t d = 0; d < pool->deployments; d++)
			refused += !agent_load_profile(a, a->models[i], pool->deployment[d]);
	}
	for (f = a->files; f; f = next) {
		next = f->hh.next;
		if (!f->wanted)
			file_forget(a, f);
	}
	return refused;
}

void agent_forget_profiles(struct agent *a)
{
	struct profile_file *f = a->files, *next;

	HASH_CLEAR(hh, a->files);
	for (; f; f = next) {
		next = f->hh.next;
		free(f);
	}
}
