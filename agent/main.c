/* slo-spoa: flags, the configuration, and the daemon that lives by it (io/daemon.h). */
#include <ev.h>
#include <getopt.h>
#include <paths.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/base/config_load.h"
#include "io/daemon.h"

static const char usage[] =
    "Usage: slo-spoa -f FILE [-s]    run in the foreground\n"
    "       slo-spoa -c -f FILE      check the configuration\n"
    "       slo-spoa -v | -h         version | this help\n"
    "  -f, --config FILE  the configuration, JSON\n"
    "  -c, --check        only check it: exit 0, or 1 with FILE:LINE:COLUMN: what is wrong\n"
    "  -s, --syslog       log to syslog instead of stderr\n"
    "  -v, --version      print the version\n"
    "  -h, --help         print this help\n"
    "SIGHUP reloads, SIGTERM and SIGUSR1 drain and exit, SIGUSR2 hands over to a new process.\n";

static const struct option options[] = {
	{ "config", required_argument, NULL, 'f' }, { "check", no_argument, NULL, 'c' },
	{ "syslog", no_argument, NULL, 's' },       { "version", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },         { 0 },
};

static int run(struct config *conf, const char *path, const char *syslog_path, char **argv)
{
	struct ev_loop *loop = ev_default_loop(0);
	struct daemon *d = NULL;
	int status = EXIT_FAILURE;
	struct log log;

	signal(SIGPIPE, SIG_IGN); /* of stderr too */
	log_init(&log, conf->log_level, syslog_path);
	if (loop) {
		d = daemon_new(loop, &log, conf, path, argv);
	} else {
		log_write(&log, LOG_ERR, "out of memory or descriptors at start");
		config_free(conf);
	}
	if (d)
		status = daemon_run(d);
	daemon_free(d);
	if (loop)
		ev_loop_destroy(loop);
	log_fini(&log);
	return status;
}

struct flags {
	const char *path;
	bool check, to_syslog;
};

/* False: the program ends here, with *status. */
static bool read_flags(int argc, char **argv, struct flags *f, int *status)
{
	int opt;

	*status = EXIT_SUCCESS;
	while ((opt = getopt_long(argc, argv, "f:csvh", options, NULL)) != -1) {
		switch (opt) {
		case 'f':
			f->path = optarg;
			break;
		case 'c':
			f->check = true;
			break;
		case 's':
			f->to_syslog = true;
			break;
		case 'v':
			printf("slo-spoa %s\n", SLO_VERSION);
			return false;
		case 'h':
			fputs(usage, stdout);
			return false;
		default:
			fputs(usage, stderr);
			*status = EXIT_FAILURE;
			return false;
		}
	}
	if (f->path && optind == argc)
		return true;
	fputs(usage, stderr);
	*status = EXIT_FAILURE;
	return false;
}

int main(int argc, char **argv)
{
	struct flags flags = { .path = NULL };
	struct doc_error err;
	struct config *conf;
	char text[1024];
	int status;

	if (!read_flags(argc, argv, &flags, &status))
		return status;
	conf = config_load(flags.path, &err);
	if (!conf) {
		doc_error_format(&err, text, sizeof(text));
		fprintf(stderr, "[ALERT] (%ld) : %s\n", (long)getpid(), text);
		return EXIT_FAILURE;
	}
	if (!flags.check)
		return run(conf, flags.path, flags.to_syslog ? _PATH_LOG : NULL, argv);
	config_free(conf);
	printf("%s: configuration is valid\n", flags.path);
	return EXIT_SUCCESS;
}
