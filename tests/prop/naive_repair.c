/* naive_repair.c - what is known of a server beside end lines. */
#include "naive_private.h"

#define ONE        (UINT64_C(1) << 32)
#define MOST       65536
#define TOLD_APART 16 /* changes of process */

void naive_weighed(struct naive *n, unsigned model, unsigned server, uint64_t load)
{
	struct deployment *d = naive_deployment_of(&n->model[model], server);

	if (!d->weighed)
		d->mean = load;
	else if (load > d->mean)
		d->mean += (load - d->mean) / 8;
	else
		d->mean -= (d->mean - load) / 8;
	d->weighed = true;
}

/* What one request weighs that nobody asked us about. */
static uint64_t stranger(struct naive *n, unsigned server)
{
	uint64_t sum = 0, count = 0, most = 0;
	bool known = false;

	for (size_t i = 0; i < n->n_dispatched; i++) {
		const struct request *r = &n->request[n->dispatched[i]];

		if (r->server != server)
			continue;
		sum += r->load;
		count++;
	}
	if (count > 0)
		return sum / count;
	for (unsigned m = 0; m < NAIVE_MODELS; m++) {
		const struct deployment *d = NULL;

		if (n->model[m].seated[server] != 0)
			d = naive_deployment_of(&n->model[m], server);
		if (d == NULL || !d->weighed)
			continue;
		known = true;
		most = d->mean > most ? d->mean : most;
	}
	return known ? most : ONE / 16;
}

void naive_surplus(struct naive *n, slo_nsec t, unsigned server, uint32_t count)
{
	struct server *s = &n->server[server];
	uint32_t strangers = count < MOST ? count : MOST;
	uint64_t load = strangers * stranger(n, server);

	if (load < s->strange_load)
		naive_concerns_server(n, server);
	s->used = s->used - s->strange_load + load;
	s->inflight = s->inflight - s->strangers + strangers;
	s->strange_load = load;
	s->strangers = strangers;
	naive_settle(n, t);
}

void naive_process_changed(struct naive *n, slo_nsec t)
{
	for (size_t i = 0; i < n->n_dispatched; i++) {
		struct request *r = &n->request[n->dispatched[i]];

		if (r->changes == n->changes && !r->hidden)
			r->departed = ++n->departures;
	}
	n->changed[++n->changes] = t;
	naive_settle(n, t);
}

bool naive_expire(struct naive *n, slo_nsec t, unsigned server)
{
	bool found = false;

	for (size_t i = 0; i < n->n_dispatched && !found; i++) {
		uint32_t id = n->dispatched[i];

		found = n->request[id].server == server && n->request[id].changes == n->changes &&
		        !n->request[id].hidden;
		if (found) {
			naive_concerns_server(n, server);
			naive_release(n, t, id);
		}
	}
	naive_settle(n, t);
	return found;
}

bool naive_expire_departed(struct naive *n, slo_nsec t, unsigned server, slo_nsec grace)
{
	const struct request *first = NULL;
	size_t left;
	bool due = false;

	for (size_t i = 0; i < n->n_dispatched; i++) {
		const struct request *r = &n->request[n->dispatched[i]];

		if (r->server == server && r->departed != 0 &&
		    (first == NULL || r->departed < first->departed))
			first = r;
	}
	if (first != NULL) {
		left = first->changes + 1;
		if (n->changes - first->changes >= TOLD_APART)
			left = n->changes - TOLD_APART + 1;
		due = t - n->changed[left] >= grace;
	}
	if (due) {
		naive_concerns_server(n, server);
		naive_release(n, t, (uint32_t)(first - n->request));
	}
	naive_settle(n, t);
	return due;
}
