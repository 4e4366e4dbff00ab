/* slo-profile show: the cells of a profile as tables that a person reads. */
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "commands.h"
#include "wire/profdoc.h"

static double tput_of(const struct slo_profile_doc *doc, size_t i)
{
	return doc->tputs[i];
}

static double flight_of(const struct slo_profile_doc *doc, size_t i)
{
	return doc->e2e ? doc->tputs[i] * doc->e2e[i] : NAN;
}

static double e2e_of(const struct slo_profile_doc *doc, size_t i)
{
	return doc->e2e ? doc->e2e[i] : NAN;
}

static double ttft_of(const struct slo_profile_doc *doc, size_t i)
{
	return doc->ttft ? doc->ttft[i] : NAN;
}

static void put_value(double v)
{
	if (!isfinite(v))
		printf("%9s", "-");
	else if (v == 0)
		printf("%9s", "0");
	else
		printf("%9.*f", v < 0.1 ? 4 : v < 10 ? 2 : v < 1000 ? 1 : 0, v);
}

static void put_table(const struct slo_profile_doc *doc, const char *title,
                      double (*value)(const struct slo_profile_doc *, size_t))
{
	printf("\n%s\n%16s", title, "output \\ input");
	for (size_t c = 0; c < doc->cols; c++)
		printf("%9.0f", doc->input_axis[c]);
	putchar('\n');
	for (size_t r = 0; r < doc->rows; r++) {
		printf("%16.0f", doc->output_axis[r]);
		for (size_t c = 0; c < doc->cols; c++)
			put_value(value(doc, r * doc->cols + c));
		putchar('\n');
	}
}

static void put_head(const struct slo_profile_doc *doc)
{
	char targets[256], made[64] = "unknown";
	time_t when = (time_t)doc->created;
	struct tm tm;

	targets_text(doc, targets, sizeof(targets));
	if (doc->created > 0 && gmtime_r(&when, &tm))
		strftime(made, sizeof(made), "%Y-%m-%d %H:%M UTC", &tm);
	printf("GPU:     %s\nCost:    %g\nTargets: %s\nMade:    %s\n",
	       doc->gpu[0] ? doc->gpu : "unknown", doc->cost, targets, made);
	if (doc->no_data > 0)
		printf("Numbers without data (NaN): %zu\n", doc->no_data);
}

static bool save_svg(const char *path, const struct slo_profile_doc *doc)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	bool ok;

	if (!out)
		return complain(path, "out of memory") == EXIT_SUCCESS;
	svg_write(out, doc);
	ok = fclose(out) == 0 && save_text(path, text, len);
	free(text);
	return ok;
}

int command_show(const struct profile_options *opt, const char *file)
{
	struct slo_profile_doc *doc = load_profile(file, NULL);
	bool ok = true;

	if (!doc)
		return EXIT_FAILURE;
	put_head(doc);
	put_table(doc, "Requests per second that one server does (0: the target cannot be met)",
	          tput_of);
	if (doc->e2e) {
		put_table(doc, "Requests at once on one server then", flight_of);
		put_table(doc, "Seconds from request to last token, mean", e2e_of);
	}
	if (doc->ttft)
		put_table(doc, "Seconds from request to first token, mean", ttft_of);
	if (opt->svg)
		ok = save_svg(opt->svg, doc);
	profdoc_free(doc);
	if (fflush(stdout) != 0)
		return complain("stdout", "could not be written");
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
