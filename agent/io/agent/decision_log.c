#include "io/agent/decision_log.h"

#include <inttypes.h>
#include <stdio.h>

#include "clean.h"
#include "io/agent/agent.h"
#include "io/agent/explain.h"

#define LINE       960 /* bytes; the log cuts at 1,000 */
/* Bytes of a text, so that no client's name and no long id takes the place of what follows, or of
 * the end of a JSON object: together they leave 380 bytes for all that is not in here. */
#define ID_ROOM    SLO_ID_MAX
#define NAME_ROOM  128 /* of a model, of a server with its backend */
#define SHORT_ROOM 64

struct line {
	char text[LINE];
	size_t len;
	bool json;
	bool cut; /* a text is not whole */
};

static void put(struct line *l, char c)
{
	if (l->len < sizeof(l->text) - 1)
		l->text[l->len++] = c;
}

static void put_text(struct line *l, const char *s)
{
	while (*s)
		put(l, *s++);
}

static void put_name(struct line *l, const char *name)
{
	if (l->json)
		put_text(l, l->len > 1 ? ",\"" : "\"");
	else
		put(l, ' ');
	put_text(l, name);
	put_text(l, l->json ? "\":" : "=");
}

static bool is_plain(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] <= ' ' || s.p[i] >= 0x7f || s.p[i] == '"' || s.p[i] == '=' ||
		    s.p[i] == '\\')
			return false;
	return true;
}

/* Cut to `room` bytes. */
static void text(struct line *l, const char *name, struct slice value, size_t room)
{
	bool quoted = l->json || !is_plain(value);
	size_t end, i = 0;

	if (value.len == 0)
		return;
	put_name(l, name);
	if (quoted)
		put(l, '"');
	end = l->len + room;
	for (; i < value.len && l->len < end; i++) {
		char c = clean_char((char)value.p[i]);

		if ((c == '"' || c == '\\') && l->len + 1 == end)
			break;
		if (c == '"' || c == '\\')
			put(l, '\\');
		put(l, c);
	}
	l->cut |= i < value.len;
	if (quoted)
		put(l, '"');
}

static void number(struct line *l, const char *name, int64_t value)
{
	char digits[24];

	snprintf(digits, sizeof(digits), "%" PRId64, value);
	put_name(l, name);
	put_text(l, digits);
}

static void begin(struct line *l, const struct agent *a)
{
	l->len = 0;
	l->cut = false;
	l->json = a->conf->log_json;
	put_text(l, l->json ? "{" : "decision");
	if (l->json)
		text(l, "event", slice_of("decision"), SHORT_ROOM);
}

static void end(struct line *l, struct agent *a)
{
	if (l->cut)
		put_text(l, l->json ? ",\"cut\":true" : " cut=true");
	if (l->json)
		put(l, '}');
	l->text[l->len] = '\0';
	log_write(a->log, LOG_INFO, "%s", l->text);
}

static void trace(struct line *l, const struct asker *asker)
{
	char out[DECISION_TRACE_LEN + 1];

	if (!asker)
		return;
	explain_trace_of(asker, out);
	text(l, "trace", slice_of(out), SHORT_ROOM);
}

static void decided(struct line *l, enum slo_strategy strategy, enum slo_verdict verdict,
                    enum slo_reason reason)
{
	text(l, "strategy", slice_of(policy_strategy_name(strategy)), SHORT_ROOM);
	text(l, "verdict", slice_of(sched_verdict_name(verdict)), SHORT_ROOM);
	text(l, "reason", slice_of(sched_reason_name(reason)), SHORT_ROOM);
}

void decision_log(struct agent *a, const struct sched_action *act)
{
	const struct request *r = act->request;
	struct line l;

	begin(&l, a);
	text(&l, "id", slice_of(r->id), ID_ROOM);
	if (r->model)
		text(&l, "model", slice_of(r->model->pool.name), NAME_ROOM);
	decided(&l, act->strategy, act->verdict, act->reason);
	if (act->seat) {
		text(&l, "server", slice_of(roster_server(act->seat->server)->key), NAME_ROOM);
		text(&l, "deployment", slice_of(act->seat->deployment->name), SHORT_ROOM);
	}
	number(&l, "prompt", r->input);
	number(&l, "output", r->output);
	number(&l, "wait_ms", act->waited / SLO_NSEC_PER_MSEC);
	trace(&l, r->user);
	end(&l, a);
}

void decision_log_passed(struct agent *a, const struct route_msg *msg, struct slice name,
                         enum slo_strategy strategy, enum slo_reason reason)
{
	struct asker asker;
	struct line l;

	begin(&l, a);
	text(&l, "id", msg->id, ID_ROOM);
	text(&l, "model", name, NAME_ROOM);
	decided(&l, strategy, SLO_PASS, reason);
	number(&l, "wait_ms", 0);
	asker_note(&asker, msg);
	trace(&l, &asker);
	end(&l, a);
}
