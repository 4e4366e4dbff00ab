/* Recordings through the scheduler, as they were. */
#include <stdlib.h>

#include "core/record/player.h"
#include "private.h"
#include "wire/file/record.h"

/* The file */

bool source_complain(const struct replay_source *s, const char *why)
{
	fflush(stdout);
	fprintf(stderr, "%s: at byte %zu: %s\n", s->path, s->at, why);
	return false;
}

bool source_open(struct replay_source *s, const char *path, struct slice file)
{
	bool known = false;

	*s = (struct replay_source){ .path = path, .file = file, .next = RECORD_HEAD_LEN };
	if (!record_is_head(file, &known))
		return source_complain(s, "it is no recording");
	if (!known)
		return source_complain(s, "another version wrote it");
	s->reader = record_reader_new();
	return s->reader || source_complain(s, "out of memory");
}

void source_close(struct replay_source *s)
{
	record_reader_free(s->reader);
}

/* What is printed or counted by these numbers. */
static bool answer_sane(const struct slo_event *e)
{
	return e->verdict < SLO_VERDICTS && e->reason < SLO_REASONS && e->strategy < SLO_STRATEGIES;
}

bool source_next(struct replay_source *s, bool *ok)
{
	struct slice rest = { s->file.p + s->next, s->file.len - s->next };
	slo_err err;
	size_t used = 0;

	*ok = true;
	s->at = s->next;
	if (rest.len == 0)
		return false;
	err = record_next(s->reader, rest, &s->event, &used);
	s->next += used;
	if (err == SLO_OK && answer_sane(&s->event)) {
		if (s->event.kind == SLO_EVENT_START)
			s->unix_ahead =
			    (slo_nsec)((uint64_t)s->event.count - (uint64_t)s->event.now);
		return true;
	}
	if (err == SLO_ESHORT) {
		/* Whoever wrote it was killed, or still writes. */
		(void)source_complain(s, "note: the last record is cut off");
		return false;
	}
	*ok = source_complain(s, err == SLO_ENOMEM ? "out of memory" : "malformed record");
	return false;
}

/* The decisions */

struct recording {
	const struct replay_options *opt;
	struct replay_totals *totals;
	struct replay_source source;
	struct player *player;
	uint64_t decided; /* decisions that are compared */
	uint64_t differ;  /* of these */
	size_t first;     /* of these: where its record is */
};

static bool is_decision(const struct slo_event *e)
{
	return e->kind == SLO_EVENT_DECISION || e->kind == SLO_EVENT_LET_GO;
}

static struct replay_decision recorded(const struct recording *r)
{
	const struct slo_event *e = &r->source.event;
	const struct server *server = player_server(r->player, e->server);

	return (struct replay_decision){
		.t = e->now,
		.id = e->text,
		.verdict = e->kind == SLO_EVENT_PASS ? SLO_PASS : (enum slo_verdict)e->verdict,
		.reason = (enum slo_reason)e->reason,
		.strategy = (enum slo_strategy)e->strategy,
		.server = server ? server->name : NULL,
		.load = e->load,
	};
}

static bool same(const struct recording *r, const struct sched_action *act)
{
	const struct slo_event *e = &r->source.event;
	struct replay_decision was = recorded(r), is = decision_of(e->now, act);

	return is.id.len == was.id.len && memcmp(is.id.p, was.id.p, is.id.len) == 0 &&
	       is.verdict == was.verdict && is.reason == was.reason &&
	       is.strategy == was.strategy && is.load == was.load && e->waited == act->waited &&
	       (act->seat ? act->seat->server : NULL) == player_server(r->player, e->server);
}

static void show(const struct recording *r, struct replay_decision d)
{
	if (is_for_nobody(d.verdict, d.reason) && r->source.event.kind != SLO_EVENT_PASS)
		return;
	r->totals->verdicts[d.verdict]++;
	d.t = (slo_nsec)((uint64_t)d.t + (uint64_t)r->source.unix_ahead);
	if (!r->opt->quiet)
		put_decision(&d);
}

static bool play(struct recording *r)
{
	const struct slo_event *e = &r->source.event;
	struct sched_action act;
	const char *why;
	bool acted;
	slo_err err;

	if (e->kind == SLO_EVENT_PASS) {
		show(r, recorded(r));
		return true;
	}
	err = player_apply(r->player, e, &act, &acted, &why);
	if (err != SLO_OK)
		return source_complain(&r->source, err == SLO_EINVAL ? why : "out of memory");
	r->decided += acted || is_decision(e);
	if ((acted || is_decision(e)) && !(acted && is_decision(e) && same(r, &act))) {
		r->first = r->differ++ ? r->first : r->source.at;
	}
	if (r->opt->recorded && is_decision(e))
		show(r, recorded(r));
	else if (!r->opt->recorded && acted)
		show(r, decision_of(e->now, &act));
	return true;
}

static bool tell_difference(const struct recording *r)
{
	fflush(stdout);
	if (r->differ == 0) {
		fprintf(stderr, "%s: all %llu decisions are those recorded\n", r->source.path,
		        (unsigned long long)r->decided);
		return true;
	}
	fprintf(stderr, "%s: %llu decisions are not those recorded, the first at byte %zu\n",
	        r->source.path, (unsigned long long)r->differ, r->first);
	return false;
}

bool play_recording(const struct replay_options *opt, const char *path, struct slice file,
                    struct replay_totals *totals)
{
	struct recording r = { .opt = opt, .totals = totals, .player = player_new() };
	bool ok = source_open(&r.source, path, file);

	if (ok && !r.player)
		ok = source_complain(&r.source, "out of memory");
	while (ok && source_next(&r.source, &ok))
		ok = play(&r);
	if (ok && r.player && player_sched(r.player) &&
	    !put_queued(player_sched(r.player), opt, totals))
		ok = source_complain(&r.source, "out of memory");
	/* Of a part that is the same nobody is told that all is. */
	if (ok || r.differ > 0)
		ok = tell_difference(&r) && ok;
	player_free(r.player);
	source_close(&r.source);
	return ok;
}
