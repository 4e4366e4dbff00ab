#include "io/engines/meaning.h"

#include <math.h>
#include <stdlib.h>

#include "clean.h"
#include "io/agent/learned.h"
#include "io/agent/warn.h"

#define OLD           (10 * SLO_NSEC_PER_SEC) /* and three polls: what was told holds no more */
#define SOON          4                       /* parts of a poll */
#define WORTH_TELLING 0.25                    /* of a server */
#define IDLE_PAGES    5                       /* so that a warning does not come and go */
/* Pages after which the least cache of a deployment is looked for again, which takes a look at all
 * of its servers. */
#define CACHE_AGAIN   64

static bool is_idle(const struct engine_facts *f)
{
	return engine_knows(f, ENGINE_RUNNING) && engine_knows(f, ENGINE_WAITING) &&
	       !(f->value[ENGINE_RUNNING] + f->value[ENGINE_WAITING] > 0);
}

static void tell_crowded(struct agent *a, slo_nsec now, const struct roster_server *s)
{
	double withheld = load_to_double(s->server->withhold);

	/* Of an idle one what is withheld shows only when it is needed again. */
	if (withheld > WORTH_TELLING && s->engine->idle < IDLE_PAGES)
		(void)warn_set(
		    a, now, ENGINE_CROWDED, s->key,
		    "requests wait inside the engine of %s although it should have room, "
		    "so %.0f %% of it is not used; its profile, or kv_tokens of its "
		    "deployment, says too much, or it runs fewer at once than fit: then set "
		    "max_running of its deployment",
		    s->key, 100 * withheld);
	else
		(void)warn_clear(a, now, ENGINE_CROWDED, s->key);
}

/* The counters of a server that works for several models do not tell them apart. */
static void count_tokens(struct engine_seen *seen, const struct server *server)
{
	const struct seat *seat = server->seats;
	struct estimator_counted counted;
	double held = server->ledger.inflight > 0 ? latency_flow_held(&server->flow) : 0;

	if (seat && !seat->next_of_server &&
	    engine_window_page(&seen->window, &seen->facts, held, &counted))
		sched_tokens_counted(seat, &counted);
}

/* Nothing is known of its queue any more. */
static void forget_waiting(struct agent *a, const struct roster_server *s)
{
	s->engine->queue = (struct engine_queue){ 0, 0 };
	sched_withhold(a->sched, s->server, 0);
}

static void note_waiting(struct agent *a, slo_nsec now, struct roster_server *s)
{
	struct engine_seen *seen = s->engine;
	struct engine_queue both;

	if (!engine_knows(&seen->facts, ENGINE_RUNNING) ||
	    !engine_knows(&seen->facts, ENGINE_WAITING))
		forget_waiting(a, s); /* another program may be there now */
	else if (engine_queue_page(&seen->queue, &seen->facts, &both))
		sched_server_waits(a->sched, s->server, both.running, both.waiting);
	else if (seen->queue.waiting > 0)
		seen->due = now + a->conf->engines.poll / SOON;
}

static double cache_of(const struct engine_facts *f)
{
	return engine_knows(f, ENGINE_KV_SIZE) ? f->value[ENGINE_KV_SIZE] : 0;
}

void engine_told(struct agent *a, slo_nsec now, struct roster_server *s, slo_nsec asked,
                 const struct engine_facts *facts)
{
	struct engine_seen *seen = s->engine;
	bool same = !(fabs(cache_of(facts) - cache_of(&seen->facts)) > 0);

	seen->facts = *facts;
	seen->told = asked;
	seen->answers++;
	seen->idle = is_idle(facts) ? seen->idle + 1 : 0;
	if (seen->silent)
		(void)warn_clear(a, now, ENGINE_SILENT, s->key);
	seen->silent = false;
	if (!same || seen->answers % CACHE_AGAIN == 0)
		learned_cache_came(a, s->server);
	count_tokens(seen, s->server);
	note_waiting(a, now, s);
	tell_crowded(a, now, s);
}

void engine_missed(struct agent *a, slo_nsec now, struct roster_server *s, const char *why)
{
	struct engine_seen *seen = s->engine;

	seen->failures++;
	seen->silent = true;
	clean_copy(seen->why, sizeof(seen->why), slice_of(why));
	(void)warn_set(a, now, ENGINE_SILENT, s->key,
	               "the engine of %s tells no metrics: %s; %s, and the section engines says "
	               "where they are expected",
	               s->key, why,
	               s->server->usable ? "requests go there without them"
	                                 : "no request goes there, as the server is not up");
	if (now - seen->told <= OLD + 3 * a->conf->engines.poll)
		return;
	forget_waiting(a, s);
	tell_crowded(a, now, s);
}

void engine_unasked(struct agent *a, slo_nsec now, struct roster_server *s)
{
	struct engine_seen *seen = s->engine;

	if (seen->told < 0 && !seen->silent)
		return;
	seen->facts = (struct engine_facts){ .make = ENGINE_MAKE_UNKNOWN };
	seen->told = -1;
	seen->silent = false;
	seen->window.open = false;
	forget_waiting(a, s);
	(void)warn_clear(a, now, ENGINE_SILENT, s->key);
	tell_crowded(a, now, s);
	learned_cache_came(a, s->server);
}

void engine_forget(struct agent *a, slo_nsec now, struct roster_server *s)
{
	if (!s->engine)
		return;
	sched_withhold(a->sched, s->server, 0);
	(void)warn_clear(a, now, ENGINE_SILENT, s->key);
	(void)warn_clear(a, now, ENGINE_CROWDED, s->key);
	free(s->engine);
	s->engine = NULL;
}
