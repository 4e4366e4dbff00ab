/* files.h - where the profiles of simulated GPUs lie: DIR/MODEL/GPU.json as the daemon has it, or
 * DIR/hNN/MODEL/GPU.json for those made with a headroom of NN %. Complains on standard error. */
#ifndef SIM_FILES_H
#define SIM_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "sim.h"
#include "wire/profdoc.h"

/* headroom 0: without hNN. False: a name is no file name, or the path is too long. */
bool files_profile_path(const char *dir, double headroom, const char *model, const char *gpu,
                        char *out, size_t cap);

/* One profile for each type of conf; docs are the caller's to free, also on failure. */
bool files_profiles(const char *dir, double headroom, struct sim_conf *conf,
                    struct slo_profile_doc *docs[SIM_TYPES_MAX]);

#endif
