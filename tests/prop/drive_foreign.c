/* drive_foreign.c - what other agents tell. */
#include "drive_private.h"

#include <stdlib.h>

#include "core/foreign.h"

static struct foreign_owner *owner_of(struct world *w, const struct op *op)
{
	char name[16];

	return foreign_owner(w->sched, name,
	                     (size_t)snprintf(name, sizeof(name), "o%u", op->owner));
}

bool drive_foreign(struct world *w, const struct op *op)
{
	struct server *server = w->server[op->server];
	const struct naive_foreign ask = { .owner = op->owner,
		                           .id = op->id,
		                           .model = op->model,
		                           .server = op->server,
		                           .load = op->seed,
		                           .age = op->count * SLO_NSEC_PER_MSEC,
		                           .strategy = op->strategy };
	struct foreign_lease l = { .model = op->model < NAIVE_MODELS ? w->model[op->model] : NULL,
		                   .server = server,
		                   .load = op->seed,
		                   .age = ask.age,
		                   .strategy = drive_strategy(op->strategy),
		                   .estimate = -1,
		                   .limit = -1,
		                   .sequences = 1 };
	char id[16];
	slo_err core, model;

	if (server == NULL)
		return drive_nothing(w, op);
	l.id = id;
	l.id_len = drive_id_name(id, sizeof(id), op->id);
	core = foreign_dispatch(w->sched, op->t, owner_of(w, op), &l);
	if (!drive_hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	model = naive_foreign(w->naive, op->t, &ask);
	if (core != model)
		return drive_differ(w, "foreign r%u: core %s, model %s", op->id,
		                    drive_err_name(core), drive_err_name(model));
	return true;
}

bool drive_foreign_over(struct world *w, const struct op *op)
{
	struct sched_end core;
	char id[16];
	size_t len = drive_id_name(id, sizeof(id), op->id);

	foreign_end(w->sched, op->t, owner_of(w, op), id, len, NULL, -1, &core);
	if (!drive_hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	return drive_same_end(w, op, core.result,
	                      naive_foreign_end(w->naive, op->t, op->owner, op->id));
}

bool drive_deal(struct world *w, const struct op *op)
{
	static const char *const ours[NAIVE_OWNERS + 1] = { "o0", "o15", "o3" };
	slo_nsec apart = op->count * SLO_NSEC_PER_MSEC;
	unsigned present = deal_present(op->seed), place = deal_place(op->seed);

	for (unsigned o = 1; o <= NAIVE_OWNERS; o++)
		owner_of(w, &(struct op){ .owner = o })->present = present >> o & 1;
	foreign_deal_turns(w->sched, ours[place], apart);
	if (!drive_hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	naive_deal(w->naive, op->t, present, place, apart);
	return true;
}

bool drive_fresh(struct world *w, const struct op *op)
{
	slo_nsec until = op->t - op->count * SLO_NSEC_PER_MSEC;

	if (op->kind == OP_OTHERS)
		foreign_others(w->sched, op->count);
	else
		foreign_heard(w->sched, op->t, until);
	if (!drive_hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	if (op->kind == OP_OTHERS)
		naive_others(w->naive, op->t, op->count);
	else
		naive_heard(w->naive, op->t, until);
	return true;
}

/* Names those that the seed chooses. */
static size_t list(struct world *w, const struct op *op)
{
	struct foreign_owner *o = owner_of(w, op);
	const struct request *r;

	foreign_list_begin(w->sched, o);
	for (r = foreign_first(w->sched); r != NULL; r = foreign_next(r)) {
		struct foreign_lease l = foreign_lease_of(r, op->t);

		if (foreign_owner_of(w->sched, r) == o &&
		    list_names(op->seed, (uint32_t)strtoul(r->id + 1, NULL, 10)) &&
		    foreign_dispatch(w->sched, op->t, o, &l) != SLO_ESTALE)
			abort();
	}
	return foreign_list_end(w->sched, op->t, o, 0, op->up);
}

/* Something about an owner. */
bool drive_owner(struct world *w, const struct op *op)
{
	size_t core = 0, model = 0;

	if (op->kind == OP_LIST)
		core = list(w, op);
	else if (op->kind == OP_LIFE)
		foreign_owner_life(w->sched, owner_of(w, op), owner_of(w, op)->life + 1);
	else if (op->kind == OP_VISIBLE)
		foreign_owner_visible(w->sched, owner_of(w, op), op->up);
	else
		foreign_owner_forget(w->sched, owner_of(w, op));
	if (!drive_hear(w, op->t))
		return false;
	naive_told(w->naive, w->told, w->n_heard);
	if (op->kind == OP_LIST)
		model = naive_list(w->naive, op->t, op->owner, op->up, list_names, op->seed);
	else if (op->kind == OP_LIFE)
		naive_new_life(w->naive, op->t, op->owner);
	else if (op->kind == OP_VISIBLE)
		naive_visible(w->naive, op->t, op->owner, op->up);
	else
		naive_forget(w->naive, op->t, op->owner);
	return core == model || drive_differ(w, "list: core closed %zu, model %zu", core, model);
}
