#include "io/base/profile_files.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "io/base/clock.h"
#include "wire/profile_name.h"

#define DEPTH_MAX 6    /* folders */
#define LOOKS_MAX 4096 /* entries of folders */

/* All that deployments read. */
struct keys {
	size_t count;
	char **key; /* sorted */
};

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void free_keys(struct keys *k)
{
	for (size_t i = 0; i < k->count; i++)
		free(k->key[i]);
	free(k->key);
}

static void add_key(struct keys *k, const char *model, const char *deployment)
{
	char key[CONFIG_PROFILE_NAME_SIZE], *copy;

	if (profile_name(model, deployment, key, sizeof(key)) != SLO_OK || !(copy = strdup(key)))
		return;
	k->key[k->count++] = copy;
}

static struct keys keys_of(const struct config *c)
{
	struct keys k = { 0 };
	size_t most = 0;

	for (size_t i = 0; i < c->model_count; i++)
		most += c->models[i].deployment_count;
	k.key = calloc(most + 1, sizeof(*k.key));
	for (size_t i = 0; i < c->model_count && k.key; i++)
		for (size_t d = 0; d < c->models[i].deployment_count; d++)
			add_key(&k, c->models[i].name, c->models[i].deployments[d].name);
	if (k.count > 0)
		qsort(k.key, k.count, sizeof(*k.key), by_text);
	return k;
}

/* The walk */

struct walk {
	struct profile_files *found;
	const struct keys *keys;
	size_t top;   /* bytes of profiles.dir and its "/" */
	size_t looks; /* so far */
	slo_nsec until;
	char path[PATH_MAX];
};

static void look_into(struct walk *w, size_t len, int depth);

/* DT_DIR, DT_REG, or another. Most file systems tell it with the name; a link may be to a file. */
static unsigned char type_of(const struct dirent *e, const char *path)
{
	unsigned char type = e->d_type;
	struct stat st;

	if (type == DT_UNKNOWN && lstat(path, &st) == 0)
		type = (unsigned char)IFTODT(st.st_mode);
	if (type == DT_LNK && stat(path, &st) == 0 && S_ISREG(st.st_mode))
		type = DT_REG;
	return type;
}

static void look_at(struct walk *w, const struct dirent *e, size_t len, int depth)
{
	const unsigned char type = type_of(e, w->path);
	const char *below = w->path + w->top;

	if (type == DT_DIR && depth < DEPTH_MAX)
		look_into(w, len, depth + 1);
	if (type != DT_REG ||
	    bsearch(&below, w->keys->key, w->keys->count, sizeof(*w->keys->key), by_text))
		return;
	w->found->path[w->found->count] = strdup(below);
	w->found->count += w->found->path[w->found->count] != NULL;
}

/* The path, of len bytes, is a folder. */
static void look_into(struct walk *w, size_t len, int depth)
{
	DIR *dir = opendir(w->path);
	const struct dirent *e;

	while (dir && w->found->count < PROFILE_FILES_MAX && w->looks++ < LOOKS_MAX &&
	       clock_nsec() < w->until && (e = readdir(dir))) {
		size_t name = strlen(e->d_name);

		if (e->d_name[0] == '.' || len + name + 2 > sizeof(w->path))
			continue;
		w->path[len] = '/';
		memcpy(w->path + len + 1, e->d_name, name + 1);
		look_at(w, e, len + 1 + name, depth);
		w->path[len] = '\0';
	}
	if (dir)
		closedir(dir);
}

void profile_files_look(struct profile_files *f, const struct config *c, slo_nsec until)
{
	size_t len = c->profile_dir ? strlen(c->profile_dir) : 0;
	struct keys keys;
	struct walk *w;

	*f = (struct profile_files){ 0 };
	if (len == 0 || len + 2 > PATH_MAX)
		return;
	keys = keys_of(c);
	w = keys.key ? calloc(1, sizeof(*w)) : NULL;
	if (w) {
		w->found = f;
		w->keys = &keys;
		w->top = len + 1;
		w->until = until;
		memcpy(w->path, c->profile_dir, len + 1);
		look_into(w, len, 0);
		if (f->count > 0)
			qsort(f->path, f->count, sizeof(*f->path), by_text);
	}
	free(w);
	free_keys(&keys);
}

void profile_files_free(struct profile_files *f)
{
	for (size_t i = 0; i < f->count; i++)
		free(f->path[i]);
	*f = (struct profile_files){ 0 };
}

/* The nearest */

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* What a path says, whatever stands between its words: small letters and digits, with one "_"
 * between them, without ".json". */
static void plain(const char *path, char out[PATH_MAX])
{
	size_t len = strlen(path), used = 0;

	if (len > 5 && strcasecmp(path + len - 5, ".json") == 0)
		len -= 5;
	for (size_t i = 0; i < len && used + 2 < PATH_MAX; i++) {
		char c = path[i];

		if (c >= 'A' && c <= 'Z')
			c = "abcdefghijklmnopqrstuvwxyz"[c - 'A'];
		if (i + 3 <= len && strncasecmp(path + i, "%2f", 3) == 0) {
			c = '/';
			i += 2;
		}
		if (is_word(c))
			out[used++] = c;
		else if (used > 0 && out[used - 1] != '_')
			out[used++] = '_';
	}
	while (used > 0 && out[used - 1] == '_')
		used--;
	out[used] = '\0';
}

static bool is_there(const struct config *c, const char *key)
{
	char path[PATH_MAX];
	struct stat st;

	return snprintf(path, sizeof(path), "%s/%s", c->profile_dir, key) >= (int)sizeof(path) ||
	       stat(path, &st) == 0 || errno != ENOENT;
}

/* profiles.dir may be a folder too high. Other folders, such as one for what is old, are not
 * looked through. */
static const char *without_profiles(const char *path)
{
	return strncasecmp(path, "profiles/", 9) == 0 ? path + 9 : path;
}

/* What a file may be called whose folder lacks what is before the last "/" of a model's name, or
 * that has no folder. */
struct wanted {
	char whole[PATH_MAX], last[PATH_MAX], bare[PATH_MAX];
};

static void want(struct wanted *w, const char *key, const char *model, const char *deployment)
{
	const char *slash = strrchr(model, '/');
	char last[CONFIG_PROFILE_NAME_SIZE];

	snprintf(last, sizeof(last), "%s/%s", slash ? slash + 1 : model, deployment);
	plain(key, w->whole);
	plain(last, w->last);
	plain(deployment, w->bare);
}

const char *profile_files_meant(const struct profile_files *f, const struct config *c,
                                const char *model, const char *deployment)
{
	char key[CONFIG_PROFILE_NAME_SIZE], is[PATH_MAX];
	const char *whole = NULL, *part = NULL;
	struct wanted w;

	if (f->count == 0 || profile_name(model, deployment, key, sizeof(key)) != SLO_OK)
		return NULL;
	want(&w, key, model, deployment);
	for (size_t i = 0; i < f->count && !whole; i++) {
		const char *path = without_profiles(f->path[i]);

		plain(path, is);
		if (strcmp(is, w.whole) == 0)
			whole = f->path[i];
		else if (!part && (strcmp(is, w.last) == 0 ||
		                   (!strchr(path, '/') && strcmp(is, w.bare) == 0)))
			part = f->path[i];
	}
	if (!whole)
		whole = part;
	return whole && !is_there(c, key) ? whole : NULL;
}
