/* What is wrong at present (io/agent/warn.h), for both texts. */
#include <string.h>

#include "render_private.h"

/* What is wrong at present, the oldest first. */
json_t *render_warnings_state(const struct warnings *w, slo_nsec now)
{
	json_t *list = json_array();

	for (size_t i = 0; i < w->count; i++) {
		const struct warning *one = &w->warning[i];

		json_array_append_new(list,
		                      json_pack("{s:s, s:s, s:s, s:f, s:f, s:I}", "code", one->code,
		                                "subject", one->subject, "text", one->text,
		                                "since_seconds", (double)(now - one->since) / 1e9,
		                                "last_seconds", (double)(now - one->last) / 1e9,
		                                "times", (json_int_t)one->times));
	}
	return list;
}

/* A series for each code: how many things have that trouble. */
void render_warnings_metrics(FILE *f, const struct warnings *w)
{
	render_family(f, "warnings", "gauge",
	              "What is wrong at present, by its code; see slo-ctl doctor.");
	for (size_t i = 0; i < w->count; i++) {
		const char *code = w->warning[i].code;
		size_t first = 0, same = 0;

		while (strcmp(w->warning[first].code, code) != 0)
			first++;
		for (size_t k = first; first == i && k < w->count; k++)
			same += strcmp(w->warning[k].code, code) == 0;
		if (same == 0)
			continue;
		fputs("slo_spoa_warnings{", f);
		render_label(f, "code", code);
		fprintf(f, "} %zu\n", same);
	}
}
