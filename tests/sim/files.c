#include "files.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/profile_name.h"

bool files_profile_path(const char *dir, double headroom, const char *model, const char *gpu,
                        char *out, size_t cap)
{
	char key[512], part[24] = "";
	int n;

	if (profile_name(model, gpu, key, sizeof(key)) != SLO_OK)
		return false;
	if (headroom > 0)
		snprintf(part, sizeof(part), "h%ld/", lround(headroom * 100));
	n = snprintf(out, cap, "%s/%s%s", dir, part, key);
	return n > 0 && (size_t)n < cap;
}

static bool complain(const char *path, const char *what)
{
	fprintf(stderr, "%s: %s\n", path, what);
	return false;
}

static void complain_at(const char *path, struct doc_error *why)
{
	char text[1024];

	why->file = path;
	doc_error_format(why, text, sizeof(text));
	fprintf(stderr, "%s\n", text);
}

/* One byte more than a profile may have shows that it is too long. */
static bool read_profile(const char *path, struct slo_profile_doc **out)
{
	FILE *f = fopen(path, "re");
	struct doc_error why;
	bool ok = false;
	char *text;
	size_t len;

	if (!f)
		return complain(path, strerror(errno));
	text = malloc(PROFDOC_TEXT_MAX + 1);
	if (!text) {
		fclose(f);
		return complain(path, "out of memory");
	}
	len = fread(text, 1, PROFDOC_TEXT_MAX + 1, f);
	if (ferror(f))
		complain(path, strerror(errno));
	else if (profdoc_parse(text, len, out, &why) == SLO_OK)
		ok = true;
	else
		complain_at(path, &why);
	free(text);
	fclose(f);
	return ok;
}

bool files_profiles(const char *dir, double headroom, struct sim_conf *conf,
                    struct slo_profile_doc *docs[SIM_TYPES_MAX])
{
	char path[PATH_MAX];

	for (size_t t = 0; t < conf->type_count; t++) {
		if (!files_profile_path(dir, headroom, conf->engine.model, conf->types[t].gpu, path,
		                        sizeof(path)))
			return complain(dir, "no path of a profile");
		if (!read_profile(path, &docs[t]))
			return false;
		conf->types[t].profile = docs[t];
	}
	return true;
}
