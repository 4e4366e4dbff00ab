/* private.h - what the files of slo-replay share. */
#ifndef SLO_REPLAY_PRIVATE_H
#define SLO_REPLAY_PRIVATE_H

#include <stdbool.h>
#include <stdio.h>

#include "core/sched.h"
#include "slo.h"
#include "slo_event.h"

struct replay_options {
	bool quiet;
	bool recorded; /* print what was recorded, not what is decided now */
	bool forced;   /* `strategy` is for every request */
	enum slo_strategy strategy;
};

struct replay_totals {
	uint64_t verdicts[SLO_VERDICTS];
	uint64_t queued;
};

/* A decision, whoever made it. */
struct replay_decision {
	slo_nsec t;
	struct slice id;
	enum slo_verdict verdict;
	enum slo_reason reason;
	enum slo_strategy strategy;
	const char *server; /* NULL: none */
	slo_load load;
};

/* Output, in the contract's format. */
void put_decision(const struct replay_decision *d);
void put_refused_profile(slo_nsec t, const char *why);
/* Adds them to the totals and prints them unless quiet. False: out of memory. */
bool put_queued(struct sched *s, const struct replay_options *opt, struct replay_totals *totals);
void put_totals(const struct replay_totals *t, double cpu_seconds);
struct replay_decision decision_of(slo_nsec t, const struct sched_action *act);
/* It was cancelled while it waited: nobody is there to be answered. */
bool is_for_nobody(enum slo_verdict verdict, enum slo_reason reason);

/* Each plays one file. False: something is wrong with it, which was written to stderr. */
bool play_scenario(const struct replay_options *opt, const char *path, FILE *in,
                   struct replay_totals *totals);
bool play_recording(const struct replay_options *opt, const char *path, struct slice file,
                    struct replay_totals *totals);
/* Plays it as it was and with the forced strategy. */
bool play_what_if(const struct replay_options *opt, const char *path, struct slice file,
                  struct replay_totals *totals);

/* The records of a recording. */
struct record_reader;
struct replay_source {
	const char *path;
	struct slice file;
	size_t at, next; /* of the record in `event`, and of the one behind it */
	struct record_reader *reader;
	struct slo_event event;
	slo_nsec unix_ahead; /* Unix time less the recorder's clock */
};
/* False: no memory, or another layout; that was said. */
bool source_open(struct replay_source *s, const char *path, struct slice file);
void source_close(struct replay_source *s);
/* The next one; *ok is false if it ended by an error, which was said. */
bool source_next(struct replay_source *s, bool *ok);
bool source_complain(const struct replay_source *s, const char *why);

#endif
