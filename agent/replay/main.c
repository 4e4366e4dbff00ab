/* slo-replay: scenario files, and what a recorder wrote, through the scheduler. Time is the file's;
 * nothing sleeps. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "private.h"

#define EXIT_USAGE 2
#define READ_SIZE  ((size_t)1 << 20)

static bool complain(const char *path, const char *why)
{
	fflush(stdout);
	fprintf(stderr, "%s: %s\n", path, why);
	return false;
}

/* All of it; the bytes are for free(). False: errno says why. */
static bool read_all(FILE *in, uint8_t **out, size_t *len)
{
	uint8_t *data = NULL, *grown;
	size_t cap = 0, n = 0, got;

	do {
		if (cap - n < READ_SIZE) {
			cap = 2 * cap + READ_SIZE;
			grown = realloc(data, cap);
			if (!grown)
				goto err;
			data = grown;
		}
		got = fread(data + n, 1, READ_SIZE, in);
		n += got;
	} while (got > 0);
	if (ferror(in))
		goto err;
	*out = data;
	*len = n;
	return true;

err:
	free(data);
	return false;
}

static bool play_records(const struct replay_options *opt, const char *path, FILE *in,
                         struct replay_totals *totals)
{
	uint8_t *data;
	size_t len;
	bool ok;

	if (!read_all(in, &data, &len))
		return complain(path, strerror(errno));
	if (opt->forced)
		ok = play_what_if(opt, path, (struct slice){ data, len }, totals);
	else
		ok = play_recording(opt, path, (struct slice){ data, len }, totals);
	free(data);
	return ok;
}

/* A recording begins with a letter, a line of JSON does not. */
static bool play_file(const struct replay_options *opt, const char *path,
                      struct replay_totals *totals)
{
	FILE *in = fopen(path, "r");
	int first;
	bool ok;

	if (!in)
		return complain(path, strerror(errno));
	first = getc(in);
	if (first != EOF)
		ungetc(first, in);
	if (first == 'S')
		ok = play_records(opt, path, in, totals);
	else if (opt->recorded)
		ok = complain(path, "it is no recording");
	else
		ok = play_scenario(opt, path, in, totals);
	fclose(in);
	return ok;
}

static void usage(FILE *to)
{
	fputs("usage: slo-replay [-e | -s STRATEGY] [-q] FILE...\n"
	      "Runs scenario files and recordings through the scheduler, one line per decision. Of "
	      "a\n"
	      "recording it also says whether these are the recorded decisions (exit 1 if not).\n"
	      "  -e           of a recording, print the decisions that were recorded\n"
	      "  -s STRATEGY  of every request, whatever the file says: slo, slo-least-load,\n"
	      "               slo-least-load-pulling, slo-pack-load, least-request, random\n"
	      "               Of a recording it prints a table, recorded against what would have "
	      "been.\n"
	      "               A request is taken to last as long, from its dispatch, as it did; "
	      "one that\n"
	      "               was not dispatched, as long as the mean of its model. What waited or "
	      "ran\n"
	      "               when the file begins keeps its strategy. A client that gave up "
	      "waiting does\n"
	      "               so at the same moment, if it still waits. Servers come, go and carry "
	      "the\n"
	      "               requests of others as recorded. Output tokens are those predicted "
	      "then.\n"
	      "  -q           only the totals of all files\n",
	      to);
}

/* False: *status is what to exit with. */
static bool read_flags(int argc, char **argv, struct replay_options *opt, int *status)
{
	int c;

	*status = EXIT_USAGE;
	while ((c = getopt(argc, argv, "es:qh")) != -1) {
		switch (c) {
		case 's':
			if (!policy_strategy_parse(optarg, strlen(optarg), &opt->strategy)) {
				fprintf(stderr, "slo-replay: no such strategy: %s\n", optarg);
				return false;
			}
			opt->forced = true;
			break;
		case 'e':
			opt->recorded = true;
			break;
		case 'q':
			opt->quiet = true;
			break;
		case 'h':
			usage(stdout);
			*status = EXIT_SUCCESS;
			return false;
		default:
			usage(stderr);
			return false;
		}
	}
	if (optind == argc || (opt->forced && opt->recorded)) {
		usage(stderr);
		return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	struct replay_options opt = { 0 };
	struct replay_totals totals = { 0 };
	int status;
	clock_t start;

	if (!read_flags(argc, argv, &opt, &status))
		return status;
	start = clock();
	for (int i = optind; i < argc; i++)
		if (!play_file(&opt, argv[i], &totals))
			return EXIT_FAILURE;
	if (opt.quiet)
		put_totals(&totals, (double)(clock() - start) / CLOCKS_PER_SEC);
	if (fflush(stdout) != 0) {
		perror("slo-replay: stdout");
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}
