#include "io/base/config_look.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

void config_look(const struct config *c, FILE *out)
{
	if (c->profile_dir && !is_folder(c->profile_dir))
		fprintf(out,
		        "[NOTICE] (%ld) : profiles.dir: there is no folder %s on this machine: no "
		        "profile is read from it\n",
		        (long)getpid(), c->profile_dir);
	look_at(c->snapshot.file, "snapshot.file",
	        "a restart forgets what runs and what was learned", out);
	look_at(c->recorder.file, "recorder.file", "nothing is recorded", out);
}
