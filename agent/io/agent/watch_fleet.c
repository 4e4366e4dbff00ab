/* What HAProxy's servers and the profiles are, against what the configuration says of them. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "io/agent/learned.h"
#include "io/base/clock.h"
#include "roster_private.h"
#include "watch_private.h"

/* Not each time: there may be many servers. */
#define LOOK_EVERY   (5 * SLO_NSEC_PER_SEC)
#define NAMES_MAX    5 /* that a sentence has */
#define SUBJECTS_MAX 8 /* warnings of one code */
#define QUEUED_VIEWS 5 /* in a row, in which HAProxy holds requests for a server */
#define KV_DIFFERS   1.1
#define FIT_LEAST    50 /* ends until a profile is judged by them */

/* Deployments of which a code was told in this look. */
struct told {
	size_t missing, doubted, empty, refused, stale, misplaced;
};

/* Names for a sentence. */
struct names {
	size_t count, used;
	char text[200];
};

static void add_name(struct names *n, const char *name)
{
	size_t room = sizeof(n->text) - n->used;
	int len;

	if (n->count++ >= NAMES_MAX)
		return;
	len = snprintf(n->text + n->used, room, "%s%.60s", n->used ? ", " : "", name);
	n->used += len < 0 ? 0 : (size_t)len < room ? (size_t)len : room - 1;
}

static const char *more(const struct names *n)
{
	return n->count > NAMES_MAX ? ", ..." : "";
}

/* Servers */

static void check_absent(struct agent *a, slo_nsec now, const struct roster_backend *b)
{
	struct names n = { 0 };
	const struct roster_server *s;

	TAILQ_FOREACH (s, &b->servers, link)
		if (s->configured && s->state == SLO_SERVER_ABSENT)
			add_name(&n, s->server->name);
	if (n.count == 0)
		warn_clear(a, now, "server-absent", b->name);
	else
		warn_set(a, now, "server-absent", b->name,
		         "HAProxy's backend %s lacks %zu servers that models name (%s%s): they get "
		         "no request; give them the same names in both",
		         b->name, n.count, n.text, more(&n));
}

static void check_unlisted(struct agent *a, slo_nsec now, const struct roster_backend *b)
{
	if (b->unlisted == 0)
		warn_clear(a, now, "server-unlisted", b->name);
	else
		warn_set(a, now, "server-unlisted", b->name,
		         "HAProxy's backend %s has servers that are in no deployment (%s%s): the "
		         "agent never sends a request there; add them to the \"servers\" of their "
		         "deployment",
		         b->name, b->unlisted_name, b->unlisted > 1 ? ", ..." : "");
}

static void check_queued(struct agent *a, slo_nsec now, const struct roster_backend *b)
{
	struct names n = { 0 };
	const struct roster_server *s;

	TAILQ_FOREACH (s, &b->servers, link)
		if (s->queued_views >= QUEUED_VIEWS)
			add_name(&n, s->server->name);
	if (n.count == 0)
		warn_clear(a, now, "maxconn", b->name);
	else
		warn_set(
		    a, now, "maxconn", b->name,
		    "HAProxy keeps requests waiting for servers of %s that have room as far "
		    "as the agent knows (%s%s): their maxconn is smaller than that; raise it or "
		    "leave it out, or say as max_running of their deployment how many their "
		    "engines run at once",
		    b->name, n.text, more(&n));
}

/* Profiles */

/* "MODEL/DEPLOYMENT" */
struct subject {
	char text[WARN_SUBJECT_MAX + 1];
};

static struct subject subject_of(const struct deployment *d)
{
	struct subject s;

	snprintf(s.text, sizeof(s.text), "%.63s/%.63s", d->pool->name, d->name);
	return s;
}

static void check_missing(struct agent *a, slo_nsec now, const struct deployment *d,
                          const char *subject, size_t *told)
{
	/* Without a promise it may have learned from requests that brought targets of their own. */
	const bool knows = fleet_learned(d) && d->force.state != LATENCY_COLD;
	const bool learns = d->source == FLEET_LEARNED || knows ||
	                    (d->source != FLEET_GIVEN && d->pool->promise.kind != GOAL_NONE);

	if (d->profile || learns || (*told)++ >= SUBJECTS_MAX)
		warn_clear(a, now, "profile-missing", subject);
	else
		warn_set(
		    a, now, "profile-missing", subject,
		    "%s has no profile: its servers get only requests that fall back; measure "
		    "one (slo-profile measure), or state \"slo\" in the model and let it learn",
		    subject);
}

static void check_notes(struct agent *a, slo_nsec now, const struct deployment *d,
                        const char *subject, size_t *told)
{
	const struct profile_note *n =
	    profile_notes_find(&a->profile_notes, d->pool->name, d->name);

	if (!n || (*told)++ >= SUBJECTS_MAX)
		warn_clear(a, now, "profile-doubt", subject);
	else
		warn_set(a, now, "profile-doubt", subject, "profile of %s: %.300s", subject,
		         n->findings[0].text);
}

/* What is said of a trouble that a file or Redis, or both, have. */
struct ending {
	const char *one, *both; /* what is done with it, with them */
	const char *follows;
	const char *mend_one, *mend_both;
};

static void tell_trouble(struct agent *a, slo_nsec now, const struct deployment *d,
                         const char *subject, const char *code, enum profile_trouble file,
                         enum profile_trouble redis, const struct ending *e, size_t *told)
{
	const char *of_file = profile_trouble_of(&a->profile_troubles, d, file);
	const char *of_redis = profile_trouble_of(&a->profile_troubles, d, redis);

	if ((!of_file && !of_redis) || (*told)++ >= SUBJECTS_MAX)
		warn_clear(a, now, code, subject);
	else if (of_file && of_redis)
		warn_set(a, now, code, subject, "%.200s; %.200s: %s%s; %s, and reload for the file",
		         of_file, of_redis, e->both, e->follows, e->mend_both);
	else if (of_file)
		warn_set(a, now, code, subject, "%.380s: %s%s; %s and reload", of_file, e->one,
		         e->follows, e->mend_one);
	else
		warn_set(
		    a, now, code, subject,
		    "%.380s: %s%s; %s; no reload is needed, as Redis is read every \"refresh\"",
		    of_redis, e->one, e->follows, e->mend_one);
}

static void check_refused(struct agent *a, slo_nsec now, const struct deployment *d,
                          const char *subject, size_t *told)
{
	const struct ending e = { .one = "this profile is refused",
		                  .both = "both are refused",
		                  .follows = d->profile         ? " and the previous one stays"
		                             : fleet_learned(d) ? " and times are learned"
		                                                : " and requests fall back",
		                  .mend_one = "correct it",
		                  .mend_both = "correct both" };

	tell_trouble(a, now, d, subject, "profile-refused", TROUBLE_FILE_REFUSED,
	             TROUBLE_REDIS_REFUSED, &e, told);
}

static void check_stale(struct agent *a, slo_nsec now, const struct deployment *d,
                        const char *subject, size_t *told)
{
	static const struct ending e = { .one = "it is ignored",
		                         .both = "both are ignored",
		                         .follows = "",
		                         .mend_one = "give it a newer one",
		                         .mend_both = "give both a newer one" };
	double ahead = d->profile ? profile_created(d->profile) - clock_unix_seconds() : 0;

	if (!(ahead > PROFILE_FAR_AHEAD) || *told >= SUBJECTS_MAX) {
		tell_trouble(a, now, d, subject, "profile-stale", TROUBLE_FILE_STALE,
		             TROUBLE_REDIS_STALE, &e, told);
		return;
	}
	(*told)++;
	warn_set(a, now, "profile-stale", subject,
	         "\"created\" of the profile of %s is %.0f days ahead of this machine's "
	         "clock: profiles that are made until then are ignored; it counts seconds "
	         "since 1970",
	         subject, ahead / 86400);
}

/* Profiles that somebody wrote and that are not in force. */
static void check_troubles(struct agent *a, slo_nsec now, const struct deployment *d,
                           const char *subject, struct told *told)
{
	const char *misplaced = profile_trouble_of(&a->profile_troubles, d, TROUBLE_MISPLACED);

	check_refused(a, now, d, subject, &told->refused);
	check_stale(a, now, d, subject, &told->stale);
	if (!misplaced || told->misplaced++ >= SUBJECTS_MAX)
		warn_clear(a, now, "profile-misplaced", subject);
	else
		warn_set(a, now, "profile-misplaced", subject, "%s", misplaced);
}

/* What ended on the servers of d, against its profile. */
static struct fit fit_of(const struct deployment *d, const struct agent_model *m)
{
	struct fit sum = { 0 };

	for (const struct seat *seat = d->seats; seat; seat = seat->next) {
		const struct served *x = roster_served(roster_server(seat->server), m);

		if (!x)
			continue;
		sum.all += x->fit.all;
		sum.slow += x->fit.slow;
		sum.fast += x->fit.fast;
		sum.outside += x->fit.outside;
		sum.below += x->fit.below;
	}
	return sum;
}

static void forget_fit(const struct deployment *d, const struct agent_model *m)
{
	for (const struct seat *seat = d->seats; seat; seat = seat->next) {
		struct served *x = roster_served(roster_server(seat->server), m);

		if (x)
			x->fit = (struct fit){ 0 };
	}
}

static void tell_fit(struct agent *a, slo_nsec now, const char *subject, const struct fit *f)
{
	if (f->slow * 10 >= f->all * 9)
		warn_set(
		    a, now, "profile-wrong", subject,
		    "%" PRIu32 " of the last %" PRIu32 " requests of %s took more than twice the "
		    "time that its profile tells: servers are overloaded, or the profile is of "
		    "another engine; measure it again",
		    f->slow, f->all, subject);
	else if (f->fast * 10 >= f->all * 9)
		warn_set(a, now, "profile-wrong", subject,
		         "%" PRIu32 " of the last %" PRIu32
		         " requests of %s took less than a tenth of "
		         "the time that its profile tells: servers stand idle while requests wait; "
		         "are its times in seconds? measure it again",
		         f->fast, f->all, subject);
	else
		warn_clear(a, now, "profile-wrong", subject);
	if (f->outside * 2 >= f->all)
		warn_set(a, now, "profile-sizes", subject,
		         "%" PRIu32 " of the last %" PRIu32 " requests of %s are larger than all "
		         "sizes of its profile, so they count as too small; measure larger sizes",
		         f->outside, f->all, subject);
	else if (f->below == f->all)
		warn_set(
		    a, now, "profile-sizes", subject,
		    "all of the last %" PRIu32 " requests of %s are smaller than all sizes of "
		    "its profile, in their prompt or their answer, so they count as too large; "
		    "measure smaller sizes",
		    f->all, subject);
	else
		warn_clear(a, now, "profile-sizes", subject);
}

static void check_fit(struct agent *a, slo_nsec now, const struct deployment *d,
                      const struct agent_model *m, const char *subject)
{
	struct fit f = fit_of(d, m);

	if (!d->profile || d->source == FLEET_LEARNED) {
		warn_clear(a, now, "profile-wrong", subject);
		warn_clear(a, now, "profile-sizes", subject);
	} else if (f.all >= FIT_LEAST) {
		tell_fit(a, now, subject, &f);
		forget_fit(d, m);
	}
}

/* Cells that are wrong beside others that are right. */
static void check_cells(struct agent *a, slo_nsec now, const struct deployment *d,
                        const char *subject)
{
	struct cell_findings found = { 0 };

	if (d->profile && d->source != FLEET_LEARNED)
		found = cell_fit_judge(&a->cell_fits, d->profile);
	if (found.wrong == 0 || warn_find(&a->warnings, "profile-wrong", subject))
		warn_clear(a, now, "profile-cell", subject);
	else
		warn_set(
		    a, now, "profile-cell", subject,
		    "%zu cells of the profile of %s contradict nearly all of their requests; in "
		    "one of them, of about %" PRId64 " prompt and %" PRId64
		    " answer tokens, they take %s; measure these sizes again",
		    found.wrong, subject, found.worst->input, found.worst->output,
		    found.worst->verdict == CELL_TOO_SLOW
			? "more than twice the time that it tells"
			: "less than a tenth of the time that it tells");
}

static void check_refuted(struct agent *a, slo_nsec now, const struct deployment *d,
                          const char *subject)
{
	if (d->source != FLEET_REFUTED)
		warn_clear(a, now, "profile-refuted", subject);
	else
		warn_set(a, now, "profile-refuted", subject,
		         "the profile of %s is off by more than a factor of two, so learned times "
		         "replace it; measure it again",
		         subject);
}

/* Requests larger than the whole cache were served. */
static void tell_disproved(struct agent *a, slo_nsec now, const struct agent_model *m,
                           const struct deployment *d, const char *subject)
{
	bool configured = learned_kv_configured(m, d) > 0;

	warn_set(a, now, "kv-differs", subject,
	         "requests that are larger than the whole cache of %s as %s (%.0f tokens) are "
	         "served: the number is wrong, and is found from their times instead, so at first "
	         "requests wait that need not; %s",
	         subject, configured ? "kv_tokens tells it" : "its engines tell it", d->learner->kv,
	         configured ? "correct kv_tokens, or leave it out"
	                    : "set kv_tokens to what one of its servers holds");
}

/* The configured number counts, so it should be right. */
static void check_kv(struct agent *a, slo_nsec now, const struct agent_model *m,
                     const struct deployment *d, const char *subject)
{
	double told = learned_cache_told(d), kv = learned_kv_configured(m, d);

	if (d->learner && fleet_learned(d) && latency_room_disproved(&d->learner->room))
		tell_disproved(a, now, m, d, subject);
	else if (!(kv > 0) || !(told > 0) || (kv <= KV_DIFFERS * told && told <= KV_DIFFERS * kv))
		warn_clear(a, now, "kv-differs", subject);
	else
		warn_set(
		    a, now, "kv-differs", subject,
		    "kv_tokens of %s is %.0f, and its engines tell a cache of %.0f tokens; the "
		    "configured number counts: correct it, or leave it out",
		    subject, kv, told);
}

/* One that should stand in a deployment of its own. */
static void check_odd_cache(struct agent *a, slo_nsec now, const struct deployment *d,
                            const char *subject)
{
	double usual = learned_cache_usual(d);
	const struct seat *first = NULL;
	struct names odd = { 0 };

	for (const struct seat *seat = d->seats; seat; seat = seat->next) {
		if (!learned_cache_is_odd(seat, usual))
			continue;
		first = first ? first : seat;
		add_name(&odd, seat->server->name);
	}
	if (!first)
		warn_clear(a, now, "cache-odd", subject);
	else
		warn_set(a, now, "cache-odd", subject,
		         "the engine of %s%s tells a cache of %.0f tokens, the others of %s one of "
		         "about %.0f, by which requests are placed; put it in a deployment of its "
		         "own",
		         odd.text, more(&odd), learned_cache_of(first), subject, usual);
}

/* Those that are only set aside are taken back in time, so this is HAProxy's word. */
static void check_usable(struct agent *a, slo_nsec now, const struct pool *pool, size_t *told)
{
	if (pool->seats == 0 || pool->usable > 0 || (*told)++ >= SUBJECTS_MAX)
		warn_clear(a, now, "no-server", pool->name);
	else
		warn_set(
		    a, now, "no-server", pool->name,
		    "model %.100s has no server that is up: its requests get 503 until HAProxy "
		    "has one up",
		    pool->name);
}

/* What the texts of profiles tell. */
static const char *const about_files[] = { "profile-doubt", "profile-refused", "profile-stale",
	                                   "profile-misplaced" };

/* What was not said again is of a model, deployment or backend that is gone. */
static void drop_older(struct agent *a, slo_nsec now, const char *const codes[], size_t n)
{
	for (size_t i = 0; i < n; i++)
		warn_clear_older(a, now, codes[i], now);
}

static void check_deployment(struct agent *a, slo_nsec now, const struct agent_model *m,
                             const struct deployment *d, struct told *told)
{
	struct subject s = subject_of(d);

	check_missing(a, now, d, s.text, &told->missing);
	check_notes(a, now, d, s.text, &told->doubted);
	check_troubles(a, now, d, s.text, told);
	check_fit(a, now, d, m, s.text);
	check_cells(a, now, d, s.text);
	check_refuted(a, now, d, s.text);
	check_kv(a, now, m, d, s.text);
	check_odd_cache(a, now, d, s.text);
}

static void check_models(struct agent *a, slo_nsec now)
{
	struct told told = { 0 };

	for (size_t i = 0; i < a->model_count; i++) {
		const struct agent_model *m = a->models[i];

		check_usable(a, now, &m->sched->pool, &told.empty);
		for (size_t k = 0; k < m->sched->pool.deployments; k++)
			check_deployment(a, now, m, m->sched->pool.deployment[k], &told);
	}
}

void watch_profiles(struct agent *a, slo_nsec now)
{
	struct told told = { 0 };

	for (size_t i = 0; i < a->model_count; i++) {
		const struct pool *pool = &a->models[i]->sched->pool;

		for (size_t k = 0; k < pool->deployments; k++) {
			const struct deployment *d = pool->deployment[k];
			struct subject s = subject_of(d);

			check_notes(a, now, d, s.text, &told.doubted);
			check_troubles(a, now, d, s.text, &told);
		}
	}
	drop_older(a, now, about_files, sizeof(about_files) / sizeof(about_files[0]));
}

void watch_fleet(struct agent *a, slo_nsec now)
{
	static const char *const codes[] = {
		"server-absent",   "server-unlisted", "maxconn",    "profile-missing", "no-server",
		"profile-refuted", "profile-cell",    "kv-differs", "cache-odd"
	};

	if (now - a->watch.looked < LOOK_EVERY && a->watch.looked != 0)
		return;
	a->watch.looked = now;
	for (const struct roster_backend *b = a->roster.backends; b; b = b->hh.next) {
		check_absent(a, now, b);
		check_unlisted(a, now, b);
		check_queued(a, now, b);
	}
	check_models(a, now);
	drop_older(a, now, codes, sizeof(codes) / sizeof(codes[0]));
	drop_older(a, now, about_files, sizeof(about_files) / sizeof(about_files[0]));
}
