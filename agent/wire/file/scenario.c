#include "wire/file/scenario.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/json/jsonpos.h"
#include "wire/profdoc.h"

/* Seconds: a point that far off still leaves room in a slo_nsec for the longest targets. */
#define TIME_MAX   4e9
#define TOKENS_MAX 9007199254740992.0 /* 2^53: whole numbers are exact up to here */

struct reader {
	struct scenario_line *line;
	char *error;
};

__attribute__((format(printf, 2, 3))) static slo_err refuse(const struct reader *r,
                                                            const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(r->error, SCENARIO_ERROR_SIZE, format, args);
	va_end(args);
	for (char *s = r->error; *s != '\0'; s++) { /* what is quoted may hold any byte */
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
	}
	return SLO_EINVAL;
}

/* NULL when absent, and null counts as absent. */
static json_t *member(const json_t *object, const char *name)
{
	json_t *v = json_object_get(object, name);

	return json_is_null(v) ? NULL : v;
}

/* Absent leaves *out NULL. */
static slo_err read_string(const struct reader *r, const char *name, const char **out)
{
	const json_t *v = member(r->line->root, name);

	if (!v)
		return SLO_OK;
	if (!json_is_string(v) || json_string_length(v) == 0)
		return refuse(r, "%s must be a string that is not empty", name);
	*out = json_string_value(v);
	return SLO_OK;
}

static slo_err need_string(const struct reader *r, const char *name, const char **out)
{
	slo_err rc = read_string(r, name, out);

	if (rc == SLO_OK && !*out) {
		(void)refuse(r, "%s is missing", name);
		return SLO_EINVAL;
	}
	return rc;
}

/* A number in [min, max]; absent leaves *out. */
static slo_err read_number(const struct reader *r, const json_t *object, const char *name,
                           double min, double max, double *out)
{
	const json_t *v = member(object, name);
	double d;

	if (!v)
		return SLO_OK;
	d = json_number_value(v);
	if (!json_is_number(v) || !(d >= min && d <= max))
		return refuse(r, "%s must be a number from %g to %g", name, min, max);
	*out = d;
	return SLO_OK;
}

/* A whole number in [0, TOKENS_MAX]; absent leaves *out. */
static slo_err read_count(const struct reader *r, const json_t *object, const char *name,
                          int64_t *out)
{
	double d = -1;
	slo_err rc = read_number(r, object, name, 0, TOKENS_MAX, &d);

	if (rc != SLO_OK || d < 0)
		return rc;
	if (d != floor(d))
		return refuse(r, "%s must be a whole number", name);
	*out = (int64_t)d;
	return SLO_OK;
}

static slo_err need_count(const struct reader *r, const char *name, int64_t *out)
{
	if (!member(r->line->root, name))
		return refuse(r, "%s is missing", name);
	return read_count(r, r->line->root, name, out);
}

static slo_err read_time(const struct reader *r, const char *name, bool *present, slo_nsec *out)
{
	double d = 0;
	slo_err rc = read_number(r, r->line->root, name, -TIME_MAX, TIME_MAX, &d);

	*present = rc == SLO_OK && member(r->line->root, name);
	if (*present)
		*out = llround(d * 1e9);
	return rc;
}

static slo_err read_millis(const struct reader *r, const char *name, slo_nsec *out)
{
	double d = 0;
	slo_err rc = read_number(r, r->line->root, name, 0, TIME_MAX * 1e3, &d);

	*out = llround(d * 1e6);
	return rc;
}

/* One of some words: 1 + its index; absent leaves *out. */
static slo_err read_choice(const struct reader *r, const json_t *object, const char *name,
                           const char *const *words, int *out)
{
	const json_t *v = member(object, name);
	const char *word = json_string_value(v); /* NULL for what is no string */
	char list[64] = "";

	if (!v)
		return SLO_OK;
	for (int i = 0; words[i]; i++) {
		if (word && strcmp(word, words[i]) == 0) {
			*out = 1 + i;
			return SLO_OK;
		}
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s\"%s\"",
		         i == 0         ? ""
		         : words[i + 1] ? ", "
		                        : " or ",
		         words[i]);
	}
	return refuse(r, "%s must be %s", name, list);
}

static slo_err check_config_keys(const struct reader *r, json_t *config)
{
	static const char *const known[] = { "late",        "infeasible",      "fallback",
		                             "queue_limit", "queue_timeout_s", "seed" };
	const char *key;
	json_t *value;

	json_object_foreach(config, key, value)
	{
		size_t i = 0;

		while (i < sizeof(known) / sizeof(known[0]) && strcmp(key, known[i]) != 0)
			i++;
		if (i == sizeof(known) / sizeof(known[0]))
			return refuse(r, "config has no option %.64s", key);
	}
	return SLO_OK;
}

static slo_err read_choices(const struct reader *r, const json_t *o, struct scenario_config *c)
{
	static const char *const lates[] = { "serve", "hold", "reject", NULL };
	static const char *const infeasibles[] = { "reject", "fallback", NULL };
	static const char *const fallbacks[] = { "least-request", "random", NULL };
	int late = SCENARIO_LATE_UNSET, infeasible = SCENARIO_UNSET, fallback = SCENARIO_UNSET;
	slo_err rc = read_choice(r, o, "late", lates, &late);

	if (rc == SLO_OK)
		rc = read_choice(r, o, "infeasible", infeasibles, &infeasible);
	if (rc == SLO_OK)
		rc = read_choice(r, o, "fallback", fallbacks, &fallback);
	c->late = (enum scenario_late)late;
	c->infeasible_fallback = (enum scenario_switch)infeasible;
	c->fallback_random = (enum scenario_switch)fallback;
	return rc;
}

static slo_err read_config(const struct reader *r)
{
	json_t *o = member(r->line->root, "config");
	struct scenario_config *c = &r->line->config;
	double timeout = -1;
	slo_err rc;

	*c = (struct scenario_config){ .queue_limit = -1, .seed = -1, .queue_timeout = -1 };
	if (!json_is_object(o))
		return refuse(r, "config must be an object");
	rc = check_config_keys(r, o);
	if (rc == SLO_OK)
		rc = read_choices(r, o, c);
	if (rc == SLO_OK)
		rc = read_count(r, o, "queue_limit", &c->queue_limit);
	if (rc == SLO_OK)
		rc = read_count(r, o, "seed", &c->seed);
	if (rc == SLO_OK)
		rc = read_number(r, o, "queue_timeout_s", 0, TIME_MAX, &timeout);
	if (rc == SLO_OK && timeout >= 0)
		c->queue_timeout = llround(timeout * 1e9);
	return rc;
}

static slo_err parse_profile(const struct reader *r, const char *prefix, const char *text)
{
	struct doc_error why;
	slo_err rc = profdoc_parse(text, strlen(text), &r->line->profile, &why);

	if (rc == SLO_OK || rc == SLO_ENOMEM)
		return rc;
	return refuse(r, "%s%s%s%s", prefix, why.field, why.field[0] ? " " : "", why.message);
}

/* The document goes through text again, so that there is one reader of profiles. */
static slo_err read_profile_object(const struct reader *r, const json_t *profile)
{
	char *text = json_dumps(profile, JSON_COMPACT | JSON_ENCODE_ANY);
	slo_err rc;

	if (!text)
		return SLO_ENOMEM;
	rc = parse_profile(r, "profile: ", text);
	free(text);
	return rc;
}

static slo_err read_profile_text(const struct reader *r)
{
	const char *text = NULL;
	slo_err rc = need_string(r, "profile_text", &text);

	if (rc != SLO_OK)
		return rc;
	rc = parse_profile(r, "", text);
	if (rc != SLO_EINVAL)
		return rc;
	memcpy(r->line->refused, r->error, SCENARIO_ERROR_SIZE);
	return SLO_OK; /* a refused profile is what such a line may be about */
}

static slo_err read_profile(const struct reader *r)
{
	struct scenario_line *line = r->line;
	const json_t *profile = member(line->root, "profile");
	slo_err rc = profile ? read_profile_object(r, profile) : read_profile_text(r);

	if (rc == SLO_OK)
		rc = need_string(r, "model", &line->model);
	if (rc == SLO_OK)
		rc = read_string(r, "deployment", &line->deployment);
	if (rc != SLO_OK || !line->profile || line->deployment)
		return rc;
	if (line->profile->gpu[0] == '\0')
		return refuse(r, "the profile has neither a deployment nor a gpu");
	line->deployment = line->profile->gpu;
	return SLO_OK;
}

static slo_err read_server(const struct reader *r)
{
	struct scenario_line *line = r->line;
	const json_t *ready = member(line->root, "ready");
	slo_err rc = need_string(r, "server", &line->server);

	if (rc == SLO_OK)
		rc = read_string(r, "deployment", &line->deployment);
	if (rc == SLO_OK)
		rc = read_string(r, "model", &line->model);
	if (rc != SLO_OK)
		return rc;
	if (ready && !json_is_boolean(ready))
		return refuse(r, "ready must be true or false");
	if (ready)
		line->ready = json_is_true(ready) ? SCENARIO_ON : SCENARIO_OFF;
	if (line->deployment && !line->model)
		return refuse(r, "model is missing");
	if (!line->deployment && !ready)
		return refuse(r, "deployment is missing");
	return SLO_OK;
}

static slo_err read_id(const struct reader *r, const char *name)
{
	slo_err rc = need_string(r, name, &r->line->id);

	if (rc == SLO_OK && !r->line->timed)
		return refuse(r, "t is missing");
	if (rc == SLO_OK && strlen(r->line->id) > SCENARIO_ID_MAX)
		return refuse(r, "%s is longer than %d bytes", name, SCENARIO_ID_MAX);
	return rc;
}

static slo_err read_arrive(const struct reader *r)
{
	struct scenario_line *line = r->line;
	bool told;
	slo_err rc = read_id(r, "arrive");

	if (rc == SLO_OK)
		rc = need_string(r, "model", &line->model);
	/* The empty one is unknown, like any other word. */
	line->strategy = json_string_value(member(line->root, "strategy"));
	if (rc == SLO_OK && member(line->root, "strategy") && !line->strategy)
		rc = refuse(r, "strategy must be a string");
	if (rc == SLO_OK)
		rc = need_count(r, "input", &line->input);
	if (rc == SLO_OK)
		rc = need_count(r, "output", &line->output);
	line->created = line->t;
	if (rc == SLO_OK)
		rc = read_time(r, "created", &told, &line->created);
	if (rc == SLO_OK)
		rc = read_millis(r, "slo_e2e_ms", &line->own.e2e);
	if (rc == SLO_OK)
		rc = read_millis(r, "slo_ttft_ms", &line->own.ttft);
	return rc == SLO_OK ? read_millis(r, "slo_tpot_ms", &line->own.tpot) : rc;
}

static slo_err read_done(const struct reader *r)
{
	return read_id(r, "done");
}

static slo_err read_cancel(const struct reader *r)
{
	return read_id(r, "cancel");
}

static slo_err read_line(const struct reader *r)
{
	static const struct {
		const char *key;
		enum scenario_kind kind;
		slo_err (*read)(const struct reader *r);
	} verbs[] = {
		{ "arrive", SCENARIO_ARRIVE, read_arrive },
		{ "done", SCENARIO_DONE, read_done },
		{ "cancel", SCENARIO_CANCEL, read_cancel },
		{ "server", SCENARIO_SERVER, read_server },
		{ "profile", SCENARIO_PROFILE, read_profile },
		{ "profile_text", SCENARIO_PROFILE, read_profile },
		{ "config", SCENARIO_CONFIG, read_config },
	};
	struct scenario_line *line = r->line;
	slo_err rc;
	size_t found = 0, verb = 0;

	if (!json_is_object(line->root))
		return refuse(r, "is no JSON object");
	if (member(line->root, "expect") || member(line->root, "scenario"))
		return SLO_OK;
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (member(line->root, verbs[i].key)) {
			verb = i;
			found++;
		}
	}
	if (found != 1)
		return refuse(r, "must have one of arrive, done, cancel, server, profile, "
		                 "profile_text, config");
	rc = read_time(r, "t", &line->timed, &line->t);
	if (rc != SLO_OK)
		return rc;
	line->kind = verbs[verb].kind;
	return verbs[verb].read(r);
}

/* jansson does not read what Python writes for numbers that are none. */
static bool may_hold_nan(const char *text, size_t len)
{
	return memmem(text, len, "NaN", 3) || memmem(text, len, "Infinity", 8);
}

static slo_err load(const struct reader *r, const char *text, size_t len)
{
	char *copy = NULL;
	json_error_t why;

	if (may_hold_nan(text, len)) {
		slo_err rc = jsonpos_denan(text, len, &copy, &len);

		if (rc != SLO_OK)
			return rc;
		text = copy;
	}
	r->line->root = json_loadb(text, len, JSON_DECODE_INT_AS_REAL, &why);
	free(copy);
	if (r->line->root)
		return SLO_OK;
	if (json_error_code(&why) == json_error_out_of_memory)
		return SLO_ENOMEM;
	return refuse(r, "is no JSON: %s", why.text);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

slo_err scenario_parse(const char *text, size_t len, struct scenario_line *out,
                       char error[SCENARIO_ERROR_SIZE])
{
	struct reader r = { .line = out, .error = error };
	slo_err rc;

	*out = (struct scenario_line){ .kind = SCENARIO_NOTHING };
	while (len > 0 && is_space(text[len - 1]))
		len--;
	if (len == 0)
		return SLO_OK;
	rc = load(&r, text, len);
	if (rc == SLO_OK)
		rc = read_line(&r);
	if (rc != SLO_OK)
		scenario_line_fini(out);
	return rc;
}

void scenario_line_fini(struct scenario_line *line)
{
	json_decref(line->root);
	profdoc_free(line->profile);
	line->root = NULL;
	line->profile = NULL;
}
