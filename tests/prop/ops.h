/* ops.h - random events for the scheduler: what they are, how they are invented, and how they
 * are written down as a scenario that slo-replay can read.
 *
 * An operation stands for itself: it names models, deployments, servers and requests by number,
 * and where one does not exist (yet) it does nothing. So any part of a sequence is a sequence. */
#ifndef PROP_OPS_H
#define PROP_OPS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "naive.h"
#include "slo.h"
#include "slo_profile.h"

enum op_kind {
	OP_ARRIVE,
	OP_END,
	OP_ABANDON,
	OP_PASSED,
	OP_SEAT,   /* server in (model, deployment) */
	OP_UNSEAT, /* server of model */
	OP_LEAVE,  /* server of all models */
	OP_MOVE,   /* server of model to deployment */
	OP_DROP,   /* deployment of model */
	OP_DROP_MODEL,
	OP_ORDER, /* of the model's deployments */
	OP_READY,
	OP_PROFILE,         /* of (model, deployment) */
	OP_UNPROFILE,       /* that profile goes */
	OP_CONFIG,          /* other options from now on, but for what is remembered */
	OP_SURPLUS,         /* `count` requests of others run on server */
	OP_EXPIRE,          /* the oldest of server is given up */
	OP_PROCESS,         /* HAProxy's process changed */
	OP_EXPIRE_DEPARTED, /* the first of server that was left by its process, `count` ms ago */
	OP_FOREIGN,         /* owner placed a request on server, `count` ms ago */
	OP_FOREIGN_END,     /* owner tells of its end */
	OP_LIST,            /* owner lists what it has open */
	OP_LIFE,            /* owner started anew */
	OP_VISIBLE,         /* HAProxy's counts tell of owner's requests */
	OP_FORGET,          /* owner is forgotten */
	OP_DEAL,            /* turns are dealt, `count` ms apart */
	OP_OTHERS,          /* so many others (`count`) hear us */
	OP_HEARD,           /* they have heard of what was placed until `count` ms ago */
	OP_TIME,            /* time passes, nothing else */
};

struct op {
	enum op_kind kind;
	slo_nsec t; /* never less than that of the operation before */
	unsigned model, deployment, server;
	unsigned owner; /* FOREIGN and those behind it; of END the server that it names, from 1 */
	uint32_t count; /* SURPLUS, EXPIRE_DEPARTED, FOREIGN */
	bool up;        /* READY, VISIBLE; of LIST: it knows of former lives */
	bool busy;      /* the wake-ups before it were missed */
	uint32_t id;
	enum naive_strategy strategy;
	int64_t input, output;
	slo_nsec created;
	struct slo_target own;
	int32_t priority;
	uint64_t seed; /* PROFILE: all of it but `created` follows from this; CONFIG, ORDER, LIST:
	                * all; FOREIGN: the load, of 2^32; DEAL: who is present, and our place */
	double doc_created;
};

/* A profile with room for its tables. */
struct doc {
	struct slo_profile_doc head;
	double output_axis[NAIVE_AXIS], input_axis[NAIVE_AXIS];
	double tputs[NAIVE_AXIS * NAIVE_AXIS], e2e[NAIVE_AXIS * NAIVE_AXIS];
	double ttft[NAIVE_AXIS * NAIVE_AXIS], tpot[NAIVE_AXIS * NAIVE_AXIS];
};

void doc_build(struct doc *doc, uint64_t seed, double created);

/* What one seed is about: options, and the world that its operations talk of. */
#define SETUP_SIZES 6

struct setup {
	uint64_t seed;
	struct naive_conf conf;
	unsigned models, deployments[NAIVE_MODELS], servers;
	int64_t size[SETUP_SIZES]; /* of most requests */
	bool busy;                 /* some wake-ups are missed */
	bool graded;               /* requests have priorities */
	bool adaptive;             /* whatever waits is of slo-adaptive */
	bool tidy;                 /* profiles without holes, servers that are mostly up */
	size_t crowd;              /* how many requests are about */
	bool cluster;              /* other agents place requests, too */
	bool large;                /* many servers, work with many targets */
	unsigned pull_percent;     /* of the strategies */
};

/* Whether a list names that id. */
bool list_names(uint64_t seed, uint32_t id);
/* Bit o: owner o is present; and how many owners' names stand before ours. */
unsigned deal_present(uint64_t seed);
unsigned deal_place(uint64_t seed);
/* A permutation of the deployments' names. */
void order_build(unsigned name[NAIVE_DEPLOYMENTS], uint64_t seed);
void conf_build(struct naive_conf *conf, uint64_t seed);
void setup_init(struct setup *setup, uint64_t seed);

/* Invents one operation after another, looking at the model for things worth doing. */
struct gen {
	const struct setup *setup;
	uint64_t rng;
	slo_nsec t;
	uint32_t ids;      /* used so far */
	unsigned preamble; /* steps of it done */
};

void gen_init(struct gen *g, const struct setup *setup);
struct op gen_next(struct gen *g, const struct naive *n);

/* One operation in words, for messages. */
void op_describe(const struct op *op, char *out, size_t size);
/* The scenario file. What the format cannot say stands in `expect` lines, which are ignored. */
void ops_write(FILE *f, const struct setup *setup, const struct op *op, size_t count,
               const char *message);

#endif
