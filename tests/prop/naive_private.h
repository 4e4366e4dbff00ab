/* naive_private.h - what the files of the naive model share. */
#ifndef NAIVE_PRIVATE_H
#define NAIVE_PRIVATE_H

#include "naive.h"
#include "naive_profile.h"

enum state {
	UNSEEN,
	DUE, /* to be answered at once */
	WAITING,
	DISPATCHED,
	OVER,
};

struct request {
	struct naive_request ask;
	enum state state;
	enum naive_reason due_reason; /* when DUE: its answer, if it is not to be placed */
	bool ended;
	bool fresh; /* just arrived: may be refused because too many wait */
	uint64_t seq;
	slo_nsec arrived, placed;
	slo_nsec over; /* since when */
	unsigned server;
	uint64_t load;
};

struct deployment {
	unsigned name;
	size_t servers;
	uint32_t server[NAIVE_SERVERS];
	struct naive_profile profile;
};

struct model {
	bool exists;
	unsigned deployments;
	struct deployment deployment[NAIVE_DEPLOYMENTS];
	uint64_t turns;
	uint64_t turn[NAIVE_SERVERS];   /* when a server was chosen last; 0: never */
	uint64_t seated[NAIVE_SERVERS]; /* order of the configuration; 0: has no seat */
	uint64_t seats;
	uint32_t *queue; /* in order of arrival */
	size_t queued;
};

struct server {
	bool exists, usable;
	uint64_t used;
	uint32_t inflight;
};

struct naive {
	struct naive_conf conf;
	struct model model[NAIVE_MODELS];
	struct server server[NAIVE_SERVERS];
	struct request *request;
	uint32_t *dispatched;
	size_t n_dispatched;
	uint32_t *over; /* remembered ids, the first to be forgotten first */
	size_t n_over;
	uint64_t seq;
	slo_nsec now; /* of the last event */
	/* What the present event leaves to be done: */
	bool concerned[NAIVE_MODELS];
	uint32_t *due;
	size_t n_due;
	struct naive_action *action;
	size_t actions;
	const int *told;
	size_t n_told;
};

bool naive_fits(uint64_t used, uint64_t load);
bool naive_deployment_usable(const struct naive *n, const struct deployment *d);
/* The deployment of the model that the server has a seat in. */
struct deployment *naive_deployment_of(struct model *m, unsigned server);
/* Comes into being when it is named first. */
struct deployment *naive_deployment_get(struct naive *n, unsigned model, unsigned name);

/* The strategies: a server, or -1 if none is usable or, for pack, has room. */
int naive_pick_least_load(const struct naive *n, const struct deployment *d);
int naive_pick_pack(const struct naive *n, const struct deployment *d, uint64_t load);
int naive_pick_least_request(const struct naive *n, const struct model *m);
int naive_pick_random(const struct naive *n, const struct model *m, unsigned *choice,
                      unsigned *choices);

#endif
