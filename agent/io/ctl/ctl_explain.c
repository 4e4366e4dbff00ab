/* One decision in full, and which text answers `show`, `explain` and `doctor`. */
#include <math.h>
#include <string.h>
#include <time.h>

#include "clean.h"
#include "ctl_show_private.h"
#include "io/agent/explain.h"
#include "io/base/clock.h"

/* explain */

/* The decision that is asked for, in *made if it is still to be made. NULL: there is none. */
static const struct decision *wanted(struct page *p, struct decision *made)
{
	const struct ctl_show *show = p->arg;
	struct agent *a = p->sources->decides;
	struct slice id = slice_of(show->query.id);
	const struct request *r = sched_find(a->sched, show->query.id, id.len);

	if (!r || (r->state != REQUEST_QUEUED && r->state != REQUEST_READY))
		return decisions_find(a, id);
	decision_of_waiting(a, clock_nsec(), r, made);
	return made;
}

static void explain_json(struct page *p)
{
	struct decision made;
	const struct decision *d = wanted(p, &made);
	json_t *o =
	    d ? decision_json(p->sources->decides, d, clock_nsec(), clock_unix_seconds(), true)
	      : json_null();

	p->failed |=
	    !o ||
	    json_dumpf(o, p->f, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15)) != 0;
	fputc('\n', p->f);
	json_decref(o);
}

const struct render_part ctl_explain_json[] = { { .once = explain_json }, { .name = NULL } };

static void print_time(FILE *f, double unix_time)
{
	time_t t = (time_t)unix_time;
	char text[32] = "?";
	struct tm tm;

	if (localtime_r(&t, &tm))
		(void)strftime(text, sizeof(text), "%F %T", &tm);
	fprintf(f, "%s.%03d", text, (int)((unix_time - (double)t) * 1000));
}

static void print_options(FILE *f, const struct decision *d)
{
	for (size_t i = 0; i < d->options; i++) {
		double expected = explain_expected(d, i), slack = explain_slack(d, i);

		fprintf(f, "  %-14s %-10s", explain_name(d->option[i].deployment),
		        why_mark_name(decision_mark(d, i)));
		if (!isnan(slack))
			fprintf(f, " slack %8.3f s ", slack);
		fprintf(f, " weighs %6.4f", (double)d->option[i].load / DECISION_LOAD_ONE);
		if (expected >= 0)
			fprintf(f, "  expected %.3f s", expected);
		fputc('\n', f);
	}
}

static void print_ms(FILE *f, const char *what, int32_t ms)
{
	if (ms >= 0)
		fprintf(f, ", %s %.3f s", what, ms / 1e3);
}

static void print_end(FILE *f, const struct decision *d)
{
	if (!d->ended)
		return;
	fprintf(f, "End:        %s", d->by ? d->by->name : "no server that is known");
	if (d->status >= 0)
		fprintf(f, ", status %d", d->status);
	if (explain_client_left(d))
		fputs(", the client left", f);
	print_ms(f, "first token after", d->ttft_ms);
	print_ms(f, "in all", d->e2e_ms);
	if (d->real_input >= 0 && d->real_output >= 0)
		fprintf(f, ", %d + %d tokens", d->real_input, d->real_output);
	if (d->judged)
		fputs(d->missed ? ", target missed" : ", target met", f);
	fputc('\n', f);
}

/* Ids and names of models come from clients, and the answer goes to a terminal. */
static void print_clean(FILE *f, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		fputc(clean_char(text[i]), f);
}

static void print_before(FILE *f, const struct agent *a, const struct decision *d)
{
	struct explain_before before;

	explain_before(a, d, &before);
	if (before.count == 0)
		return;
	fprintf(f, "Meanwhile:  %s%zu of its model were placed, the last ones:\n",
	        before.more ? "more than " : "", before.count);
	for (size_t i = 0; i < before.count && i < EXPLAIN_BEFORE; i++) {
		fputs("  ", f);
		print_clean(f, before.first[i]->id, before.first[i]->id_len);
		fprintf(f, " on %s\n", explain_server(before.first[i]->server));
	}
}

static void print_decision(struct page *p, const struct decision *d)
{
	char why[EXPLAIN_MAX], trace[DECISION_TRACE_LEN + 1];
	FILE *f = p->f;

	explain_why(p->agent, d, why);
	explain_trace(d, trace);
	fputs("Request:    ", f);
	print_clean(f, d->id, d->id_len);
	fputs("\nArrived:    ", f);
	print_time(f, clock_unix_seconds() - (double)(clock_nsec() - d->arrived) / 1e9);
	fprintf(f, ", held for %.3f s\n", (double)(d->answered - d->arrived) / 1e9);
	fprintf(f, "Model:      %s", d->model ? d->model->name : "not known");
	if (d->asked_len > 0) {
		fputs(", asked for \"", f);
		print_clean(f, d->asked_name, d->asked_len);
		fputc('"', f);
	}
	if (d->input >= 0)
		fprintf(f, ", %d prompt tokens, %d expected in the answer", d->input, d->output);
	fputc('\n', f);
	if (d->goal != GOAL_NONE)
		fprintf(f, "Target:     %s, %.4g s%s\n", goal_name((enum goal_kind)d->goal),
		        explain_target(d), d->own_target ? ", its own" : "");
	if (d->priority != 0)
		fprintf(f, "Priority:   %d\n", d->priority);
	if (trace[0])
		fprintf(f, "Trace:      %s\n", trace);
	fputs("Decision:   ", f);
	print_clean(f, why, strlen(why));
	fputc('\n', f);
	print_options(f, d);
	print_before(f, p->agent, d);
	print_end(f, d);
}

static void explain_text(struct page *p)
{
	const struct ctl_show *show = p->arg;
	struct decision made;
	const struct decision *d = wanted(p, &made);

	if (d)
		print_decision(p, d);
	else
		fprintf(p->f, "error: no decision about %s is kept; decisions.keep is %zu\n",
		        show->query.id, p->agent->decisions.kept);
}

const struct render_part ctl_explain_text[] = { { .once = explain_text }, { .name = NULL } };

static void explain_typed(struct page *p)
{
	char why[EXPLAIN_MAX], trace[DECISION_TRACE_LEN + 1];
	struct table *t = ctl_table(p);
	struct decision made;
	const struct decision *d = wanted(p, &made);

	table_open(t, p->f, TABLE_TYPED, true);
	if (d) {
		explain_why(p->agent, d, why);
		explain_trace(d, trace);
		table_row(t);
		ctl_decision_fields(p, d);
		table_real(t, "target_s", 0, explain_target(d));
		table_str(t, "target", 0, goal_name((enum goal_kind)d->goal));
		table_str(t, "trace", 0, trace);
		table_str(t, "why", 0, why);
	}
	table_close(t);
}

const struct render_part ctl_explain_typed[] = { { .once = explain_typed }, { .name = NULL } };

/* Commands */

/* Takes a format off the end of the words. */
static enum table_format take_format(char **word, size_t *words)
{
	const char *last = *words > 0 ? word[*words - 1] : "";
	enum table_format f = strcmp(last, "json") == 0    ? TABLE_JSON
	                      : strcmp(last, "typed") == 0 ? TABLE_TYPED
	                                                   : TABLE_TEXT;

	*words -= f != TABLE_TEXT;
	return f;
}

static bool take_conditions(struct ctl_conn *c, struct ctl_show *show, char **word, size_t words)
{
	for (size_t i = 0; i < words; i++) {
		char *equals = strchr(word[i], '=');
		const char *why = "must be KEY=VALUE";

		if (equals)
			*equals = '\0';
		if (equals && decision_query_set(&show->query, word[i], equals + 1, &why))
			continue;
		ctl_say(c, "error: %.64s %s\n", word[i], why);
		return false;
	}
	return true;
}

static bool take_model(struct ctl_conn *c, struct ctl_show *show, char **word, size_t words)
{
	if (words == 0)
		return true;
	if (words > 1 || !sched_model_find(c->server->agent->sched, word[0], strlen(word[0]))) {
		ctl_say(c, "error: no such model: %.64s\n", word[words - 1]);
		return false;
	}
	snprintf(show->text, sizeof(show->text), "%s", word[0]);
	show->model = show->text;
	return true;
}

void ctl_show(struct ctl_conn *c, slo_nsec now, char **word, size_t words)
{
	static const struct {
		const char *name;
		const struct render_part *parts;
		bool (*take)(struct ctl_conn *c, struct ctl_show *s, char **word, size_t words);
	} what[] = {
		{ "info", ctl_info, NULL },
		{ "models", ctl_models, take_model },
		{ "servers", ctl_servers, take_model },
		{ "queue", ctl_queue, take_model },
		{ "decisions", ctl_decisions, take_conditions },
		{ "profiles", ctl_profiles, take_model },
		{ "peers", ctl_peers, NULL },
		{ "errors", ctl_errors, NULL },
		{ "env", ctl_env, NULL },
	};
	struct ctl_show show = { .server = c->server, .format = take_format(word, &words) };

	(void)now;
	decision_query_init(&show.query);
	for (size_t i = 0; words > 0 && i < sizeof(what) / sizeof(what[0]); i++) {
		if (strcmp(word[0], what[i].name) != 0)
			continue;
		if (!what[i].take && words > 1)
			ctl_say(c, "error: show %s takes no argument\n", word[0]);
		else if (!what[i].take || what[i].take(c, &show, word + 1, words - 1))
			ctl_render(c, what[i].parts, &show);
		return;
	}
	ctl_say(c, "error: show what? Try help.\n");
}

void ctl_explain(struct ctl_conn *c, slo_nsec now, char **word, size_t words)
{
	struct ctl_show show = { .server = c->server, .format = take_format(word, &words) };
	const char *why;

	(void)now;
	decision_query_init(&show.query);
	if (words != 1 || !decision_query_set(&show.query, "id", word[0], &why))
		ctl_say(c, "error: explain ID, a unique-id of at most %d bytes\n", SLO_ID_MAX);
	else
		ctl_render(c,
		           show.format == TABLE_TEXT   ? ctl_explain_text
		           : show.format == TABLE_JSON ? ctl_explain_json
		                                       : ctl_explain_typed,
		           &show);
}

void ctl_doctor(struct ctl_conn *c, slo_nsec now, char **word, size_t words)
{
	struct ctl_show show = { .server = c->server, .format = take_format(word, &words) };

	(void)now;
	if (words > 0)
		ctl_say(c, "error: doctor takes a format only\n");
	else
		ctl_render(c, show.format == TABLE_TEXT ? ctl_warnings_text : ctl_warnings, &show);
}
