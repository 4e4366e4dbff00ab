/* drive_private.h - what the files that drive both sides share.
 *
 *   drive.c          the world; requests, options, repairs
 *   drive_fleet.c    servers, deployments and models
 *   drive_foreign.c  what other agents tell
 *   drive_same.c     whether both are the same afterwards */
#ifndef PROP_DRIVE_PRIVATE_H
#define PROP_DRIVE_PRIVATE_H

#include "core/tap.h"
#include "drive.h"
#include "tape.h"

/* What the scheduler answered. */
struct heard {
	uint32_t id;
	const char *verdict, *reason, *strategy;
	int server;
	slo_load load;
	slo_nsec at, waited;
};

struct world {
	const struct setup *setup;
	struct sched *sched;
	struct tape *tape;
	struct naive *naive;
	struct sched_model *model[NAIVE_MODELS];
	struct deployment *deployment[NAIVE_MODELS][NAIVE_DEPLOYMENTS];
	struct server *server[NAIVE_SERVERS];
	struct request **waiting; /* by id */
	struct heard *heard;
	struct naive_told *told; /* of heard[] */
	size_t n_heard;
	uint32_t ids;
	slo_nsec now;
	bool verbose, taped;
	char *message;
};

/* False, and why. */
__attribute__((format(printf, 2, 3))) bool drive_differ(struct world *w, const char *fmt, ...);
/* The scheduler's answers of now. False: the two differ, as with all that follow. */
bool drive_hear(struct world *w, slo_nsec now);
enum slo_strategy drive_strategy(enum naive_strategy s);
const char *drive_err_name(slo_err e);
size_t drive_id_name(char *out, size_t size, uint32_t id);
bool drive_nothing(struct world *w, const struct op *op);

/* drive_same.c */
bool drive_same_actions(struct world *w, struct tally *tally);
bool drive_same_end(struct world *w, const struct op *op, enum sched_end_result core,
                    enum naive_end model);
bool drive_same_state(struct world *w);
bool drive_same_on_tape(struct world *w, const struct op *op);

/* drive_fleet.c */
bool drive_seat(struct world *w, const struct op *op);
bool drive_unseat(struct world *w, const struct op *op);
bool drive_leave(struct world *w, const struct op *op);
bool drive_move(struct world *w, const struct op *op);
bool drive_drop(struct world *w, const struct op *op);
bool drive_drop_model(struct world *w, const struct op *op);
bool drive_order(struct world *w, const struct op *op);
bool drive_ready(struct world *w, const struct op *op);
bool drive_profile(struct world *w, const struct op *op);
bool drive_unprofile(struct world *w, const struct op *op);
void drive_collect(struct world *w);

/* drive_foreign.c */
bool drive_foreign(struct world *w, const struct op *op);
bool drive_foreign_over(struct world *w, const struct op *op);
bool drive_owner(struct world *w, const struct op *op);
bool drive_fresh(struct world *w, const struct op *op);
bool drive_deal(struct world *w, const struct op *op);

#endif
