#include "io/base/config_look.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 6 /* models, M, deployments, D, ... */

static bool is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
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

/* Keys of times. HAProxy counts a number without a unit in milliseconds, and so do we; most people
 * mean seconds. */
static bool is_time(const char *key)
{
	static const char *const times[] = {
		"queue_timeout",
		"queue_timeout_max",
		"drain_timeout",
		"hello_timeout",
		"idle_timeout",
		"lease_max_age",
		"remember_ended",
		"silence",
		"e2e",
		"ttft",
		"tpot",
		"tpat",
		"e2e_min",
		"ttft_min",
		"tpot_min",
		"refresh",
		"every",
		"max_age",
		"poll",
		"grace",
	};

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		if (strcmp(key, times[i]) == 0)
			return true;
	return false;
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
		if (json_is_integer(value) && json_integer_value(value) > 0 && is_time(key))
			fprintf(out,
			        "[NOTICE] (%ld) : %s is %lld ms: a number without a unit counts "
			        "milliseconds\n",
			        (long)getpid(), path, (long long)json_integer_value(value));
		else if (json_is_object(value) && depth < DEPTH_MAX)
			look_for_bare_times(value, path, depth + 1, out);
	}
}

void config_look(const struct config *c, FILE *out)
{
	look_for_bare_times(c->dom, "", 0, out);
	if (c->profile_dir && !is_folder(c->profile_dir))
		fprintf(out,
		        "[NOTICE] (%ld) : profiles.dir: there is no folder %s on this machine: no "
		        "profile is read from it\n",
		        (long)getpid(), c->profile_dir);
	look_at(c->snapshot.file, "snapshot.file",
	        "a restart forgets what runs and what was learned", out);
	look_at(c->recorder.file, "recorder.file", "nothing is recorded", out);
}
