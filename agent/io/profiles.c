/* Profiles from files: profiles.dir, MODEL/DEPLOYMENT.json. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/agent.h"
#include "io/file.h"
#include "wire/profdoc.h"

static void report_loaded(struct agent *a, const struct deployment *d, const char *path)
{
	const struct profile *p = d->profile;

	log_write(a->log, LOG_INFO,
	          "profile %s: %zu cells, %zu with throughput 0, %zu without data", path,
	          profile_cells(p), profile_zero_cells(p), profile_no_data(p));
}

static slo_err put_in_force(struct agent *a, struct deployment *d,
                            const struct slo_profile_doc *doc)
{
	struct profile *p = profile_new(doc);
	slo_err err = p ? sched_profile_set(a->sched, d, p) : SLO_ENOMEM;

	if (err != SLO_OK)
		profile_free(p);
	return err;
}

static bool load_text(struct agent *a, struct deployment *d, const char *path, const char *text,
                      size_t len)
{
	struct slo_profile_doc *doc;
	struct doc_error e;
	slo_err err = profdoc_parse(text, len, &doc, &e);

	if (err != SLO_OK) {
		log_write(a->log, LOG_ERR, "%s:%zu:%zu: %s%s%s%s", path, e.line, e.column, e.field,
		          e.field[0] ? " " : "", e.message,
		          d->profile ? "; the previous profile stays" : "");
		return false;
	}
	if (doc->gpu[0] && strcmp(doc->gpu, d->name) != 0)
		log_write(a->log, LOG_WARNING,
		          "%s: says gpu \"%s\", but its name makes it a profile of \"%s\"", path,
		          doc->gpu, d->name);
	err = put_in_force(a, d, doc);
	profdoc_free(doc);
	if (err == SLO_OK)
		report_loaded(a, d, path);
	else if (err == SLO_ESTALE)
		log_write(a->log, LOG_NOTICE,
		          "%s: its \"created\" is not newer than that in force, so it is ignored",
		          path);
	else
		log_write(a->log, LOG_ERR, "%s: out of memory", path);
	return err == SLO_OK || err == SLO_ESTALE;
}

/* False: it was refused. A file that is not there is only worth a word: the deployment then
 * falls back. */
static bool load_one(struct agent *a, struct agent_model *m, struct deployment *d)
{
	char key[2 * CONFIG_NAME_MAX * 3 + 8], path[PATH_MAX];
	size_t len;
	char *text;
	bool ok;

	if (profdoc_key(m->conf->name, d->name, key, sizeof(key)) != SLO_OK ||
	    snprintf(path, sizeof(path), "%s/%s", a->conf->profile_dir, key) >= (int)sizeof(path)) {
		log_write(a->log, LOG_ERR, "profile of %s/%s: its path is too long", m->conf->name,
		          d->name);
		return false;
	}
	text = file_read(path, PROFDOC_TEXT_MAX, &len);
	if (!text) {
		log_write(a->log, errno == ENOENT ? LOG_WARNING : LOG_ERR, "profile %s: %s%s", path,
		          file_why(errno), d->profile ? "; the previous profile stays" : "");
		return errno == ENOENT;
	}
	ok = load_text(a, d, path, text, len);
	free(text);
	return ok;
}

size_t agent_load_profiles(struct agent *a)
{
	size_t refused = 0;

	if (!a->conf->profile_dir)
		return 0;
	for (size_t i = 0; i < a->model_count; i++) {
		struct model *fleet = &a->models[i]->sched->fleet;

		for (size_t d = 0; d < fleet->deployments; d++)
			refused += !load_one(a, a->models[i], fleet->deployment[d]);
	}
	return refused;
}
