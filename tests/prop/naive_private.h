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
	size_t changes;    /* of process, when it arrived */
	uint64_t departed; /* when its process was found gone, in order; 0: it was not */
	unsigned owner;    /* 0: it is ours */
	bool hidden, former, stray;
	bool ending;  /* its owner told its end, which waits for a turn */
	bool of_none; /* its model went, or was not there yet, whatever came by that name since */
	bool unheard; /* ours, and others may not have heard of it */
	/* Of slo-adaptive: */
	bool waits;    /* it was tried, and no server was found; */
	unsigned open; /* a bit for each that was open all the same */
	bool staked;
	unsigned age;   /* of the guard of where it was placed */
	float foreseen; /* seconds from its creation to its end; 0: not foreseen */
	slo_nsec span;  /* that its target allows */
	uint64_t harm, reading, work;
	int class;
};

struct deployment {
	unsigned name;
	size_t servers;
	uint32_t server[NAIVE_SERVERS];
	struct naive_profile profile;
	struct naive_rates rates;
	double share; /* of its headroom, that the guard leaves; */
	unsigned seen, missed;
	unsigned age; /* since it fell or began, as numbered */
	bool weighed; /* a request was placed here */
	uint64_t mean;
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
	uint64_t used, strange_load;  /* that of requests we did not place */
	uint32_t inflight, strangers; /* likewise */
	slo_nsec counted;
	slo_nsec drained; /* when it will have read all prompts */
	uint64_t overshoots;
	uint64_t left; /* by what ended in the present event */
};

struct owner {
	bool known, visible, present;
	slo_nsec turn; /* so long after its news we look at the room */
};

/* The end of a request that waits for our turn. */
struct turn {
	uint32_t number;
	slo_nsec due;
};
#define NAIVE_TURNS 1024

struct naive {
	unsigned ages; /* of guards, so far */
	struct naive_conf conf;
	struct model model[NAIVE_MODELS];
	struct server server[NAIVE_SERVERS];
	struct owner owner[NAIVE_OWNERS + 1];
	uint32_t ids;
	struct request *request; /* by number; the last `ids` are what lines told of others' */
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
	const struct naive_told *told;
	size_t n_told;
	slo_nsec *changed; /* when a process took the place of another, from 1 */
	size_t changes;
	uint64_t departures;
	struct turn turn[NAIVE_TURNS]; /* the first to come first */
	size_t turns;
	unsigned others; /* agents that hear us; */
	bool deaf;       /* they did not tell in time that they do */
};

/* What events are made of: every model of the server is looked at, the request is over, all that
 * can be decided is. */
void naive_concerns_server(struct naive *n, unsigned server);
void naive_release(struct naive *n, slo_nsec now, uint32_t id);
void naive_settle(struct naive *n, slo_nsec now);
void naive_remember(struct naive *n, slo_nsec now, uint32_t number);
void naive_forget_old(struct naive *n, slo_nsec now);
/* It is the youngest of what is remembered, and ended. */
void naive_ended_now(struct naive *n, slo_nsec now, uint32_t number);
/* The number of a foreign request that a line of that id is about; 0: there is none. */
uint32_t naive_foreign_of_line(const struct naive *n, uint32_t id, int server);
/* What is known of a line of that id beside ours. */
uint32_t naive_line_number(const struct naive *n, uint32_t id);
void naive_foreign_over(struct naive *n, slo_nsec now, uint32_t number);
/* What has waited until now for its turn; and when the next one has. */
void naive_take_turns(struct naive *n, slo_nsec now);
slo_nsec naive_next_turn(const struct naive *n);
/* What others may be taking of the server; and all that is taken. */
uint64_t naive_spared(const struct naive *n, unsigned server);
uint64_t naive_taken(const struct naive *n, unsigned server);
/* One of ours was placed while others listen; it is not fresh any more. */
void naive_placed(struct naive *n, uint32_t id);
void naive_fresh_no_more(struct naive *n, uint32_t id);
/* When it is too late to hear of others; and that it is, if it is. */
slo_nsec naive_fresh_until(const struct naive *n);
void naive_give_up(struct naive *n, slo_nsec now);
/* A request of the model that weighs so much was placed on the server. */
void naive_weighed(struct naive *n, unsigned model, unsigned server, uint64_t load);

/* Answers. The second places by a strategy that looks at no SLO. */
struct naive_action *naive_place(struct naive *n, slo_nsec now, uint32_t id, int server,
                                 enum naive_verdict verdict, enum naive_reason reason);
void naive_place_anywhere(struct naive *n, slo_nsec now, uint32_t id, enum naive_strategy strategy,
                          enum naive_verdict verdict, enum naive_reason reason);
void naive_refuse(struct naive *n, slo_nsec now, uint32_t id, enum naive_reason reason);

/* A deployment in which a request may run. */
struct naive_option {
	unsigned deployment; /* index in the model */
	slo_nsec start;      /* its rank is above 0 after that */
};

/* The queue: the deployments with a usable cell, ascending rank. */
size_t naive_options(const struct naive *n, const struct request *r, struct naive_option *out);
enum naive_reason naive_why_no_options(const struct model *m);
/* When a waiting request is given up. */
slo_nsec naive_held_until(const struct naive *n, uint32_t id);
/* Whether no other request of the queue that is of its size and level goes before it. */
bool naive_is_head(const struct naive *n, slo_nsec now, const struct model *m, uint32_t id);
uint32_t naive_least_important(const struct naive *n, const struct model *m);
/* For the models that an event concerns, until none of their heads can be decided. */
void naive_decide(struct naive *n, slo_nsec now);

/* slo-adaptive: what it charges, and the latest start there. */
/* No less than a request of d weighs, where it is told how many run at once. */
uint64_t naive_floored(const struct deployment *d, uint64_t load);
/* By its profile; 0 without one. */
uint64_t naive_load(const struct deployment *d, const struct naive_request *r);
uint64_t naive_adaptive_load(const struct deployment *d, const struct naive_request *r);
slo_nsec naive_adaptive_start(const struct deployment *d, const struct naive_request *r);
/* The class of the target by which the deployment measures the request. */
int naive_adaptive_class(const struct deployment *d, const struct naive_request *r);
/* The server of these deployments of the request's model, or -1; it gets the stake of that choice.
 */
int naive_adaptive_pick(struct naive *n, slo_nsec now, uint32_t id, const unsigned *deployment,
                        size_t deployments, uint64_t tight_waiting);
/* What came of what was foreseen. */
void naive_adaptive_ended(struct naive *n, slo_nsec now, const struct request *r);
void naive_adaptive_alone(struct naive *n, uint32_t id, const struct deployment *d);
/* The profile of d came: whatever runs there without a stake gets its one. */
void naive_adaptive_known(struct naive *n, unsigned model, const struct deployment *d);
/* Its prompt is to be read there; d NULL: nothing is known of the server's times. */
void naive_adaptive_reads(struct naive *n, slo_nsec now, unsigned server,
                          const struct deployment *d, const struct naive_request *r);

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
