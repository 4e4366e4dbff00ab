/* prop.c - property test of the scheduler: random operations, decided by it and by a naive
 * model (naive.h), and every decision compared.
 *
 * All sequences run in one child process that leaves what it does in shared memory, so that an
 * abort of the scheduler, or a loop without end, is found out like any other difference. What fails
 * is then shrunk: operations are left out as long as it fails still. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "drive.h"

#define SEED_SECONDS   10 /* one sequence takes milliseconds */
#define TRIAL_SECONDS  10 /* of shrinking */
#define SHRINK_SECONDS 60

struct args {
	uint64_t ops, seeds, seed;
	const char *out;
	bool verbose, stats;
};

/* Written by the child, read by the parent. */
struct shared {
	uint64_t seed; /* the present one */
	size_t count;  /* operations of it begun */
	uint64_t done; /* of all seeds */
	struct tally tally;
	char message[MESSAGE_MAX];
	struct op op[];
};

/* --verbose shows what is left after shrinking. */
static int usage(const char *name)
{
	fprintf(stderr,
	        "usage: %s [--ops N] [--seeds N] [--seed S] [--out FILE] [--stats] [--verbose]\n",
	        name);
	return 2;
}

static bool parse_number(const char *s, uint64_t *out)
{
	char *stop;

	*out = strtoull(s, &stop, 10);
	return *s != '\0' && *stop == '\0';
}

static bool parse_args(int argc, char **argv, struct args *a)
{
	bool seeds_given = false;

	*a = (struct args){ .ops = 1000000, .seed = 1, .out = "./prop-failure.jsonl" };
	for (int i = 1; i < argc; i++) {
		bool more = i + 1 < argc, ok = true;

		if (strcmp(argv[i], "--verbose") == 0)
			a->verbose = true;
		else if (strcmp(argv[i], "--stats") == 0)
			a->stats = true;
		else if (strcmp(argv[i], "--ops") == 0 && more)
			ok = parse_number(argv[++i], &a->ops);
		else if (strcmp(argv[i], "--seeds") == 0 && more)
			ok = seeds_given = parse_number(argv[++i], &a->seeds);
		else if (strcmp(argv[i], "--seed") == 0 && more)
			ok = parse_number(argv[++i], &a->seed);
		else if (strcmp(argv[i], "--out") == 0 && more)
			a->out = argv[++i];
		else
			ok = false;
		if (!ok)
			return false;
	}
	if (!seeds_given)
		a->seeds = (a->ops + 999) / 1000;
	return a->ops > 0 && a->seeds > 0 && a->ops / a->seeds < 1000000;
}

/* ---- running ---- */

static bool run_seed(struct shared *sh, uint64_t seed, size_t ops)
{
	struct setup setup;
	struct world *w;
	struct gen gen;
	bool same = true;

	setup_init(&setup, seed);
	gen_init(&gen, &setup);
	sh->seed = seed;
	sh->count = 0;
	alarm((unsigned)(SEED_SECONDS + ops / 5000));
	w = world_new(&setup, (uint32_t)ops + 1, false);
	if (w == NULL) {
		snprintf(sh->message, sizeof(sh->message), "out of memory");
		return false;
	}
	while (same && sh->count < ops) {
		struct op *op = &sh->op[sh->count++];

		*op = gen_next(&gen, world_naive(w));
		same = world_apply(w, op, sh->message, &sh->tally);
		sh->done++;
	}
	world_free(w);
	return same;
}

static bool run_all(const struct args *a, struct shared *sh, size_t per_seed)
{
	for (uint64_t i = 0; i < a->seeds; i++)
		if (!run_seed(sh, a->seed + i, per_seed))
			return false;
	return true;
}

static void print_op(size_t number, const struct op *op)
{
	char line[4096];

	op_describe(op, line, sizeof(line));
	printf("%zu %s\n", number, line);
	fflush(stdout);
}

/* Runs the first sh->count operations once more; false at the first difference. */
static bool run_again(const struct setup *setup, struct shared *sh, uint32_t ids, bool verbose)
{
	struct world *w = world_new(setup, ids, verbose);
	bool same = w != NULL;

	for (size_t i = 0; same && i < sh->count; i++) {
		if (verbose)
			print_op(i + 1, &sh->op[i]);
		same = world_apply(w, &sh->op[i], sh->message, &sh->tally);
		if (!same)
			sh->count = i + 1;
	}
	world_free(w);
	return same;
}

static bool child_succeeded(pid_t pid, struct shared *sh)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		snprintf(sh->message, sizeof(sh->message), "no child process");
		return false;
	}
	if (WIFSIGNALED(status))
		snprintf(sh->message, sizeof(sh->message), "killed by signal %d", WTERMSIG(status));
	else if (WEXITSTATUS(status) > 1)
		snprintf(sh->message, sizeof(sh->message), "exit status %d", WEXITSTATUS(status));
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* ---- shrinking ---- */

struct shrink {
	struct setup setup;
	struct shared *sh;
	struct op *op; /* what fails, as far as it is known */
	size_t count;
	uint32_t ids;
	time_t until;
};

/* What is left, operation by operation, and what was answered. */
static void show(struct shrink *s)
{
	pid_t pid;

	memcpy(s->sh->op, s->op, s->count * sizeof(*s->op));
	s->sh->count = s->count;
	pid = fork();
	if (pid == 0)
		exit(run_again(&s->setup, s->sh, s->ids, true) ? 0 : 1);
	(void)child_succeeded(pid, s->sh);
}

/* Whether it still fails without the operations [from, to). If so they are gone. */
static bool fails_without(struct shrink *s, size_t from, size_t to)
{
	struct shared *sh = s->sh;
	pid_t pid;

	memcpy(sh->op, s->op, from * sizeof(*s->op));
	memcpy(sh->op + from, s->op + to, (s->count - to) * sizeof(*s->op));
	sh->count = s->count - (to - from);
	pid = fork();
	if (pid == 0) {
		if (freopen("/dev/null", "w", stderr) == NULL)
			_exit(0);
		alarm(TRIAL_SECONDS);
		_exit(run_again(&s->setup, sh, s->ids, false) ? 0 : 1);
	}
	if (pid < 0 || child_succeeded(pid, sh))
		return false;
	s->count = sh->count;
	memcpy(s->op, sh->op, s->count * sizeof(*s->op));
	return true;
}

static void shrink(struct shrink *s)
{
	size_t chunk = s->count / 2 > 0 ? s->count / 2 : 1;
	bool smaller;

	for (;;) {
		smaller = false;
		for (size_t end = s->count; end > 0 && time(NULL) < s->until;) {
			size_t from = end > chunk ? end - chunk : 0;

			smaller |= fails_without(s, from, end);
			end = from < s->count ? from : s->count;
		}
		if ((chunk == 1 && !smaller) || time(NULL) >= s->until)
			return;
		chunk = chunk > 1 ? chunk / 2 : 1;
	}
}

static void report_failure(const struct args *a, struct shared *sh)
{
	struct shrink s = { .sh = sh, .count = sh->count, .until = time(NULL) + SHRINK_SECONDS };
	FILE *f;

	fprintf(stderr, "prop: seed %llu, op %zu: %s\n", (unsigned long long)sh->seed, sh->count,
	        sh->message);
	setup_init(&s.setup, sh->seed);
	s.op = calloc(s.count + 1, sizeof(*s.op));
	if (s.op == NULL)
		return;
	memcpy(s.op, sh->op, s.count * sizeof(*s.op));
	for (size_t i = 0; i < s.count; i++)
		s.ids = s.op[i].id >= s.ids ? s.op[i].id + 1 : s.ids;
	s.ids = (uint32_t)s.count + s.ids + 1;
	if (!fails_without(&s, s.count, s.count)) {
		fprintf(stderr, "prop: it does not fail again\n");
		free(s.op);
		return;
	}
	shrink(&s);
	fails_without(&s, s.count, s.count);
	fprintf(stderr, "prop: shrunk to %zu operations: %s\n", s.count, sh->message);
	if (a->verbose)
		show(&s);
	f = fopen(a->out, "w");
	if (f != NULL) {
		ops_write(f, &s.setup, s.op, s.count, sh->message);
		fclose(f);
		fprintf(stderr, "prop: written to %s\n", a->out);
	}
	free(s.op);
}

/* ---- random picks ---- */

/* Whether each of n servers was drawn about equally often: within 6 standard deviations. */
static bool draws_are_uniform(const struct tally *t)
{
	for (unsigned n = 1; n <= NAIVE_SERVERS; n++) {
		uint64_t sum = 0;

		for (unsigned k = 0; k < n; k++)
			sum += t->drawn[n][k];
		for (unsigned k = 0; k < n; k++) {
			double mean = (double)sum / n;
			double off = (double)t->drawn[n][k] - mean;

			if (off * off > 36 * mean + 36) {
				fprintf(stderr,
				        "prop: random took server %u of %u %.0f times, not %.0f\n",
				        k, n, mean + off, mean);
				return false;
			}
		}
	}
	return true;
}

static void print_stats(const struct tally *t)
{
	printf("%llu answers, %llu of them routes after waiting, %llu heavier than a server\n",
	       (unsigned long long)t->answers, (unsigned long long)t->waited,
	       (unsigned long long)t->heavy);
	for (int v = 0; v < 4; v++)
		for (int r = 0; r < NAIVE_REASONS; r++)
			if (t->seen[v][r] > 0)
				printf("%12llu %s %s\n", (unsigned long long)t->seen[v][r],
				       naive_verdict_name[v], naive_reason_name[r]);
}

int main(int argc, char **argv)
{
	struct args a;
	struct shared *sh;
	size_t per_seed;
	pid_t pid;
	bool ok;

	if (!parse_args(argc, argv, &a))
		return usage(argv[0]);
	per_seed = (size_t)((a.ops + a.seeds - 1) / a.seeds);
	sh = mmap(NULL, sizeof(*sh) + (per_seed + 1) * sizeof(sh->op[0]), PROT_READ | PROT_WRITE,
	          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (sh == MAP_FAILED) {
		perror("prop");
		return 2;
	}
	pid = fork();
	if (pid == 0)
		exit(run_all(&a, sh, per_seed) ? 0 : 1);
	ok = child_succeeded(pid, sh);
	if (!ok)
		report_failure(&a, sh);
	else
		ok = draws_are_uniform(&sh->tally);
	if (a.stats)
		print_stats(&sh->tally);
	if (ok)
		printf("prop: %llu operations, %llu seeds, 0 mismatches\n",
		       (unsigned long long)sh->done, (unsigned long long)a.seeds);
	return ok ? 0 : 1;
}
