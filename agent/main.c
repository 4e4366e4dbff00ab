/* slo-spoa: flags, the configuration, and the daemon that lives by it (io/daemon.h). */
#include <ev.h>
#include <getopt.h>
#include <paths.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "conf/haproxy/check.h"
#include "io/base/config_load.h"
#include "io/base/config_look.h"
#include "io/base/haproxy_load.h"
#include "io/daemon.h"

static const char usage[] =
    "Usage: slo-spoa -f FILE [-s]    run in the foreground\n"
    "       slo-spoa -c -f FILE      check the configuration\n"
    "       slo-spoa -c -f FILE --haproxy FILE...   and HAProxy's files against it\n"
    "       slo-spoa -v | -h         version | this help\n"
    "  -f, --config FILE  the configuration, JSON\n"
    "  -c, --check        only check it: exit 0, or 1 with FILE:LINE:COLUMN: what is wrong\n"
    "      --haproxy FILE...  HAProxy's files, in HAProxy's order; what they name is read too\n"
    "  -s, --syslog       log to syslog instead of stderr\n"
    "  -v, --version      print the version\n"
    "  -h, --help         print this help\n"
    "SIGHUP reloads, SIGTERM and SIGUSR1 drain and exit, SIGUSR2 hands over to a new process.\n";

static const struct option options[] = {
	{ "config", required_argument, NULL, 'f' },
	{ "check", no_argument, NULL, 'c' },
	{ "syslog", no_argument, NULL, 's' },
	{ "version", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ "haproxy", required_argument, NULL, 'H' },
	{ 0 },
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
	char *haproxy[HAPROXY_FILES_MAX];
	size_t haproxy_files;
};

/* One of HAProxy's files. False: too many. */
static bool add_file(struct flags *f, char *path)
{
	if (f->haproxy_files == HAPROXY_FILES_MAX)
		return false;
	f->haproxy[f->haproxy_files++] = path;
	return true;
}

/* The options are known and make no sense together. extra: a word too many, or NULL. */
static void say_why(const struct flags *f, const char *extra)
{
	if (extra)
		fprintf(stderr, "slo-spoa: \"%s\" is no option and no file of --haproxy\n\n",
		        extra);
	else if (!f->path)
		fputs("slo-spoa: -f FILE is missing\n\n", stderr);
	else
		fputs("slo-spoa: --haproxy needs -c\n\n", stderr);
}

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
		case 'H':
			if (add_file(f, optarg))
				break;
			/* fall through */
		default:
			fputs(usage, stderr);
			*status = EXIT_FAILURE;
			return false;
		}
	}
	while (f->haproxy_files > 0 && optind < argc && add_file(f, argv[optind]))
		optind++;
	if (f->path && optind == argc && (f->check || f->haproxy_files == 0))
		return true;
	say_why(f, optind < argc ? argv[optind] : NULL);
	fputs(usage, stderr);
	*status = EXIT_FAILURE;
	return false;
}

static void show(const struct hap_finding *f)
{
	fprintf(stderr, "[%s] (%ld) : ", f->fatal ? "ALERT" : "WARNING", (long)getpid());
	if (f->file)
		fprintf(stderr, "%s:%zu: ", f->file, f->line);
	fprintf(stderr, "%s [%s]\n", f->text, f->code);
}

/* HAProxy's files against the configuration: the status for exit(). */
static int check_haproxy(const struct config *conf, const struct flags *flags)
{
	struct hap_findings found = { 0 };
	struct hapconf hap;
	char why[512];
	size_t fatal = 0;
	int status = EXIT_FAILURE;

	if (!haproxy_load(&hap, flags->haproxy, flags->haproxy_files, why, sizeof(why))) {
		fprintf(stderr, "[ALERT] (%ld) : %s\n", (long)getpid(), why);
	} else {
		hap_check(conf, &hap, &found);
		for (size_t i = 0; i < found.count; i++) {
			show(&found.list[i]);
			fatal += found.list[i].fatal;
		}
		if (found.out_of_memory)
			fprintf(stderr, "[ALERT] (%ld) : out of memory: there may be more to say\n",
			        (long)getpid());
		else if (fatal == 0)
			status = EXIT_SUCCESS;
		if (found.count == 0 && !found.out_of_memory)
			printf("%s and HAProxy's files fit together\n", flags->path);
	}
	hap_findings_free(&found);
	hapconf_free(&hap);
	return status;
}

static int check(struct config *conf, const struct flags *flags)
{
	int status = EXIT_SUCCESS;

	printf("%s: configuration is valid\n", flags->path);
	config_look(conf, stdout);
	fflush(stdout);
	if (flags->haproxy_files > 0)
		status = check_haproxy(conf, flags);
	config_free(conf);
	return status;
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
	return check(conf, &flags);
}
