/* config_load.h - the configuration from its file. */
#ifndef SLO_IO_BASE_CONFIG_LOAD_H
#define SLO_IO_BASE_CONFIG_LOAD_H

#include "conf/config.h"

/* Reads the file at `path`, which must outlive the result. NULL: *err says why. */
MUSTCHECK struct config *config_load(const char *path, struct doc_error *err);

#endif
