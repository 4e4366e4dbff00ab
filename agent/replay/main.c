/* slo-replay: runs scenarios and recordings through the scheduler. Time is the file's; nothing
 * sleeps. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <time.h>

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
	if (first == EOF && ferror(in)) {
		ok = complain(path, strerror(errno)); /* a folder, say */
		fclose(in);
		return ok;
	}
	if (first != EOF)
		ungetc(first, in);
	if (first == 'S')
		ok = play_records(opt, path, in, totals);
	else if (opt->recorded)
		ok = complain(path, "is not a recording, so -e cannot print it");
	else
		ok = play_scenario(opt, path, in, totals);
	fclose(in);
	return ok;
}

static const char usage[] =
    "Usage: slo-replay [-e | -s STRATEGY] [-q] FILE...\n"
    "Runs scenarios and recordings through the scheduler and prints one line per decision.\n"
    "Of a recording it also says whether these are the recorded decisions (if not: exit 1).\n"
    "  -e, --recorded           print the decisions that a recording holds\n"
    "  -s, --strategy STRATEGY  decide every request by slo, slo-least-load,\n"
    "                           slo-least-load-pulling, slo-pack-load, slo-adaptive,\n"
    "                           least-request or random;\n"
    "                           of a recording, print a table: recorded and what would have been\n"
    "  -q, --quiet              print only the totals of all files\n"
    "  -v, --version\n"
    "  -h, --help\n"
    "The manual slo-replay(1) says what the table assumes.\n";

static const struct option options[] = {
	{ "recorded", no_argument, NULL, 'e' }, { "strategy", required_argument, NULL, 's' },
	{ "quiet", no_argument, NULL, 'q' },    { "version", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },     { 0 },
};

/* False: *status is what to exit with. */
static bool read_flags(int argc, char **argv, struct replay_options *opt, int *status)
{
	int c;

	*status = EXIT_USAGE;
	while ((c = getopt_long(argc, argv, "es:qvh", options, NULL)) != -1) {
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
		case 'v':
		case 'h':
			if (c == 'v')
				printf("slo-replay %s\n", SLO_VERSION);
			else
				fputs(usage, stdout);
			*status = EXIT_SUCCESS;
			return false;
		default:
			fputs(usage, stderr);
			return false;
		}
	}
	if (optind == argc)
		fprintf(stderr, "slo-replay: no FILE was given\n%s", usage);
	else if (opt->forced && opt->recorded)
		fprintf(stderr, "slo-replay: -e and -s do not go together\n%s", usage);
	else
		return true;
	return false;
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
