/* A line is read straight on: the reader keeps the first error, so no step asks whether the one
 * before it went well. The verb decides which other members count; null counts as absent. */
#include "wire/file/scenario.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "wire/json/reader.h"
#include "wire/profdoc.h"

/* Seconds: a point that far off still leaves room in a slo_nsec for the longest targets. */
#define TIME_MAX   4e9
#define TOKENS_MAX 9007199254740992.0 /* 2^53: whole numbers are exact up to here */

/* One line. */
struct line_reader {
	struct reader doc;
	struct node root;
	struct scenario_line *line;
};

/* null counts as absent. */
static struct node member(const struct node *object, const char *name)
{
	return node_not_null(node_member(object, name));
}

static bool has(const struct line_reader *r, const char *name)
{
	return member(&r->root, name).value != NULL;
}

/* Absent leaves *out NULL. */
static void read_string(struct line_reader *r, const char *name, const char **out)
{
	struct node n = member(&r->root, name);

	if (n.value)
		(void)reader_want_string(&r->doc, &n, SIZE_MAX, out);
}

static void need_string(struct line_reader *r, const char *name, size_t max, const char **out)
{
	struct node n = member(&r->root, name);

	(void)reader_want_string(&r->doc, &n, max, out);
}

/* A number in [min, max]; absent leaves *out. */
static void read_number(struct line_reader *r, const struct node *object, const char *name,
                        double min, double max, double *out)
{
	struct node n = member(object, name);

	if (n.value)
		(void)reader_want_number(&r->doc, &n, min, max, out);
}

/* A whole number in [0, TOKENS_MAX]; absent leaves *out. */
static void read_count(struct line_reader *r, const struct node *object, const char *name,
                       int64_t *out)
{
	struct node n = member(object, name);
	double d = 0;

	if (!n.value || !reader_want_number(&r->doc, &n, 0, TOKENS_MAX, &d))
		return;
	if (d == floor(d))
		*out = (int64_t)d;
	else
		reader_fail(&r->doc, &n, JSONPOS_VALUE, "is %g, must be a whole number", d);
}

static void need_count(struct line_reader *r, const char *name, int64_t *out)
{
	struct node n = member(&r->root, name);

	if (!n.value)
		reader_fail_type(&r->doc, &n, "a number");
	read_count(r, &r->root, name, out);
}

/* Whether it is there. */
static bool read_time(struct line_reader *r, const char *name, slo_nsec *out)
{
	double d = NAN;

	read_number(r, &r->root, name, -TIME_MAX, TIME_MAX, &d);
	if (isnan(d))
		return false;
	*out = llround(d * 1e9);
	return true;
}

static void read_millis(struct line_reader *r, const char *name, slo_nsec *out)
{
	double d = 0;

	read_number(r, &r->root, name, 0, TIME_MAX * 1e3, &d);
	*out = llround(d * 1e6);
}

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static bool read_choice(struct line_reader *r, const struct node *object, const char *name,
                        const struct reader_choice *choices, size_t count, int *out)
{
	return member(object, name).value &&
	       reader_choice(&r->doc, object, name, choices, count, out);
}

static void read_choices(struct line_reader *r, const struct node *o, struct scenario_config *c)
{
	static const struct reader_choice lates[] = {
		{ "serve", SCENARIO_LATE_SERVE },
		{ "hold", SCENARIO_LATE_HOLD },
		{ "reject", SCENARIO_LATE_REJECT },
	};
	static const struct reader_choice infeasibles[] = { { "reject", SCENARIO_OFF },
		                                            { "fallback", SCENARIO_ON } };
	static const struct reader_choice fallbacks[] = { { "least-request", SCENARIO_OFF },
		                                          { "random", SCENARIO_ON } };
	int v;

	if (read_choice(r, o, "late", lates, COUNT(lates), &v))
		c->late = (enum scenario_late)v;
	if (read_choice(r, o, "infeasible", infeasibles, COUNT(infeasibles), &v))
		c->infeasible_fallback = (enum scenario_switch)v;
	if (read_choice(r, o, "fallback", fallbacks, COUNT(fallbacks), &v))
		c->fallback_random = (enum scenario_switch)v;
}

/* "queue_timeout": "auto", or else a number of seconds under the other name. */
static void read_queue_timeout(struct line_reader *r, const struct node *o,
                               struct scenario_config *c)
{
	static const struct reader_choice is_auto[] = { { "auto", 1 } };
	struct node max = member(o, "queue_timeout_max_s"), time = member(o, "queue_timeout");
	double timeout = -1, most = -1;
	int v = 0;

	c->queue_timeout = c->queue_timeout_max = -1;
	if (json_is_number(time.value))
		reader_fail(&r->doc, &time, JSONPOS_VALUE,
		            "must be \"auto\"; a time is \"queue_timeout_s\"");
	c->queue_timeout_auto = read_choice(r, o, "queue_timeout", is_auto, COUNT(is_auto), &v);
	read_number(r, o, "queue_timeout_s", 0, TIME_MAX, &timeout);
	read_number(r, o, "queue_timeout_max_s", 0, TIME_MAX, &most);
	if (timeout >= 0)
		c->queue_timeout = llround(timeout * 1e9);
	if (most >= 0)
		c->queue_timeout_max = llround(most * 1e9);
	if (most >= 0 && !c->queue_timeout_auto)
		reader_fail(&r->doc, &max, JSONPOS_KEY,
		            "is only for a queue_timeout that is \"auto\"");
}

static void read_config(struct line_reader *r)
{
	static const char *const known[] = { "late",
		                             "infeasible",
		                             "fallback",
		                             "queue_limit",
		                             "queue_timeout",
		                             "queue_timeout_s",
		                             "queue_timeout_max_s",
		                             "seed" };
	struct node o = member(&r->root, "config");
	struct scenario_config *c = &r->line->config;

	*c = (struct scenario_config){ .queue_limit = -1, .seed = -1 };
	if (!reader_want_object(&r->doc, &o))
		return;
	reader_only_keys(&r->doc, &o,
	                 (struct reader_names){ known, COUNT(known), sizeof(known[0]) });
	read_choices(r, &o, c);
	read_count(r, &o, "queue_limit", &c->queue_limit);
	read_count(r, &o, "seed", &c->seed);
	read_queue_timeout(r, &o, c);
}

/* A refused profile is what such a line may be about. */
static void read_profile_text(struct line_reader *r)
{
	const char *text = NULL;
	struct doc_error why;
	slo_err rc;

	need_string(r, "profile_text", SIZE_MAX, &text);
	if (!text)
		return;
	rc = profdoc_parse(text, strlen(text), &r->line->profile, &why);
	if (rc == SLO_ENOMEM)
		reader_no_memory(&r->doc);
	else if (rc != SLO_OK)
		doc_error_format(&why, r->line->refused, sizeof(r->line->refused));
}

static void read_profile(struct line_reader *r)
{
	struct scenario_line *line = r->line;
	struct node profile = member(&r->root, "profile"), deployment;

	if (profile.value)
		line->profile = profdoc_read(&r->doc, &profile);
	else
		read_profile_text(r);
	need_string(r, "model", SIZE_MAX, &line->model);
	read_string(r, "deployment", &line->deployment);
	if (!line->profile || line->deployment)
		return;
	deployment = member(&r->root, "deployment");
	if (line->profile->gpu[0] == '\0')
		reader_fail(&r->doc, &deployment, JSONPOS_VALUE,
		            "is missing, and the profile has no gpu to name it by");
	line->deployment = line->profile->gpu;
}

static void read_server(struct line_reader *r)
{
	struct scenario_line *line = r->line;
	bool ready;

	need_string(r, "server", SIZE_MAX, &line->server);
	read_string(r, "deployment", &line->deployment);
	read_string(r, "model", &line->model);
	if (has(r, "ready") && reader_bool(&r->doc, &r->root, "ready", &ready))
		line->ready = ready ? SCENARIO_ON : SCENARIO_OFF;
	if (line->deployment)
		need_string(r, "model", SIZE_MAX, &line->model);
	else if (!has(r, "ready"))
		need_string(r, "deployment", SIZE_MAX, &line->deployment);
}

static void need_time(struct line_reader *r)
{
	struct node t = member(&r->root, "t");

	if (!r->line->timed)
		reader_fail_type(&r->doc, &t, "a number");
}

static void read_id(struct line_reader *r, const char *name)
{
	need_string(r, name, SCENARIO_ID_MAX, &r->line->id);
	need_time(r);
}

/* The empty one is unknown, like any other word. */
static void read_strategy(struct line_reader *r)
{
	struct node strategy = member(&r->root, "strategy");

	r->line->strategy = json_string_value(strategy.value);
	if (strategy.value && !r->line->strategy)
		reader_fail_type(&r->doc, &strategy, "a string");
}

static void read_priority(struct line_reader *r, int32_t *out)
{
	struct node n = member(&r->root, "priority");
	double d = 0;

	if (!n.value || !reader_want_number(&r->doc, &n, INT32_MIN, INT32_MAX, &d))
		return;
	if (d == floor(d))
		*out = (int32_t)d;
	else
		reader_fail(&r->doc, &n, JSONPOS_VALUE, "is %g, must be a whole number", d);
}

static void read_arrive(struct line_reader *r)
{
	struct scenario_line *line = r->line;

	read_id(r, "arrive");
	need_string(r, "model", SIZE_MAX, &line->model);
	read_strategy(r);
	need_count(r, "input", &line->input);
	need_count(r, "output", &line->output);
	line->created = line->t;
	(void)read_time(r, "created", &line->created);
	read_millis(r, "slo_e2e_ms", &line->own.e2e);
	read_millis(r, "slo_ttft_ms", &line->own.ttft);
	read_millis(r, "slo_tpot_ms", &line->own.tpot);
	read_priority(r, &line->priority);
}

static void read_done(struct line_reader *r)
{
	read_id(r, "done");
	if (has(r, "owner"))
		need_string(r, "owner", SCENARIO_ID_MAX, &r->line->owner);
	read_string(r, "on", &r->line->server);
}

static void read_foreign(struct line_reader *r)
{
	struct scenario_line *line = r->line;
	struct node load = member(&r->root, "load");

	read_id(r, "foreign");
	need_string(r, "owner", SCENARIO_ID_MAX, &line->owner);
	need_string(r, "on", SIZE_MAX, &line->server);
	read_string(r, "model", &line->model);
	read_strategy(r);
	if (!load.value)
		reader_fail_type(&r->doc, &load, "a number");
	read_number(r, &r->root, "load", 0, SCENARIO_LOAD_MAX, &line->load);
	read_count(r, &r->root, "input", &line->input);
	read_count(r, &r->root, "output", &line->output);
	read_millis(r, "age_ms", &line->age);
}

static void read_others(struct line_reader *r)
{
	need_time(r);
	read_count(r, &r->root, "others", &r->line->others);
}

static void read_heard(struct line_reader *r)
{
	need_time(r);
	read_millis(r, "heard_ms", &r->line->age);
}

static void read_cancel(struct line_reader *r)
{
	read_id(r, "cancel");
}

static void read_line(struct line_reader *r)
{
	static const struct {
		const char *key;
		enum scenario_kind kind;
		void (*read)(struct line_reader *r);
	} verbs[] = {
		{ "arrive", SCENARIO_ARRIVE, read_arrive },
		{ "done", SCENARIO_DONE, read_done },
		{ "cancel", SCENARIO_CANCEL, read_cancel },
		{ "server", SCENARIO_SERVER, read_server },
		{ "profile", SCENARIO_PROFILE, read_profile },
		{ "profile_text", SCENARIO_PROFILE, read_profile },
		{ "config", SCENARIO_CONFIG, read_config },
		{ "foreign", SCENARIO_FOREIGN, read_foreign },
		{ "others", SCENARIO_OTHERS, read_others },
		{ "heard_ms", SCENARIO_HEARD, read_heard },
	};
	struct scenario_line *line = r->line;
	size_t found = 0, verb = 0;

	if (!reader_want_object(&r->doc, &r->root) || has(r, "expect") || has(r, "scenario"))
		return;
	for (size_t i = 0; i < COUNT(verbs); i++) {
		if (has(r, verbs[i].key)) {
			verb = i;
			found++;
		}
	}
	if (found != 1) {
		reader_fail(&r->doc, &r->root, JSONPOS_VALUE,
		            "must have one of arrive, done, cancel, server, profile, profile_text, "
		            "config, foreign, others, heard_ms");
		return;
	}
	line->timed = read_time(r, "t", &line->t);
	line->kind = verbs[verb].kind;
	verbs[verb].read(r);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

slo_err scenario_parse(const char *text, size_t len, struct scenario_line *out,
                       struct doc_error *error)
{
	struct line_reader r = { .line = out };

	*out = (struct scenario_line){ .kind = SCENARIO_NOTHING };
	while (len > 0 && is_space(text[len - 1]))
		len--;
	if (len == 0)
		return SLO_OK;
	reader_open(&r.doc, NULL, text, len, READER_NAN, error);
	r.root = reader_root(&r.doc);
	out->root = r.doc.root;
	read_line(&r);
	if (r.doc.failed)
		scenario_line_fini(out);
	return r.doc.failed && r.doc.code != SLO_ENOMEM ? SLO_EINVAL : r.doc.code;
}

void scenario_line_fini(struct scenario_line *line)
{
	json_decref(line->root);
	profdoc_free(line->profile);
	line->root = NULL;
	line->profile = NULL;
}
