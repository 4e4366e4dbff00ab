/* bench_private.h - what the readers of the formats share. Each gets the outermost value of a text
 * and reports what is wrong to the reader. */
#ifndef SLO_PROFILE_BENCH_PRIVATE_H
#define SLO_PROFILE_BENCH_PRIVATE_H

#include "bench.h"
#include "wire/json/reader.h"

#define BENCH_TOKENS_MAX  1e8
#define BENCH_SECONDS_MAX 1e6
#define BENCH_RATE_MAX    1e6
#define BENCH_COUNT_MAX   1e9

/* All requests of a run have one size, or only the means are known. */
struct bench_run {
	double input, output, rate, e2e, ttft, tail, requests;
};

struct bench_request {
	double input, output, e2e, ttft; /* ttft: NAN if unknown */
};

/* False: out of memory, or too many points; the reader was told. */
bool bench_add(struct reader *r, struct bench_series *s, const struct bench_point *p);
bool bench_add_run(struct reader *r, struct bench_series *s, const struct bench_run *run);
/* Each request by itself: one point for each size, in octaves. Sorts them. `seconds` is how long
 * the run took. */
bool bench_add_requests(struct reader *r, struct bench_series *s, struct bench_request *request,
                        size_t count, double seconds);

/* A number that must be there, in [least, most]; 0 after an error. */
double bench_need(struct reader *r, const struct node *object, const char *key, double least,
                  double most);
/* NAN when it is absent or null. */
double bench_may(struct reader *r, const struct node *object, const char *key, double least,
                 double most);
/* A time to the first token that a run without streams leaves is none. */
double bench_ttft(struct bench_series *s, double ttft, double e2e);

/* vllm bench serve, and SGLang's bench_serving. */
void bench_read_serving(struct reader *r, const struct node *root, struct bench_series *s);
void bench_read_guidellm(struct reader *r, const struct node *root, struct bench_series *s);
/* AIPerf and GenAI-Perf, the summary. */
void bench_read_aiperf(struct reader *r, const struct node *root, struct bench_series *s);
/* An AIBrix profile. */
void bench_read_profile(struct reader *r, const struct node *root, struct bench_series *s);

/* Formats with one fact in each line: gathered, then added at the file's end. */
struct bench_rows;
struct bench_rows *bench_rows_new(void);
void bench_rows_free(struct bench_rows *rows);
size_t bench_rows_count(const struct bench_rows *rows);
/* AIPerf, a request in each line. */
void bench_read_aiperf_row(struct reader *r, const struct node *root, struct bench_rows *rows);
/* AIBrix, a metric of a run in each line. */
void bench_read_aibrix_row(struct reader *r, const struct node *root, struct bench_rows *rows);
/* Adds what was gathered. An error has no place in a line. */
void bench_rows_end(struct reader *r, struct bench_rows *rows, struct bench_series *s);

#endif
