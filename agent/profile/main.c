/* slo-profile: makes profiles of LLM servers, and says what is in them. */
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "commands.h"

static const char usage[] =
    "Usage: slo-profile measure --url URL --model M [--slo KIND=TIME] -o FILE\n"
    "       slo-profile import [--slo KIND=TIME] [-o FILE] FILE...\n"
    "       slo-profile show [--svg OUT] FILE\n"
    "       slo-profile lint FILE\n"
    "       slo-profile cover FILE RECORDING\n"
    "Makes profiles of LLM servers from benchmarks or by load, and says what is in them.\n"
    "  -s, --slo KIND=TIME      the target: tpat, tpot, ttft or e2e; 50ms, 2s\n"
    "  -o, --output FILE        where to write the profile (standard output)\n"
    "      --svg OUT            write a picture, too\n"
    "  -k, --kv-tokens N        tokens that the KV cache of a server holds\n"
    "  -g, --gpu NAME           name of the GPU, for the profile\n"
    "  -c, --cost NUMBER        what a server costs per time unit, for the profile\n"
    "  -m, --model NAME         of the server (measure); count only its requests (cover)\n"
    "  -u, --url URL            where the server is: http://HOST:PORT (measure)\n"
    "      --concurrency N      requests on the server at once, at most (measure; 8)\n"
    "      --seconds N          for all runs together (measure; 180)\n"
    "  -v, --version\n"
    "  -h, --help\n"
    "The manual slo-profile(1) lists the formats of benchmarks.\n";

enum { OPT_SVG = 256, OPT_CONCURRENCY, OPT_SECONDS };

static const struct option options[] = {
	{ "slo", required_argument, NULL, 's' },
	{ "output", required_argument, NULL, 'o' },
	{ "svg", required_argument, NULL, OPT_SVG },
	{ "kv-tokens", required_argument, NULL, 'k' },
	{ "gpu", required_argument, NULL, 'g' },
	{ "cost", required_argument, NULL, 'c' },
	{ "model", required_argument, NULL, 'm' },
	{ "url", required_argument, NULL, 'u' },
	{ "concurrency", required_argument, NULL, OPT_CONCURRENCY },
	{ "seconds", required_argument, NULL, OPT_SECONDS },
	{ "version", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

/* Seconds: what is outside is probably meant in another unit. */
#define PER_TOKEN_MIN 0.0001
#define PER_TOKEN_MAX 5
#define ANSWER_MIN    0.001
#define ANSWER_MAX    3600

static bool wrong(const char *option, const char *value, const char *wanted)
{
	fprintf(stderr, "slo-profile: --%s: '%s' must be %s\n", option, value, wanted);
	return false;
}

/* A number without its unit is the usual mistake: 50 for 50 ms. */
static void doubt_slo(const char *text, enum goal_kind kind, double seconds)
{
	bool per_token = kind == GOAL_TPOT || kind == GOAL_TPAT;

	if (seconds > (per_token ? PER_TOKEN_MAX : ANSWER_MAX))
		fprintf(stderr,
		        "slo-profile: --slo: '%s' is %g seconds%s, which is probably too long; a "
		        "time in milliseconds ends with ms, as in %s=50ms\n",
		        text, seconds, per_token ? " for each token" : "", goal_name(kind));
	if (seconds < (per_token ? PER_TOKEN_MIN : ANSWER_MIN))
		fprintf(stderr,
		        "slo-profile: --slo: '%s' is %g seconds%s, which is probably too short; a "
		        "time without ms is in seconds, as in %s=0.05\n",
		        text, seconds, per_token ? " for each token" : "", goal_name(kind));
}

static bool read_slo(const char *text, struct goal *out)
{
	double target[GOAL_KINDS] = { 0 };

	if (!goal_read(text, target))
		return wrong("slo", text,
		             "tpat, tpot, ttft or e2e, '=' and a time, as in tpat=50ms");
	for (int k = GOAL_NONE + 1; k < GOAL_KINDS; k++)
		if (target[k] > 0)
			doubt_slo(text, (enum goal_kind)k, target[k]);
	*out = goal_make(target[GOAL_TPOT], target[GOAL_TTFT], target[GOAL_TPAT], target[GOAL_E2E]);
	return true;
}

static bool read_number(const char *option, const char *text, double least, double *out)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text || *end || !(v >= least) || !(v < 1e12))
		return wrong(option, text, least > 0 ? "a number >= 1" : "a number >= 0");
	*out = v;
	return true;
}

static bool read_concurrency(const char *text, struct profile_options *opt)
{
	double v;

	if (!read_number("concurrency", text, 1, &v))
		return false;
	if (v > 64)
		return wrong("concurrency", text, "at most 64");
	opt->concurrency = (int)v;
	return true;
}

static bool read_option(int c, struct profile_options *opt)
{
	switch (c) {
	case 's':
		return read_slo(optarg, &opt->goal);
	case 'o':
		opt->output = optarg;
		return true;
	case OPT_SVG:
		opt->svg = optarg;
		return true;
	case 'k':
		return read_number("kv-tokens", optarg, 1, &opt->kv);
	case 'g':
		opt->gpu = optarg;
		return true;
	case 'c':
		return read_number("cost", optarg, 0, &opt->cost);
	case 'm':
		opt->model = optarg;
		return true;
	case 'u':
		opt->url = optarg;
		return true;
	case OPT_CONCURRENCY:
		return read_concurrency(optarg, opt);
	case OPT_SECONDS:
		return read_number("seconds", optarg, 1, &opt->seconds);
	default:
		fputs(usage, stderr);
		return false;
	}
}

/* True: go on. Else *status is what to exit with. */
static bool read_flags(int argc, char **argv, struct profile_options *opt, int *status)
{
	int c;

	*status = EXIT_USAGE;
	while ((c = getopt_long(argc, argv, "s:o:k:g:c:m:u:vh", options, NULL)) != -1) {
		if (c == 'v' || c == 'h') {
			if (c == 'v')
				printf("slo-profile %s\n", SLO_VERSION);
			else
				fputs(usage, stdout);
			*status = EXIT_SUCCESS;
			return false;
		}
		if (!read_option(c, opt))
			return false;
	}
	return true;
}

/* What a command needs and has not. */
static const char *missing(const struct profile_options *opt, const char *command, int count)
{
	static const struct {
		const char *command, *files;
	} list[] = {
		{ "import", "one FILE or more is needed: results of benchmarks" },
		{ "show", "exactly one FILE is needed: a profile" },
		{ "lint", "exactly one FILE is needed: a profile" },
		{ "cover", "FILE and RECORDING are needed: a profile, and what slo-spoa recorded" },
	};

	if (strcmp(command, "measure") == 0)
		return count > 0     ? "it takes no FILE; -o names the file that it writes"
		       : !opt->url   ? "--url is missing: where the server is, http://HOST:PORT"
		       : !opt->model ? "--model is missing: the server's name for its model"
		                     : "-o is missing: where to write the profile";
	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++)
		if (strcmp(command, list[i].command) == 0)
			return list[i].files;
	return "there is no such command";
}

static int run(const struct profile_options *opt, const char *command, char **files, int count)
{
	if (strcmp(command, "measure") == 0 && count == 0 && opt->url && opt->model && opt->output)
		return command_measure(opt);
	if (strcmp(command, "import") == 0 && count >= 1)
		return command_import(opt, files, count);
	if (strcmp(command, "show") == 0 && count == 1)
		return command_show(opt, files[0]);
	if (strcmp(command, "lint") == 0 && count == 1)
		return command_lint(opt, files[0]);
	if (strcmp(command, "cover") == 0 && count == 2)
		return command_cover(opt, files[0], files[1]);
	fprintf(stderr, "slo-profile: %s: %s\n%s", command, missing(opt, command, count), usage);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	struct profile_options opt = {
		.cost = NAN, .now = (double)time(NULL), .seconds = 180, .concurrency = 8
	};
	int status;

	if (!read_flags(argc, argv, &opt, &status))
		return status;
	if (optind == argc) {
		fprintf(stderr, "slo-profile: no command was given\n%s", usage);
		return EXIT_USAGE;
	}
	return run(&opt, argv[optind], argv + optind + 1, argc - optind - 1);
}
