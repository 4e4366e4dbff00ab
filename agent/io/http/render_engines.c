/* /metrics and /state.json: what the engines behind the servers said of themselves. */
#include <inttypes.h>

#include "io/base/clock.h"
#include "render_private.h"

/* Series */

static void series(struct page *p, const char *name, const struct agent_model *m,
                   const struct seat *seat, const char *labels, double value)
{
	fprintf(p->f, "slo_spoa_%s{", name);
	render_label(p->f, "model", m->conf->name);
	fprintf(p->f, ",server=\"%s\"%s} %.9g\n", seat->server->name, labels, value);
}

static const struct engine_seen *engine_of(const struct seat *seat)
{
	return roster_server(seat->server)->engine;
}

static void if_known(struct page *p, const char *name, const struct agent_model *m,
                     const struct seat *seat, const char *labels, enum engine_fact fact)
{
	const struct engine_seen *e = engine_of(seat);

	if (e && engine_knows(&e->facts, fact))
		series(p, name, m, seat, labels, e->facts.value[fact]);
}

void render_engine_requests(struct page *p, const struct agent_model *m, const struct seat *seat)
{
	if_known(p, "engine_requests", m, seat, ",state=\"running\"", ENGINE_RUNNING);
	if_known(p, "engine_requests", m, seat, ",state=\"waiting\"", ENGINE_WAITING);
}

void render_engine_kv_used(struct page *p, const struct agent_model *m, const struct seat *seat)
{
	if_known(p, "engine_kv_used_ratio", m, seat, "", ENGINE_KV_USED);
}

void render_engine_kv_tokens(struct page *p, const struct agent_model *m, const struct seat *seat)
{
	if_known(p, "engine_kv_tokens", m, seat, "", ENGINE_KV_SIZE);
}

void render_engine_withheld(struct page *p, const struct agent_model *m, const struct seat *seat)
{
	if (engine_of(seat))
		series(p, "server_withheld", m, seat, "", load_to_double(seat->server->withhold));
}

void render_engine_age(struct page *p, const struct agent_model *m, const struct seat *seat)
{
	const struct engine_seen *e = engine_of(seat);

	if (e && e->told >= 0)
		series(p, "engine_age_seconds", m, seat, "",
		       (double)(clock_nsec() - e->told) / 1e9);
}

void render_engine_pages(struct page *p, const struct agent_model *m, const struct seat *seat)
{
	const struct engine_seen *e = engine_of(seat);

	if (!e)
		return;
	series(p, "engine_pages_total", m, seat, ",result=\"read\"", (double)e->answers);
	series(p, "engine_pages_total", m, seat, ",result=\"failed\"", (double)e->failures);
}

/* Members */

static void fact(json_t *state, const char *name, const struct engine_facts *f,
                 enum engine_fact which)
{
	json_object_set_new(state, name,
	                    engine_knows(f, which) ? json_real(f->value[which]) : json_null());
}

json_t *render_engine_state(const struct engine_seen *e, slo_nsec now)
{
	json_t *state;

	if (!e)
		return json_null();
	state = json_pack("{s:s, s:o, s:b, s:s, s:I, s:I}", "make", engine_make_name(e->facts.make),
	                  "age_seconds",
	                  e->told < 0 ? json_null() : json_real((double)(now - e->told) / 1e9),
	                  "answers", e->told >= 0 && !e->silent, "error", e->silent ? e->why : "",
	                  "pages", (json_int_t)e->answers, "failures", (json_int_t)e->failures);
	fact(state, "running", &e->facts, ENGINE_RUNNING);
	fact(state, "waiting", &e->facts, ENGINE_WAITING);
	fact(state, "waiting_for_room", &e->facts, ENGINE_STARVED);
	fact(state, "kv_used", &e->facts, ENGINE_KV_USED);
	fact(state, "kv_tokens", &e->facts, ENGINE_KV_SIZE);
	fact(state, "prompt_tokens", &e->facts, ENGINE_PROMPTS);
	fact(state, "output_tokens", &e->facts, ENGINE_OUTPUTS);
	json_object_set_new(state, "windows", json_integer((json_int_t)e->window.closed));
	return state;
}
