/* stats.h - counters and histograms behind /metrics and /state.json. */
#ifndef SLO_IO_AGENT_STATS_H
#define SLO_IO_AGENT_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/sched.h"
#include "io/agent/attain.h"
#include "wire/body.h"
#include "slo.h"

#define HISTOGRAM_BUCKETS_MAX 48

/* Upper bounds in seconds, ascending; one more bucket than bounds, for what is above. */
struct histogram_bounds {
	size_t count;
	double bound[HISTOGRAM_BUCKETS_MAX];
};

extern const struct histogram_bounds stats_wait_bounds;  /* queue, end to end, first token */
extern const struct histogram_bounds stats_cpu_bounds;   /* decisions */
extern const struct histogram_bounds stats_lag_bounds;   /* turns of the loop */
extern const struct histogram_bounds stats_token_bounds; /* per token, fine: for quantiles */

struct histogram {
	const struct histogram_bounds *bounds;
	uint64_t count[HISTOGRAM_BUCKETS_MAX + 1];
	uint64_t total;
	double sum;  /* seconds */
	size_t last; /* bucket that was counted last: often the next one's too */
};

void histogram_init(struct histogram *h, const struct histogram_bounds *bounds);
/* n >= 1 things that took so long together, each as long as the other. */
void histogram_add(struct histogram *h, double seconds, size_t n);
/* Upper bound of the bucket that holds the quantile q in 0..1; 0 when empty. */
double histogram_quantile(const struct histogram *h, double q);

/* Requests by what was decided. */
struct decision_stats {
	uint64_t requests[SLO_STRATEGIES][SLO_VERDICTS][SLO_REASONS];
};

/* Finished requests of one strategy and verdict. */
struct outcome_stats {
	struct histogram per_token; /* end to end, over prompt and output tokens */
	uint64_t met, missed;       /* only those with a target */
};

struct model_stats {
	struct decision_stats decisions;
	struct outcome_stats outcome[SLO_STRATEGIES][SLO_VERDICTS];
	struct histogram queue, e2e, ttft;
	uint64_t ends[LESSON_OUTCOME_COUNT];
	/* By the target that was missed, all of them; GOAL_NONE: the server failed. */
	uint64_t missed[GOAL_KINDS];
	uint64_t refused[GOAL_KINDS]; /* slo-failure, by the target that decided */
	struct attain promises;       /* of all requests with a target */
	struct attain by_strategy[SLO_STRATEGIES];
	struct attain by_target[GOAL_KINDS]; /* the one that decides */
	uint64_t by_class[SLO_STRATEGIES][GOAL_KINDS][PROMISES];
	/* Of the slot that began at fresh_since, and in none of these yet. */
	uint32_t fresh[SLO_STRATEGIES][GOAL_KINDS][PROMISES];
	slo_nsec fresh_since;
	bool any_fresh;
};

/* Requests against the profile, since it was last judged (watch.h). */
struct fit {
	uint32_t all;
	uint32_t slow;    /* took more than twice as long as it tells */
	uint32_t fast;    /* less than a tenth */
	uint32_t outside; /* are far larger than all its sizes */
	uint32_t below;   /* far smaller */
};

/* So much a second, as a mean in which what is RATE_SPAN old counts 1/e. Zeroed: nothing yet. */
struct rate {
	double value;
	slo_nsec at;  /* when it was that */
	double fresh; /* the amount that came since, for a second at most */
};

#define RATE_SPAN (60 * SLO_NSEC_PER_SEC)

void rate_add(struct rate *r, slo_nsec now, double amount);
double rate_now(const struct rate *r, slo_nsec now);

/* What ended on a server, and how full it ever was. */
struct server_stats {
	uint64_t requests, tokens; /* finished; prompt and output */
	struct rate token_rate;    /* of those tokens */
	uint64_t ends[LESSON_OUTCOME_COUNT];
	uint32_t empty_row; /* empty answers in a row, the last ones */
	uint32_t peak_inflight;
	slo_load peak_load;
};

/* X(NAME, label value): enum and text come from one list. */
#define RESPONSE_LIST(X)                                                  \
	X(2XX, "2xx")                                                     \
	X(3XX, "3xx")                                                     \
	X(4XX, "4xx")                                                     \
	X(5XX, "5xx")       /* HAProxy's own in its place included */     \
	X(BROKEN, "broken") /* began well, and the server broke it off */ \
	X(NONE, "none")                                                   \
	X(LEFT, "left") /* the client did */

/* How a server answered. */
enum response {
#define RESPONSE_MEMBER(name, text) RESPONSE_##name,
	RESPONSE_LIST(RESPONSE_MEMBER)
#undef RESPONSE_MEMBER
	    RESPONSES, /* how many there are */
};

#define ELSEWHERE_LIST(X)               \
	X(REDISPATCHED, "redispatched") \
	X(SKIPPED, "skipped")           \
	X(UNKNOWN, "unknown")           \
	X(UNHEARD, "unheard")

/* Why another server than the chosen one answered. */
enum elsewhere {
#define ELSEWHERE_MEMBER(name, text) ELSEWHERE_##name,
	ELSEWHERE_LIST(ELSEWHERE_MEMBER)
#undef ELSEWHERE_MEMBER
	    ELSEWHERES, /* how many there are */
};

#define FRAME_KIND_LIST(X)            \
	X(HELLO, "hello")             \
	X(HEALTHCHECK, "healthcheck") \
	X(NOTIFY, "notify")           \
	X(ACK, "ack")                 \
	X(DISCONNECT, "disconnect")   \
	X(OTHER, "other")

enum frame_kind {
#define FRAME_KIND_MEMBER(name, text) FRAME_##name,
	FRAME_KIND_LIST(FRAME_KIND_MEMBER)
#undef FRAME_KIND_MEMBER
	    FRAME_KINDS, /* how many there are */
};

enum frame_result { FRAME_OK, FRAME_ERROR, FRAME_RESULTS };

#define END_KIND_LIST(X)          \
	X(CLOSED, "closed")       \
	X(CANCELLED, "cancelled") \
	X(DUPLICATE, "duplicate") \
	X(UNKNOWN, "unknown")     \
	X(MALFORMED, "malformed") \
	X(DROPPED, "dropped")

enum end_kind {
#define END_KIND_MEMBER(name, text) END_##name,
	END_KIND_LIST(END_KIND_MEMBER)
#undef END_KIND_MEMBER
	    END_KINDS, /* how many there are */
};

struct stats {
	slo_nsec started;
	double started_unix;            /* the same by the wall clock of then, in seconds */
	struct decision_stats no_model; /* requests of no model that we know */
	uint64_t unknown_strategy;
	/* Of clients, by the model's "limits". */
	uint64_t limited_strategies, limited_targets, limited_priorities;
	uint64_t bad_arguments;      /* numbers in headers that are none */
	uint64_t bodies[BODY_FORMS]; /* by what they were */
	struct histogram decision;
	struct histogram lag; /* of the loop, loop_lag.h */
	slo_nsec longest_lag; /* since the start */
	uint64_t frames[FRAME_KINDS][FRAME_RESULTS];
	uint64_t end_lines[END_KINDS];
	uint64_t notices;         /* HAProxy's own lines, of servers and proxies */
	uint64_t notices_ignored; /* of servers about which a view contradicted one */
	uint64_t unauthorized_lines, unauthorized_requests; /* without the listener's secret */
	uint64_t snapshots;                                 /* written */
	bool reload_failed;                                 /* the last one */
	size_t spop_connections, event_connections;
};

const char *stats_frame_kind(enum frame_kind k);
const char *stats_end_kind(enum end_kind k);
const char *stats_response(enum response r);
const char *stats_elsewhere(enum elsewhere e);

/* now and unix_now are the same moment. */
void stats_init(struct stats *s, slo_nsec now, double unix_now);
void model_stats_init(struct model_stats *m);
/* Another slot begins. */
COLD void model_stats_turn(struct model_stats *m, slo_nsec now);
/* A request with a target of that kind was served in time, too late, or not at all. */
static inline void model_stats_promise(struct model_stats *m, slo_nsec now,
                                       enum slo_strategy strategy, enum goal_kind kind,
                                       enum promise p)
{
	if (SELDOM(now - m->fresh_since >= ATTAIN_SLOT))
		model_stats_turn(m, now);
	m->fresh[strategy][kind][p]++;
	m->any_fresh = true;
}
/* Before anybody reads `promises` or by_...: what came lately is in them, too. */
void model_stats_settle(struct model_stats *m);

#endif
