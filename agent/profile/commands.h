/* commands.h - the commands of slo-profile. Each says on stderr what is wrong and returns what to
 * exit with. */
#ifndef SLO_PROFILE_COMMANDS_H
#define SLO_PROFILE_COMMANDS_H

#include <stdio.h>

#include "core/profile.h"

#define EXIT_USAGE 2

struct profile_options {
	struct goal goal;   /* kind GOAL_NONE: none was told */
	const char *output; /* -o; NULL: stdout */
	const char *svg;    /* NULL: no picture */
	const char *gpu;    /* NULL: not told */
	const char *model;  /* NULL: not told */
	double cost;        /* NAN: not told */
	double kv;          /* tokens; 0: not told */
	double now;         /* Unix seconds */
	/* measure */
	const char *url;
	double seconds;  /* for all runs */
	int concurrency; /* requests at once, at most */
};

int command_import(const struct profile_options *opt, char **files, int count);
/* url, model and output are set. */
int command_measure(const struct profile_options *opt);
int command_show(const struct profile_options *opt, const char *file);
int command_lint(const struct profile_options *opt, const char *file);
int command_cover(const struct profile_options *opt, const char *file, const char *recording);

/* Shared */

/* "FILE: WHY" on stderr. */
int complain(const char *file, const char *why);
/* NULL: it cannot be read or is no profile, and that was said. For profdoc_free(). */
struct slo_profile_doc *load_profile(const char *file, double *kv);
/* A whole new file in the place of the old one; path NULL: to stdout. False: that was said. */
bool save_text(const char *path, const char *text, size_t len);
/* Whether save_text() can write there now. False: that was said. */
bool can_save(const char *path);
/* Prints the findings as "FILE: CODE: TEXT"; returns how many. kv 0: unknown. */
size_t print_findings(const char *file, const struct slo_profile_doc *doc, double kv);

struct bench_series;
struct bench_fit;
/* Tells what the fit is worth, and writes the profile. False: it could not; that was said. */
bool write_profile(const struct profile_options *opt, const struct bench_series *s,
                   const struct bench_fit *fit);
/* The picture that --svg asks for. */
void svg_write(FILE *out, const struct slo_profile_doc *doc);
/* "tpat 0.05 s/token, 99th percentile", into cap bytes. */
void targets_text(const struct slo_profile_doc *doc, char *out, size_t cap);

#endif
