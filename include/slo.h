/* slo.h - the few words that all layers share: time, errors, borrowed bytes (slice.h). */
#ifndef SLO_H
#define SLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slice.h"

/* A point in time or a span, in nanoseconds. Points are CLOCK_MONOTONIC in the daemon and
 * scenario time in tools; nothing but the shell reads a clock. */
typedef int64_t slo_nsec;

#define SLO_NSEC_PER_SEC  INT64_C(1000000000)
#define SLO_NSEC_PER_MSEC INT64_C(1000000)
#define SLO_NEVER         INT64_MAX

/* t + span, where either may be "never". */
static inline slo_nsec slo_after(slo_nsec t, slo_nsec span)
{
	return span == SLO_NEVER || t > SLO_NEVER - span ? SLO_NEVER : t + span;
}

/* What the caller has to do next. Results behind pointers are written only on SLO_OK. */
typedef enum slo_err {
	SLO_OK = 0,
	SLO_ESHORT = -1,  /* the bytes end too early: wait for more */
	SLO_EPROTO = -2,  /* the peer broke the format: drop it */
	SLO_ETOOBIG = -3, /* a limit is exceeded: refuse it */
	SLO_EFULL = -4,   /* no room now: refuse this one, keep the rest */
	SLO_ESTALE = -5,  /* it was over before: count it and go on */
	SLO_ENOENT = -6,  /* no such thing */
	SLO_EINVAL = -7,  /* the value makes no sense: tell the user where */
	SLO_ENOMEM = -8,  /* nothing changed */
	SLO_ESYS = -9,    /* see errno */
} slo_err;

#define MUSTCHECK __attribute__((warn_unused_result))
/* Seldom called: compilers keep it, and whatever leads to it, out of the usual path's way. */
#define COLD      __attribute__((cold))
/* A condition that is seldom true, for the few places that every request passes often. */
#define SELDOM(x) __builtin_expect(!!(x), 0)

/* What a request asked for, or is measured against: spans, 0 = not set. */
struct slo_target {
	slo_nsec e2e;
	slo_nsec ttft;
	slo_nsec tpot;
};

static inline bool slo_target_is_set(const struct slo_target *t)
{
	return t->tpot > 0 || t->ttft > 0 || t->e2e > 0;
}

#endif
