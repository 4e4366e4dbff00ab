/* What changes something. A reload puts the configuration's values back, and the answers say so. */
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "ctl_private.h"

#define RESET "A reload puts the configuration's value back.\n"

/* NULL: said. */
static struct agent_model *model_of(struct ctl_conn *c, const char *name)
{
	struct agent *a = c->server->agent;
	struct sched_model *m = sched_model_find(a->sched, name, strlen(name));

	if (!m)
		ctl_say(c, "error: no such model: %.64s\n", name);
	return m ? m->owner : NULL;
}

static void set_strategy(struct ctl_conn *c, char **word, size_t words)
{
	struct agent_model *m = words == 2 ? model_of(c, word[0]) : NULL;
	enum slo_strategy strategy;

	if (words != 2) {
		ctl_say(c, "error: set strategy MODEL NAME\n");
		return;
	}
	if (!m)
		return;
	if (!policy_strategy_parse(word[1], strlen(word[1]), &strategy)) {
		ctl_say(c, "error: no such strategy: %.64s\n", word[1]);
		return;
	}
	m->sched->strategy = strategy;
	ctl_say(c, "New requests of %s are placed by %s. " RESET, word[0], word[1]);
}

/* The configuration counts such a number in milliseconds, a profile in seconds: nobody knows which
 * is meant here. */
static bool lacks_unit(const char *word)
{
	const char *time = strchr(word, '=');
	char *end = NULL;

	if (!time || time[1] == '\0')
		return false;
	(void)strtod(time + 1, &end);
	return *end == '\0';
}

static void set_slo(struct ctl_conn *c, char **word, size_t words)
{
	struct agent_model *m = words >= 2 ? model_of(c, word[0]) : NULL;
	bool none = words == 2 && strcmp(word[1], "none") == 0;
	double target[GOAL_KINDS] = { 0 };
	struct goal goal;

	if (words < 2) {
		ctl_say(c, "error: set slo MODEL KIND=TIME... or none\n");
		return;
	}
	if (!m)
		return;
	for (size_t i = 1; i < words && !none; i++) {
		if (lacks_unit(word[i])) {
			ctl_say(c, "error: %.64s has no unit: write %.64ss or %.64sms\n", word[i],
			        word[i], word[i]);
			return;
		}
		if (goal_read(word[i], target))
			continue;
		ctl_say(c, "error: %.64s must be ttft, tpot, tpat or e2e=TIME, as in e2e=2s\n",
		        word[i]);
		return;
	}
	goal = goal_make(target[GOAL_TPOT], target[GOAL_TTFT], target[GOAL_TPAT], target[GOAL_E2E]);
	sched_promise(c->server->agent->sched, m->sched, &goal);
	if (none) {
		ctl_say(c, "%s promises nothing; its profiles' targets hold. " RESET, word[0]);
		return;
	}
	ctl_say(c, "%s promises", word[0]);
	for (int k = GOAL_NONE + 1; k < GOAL_KINDS; k++)
		if (target[k] > 0)
			ctl_say(c, " %s=%gs", goal_name((enum goal_kind)k), target[k]);
	ctl_say(c, " now. " RESET);
}

static void set_headroom(struct ctl_conn *c, slo_nsec now, char **word, size_t words)
{
	struct agent_model *m = words == 2 ? model_of(c, word[0]) : NULL;
	bool found = words == 2 && strcmp(word[1], "auto") == 0;
	char *end = NULL;
	double share = words == 2 && !found ? strtod(word[1], &end) : 0;
	size_t set = 0;

	if (words != 2) {
		ctl_say(c, "error: set headroom MODEL SHARE or auto\n");
		return;
	}
	if (!m)
		return;
	if (!found && (*end || !(share >= 0.01) || !(share <= 1))) {
		ctl_say(c, "error: %.64s must be 0.01 to 1, or auto\n", word[1]);
		return;
	}
	for (size_t i = 0; i < m->sched->pool.deployments; i++)
		set += sched_headroom(c->server->agent->sched, now, m->sched->pool.deployment[i],
		                      share);
	if (set == 0)
		ctl_say(c, "error: no deployment of %s learns its times\n", word[0]);
	else
		ctl_say(c, "It holds for %zu deployments. " RESET, set);
}

static void set_log(struct ctl_conn *c, char **word, size_t words)
{
	static const struct {
		const char *name;
		int level;
	} levels[] = { { "debug", LOG_DEBUG },
		       { "info", LOG_INFO },
		       { "notice", LOG_NOTICE },
		       { "warning", LOG_WARNING },
		       { "error", LOG_ERR } };

	for (size_t i = 0; words == 1 && i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (strcmp(word[0], levels[i].name) != 0)
			continue;
		c->server->agent->log->level = levels[i].level;
		ctl_say(c, "Lines of level %s and above are logged. " RESET, word[0]);
		return;
	}
	ctl_say(c, "error: set log debug|info|notice|warning|error\n");
}

void ctl_set(struct ctl_conn *c, slo_nsec now, char **word, size_t words)
{
	if (words > 0 && strcmp(word[0], "strategy") == 0)
		set_strategy(c, word + 1, words - 1);
	else if (words > 0 && strcmp(word[0], "slo") == 0)
		set_slo(c, word + 1, words - 1);
	else if (words > 0 && strcmp(word[0], "headroom") == 0)
		set_headroom(c, now, word + 1, words - 1);
	else if (words > 0 && strcmp(word[0], "log") == 0)
		set_log(c, word + 1, words - 1);
	else
		ctl_say(c, "error: set strategy, slo, headroom or log\n");
}

static void clear_peaks(struct agent *a)
{
	for (struct roster_server *s = a->roster.servers; s; s = s->hh.next) {
		s->stats.peak_inflight = 0;
		s->stats.peak_load = 0;
	}
	a->stats.longest_lag = 0;
}

void ctl_clear(struct ctl_conn *c, slo_nsec now, char **word, size_t words)
{
	struct agent *a = c->server->agent;

	(void)now;
	if (words == 1 && strcmp(word[0], "decisions") == 0) {
		decisions_clear(&a->decisions);
	} else if (words == 1 && strcmp(word[0], "warnings") == 0) {
		a->warnings.count = 0;
	} else if (words == 1 && strcmp(word[0], "peaks") == 0) {
		clear_peaks(a);
	} else if (words == 1 && strcmp(word[0], "unknown") == 0) {
		a->unknown.count = 0;
	} else {
		ctl_say(c, "error: clear decisions, warnings, peaks or unknown\n");
		return;
	}
	ctl_say(c, "The %s are cleared.\n",
	        strcmp(word[0], "unknown") == 0 ? "unknown models" : word[0]);
}

/* A reload begins this anew, and may take the folder away. */
static bool export_profiles(struct page *p, slo_nsec until)
{
	const struct ctl_show *show = p->arg;
	struct export *e = show->server->daemon.export;
	const char *dir = p->agent->conf->export.dir;
	struct export_result r;

	if (!dir) {
		fputs("error: profiles.export.dir is not configured\n", p->f);
		return true;
	}
	if (p->cursor++ == 0)
		export_begin(e);
	if (!export_some(e, until, &r))
		return false;
	if (r.failed > 0)
		fprintf(p->f,
		        "error: %zu profiles could not be written to %s, %zu were: see the log\n",
		        r.failed, dir, r.written);
	else
		fprintf(p->f, "%zu profiles were written to %s.\n", r.written, dir);
	return true;
}

void ctl_export(struct ctl_conn *c, slo_nsec now, char **word, size_t words)
{
	static const struct render_part parts[] = { { .some = export_profiles }, { .name = NULL } };
	const struct ctl_show show = { .server = c->server };

	(void)now;
	if (words != 1 || strcmp(word[0], "profiles") != 0)
		ctl_say(c, "error: export profiles\n");
	else
		ctl_render(c, parts, &show);
}

void ctl_reload(struct ctl_conn *c, slo_nsec now, char **word, size_t words)
{
	const struct ctl_daemon *d = &c->server->daemon;
	char why[CTL_WHY_MAX];

	(void)now;
	(void)word;
	if (words > 0)
		ctl_say(c, "error: reload takes no argument\n");
	else if (d->reload(d->daemon, why))
		ctl_say(c, "%s is in force.\n", d->path);
	else
		ctl_say(c, "error: %s\n", why);
}

void ctl_drain(struct ctl_conn *c, slo_nsec now, char **word, size_t words)
{
	const struct ctl_daemon *d = &c->server->daemon;

	(void)now;
	(void)word;
	if (words > 0) {
		ctl_say(c, "error: drain takes no argument\n");
		return;
	}
	d->drain(d->daemon);
	ctl_say(c, "%zu requests are held; new ones are left to HAProxy, then the agent exits.\n",
	        agent_held(c->server->agent));
}
