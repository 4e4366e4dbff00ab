#include "io/base/config_look.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/base/file.h"
#include "io/base/profile_files.h"
#include "wire/profdoc.h"
#include "wire/profile_name.h"

#define DEPTH_MAX      6    /* models, M, deployments, D, ... */
#define KV_USUAL_LEAST 1024 /* tokens: engines of smaller caches serve no chats */

/* What may not be looked at may well be there: the agent runs as another user than who asks. */
static bool is_folder(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return errno != ENOENT && errno != ENOTDIR;
	return S_ISDIR(st.st_mode);
}

/* The folder of a file, for free(). */
static char *folder_of(const char *file)
{
	const char *slash = strrchr(file, '/');

	if (!slash)
		return strdup(".");
	return strndup(file, slash == file ? 1 : (size_t)(slash - file));
}

static void look_at(const char *file, const char *key, const char *effect, FILE *out)
{
	char *folder = file ? folder_of(file) : NULL;

	if (folder && !is_folder(folder))
		fprintf(out, "[NOTICE] (%ld) : %s: there is no folder %s on this machine: %s\n",
		        (long)getpid(), key, folder, effect);
	free(folder);
}

/* A number without a unit counts milliseconds, with us as with HAProxy. Some people mean seconds:
 * the number is then less than what such a time usually is in milliseconds. 0: no time has that
 * name. */
static long long usual_least(const char *key)
{
	static const struct {
		const char *key;
		long long least; /* ms */
	} times[] = {
		{ "queue_timeout", 1000 },
		{ "queue_timeout_max", 1000 },
		{ "drain_timeout", 1000 },
		{ "hello_timeout", 100 },
		{ "idle_timeout", 1000 },
		{ "lease_max_age", 10000 },
		{ "remember_ended", 1000 },
		{ "silence", 100 },
		{ "e2e", 1000 },
		{ "ttft", 100 },
		{ "tpot", 5 },
		{ "tpat", 5 },
		{ "e2e_min", 100 },
		{ "ttft_min", 100 },
		{ "tpot_min", 5 },
		{ "refresh", 100 },
		{ "every", 100 },
		{ "max_age", 1000 },
		{ "poll", 100 },
		{ "grace", 100 },
	};

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		if (strcmp(key, times[i].key) == 0)
			return times[i].least;
	return 0;
}

/* "30" and 30; -1: the value has a unit, or is none. */
static long long bare_number(const json_t *value)
{
	const char *text = json_is_string(value) ? json_string_value(value) : "";

	if (json_is_integer(value))
		return json_integer_value(value);
	return *text && text[strspn(text, "0123456789")] == '\0' ? strtoll(text, NULL, 10) : -1;
}

static void look_for_bare_times(json_t *object, const char *section, int depth, FILE *out)
{
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value)
	{
		char path[256];

		if (snprintf(path, sizeof(path), "%s%s%s", section, section[0] ? "." : "", key) >=
		    (int)sizeof(path))
			continue;
		if (bare_number(value) > 0 && bare_number(value) < usual_least(key))
			fprintf(out,
			        "[NOTICE] (%ld) : %s is %lld ms: a number without a unit counts "
			        "milliseconds\n",
			        (long)getpid(), path, bare_number(value));
		else if (json_is_object(value) && depth < DEPTH_MAX)
			look_for_bare_times(value, path, depth + 1, out);
	}
}

/* Who mixed the two up, or the units of one. */
static void look_at_promise(const struct config_model *m, FILE *out)
{
	const struct goal *g = &m->promise;

	if ((g->kind == GOAL_TTFT || g->kind == GOAL_TPOT) && g->e2e > 0 && g->fixed > g->e2e)
		fprintf(out,
		        "[NOTICE] (%ld) : models.%s.slo: ttft (%g s) is longer than e2e (%g s), "
		        "which holds for the whole answer\n",
		        (long)getpid(), m->name, g->fixed, g->e2e);
}

/* The number is of a server's whole cache, not of a request, and in tokens. */
static void look_at_caches(const struct config_model *m, FILE *out)
{
	for (size_t i = 0; i < m->deployment_count; i++) {
		const struct config_deployment *d = &m->deployments[i];

		if (d->kv_tokens > 0 && d->kv_tokens < KV_USUAL_LEAST)
			fprintf(out,
			        "[NOTICE] (%ld) : models.%s.deployments.%s.kv_tokens is %" PRIu64
			        ": hardly a request fits into so small a cache, so requests would "
			        "wait for each other; it is what the KV cache of one server holds, "
			        "in tokens, as its engine logs at start, or leave it out\n",
			        (long)getpid(), m->name, d->name, (uint64_t)d->kv_tokens);
	}
}

/* What may not be looked at may well be there. */
static bool has_profile(const struct config *c, const char *model, const char *deployment)
{
	char path[PATH_MAX], key[CONFIG_PROFILE_NAME_SIZE];

	return c->profile_dir && profile_name(model, deployment, key, sizeof(key)) == SLO_OK &&
	       snprintf(path, sizeof(path), "%s/%s", c->profile_dir, key) < (int)sizeof(path) &&
	       (access(path, F_OK) == 0 || errno == EACCES);
}

/* Nobody tells them. What is learned alone reads no file; what is given is not learned. */
static void look_for_caches(const struct config *c, const struct config_model *m, FILE *out)
{
	for (size_t i = 0; i < m->deployment_count; i++) {
		const struct config_deployment *d = &m->deployments[i];

		if (d->kv_tokens > 0 || d->source == FLEET_GIVEN ||
		    (d->source != FLEET_LEARNED && has_profile(c, m->name, d->name)))
			continue;
		fprintf(out,
		        "[NOTICE] (%ld) : models.%s.deployments.%s has neither kv_tokens nor a "
		        "profile, and there is no section engines: how much its servers hold is "
		        "found by trial\n",
		        (long)getpid(), m->name, d->name);
	}
}

/* Of an account that stands as a name or as digits. */
static void look_for_account(const char *listener, const char *name, bool group, FILE *out)
{
	if (!name[0] || name[strspn(name, "0123456789")] == '\0' ||
	    (group ? getgrnam(name) != NULL : getpwnam(name) != NULL))
		return;
	fprintf(out,
	        "[NOTICE] (%ld) : %s: there is no %s %s on this machine: the agent will not "
	        "start\n",
	        (long)getpid(), listener, group ? "group" : "user", name);
}

static void look_at_listener(const char *name, const struct config_listen *l, FILE *out)
{
	size_t first = 0;
	char key[32];

	snprintf(key, sizeof(key), "%s.listen", name);
	for (size_t i = 0; i < l->count; i++)
		if (listen_addr_is_unix(&l->addr[i]))
			look_at(l->addr[i].path, key,
			        "the agent will not start, unless its service makes the folder",
			        out);
	while (first < l->count && !listen_addr_is_unix(&l->addr[first]))
		first++;
	if (first < l->count) { /* all unix sockets of a listener have the same */
		look_for_account(name, l->addr[first].access.user, false, out);
		look_for_account(name, l->addr[first].access.group, true, out);
	}
	for (size_t i = 0; i < l->peers; i++)
		look_for_account(name, l->peer[i], false, out);
}

/* Profiles */

/* What the agent would say of it when it starts. */
static void look_at_profile(const struct config *c, const char *key, FILE *out)
{
	struct slo_profile_doc *doc = NULL;
	char path[PATH_MAX], why[1024];
	struct doc_error e;
	size_t len;
	char *text;

	if (snprintf(path, sizeof(path), "%s/%s", c->profile_dir, key) >= (int)sizeof(path))
		return;
	text = file_read(path, PROFDOC_TEXT_MAX, &len);
	if (!text && (errno == ENOENT || errno == EACCES))
		return;
	if (!text) {
		fprintf(out, "[WARNING] (%ld) : profile %s: %s: it is refused\n", (long)getpid(),
		        path, file_why(errno));
		return;
	}
	if (profdoc_parse(text, len, &doc, &e) != SLO_OK) {
		e.file = path;
		doc_error_format(&e, why, sizeof(why));
		fprintf(out, "[WARNING] (%ld) : profile %s: it is refused\n", (long)getpid(), why);
	}
	profdoc_free(doc);
	free(text);
}

/* told[i]: that file was. */
static void look_at_deployment(const struct config *c, const char *model,
                               const struct config_deployment *d,
                               const struct profile_files *unread, bool *told, FILE *out)
{
	char key[CONFIG_PROFILE_NAME_SIZE];
	const char *meant;

	if (d->source == FLEET_LEARNED || profile_name(model, d->name, key, sizeof(key)) != SLO_OK)
		return;
	look_at_profile(c, key, out);
	meant = profile_files_meant(unread, c, model, d->name);
	if (!meant)
		return;
	fprintf(out,
	        "[WARNING] (%ld) : profiles.dir: %s is read by no deployment; the profile of %s of "
	        "model %s must be %s/%s\n",
	        (long)getpid(), meant, d->name, model, c->profile_dir, key);
	for (size_t i = 0; i < unread->count; i++)
		told[i] |= unread->path[i] == meant;
}

static bool is_profile(const char *path)
{
	size_t len = strlen(path);

	return len > 5 && strcmp(path + len - 5, ".json") == 0;
}

static void look_at_profiles(const struct config *c, FILE *out)
{
	bool told[PROFILE_FILES_MAX] = { false };
	struct profile_files unread;
	const char *first = NULL;
	size_t count = 0;

	profile_files_look(&unread, c, INT64_MAX);
	for (size_t i = 0; i < c->model_count; i++)
		for (size_t k = 0; k < c->models[i].deployment_count; k++)
			look_at_deployment(c, c->models[i].name, &c->models[i].deployments[k],
			                   &unread, told, out);
	for (size_t i = 0; i < unread.count; i++) {
		if (told[i] || !is_profile(unread.path[i]))
			continue;
		first = count++ == 0 ? unread.path[i] : first;
	}
	if (first)
		fprintf(out,
		        "[NOTICE] (%ld) : profiles.dir: %s%s %s read by no deployment: a profile "
		        "is MODEL/DEPLOYMENT.json, with %%2F for each \"/\" in a name\n",
		        (long)getpid(), first, count > 1 ? " and others" : "",
		        count > 1 ? "are" : "is");
	profile_files_free(&unread);
}

void config_look(const struct config *c, FILE *out)
{
	look_for_bare_times(c->dom, "", 0, out);
	for (size_t i = 0; i < c->model_count; i++) {
		look_at_promise(&c->models[i], out);
		look_at_caches(&c->models[i], out);
		if (!c->engines.set && c->redis.url.kind == REDIS_URL_NONE)
			look_for_caches(c, &c->models[i], out);
	}
	look_at_listener("spop", &c->spop, out);
	look_at_listener("events", &c->events, out);
	look_at_listener("http", &c->http, out);
	look_at_listener("control", &c->control, out);
	if (c->profile_dir && is_folder(c->profile_dir))
		look_at_profiles(c, out);
	else if (c->profile_dir)
		fprintf(out,
		        "[NOTICE] (%ld) : profiles.dir: there is no folder %s on this machine: no "
		        "profile is read from it\n",
		        (long)getpid(), c->profile_dir);
	look_at(c->snapshot.file, "snapshot.file",
	        "a restart forgets what runs and what was learned", out);
	look_at(c->recorder.file, "recorder.file", "nothing is recorded", out);
}
