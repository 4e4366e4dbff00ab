/* profile_files.h - the files below profiles.dir that no deployment reads, and which of them is
 * probably meant for one: a name in other letters, "/" or "_" where %2F must stand, a folder too
 * few. */
#ifndef SLO_IO_BASE_PROFILE_FILES_H
#define SLO_IO_BASE_PROFILE_FILES_H

#include "conf/config.h"

#define PROFILE_FILES_MAX 64

/* Nothing is told of hidden files, nor of what lies deeper or after so many others that it is no
 * folder of profiles. */
struct profile_files {
	size_t count;
	char *path[PROFILE_FILES_MAX]; /* below profiles.dir */
};

/* Looks for them until that time of clock_nsec(), or a little longer; profiles.dir may be NULL.
 * Without memory or time it finds fewer. It follows no linked folder. */
void profile_files_look(struct profile_files *f, const struct config *c, slo_nsec until);
/* The path, below profiles.dir, of the file that is probably meant for this deployment, whose own
 * file (profile_name()) is not there. NULL: none is, or its own is there. */
const char *profile_files_meant(const struct profile_files *f, const struct config *c,
                                const char *model, const char *deployment);
void profile_files_free(struct profile_files *f);

#endif
