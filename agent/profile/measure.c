/* slo-profile measure: drives a live server through a few loads and sizes, and fits its rates.
 *
 * In each run so many requests are kept on the server: one ends, the next goes there. Prompts are
 * random words, so no cache knows them. */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "answer.h"
#include "bench_private.h"
#include "cells.h"
#include "commands.h"
#include "core/rng.h"
#include "shot.h"
#include "wire/profdoc.h"

#define SHOTS_MAX    64
#define PROBE_WORDS  64
#define PROBE_OUTPUT 16
#define REQUESTS_MAX 20000 /* of one run */
#define PATIENCE     60.0  /* seconds behind a run's end, for what is still on the server */
#define FAILURES_MAX 5     /* in one run: then the server is left alone */

struct run_plan {
	int input, output; /* tokens */
	double share;      /* of the largest concurrency */
	bool held_out;     /* checks the fit instead of feeding it */
};

static const struct run_plan plan[] = {
	{ 128, 32, 0, false },   { 128, 32, 0.5, false },  { 128, 32, 1, false },
	{ 128, 128, 0, false },  { 128, 128, 0.5, false }, { 128, 128, 1, false },
	{ 512, 64, 0, false },   { 512, 64, 0.5, false },  { 512, 64, 1, false },
	{ 1024, 32, 0, false },  { 1024, 32, 0.5, false }, { 1024, 32, 1, false },
	{ 256, 96, 0.75, true }, { 768, 48, 0.375, true }, { 256, 48, 0.25, true },
};
enum { RUNS = sizeof(plan) / sizeof(plan[0]) };

struct measure {
	const struct profile_options *opt;
	struct shot_target target;
	struct rng rng;
	double per_word; /* prompt tokens */
	double seconds;  /* of a run */
	struct shot shot[SHOTS_MAX];
	struct bench_request *request;
	size_t requests, failures;
	char error[256]; /* the last failure */
	struct bench_series series, held;
	int concurrency[RUNS]; /* of the held-out points, in the order of `held` */
};

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
	(void)number;
	stopped = 1;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int flight_of(const struct measure *m, const struct run_plan *r)
{
	return (int)fmax(round(r->share * m->opt->concurrency), 1);
}

/* Requests */

static void add_word(struct measure *m, char out[5])
{
	static const char consonants[] = "bdfgklmnprstvz", vowels[] = "aeiou";

	out[0] = consonants[rng_below(&m->rng, sizeof(consonants) - 1)];
	out[1] = vowels[rng_below(&m->rng, sizeof(vowels) - 1)];
	out[2] = consonants[rng_below(&m->rng, sizeof(consonants) - 1)];
	out[3] = vowels[rng_below(&m->rng, sizeof(vowels) - 1)];
	out[4] = ' ';
}

/* A body with a prompt of random words; NULL: out of memory. */
static char *body_of(struct measure *m, size_t words, int output)
{
	char *prompt = malloc(words * 5 + 1), *text;
	json_t *body;

	if (!prompt)
		return NULL;
	for (size_t i = 0; i < words * 5; i += 5)
		add_word(m, prompt + i);
	prompt[words * 5] = '\0';
	body = json_pack("{s:s, s:s, s:i, s:b, s:b, s:b, s:{s:b}}", "model", m->opt->model,
	                 "prompt", prompt, "max_tokens", output, "ignore_eos", 1, "cache_prompt", 0,
	                 "stream", 1, "stream_options", "include_usage", 1);
	free(prompt);
	text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	json_decref(body);
	return text;
}

static bool start(struct measure *m, struct shot *s, const struct run_plan *r)
{
	size_t words = (size_t)fmax(round(r->input / m->per_word), 1);
	char *body = body_of(m, words, r->output);
	bool ok = body && shot_start(s, &m->target, body, now());

	if (!ok) {
		snprintf(m->error, sizeof(m->error), "%s", strerror(errno));
		m->failures++;
	}
	free(body);
	return ok;
}

/* A request ended; what it tells is kept. */
static void note_end(struct measure *m, const struct shot *s, enum shot_state how)
{
	struct answer a = { .status = 0 };

	if (how == SHOT_DONE && answer_read(s->in, s->in_len, &a) == SLO_OK && a.status == 200 &&
	    a.output > 0) {
		if (m->requests < REQUESTS_MAX)
			m->request[m->requests++] = (struct bench_request){
				.input = a.input,
				.output = a.output,
				.e2e = s->end - s->sent,
				.ttft = s->first > 0 ? s->first - s->sent : NAN,
			};
		return;
	}
	m->failures++;
	if (how == SHOT_FAILED)
		snprintf(m->error, sizeof(m->error), "the connection broke");
	else if (a.status == 200)
		snprintf(m->error, sizeof(m->error),
		         "the answer has no \"usage\", so its tokens are unknown");
	else
		snprintf(m->error, sizeof(m->error), "status %d: %s", a.status, a.error);
}

/* One turn of all that are open. Returns how many are. */
static int turn(struct measure *m, const struct run_plan *r, int count, bool again)
{
	struct pollfd fds[SHOTS_MAX];
	int open = 0;

	for (int i = 0; i < count; i++)
		fds[i] = (struct pollfd){ .fd = m->shot[i].fd, .events = shot_events(&m->shot[i]) };
	if (poll(fds, (nfds_t)count, 100) < 0)
		return stopped ? 0 : count;
	for (int i = 0; i < count; i++) {
		struct shot *s = &m->shot[i];
		enum shot_state how;

		if (s->fd < 0)
			continue;
		how = fds[i].revents ? shot_go(s, now()) : SHOT_OPEN;
		if (how != SHOT_OPEN)
			note_end(m, s, how);
		if (how == SHOT_OPEN || (again && m->failures < FAILURES_MAX && start(m, s, r)))
			open++;
	}
	return open;
}

/* Keeps `count` requests on the server for so long. Returns how long it took in all. */
static double drive(struct measure *m, const struct run_plan *r, int count, double seconds)
{
	double began = now();
	int open = 0;

	m->requests = m->failures = 0;
	for (int i = 0; i < count; i++)
		open += start(m, &m->shot[i], r);
	while (open > 0 && !stopped && now() < began + seconds + PATIENCE)
		open = turn(m, r, count, now() < began + seconds);
	for (int i = 0; i < SHOTS_MAX; i++)
		shot_stop(&m->shot[i]);
	if (open > 0 && !stopped)
		snprintf(m->error, sizeof(m->error), "no end of a request within %.0f s", PATIENCE);
	return now() - began;
}

/* Runs */

static bool complain_of(const struct measure *m, const char *what)
{
	fprintf(stderr, "slo-profile: %s: %s: %s\n", m->opt->url, what,
	        m->error[0] ? m->error : "stopped");
	return false;
}

/* One request alone: whether the server answers, tokens per word, and the plan with its cost. */
static bool probe(struct measure *m)
{
	const struct run_plan alone = { .input = PROBE_WORDS, .output = PROBE_OUTPUT };
	double most = 0, step;

	m->per_word = 1;
	(void)drive(m, &alone, 1, 0);
	if (m->requests == 0)
		return complain_of(m, "it does not answer a completion");
	m->per_word = fmax(m->request->input / PROBE_WORDS, 0.1);
	step = m->request->e2e / m->request->output;
	for (size_t i = 0; i < (size_t)RUNS; i++)
		most += flight_of(m, &plan[i]) * fmax(m->seconds / step, plan[i].output);
	fprintf(stderr,
	        "plan: %d runs of %.1f s, %.0f s and the last answers of each; 1 to %d requests "
	        "at once, prompts "
	        "of 128 to 1024 tokens, answers of 32 to 128\n"
	        "cost: the server is busy for that time and writes at most about %.0f tokens; "
	        "Ctrl-C ends it and keeps what is there\n",
	        RUNS, m->seconds, (double)RUNS * m->seconds, m->opt->concurrency, most);
	return true;
}

static void show_progress(const struct run_plan *r, size_t i, int count)
{
	char bar[RUNS + 1];

	if (!isatty(STDERR_FILENO))
		return;
	memset(bar, '.', RUNS);
	memset(bar, '#', i);
	bar[RUNS] = '\0';
	fprintf(stderr, "\r[%s] input %d, output %d, %d at once \033[K", bar, r->input, r->output,
	        count);
}

static void show_run(const struct measure *m, const struct run_plan *r, int count, double took)
{
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
	if (m->requests == 0)
		fprintf(
		    stderr,
		    "run: input %d, output %d, %d at once: left out, no request succeeded: %s\n",
		    r->input, r->output, count, m->error[0] ? m->error : "stopped");
	else
		fprintf(stderr,
		        "run: input %d, output %d, %d at once: %.2f requests/s, %zu failed%s\n",
		        r->input, r->output, count, (double)m->requests / took, m->failures,
		        r->held_out ? " (held out)" : "");
}

/* The means of a run, as one point. False: out of memory. */
static bool keep(struct measure *m, const struct run_plan *r, int count, double took)
{
	struct bench_series *s = r->held_out ? &m->held : &m->series;
	struct bench_run mean = { .requests = (double)m->requests };
	double n = mean.requests, ttft = 0;
	struct doc_error err;
	struct reader reader;
	bool ok;

	for (size_t i = 0; i < m->requests; i++) {
		mean.input += m->request[i].input / n;
		mean.output += m->request[i].output / n;
		mean.e2e += m->request[i].e2e / n;
		ttft += m->request[i].ttft / n;
	}
	mean.ttft = ttft;
	mean.tail = NAN;
	/* At the run's end fewer are there: the rate is that of the full load. */
	mean.rate = fmax(count / mean.e2e, n / took);
	if (r->held_out)
		m->concurrency[s->count] = count;
	reader_open(&reader, NULL, "{}", 2, READER_NAN, &err);
	ok = !reader.failed && bench_add_run(&reader, s, &mean);
	reader_close(&reader);
	return ok;
}

/* All runs, until the server fails or somebody stops it. */
static bool run_all(struct measure *m)
{
	for (size_t i = 0; i < (size_t)RUNS && !stopped; i++) {
		const struct run_plan *r = &plan[i];
		int count = flight_of(m, r);
		double took;

		show_progress(r, i, count);
		m->error[0] = '\0';
		took = drive(m, r, count, m->seconds);
		/* What was cut short says less than nothing. */
		if (stopped && took < m->seconds)
			break;
		show_run(m, r, count, took);
		if (m->requests > 0 && !keep(m, r, count, took))
			return complain("measure", "out of memory") == EXIT_SUCCESS;
	}
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
	if (stopped)
		fprintf(stderr, "stopped: %zu runs are kept\n", m->series.count);
	if (m->series.count > 0)
		return true;
	return complain_of(m, "no run succeeded, so there is no profile");
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Predicts runs that the fit did not see, from their size and concurrency alone. */
static void check_held_out(const struct measure *m, const struct bench_fit *f)
{
	const struct latency_rates *r = &f->rates;
	double errors[RUNS];

	for (size_t i = 0; i < m->held.count; i++) {
		const struct bench_point *p = &m->held.point[i];
		double others =
		    r->prompt * p->input + r->cached * p->output * (p->input + p->output / 2);
		double said = r->step * p->output + m->concurrency[i] * others;

		errors[i] = fabs(p->e2e / said - 1);
		fprintf(stderr,
		        "held out: input %.0f, output %.0f, %d at once: %.3g s, predicted %.3g s "
		        "(%+.0f %%)\n",
		        p->input, p->output, m->concurrency[i], p->e2e, said,
		        (said / p->e2e - 1) * 100);
	}
	if (m->held.count == 0)
		return;
	qsort(errors, m->held.count, sizeof(*errors), by_value);
	fprintf(stderr, "held out: off by %.0f %% (median)\n", errors[m->held.count / 2] * 100);
}

static bool prepare(struct measure *m, const struct profile_options *opt)
{
	const struct sigaction action = { .sa_handler = on_signal };
	const char *why = shot_target_parse(&m->target, opt->url);

	m->opt = opt;
	m->seconds = opt->seconds / RUNS;
	rng_init(&m->rng, (uint64_t)opt->now);
	bench_init(&m->series);
	bench_init(&m->held);
	for (int i = 0; i < SHOTS_MAX; i++)
		shot_init(&m->shot[i]);
	if (why)
		return complain(opt->url, why) == EXIT_SUCCESS;
	m->request = calloc(REQUESTS_MAX, sizeof(*m->request));
	if (!m->request)
		return complain("measure", "out of memory") == EXIT_SUCCESS;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	return true;
}

int command_measure(const struct profile_options *opt)
{
	static struct measure m;
	struct bench_fit fit;
	bool ok;

	if (!can_save(opt->output)) /* nothing was made that is to be freed */
		return EXIT_FAILURE;
	ok = prepare(&m, opt) && probe(&m) && run_all(&m);
	if (ok && !bench_fit(&m.series, opt->kv, &fit))
		ok = complain("fit", "out of memory") == EXIT_SUCCESS;
	if (ok) {
		ok = write_profile(opt, &m.series, &fit);
		check_held_out(&m, &fit);
	}
	for (int i = 0; i < SHOTS_MAX; i++)
		shot_free(&m.shot[i]);
	bench_free(&m.series);
	bench_free(&m.held);
	free(m.request);
	shot_target_free(&m.target);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
