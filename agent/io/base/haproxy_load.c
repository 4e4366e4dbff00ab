#include "io/base/haproxy_load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/haproxy/check.h"
#include "io/base/file.h"

#define PATH_SIZE 4096

struct loading {
	struct hapconf *hap;
	char *why;
	size_t cap;
	size_t count;
	char path[HAPROXY_FILES_MAX][PATH_SIZE]; /* [count], those that were read */
	char next[HAPROXY_FILES_MAX][PATH_SIZE]; /* [pending], those that they name */
	size_t pending;
	bool failed;
};

static const char *environment(void *user, const char *name)
{
	(void)user;
	return getenv(name);
}

static void fail(struct loading *l, const char *path, const char *why)
{
	if (!l->failed)
		snprintf(l->why, l->cap, "%s: cannot read: %s", path, why);
	l->failed = true;
}

static bool was_read(const struct loading *l, const char *path)
{
	for (size_t i = 0; i < l->count; i++)
		if (strcmp(l->path[i], path) == 0)
			return true;
	return false;
}

static void load(struct loading *l, const char *path)
{
	size_t len;
	slo_err err;
	char *text;

	if (l->failed || was_read(l, path))
		return;
	if (l->count == HAPROXY_FILES_MAX || strlen(path) >= PATH_SIZE) {
		fail(l, path, "too many files, or too long a name");
		return;
	}
	text = file_read(path, HAPCONF_FILE_MAX, &len);
	if (!text) {
		fail(l, path, file_why(errno));
		return;
	}
	snprintf(l->path[l->count++], PATH_SIZE, "%s", path);
	err = hapconf_read(l->hap, path, text, len);
	if (err != SLO_OK)
		fail(l, path, err == SLO_ENOMEM ? "out of memory" : "it is no text, or too long");
	free(text);
}

/* Many filters may name the same file. */
static void on_spoe_file(void *user, const char *named_by, const char *path)
{
	struct loading *l = user;
	const char *slash = strrchr(named_by, '/');
	char full[PATH_SIZE];

	if (path[0] == '/' || !slash)
		snprintf(full, sizeof(full), "%s", path);
	else
		snprintf(full, sizeof(full), "%.*s/%s", (int)(slash - named_by), named_by, path);
	for (size_t i = 0; i < l->pending; i++)
		if (strcmp(l->next[i], full) == 0)
			return;
	if (l->pending == HAPROXY_FILES_MAX)
		fail(l, full, "too many files");
	else
		memcpy(l->next[l->pending++], full, sizeof(full));
}

bool haproxy_load(struct hapconf *h, char *const *files, size_t count, char *why, size_t cap)
{
	struct loading *l = calloc(1, sizeof(*l));
	bool ok;

	hapconf_init(h, environment, NULL);
	if (!l) {
		snprintf(why, cap, "out of memory");
		return false;
	}
	l->hap = h;
	l->why = why;
	l->cap = cap;
	for (size_t i = 0; i < count; i++)
		load(l, files[i]);
	hap_spoe_files(h, on_spoe_file, l);
	for (size_t i = 0; i < l->pending; i++)
		load(l, l->next[i]);
	ok = !l->failed;
	free(l);
	return ok;
}
