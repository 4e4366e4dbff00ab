#include "options.h"

#include <stdlib.h>
#include <string.h>

double option_number(struct argp_state *state, const char *arg, double least, double most)
{
	char *end;
	double v = strtod(arg, &end);

	if (end == arg || *end != '\0' || !(v >= least && v <= most))
		argp_error(state, "%s: must be a number from %g to %g", arg, least, most);
	return v;
}

int option_choice(struct argp_state *state, const char *arg, const char *const *names)
{
	char all[128] = "";
	size_t len = 0;

	for (int i = 0; names[i]; i++) {
		const char *before = i == 0 ? "" : names[i + 1] ? ", " : " or ";

		if (strcmp(arg, names[i]) == 0)
			return i;
		if (len < sizeof(all))
			len += (size_t)snprintf(all + len, sizeof(all) - len, "%s%s", before,
			                        names[i]);
	}
	argp_error(state, "%s: must be %s", arg, all);
	return 0;
}

enum engine_mode option_mode(struct argp_state *state, const char *arg)
{
	static const char *const names[] = { "prefill-first", "chunked", NULL };

	return option_choice(state, arg, names) == 0 ? ENGINE_PREFILL_FIRST : ENGINE_CHUNKED;
}

struct goal option_slo(struct argp_state *state, const char *arg)
{
	struct goal slo = { 0 };

	if (!report_parse_slo(arg, &slo))
		argp_error(state, "%s: must be like tpat=0.05", arg);
	return slo;
}
