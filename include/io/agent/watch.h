/* watch.h - compares what the agent is asked and told with what it expects, and sets a warning
 * (warn.h) where both do not fit. A warning goes when its cause is gone.
 *
 * Whoever sees something odd notes it: one counter, and the last case for the sentence. Once in
 * WATCH_EVERY the counters are judged, as a share of all that came meanwhile: so a single stray
 * line is no warning, and what is good again ends one. What has no good case to compare with is
 * over when it has not come for WATCH_QUIET. */
#ifndef SLO_IO_AGENT_WATCH_H
#define SLO_IO_AGENT_WATCH_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "slo.h"

#define WATCH_EVERY      SLO_NSEC_PER_SEC
#define WATCH_QUIET      (60 * SLO_NSEC_PER_SEC)
#define WATCH_DETAIL_MAX 160 /* bytes of the last case */

/* tests/bench/observing.py builds an agent without the part of this, of cell_fit.h and of attain.h
 * that each request runs through, to tell what it costs. */
#ifdef SLO_UNOBSERVED
#define OBSERVES false
#else
#define OBSERVES true
#endif

struct agent;
struct endline;

enum watched {
	WATCH_MESSAGE,   /* a question without message slo-route */
	WATCH_ID,        /* without a usable id */
	WATCH_REPEATED,  /* with an id that is in use */
	WATCH_BODY,      /* for work, and without a body */
	WATCH_MODEL,     /* for a model that is not configured */
	WATCH_HEADER,    /* with a header that is no number */
	WATCH_LATE,      /* an end line: HAProxy did not wait for the answer */
	WATCH_SIZE,      /* the question did not fit into a frame */
	WATCH_LOST,      /* the agent was away, or its connection broke */
	WATCH_SKIPPED,   /* HAProxy used another server, and not because the chosen one refused */
	WATCH_MOVED,     /* because it did */
	WATCH_STRANGER,  /* a server that nobody configured */
	WATCH_BYPASS,    /* an answer of an LLM that the agent was not asked about */
	WATCH_MALFORMED, /* a line that is no end line, or has no valid id */
	WATCH_RING,      /* a ring overflowed */
	WATCH_SECRET,    /* a secret was not told */
	WATCH_PORT,      /* a peer that speaks something else */
	WATCH_UNENDED,   /* a request is over, as HAProxy's counts say, and no line told it */
	WATCH_OTHERS, /* an answer of an LLM that another agent was asked about, unheard of here */
	WATCHED,      /* how many there are */
};

struct watch {
	ev_timer timer;
	uint64_t bad[WATCHED]; /* so far */
	char detail[WATCHED][WATCH_DETAIL_MAX];
	struct watch_window {
		uint64_t bad, all; /* when it began */
		slo_nsec since;
		slo_nsec last; /* that it was bad; 0: never */
		uint64_t seen; /* of bad, at the last look */
		bool warned;
	} window[WATCHED];
	uint64_t dispatched; /* so far */
	/* Since the last end line that closed a request. */
	struct watch_silence {
		uint64_t closed, dispatched, unknown, malformed, expired;
		slo_nsec since; /* the first dispatch; 0: none */
	} silence;
	uint64_t frames;      /* SPOP frames, when HAProxy was last known to have changed */
	slo_nsec haproxy_new; /* when that was; 0: it never answered */
	slo_nsec surplus_since;
	uint64_t surplus_asked; /* questions, then */
	int64_t wall;           /* minus our clock, at the last look; 0: never looked */
	slo_nsec wall_at;       /* when that was */
	slo_nsec clock_stepped; /* when; 0: never */
	slo_nsec looked;        /* at the fleet and its profiles */
	slo_nsec unheard;       /* the last time when other agents could not be heard; 0: never */
};

void watch_init(struct agent *a);
void watch_fini(struct agent *a);

/* A case of it; the format may be NULL. */
COLD void watch_note(struct agent *a, enum watched w, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* What an end line says of how its question went; known: the agent was asked about it. */
void watch_end_line(struct agent *a, slo_nsec now, const struct endline *e, bool known);
/* Other agents may place requests now that this one does not hear of. */
void watch_unheard(struct agent *a, slo_nsec now);
/* HAProxy answers on its runtime API for the first time, or another process does. */
void watch_haproxy_changed(struct agent *a, slo_nsec now);

/* Profiles were read again: what their texts tell is told at once. */
void watch_profiles(struct agent *a, slo_nsec now);

/* Another configuration is in force. */
void watch_configured(struct agent *a, slo_nsec now);

/* Judges everything; the timer calls it. unix_now: by the wall clock. */
void watch_judge(struct agent *a, slo_nsec now, int64_t unix_now);

#endif
