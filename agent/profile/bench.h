/* bench.h - what a benchmark of a real server found, whichever tool wrote it.
 *
 * Several files are one series: runs of the same servers at different rates and sizes. A point is
 * what requests of one size took in one run, and what the server did meanwhile. Pure: texts in,
 * numbers out. */
#ifndef SLO_PROFILE_BENCH_H
#define SLO_PROFILE_BENCH_H

#include <stdbool.h>
#include <stddef.h>

#include "slo.h"
#include "slo_profile.h"
#include "wire/json/doc_error.h"

#define BENCH_TEXT_MAX   ((size_t)256 << 20) /* bytes of a file */
#define BENCH_POINTS_MAX 100000
#define BENCH_NOTES_MAX  32

struct bench_point {
	double input, output; /* tokens, mean; at least 1 */
	double e2e;           /* seconds, mean */
	double ttft;          /* seconds, mean; NAN: not told, or the answers were no streams */
	double tail;          /* 99th percentile / mean of e2e; NAN: not told */
	double requests;      /* how many stand behind it, at least 1 */
	/* Of the whole run. */
	bool loaded;    /* they are known; else only the size and its times are */
	double rate;    /* requests/s that ended well */
	double flight;  /* requests on the server, mean */
	double prompts; /* prompt tokens read per second */
	double held;    /* tokens in the KV cache, mean */
};

struct bench_series {
	struct bench_point *point;
	size_t count, room;
	struct slo_profile_doc *profile; /* the last profile among the files, or NULL */
	char gpu[64];                    /* "" if no file tells */
	/* What is missing or was left out, a sentence each, for people. */
	char note[BENCH_NOTES_MAX][240];
	size_t notes;
};

void bench_init(struct bench_series *s);
void bench_free(struct bench_series *s);
__attribute__((format(printf, 2, 3))) void bench_note(struct bench_series *s, const char *format,
                                                      ...);

/* Adds what a file holds. SLO_EPROTO: not JSON; SLO_EINVAL: no benchmark, or no request succeeded
 * in it; SLO_ETOOBIG, SLO_ENOMEM. *err is written then, and s is good for bench_free() only. */
MUSTCHECK slo_err bench_read(struct bench_series *s, const char *file, const char *text, size_t len,
                             struct doc_error *err);

#endif
