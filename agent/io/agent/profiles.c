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
#include "io/base/profile_files.h"
#include "wire/profdoc.h"
#include "wire/profile_name.h"

#define AHEAD 60. /* seconds; it keeps those out that are made now */
#define WALK  (50 * SLO_NSEC_PER_MSEC)

/* A path in a line that has to have room for the rest: of a long one the end is kept, which tells
 * more. */
struct shown {
	char text[256];
};

static struct shown shown(const char *path, size_t most)
{
	size_t len = strlen(path);
	struct shown s;

	if (most > sizeof(s.text) - 1)
		most = sizeof(s.text) - 1;
	if (len <= most)
		memcpy(s.text, path, len + 1);
	else
		snprintf(s.text, sizeof(s.text), "...%s", path + len - (most - 3));
	return s;
}

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
	bool hours = ahead >= 7200;

	if (ahead > AHEAD)
		say(a, limited, LOG_CAUSE_PROFILE_STALE, LOG_WARNING,
		    "%s: its \"created\" is not newer than that in force, which is %.*f %s ahead "
		    "of this machine's clock, so it is ignored, as are all that are made until "
		    "then; give it a \"created\" beyond that (%.0f), or correct the clock",
		    where, hours ? 1 : 0, ahead / (hours ? 3600 : 60), hours ? "hours" : "minutes",
		    profile_created(d->profile));
	else
		say(a, limited, LOG_CAUSE_PROFILE_STALE, LOG_NOTICE,
		    "%s: its \"created\" is not newer than that in force, so it is ignored", where);
}

/* For the warning, which watch_fleet.c ends with what follows of it. */
static void note_refused(struct agent *a, const struct deployment *d, bool redis, const char *why)
{
	profile_trouble_clear(&a->profile_troubles, d,
	                      redis ? TROUBLE_REDIS_STALE : TROUBLE_FILE_STALE);
	profile_trouble_set(&a->profile_troubles, d,
	                    redis ? TROUBLE_REDIS_REFUSED : TROUBLE_FILE_REFUSED, "%s", why);
}

static void note_good(struct agent *a, const struct deployment *d, bool redis, slo_err err)
{
	struct profile_troubles *t = &a->profile_troubles;

	if (err != SLO_OK && err != SLO_ESTALE)
		return;
	profile_trouble_clear(t, d, redis ? TROUBLE_REDIS_REFUSED : TROUBLE_FILE_REFUSED);
	if (err != SLO_OK)
		return;
	profile_trouble_clear(t, d, redis ? TROUBLE_REDIS_STALE : TROUBLE_FILE_STALE);
	profile_trouble_clear(t, d, TROUBLE_MISPLACED);
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
		const struct shown file = shown(where, 150);

		e.file = file.text;
		doc_error_format(&e, why, sizeof(why));
		say(a, limited, LOG_CAUSE_PROFILE_REFUSED, LOG_ERR, "%s%s", why,
		    d->profile ? "; the previous profile stays" : "");
		note_refused(a, d, limited, why);
		return err;
	}
	if (doc->gpu[0] && strcmp(doc->gpu, d->name) != 0)
		say(a, limited, LOG_CAUSE_PROFILE_GPU, LOG_WARNING,
		    "%s: says gpu \"%s\", but its name makes it a profile of \"%s\"", where,
		    doc->gpu, d->name);
	ahead = doc->created - clock_unix_seconds();
	if (ahead > PROFILE_FAR_AHEAD)
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
	note_good(a, d, limited, err);
	if (err == SLO_ESTALE)
		report_stale(a, d, where, limited);
	else if (err != SLO_OK)
		say(a, limited, LOG_CAUSE_PROFILE_REFUSED, LOG_ERR, "%s: out of memory", where);
	return err;
}

/* Files */

/* The text of a file that was put in force. */
struct profile_file {
	UT_hash_handle hh;
	uint64_t hash;
	double created;
	bool wanted; /* its deployment is still there */
	char key[];  /* of profile_name(), terminated */
};

static void file_forget(struct agent *a, struct profile_file *f)
{
	/* It takes the first of the table for one that has another before it. */
	HASH_DEL(a->files, f); /* NOLINT(clang-analyzer-unix.Malloc) */
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
static void file_remember(struct agent *a, struct profile_file *f, const char *key, uint64_t hash,
                          double created)
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
	f->created = created;
	f->wanted = true;
}

/* No text: errno says why. One that is not there is only worth a word. */
static bool file_unread(struct agent *a, const struct deployment *d, const char *path)
{
	bool learns = !d->profile && d->pool->promise.kind != GOAL_NONE && fleet_learned(d);
	bool absent = errno == ENOENT;
	char why[PROFILE_TROUBLE_TEXT];

	snprintf(why, sizeof(why), "%s: %s", shown(path, 150).text, file_why(errno));
	log_write(a->log,
	          !absent  ? LOG_ERR
	          : learns ? LOG_INFO
	                   : LOG_WARNING,
	          "profile %s: %s%s", path, file_why(errno),
	          d->profile ? "; the previous profile stays"
	          : learns   ? "; its times are learned"
	                     : "; without one its servers get only what falls back");
	profile_trouble_clear(&a->profile_troubles, d, TROUBLE_FILE_STALE);
	if (absent)
		profile_trouble_clear(&a->profile_troubles, d, TROUBLE_FILE_REFUSED);
	else
		note_refused(a, d, false, why);
	return absent;
}

/* What the file's text means; what is in force may be the file's, or newer from elsewhere. */
static slo_err file_taken(struct agent *a, struct deployment *d, const struct profile_file *known,
                          const char *path, struct slice text)
{
	slo_err err = agent_take_profile(a, d, path, (const char *)text.p, text.len, false);

	if (err != SLO_ESTALE)
		return err;
	profile_trouble_clear(&a->profile_troubles, d, TROUBLE_FILE_STALE);
	if (known && d->profile && !(profile_created(d->profile) > known->created))
		profile_trouble_set(&a->profile_troubles, d, TROUBLE_FILE_STALE,
		                    "%s has changed, but its \"created\" is not newer than that "
		                    "in force",
		                    shown(path, 150).text);
	return err;
}

/* absent: there is no such file. */
static bool load(struct agent *a, const struct agent_model *m, struct deployment *d, bool *absent)
{
	char key[CONFIG_PROFILE_NAME_SIZE], path[PATH_MAX];
	struct profile_file *known;
	slo_err err = SLO_ESTALE;
	uint64_t hash;
	size_t len;
	char *text;

	*absent = false;
	if (!a->conf->profile_dir)
		return true;
	if (profile_name(m->conf->name, d->name, key, sizeof(key)) != SLO_OK ||
	    snprintf(path, sizeof(path), "%s/%s", a->conf->profile_dir, key) >= (int)sizeof(path)) {
		log_write(a->log, LOG_ERR, "profile of %s/%s: its path is too long", m->conf->name,
		          d->name);
		note_refused(a, d, false, "the path of its file is too long");
		return false;
	}
	known = file_known(a, d, key);
	text = file_read(path, PROFDOC_TEXT_MAX, &len);
	if (!text)
		return *absent = file_unread(a, d, path);
	hash = profile_text_hash(text, len);
	/* As it was, it is what is in force, or older than that. */
	if (!known || known->hash != hash) {
		err = file_taken(a, d, known, path, (struct slice){ (uint8_t *)text, len });
	} else {
		profile_trouble_clear(&a->profile_troubles, d, TROUBLE_FILE_REFUSED);
		profile_trouble_clear(&a->profile_troubles, d, TROUBLE_FILE_STALE);
	}
	free(text);
	if (err == SLO_OK)
		file_remember(a, known, key, hash, profile_created(d->profile));
	return err == SLO_OK || err == SLO_ESTALE;
}

bool agent_load_profile(struct agent *a, struct agent_model *m, struct deployment *d)
{
	bool absent;

	return load(a, m, d, &absent);
}

/* Whether it would read a file if there were one, and nothing else gives it a profile. What is in
 * force of a file that went is lost with the next start. */
static bool wants_file(struct agent *a, const struct deployment *d)
{
	char key[CONFIG_PROFILE_NAME_SIZE];
	const struct profile_file *f;

	if (d->source == FLEET_LEARNED)
		return false;
	if (!d->profile)
		return true;
	if (profile_name(d->pool->name, d->name, key, sizeof(key)) != SLO_OK)
		return false;
	HASH_FIND_STR(a->files, key, f);
	return f && !(profile_created(d->profile) > f->created);
}

static void note_misplaced(struct agent *a, const struct deployment *d,
                           const struct profile_files *files)
{
	const char *meant = profile_files_meant(files, a->conf, d->pool->name, d->name);
	char key[CONFIG_PROFILE_NAME_SIZE];

	if (meant && profile_name(d->pool->name, d->name, key, sizeof(key)) == SLO_OK)
		profile_trouble_set(&a->profile_troubles, d, TROUBLE_MISPLACED,
		                    "%s is read by no deployment, and the profile of %s/%s is not "
		                    "there: if it is the file for it, rename it to %s below "
		                    "profiles.dir and reload",
		                    shown(meant, 140).text, shown(d->pool->name, 40).text,
		                    shown(d->name, 40).text, shown(key, 140).text);
}

/* Where deployments have no file there may be others that nobody reads. */
static void look_for_misplaced(struct agent *a, const struct deployment *const *absent,
                               size_t count)
{
	struct profile_files files;

	if (count == 0)
		return;
	profile_files_look(&files, a->conf, clock_nsec() + WALK);
	for (size_t i = 0; i < count && files.count > 0; i++)
		note_misplaced(a, absent[i], &files);
	profile_files_free(&files);
}

/* Of all deployments; how many were refused. */
static size_t load_all(struct agent *a)
{
	const struct deployment **absent;
	size_t refused = 0, all = 0, count = 0;

	for (size_t i = 0; i < a->model_count; i++)
		all += a->models[i]->sched->pool.deployments;
	absent = calloc(all + 1, sizeof(struct deployment *));
	for (size_t i = 0; i < a->model_count; i++) {
		struct pool *pool = &a->models[i]->sched->pool;

		for (size_t k = 0; k < pool->deployments; k++) {
			struct deployment *d = pool->deployment[k];
			bool away;

			refused += !load(a, a->models[i], d, &away);
			if (away && absent && wants_file(a, d))
				absent[count++] = d;
		}
	}
	look_for_misplaced(a, absent, count);
	free(absent);
	return refused;
}

size_t agent_load_profiles(struct agent *a)
{
	struct profile_file *f, *next;
	size_t refused;

	profile_trouble_clear_all(&a->profile_troubles, TROUBLE_MISPLACED);
	if (!a->conf->profile_dir) {
		profile_trouble_clear_all(&a->profile_troubles, TROUBLE_FILE_REFUSED);
		profile_trouble_clear_all(&a->profile_troubles, TROUBLE_FILE_STALE);
	}
	for (f = a->files; f; f = f->hh.next)
		f->wanted = false;
	refused = load_all(a);
	for (f = a->files; f; f = next) {
		next = f->hh.next;
		if (!f->wanted)
			file_forget(a, f);
	}
	watch_profiles(a, clock_nsec());
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
