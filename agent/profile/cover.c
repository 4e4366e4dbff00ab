/* slo-profile cover: which share of recorded requests each cell of a profile serves. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clean.h"
#include "commands.h"
#include "core/profile.h"
#include "io/base/file.h"
#include "wire/file/record.h"
#include "wire/profdoc.h"

#define RECORDING_MAX ((size_t)1 << 32)
#define NAMES_MAX     16 /* models that are listed */

struct cover {
	const struct profile_options *opt;
	const struct slo_profile_doc *doc;
	struct profile *profile;
	uint64_t *cell;
	uint64_t requests, outside, untold, others;
	uint64_t model;           /* the number of the model that is counted; 0: not seen yet */
	char name[NAMES_MAX][64]; /* models of the recording, cut to fit */
	size_t names;
};

static bool outside(const double *axis, size_t n, double v)
{
	return v < axis[0] / 2 || v > axis[n - 1] * 2;
}

/* The recording may come from anywhere, so a name has printable bytes only. */
static void keep_name(struct cover *c, struct slice name)
{
	char text[sizeof(c->name[0])];

	clean_copy(text, sizeof(text), name);
	for (size_t i = 0; i < c->names; i++)
		if (strcmp(c->name[i], text) == 0)
			return;
	if (c->names < NAMES_MAX)
		memcpy(c->name[c->names++], text, sizeof(text));
}

static void count(struct cover *c, const struct slo_event *e)
{
	if (e->kind == SLO_EVENT_MODEL)
		keep_name(c, e->text);
	if (e->kind == SLO_EVENT_MODEL && c->opt->model && e->text.len == strlen(c->opt->model) &&
	    memcmp(e->text.p, c->opt->model, e->text.len) == 0)
		c->model = e->model;
	if (e->kind != SLO_EVENT_SUBMIT)
		return;
	if (c->opt->model && e->model != c->model) {
		c->others++;
		return;
	}
	if (e->input < 0 || e->output < 0) {
		c->untold++;
		return;
	}
	c->requests++;
	c->cell[profile_cell(c->profile, e->input, e->output)]++;
	c->outside += outside(c->doc->input_axis, c->doc->cols, (double)e->input) ||
	              outside(c->doc->output_axis, c->doc->rows, (double)e->output);
}

static bool read_records(struct cover *c, const char *path, struct slice file)
{
	struct record_reader *reader = record_reader_new();
	size_t at = RECORD_HEAD_LEN, used = 0;
	slo_err err = reader ? SLO_OK : SLO_ENOMEM;
	struct slo_event e;

	while (err == SLO_OK && at < file.len) {
		err = record_next(reader, (struct slice){ file.p + at, file.len - at }, &e, &used);
		if (err != SLO_OK)
			break;
		count(c, &e);
		at += used;
	}
	record_reader_free(reader);
	if (err == SLO_OK)
		return true;
	fprintf(stderr, "slo-profile: %s: at byte %zu: %s\n", path, at,
	        err == SLO_ESHORT   ? "note: the last record is cut off"
	        : err == SLO_ENOMEM ? "out of memory"
	                            : "malformed record");
	return err == SLO_ESHORT;
}

static void put_shares(const struct cover *c)
{
	const struct slo_profile_doc *doc = c->doc;
	size_t idle = 0;

	printf("Share of %llu requests, in percent (.: none)\n%16s",
	       (unsigned long long)c->requests, "output \\ input");
	for (size_t i = 0; i < doc->cols; i++)
		printf("%9.0f", doc->input_axis[i]);
	for (size_t i = 0; i < doc->rows * doc->cols; i++) {
		if (i % doc->cols == 0)
			printf("\n%16.0f", doc->output_axis[i / doc->cols]);
		idle += c->cell[i] == 0;
		if (c->cell[i] == 0)
			printf("%9s", ".");
		else
			printf("%9.2f", 100.0 * (double)c->cell[i] / (double)c->requests);
	}
	printf("\n\n%zu of %zu cells are reached by no request.\n", idle, doc->rows * doc->cols);
}

/* What the profile says of that traffic. */
static void put_gaps(const struct cover *c)
{
	uint64_t none = 0, zero = 0;

	for (size_t i = 0; i < c->doc->rows * c->doc->cols; i++) {
		if (profile_infeasible(c->profile, i))
			zero += c->cell[i];
		else if (!(profile_e2e(c->profile, i) > 0))
			none += c->cell[i];
	}
	printf("%.2f %% are of sizes more than an octave outside of the profile.\n",
	       100.0 * (double)c->outside / (double)c->requests);
	printf("%.2f %% fall into cells without data, %.2f %% into cells of throughput 0.\n",
	       100.0 * (double)none / (double)c->requests,
	       100.0 * (double)zero / (double)c->requests);
	if (c->untold > 0)
		printf("%llu requests more have no size that was told.\n",
		       (unsigned long long)c->untold);
	if (c->others > 0)
		printf("%llu requests more are of other models.\n", (unsigned long long)c->others);
}

static int no_request(const struct cover *c, const char *path)
{
	char text[NAMES_MAX * (sizeof(c->name[0]) + 2) + 160];
	size_t n;

	if (!c->opt->model || c->model > 0)
		return complain(path, "it has no request to count");
	n = (size_t)snprintf(text, sizeof(text), "it has no model '%.64s'; %s", c->opt->model,
	                     c->names > 0 ? "the models in it are " : "no model is in it");
	for (size_t i = 0; i < c->names && n < sizeof(text); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", i > 0 ? ", " : "",
		                      c->name[i]);
	return complain(path, text);
}

static int cover_file(struct cover *c, const char *path, struct slice file)
{
	bool known = false;

	if (!record_is_head(file, &known))
		return complain(path, "it is no recording");
	if (!known)
		return complain(path, "another version wrote it");
	if (!c->profile || !c->cell)
		return complain(path, "out of memory");
	if (!read_records(c, path, file))
		return EXIT_FAILURE;
	if (c->requests == 0)
		return no_request(c, path);
	put_shares(c);
	put_gaps(c);
	return fflush(stdout) == 0 ? EXIT_SUCCESS : complain("stdout", strerror(errno));
}

int command_cover(const struct profile_options *opt, const char *file, const char *recording)
{
	struct slo_profile_doc *doc = load_profile(file, NULL);
	struct cover c = { .opt = opt, .doc = doc };
	size_t len = 0;
	char *data;
	int status;

	if (!doc)
		return EXIT_FAILURE;
	data = file_read(recording, RECORDING_MAX, &len);
	if (data) {
		c.profile = profile_new(doc);
		c.cell = calloc(doc->rows * doc->cols, sizeof(*c.cell));
		status = cover_file(&c, recording, (struct slice){ (const uint8_t *)data, len });
	} else
		status = complain(recording, file_why(errno));
	free(c.cell);
	profile_free(c.profile);
	free(data);
	profdoc_free(doc);
	return status;
}
