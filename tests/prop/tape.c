#include "tape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/record/player.h"
#include "core/tap.h"
#include "wire/file/record.h"

struct tape {
	struct sched *sched;
	struct record_writer *writer;
	struct record_reader *reader;
	struct player *player;
	bool head; /* is to be read first */
	char difference[256];
};

static void differ(struct tape *t, const char *what, const struct slo_event *e)
{
	if (t->difference[0] == '\0')
		snprintf(t->difference, sizeof(t->difference), "recording: %s (event %d, id %.*s)",
		         what, (int)e->kind, (int)e->text.len, (const char *)e->text.p);
}

static bool same(const struct slo_event *e, const struct sched_action *act)
{
	const struct request *r = act->request;

	return e->text.len == r->id_len && memcmp(e->text.p, r->id, r->id_len) == 0 &&
	       e->verdict == act->verdict && e->reason == act->reason &&
	       e->strategy == act->strategy && e->waited == act->waited &&
	       (e->server != 0) == (act->seat != NULL) &&
	       e->load == (act->seat ? r->charge.load : 0);
}

static bool same_server(struct tape *t, const struct slo_event *e, const struct sched_action *act)
{
	return !act->seat || act->seat->server == player_server(t->player, e->server);
}

static void play(struct tape *t, const struct slo_event *e)
{
	bool decision = e->kind == SLO_EVENT_DECISION || e->kind == SLO_EVENT_LET_GO, acted;
	struct sched_action act;
	const char *why;

	if (player_apply(t->player, e, &act, &acted, &why) != SLO_OK)
		differ(t, why, e);
	else if (acted != decision)
		differ(t, "one of both answers", e);
	else if (acted && (!same(e, &act) || !same_server(t, e, &act)))
		differ(t, "another answer", e);
}

static void hear(void *arg, const struct slo_event *e)
{
	struct tape *t = arg;
	struct slo_event read;
	struct slice in;
	size_t used;

	if (record_add(t->writer, e) != SLO_OK) {
		differ(t, "not written", e);
		return;
	}
	in = record_pending(t->writer);
	if (t->head) {
		in.p += RECORD_HEAD_LEN;
		in.len -= RECORD_HEAD_LEN;
	}
	t->head = false;
	if (record_next(t->reader, in, &read, &used) != SLO_OK || used != in.len)
		differ(t, "not read", e);
	else
		play(t, &read);
	record_taken(t->writer);
}

struct tape *tape_new(struct sched *s)
{
	struct tape *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->sched = s;
	t->writer = record_writer_new();
	if (!t->writer) {
		free(t);
		return NULL;
	}
	return t;
}

void tape_free(struct tape *t)
{
	if (!t)
		return;
	player_free(t->player);
	record_reader_free(t->reader);
	record_writer_free(t->writer);
	free(t);
}

void tape_restart(struct tape *t, slo_nsec now)
{
	const struct sched_tap tap = { hear, t };

	player_free(t->player);
	record_reader_free(t->reader);
	t->player = player_new();
	t->reader = record_reader_new();
	if (!t->player || !t->reader)
		abort();
	record_writer_restart(t->writer);
	t->head = true;
	sched_tell_state(t->sched, &tap, now, 0);
	sched_listen(t->sched, &tap);
	sched_check(player_sched(t->player));
}

const char *tape_difference(const struct tape *t)
{
	return t->difference[0] == '\0' ? NULL : t->difference;
}

bool tape_has(const struct tape *t, const struct server *server)
{
	const struct server *played = player_server(t->player, server->number);

	return played && played->ledger.used == server->ledger.used &&
	       played->ledger.inflight == server->ledger.inflight &&
	       played->usable == server->usable &&
	       memcmp(&played->sums, &server->sums, sizeof(server->sums)) == 0 &&
	       played->flow.drained == server->flow.drained;
}
