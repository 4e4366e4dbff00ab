/* config_look.h - what a configuration says that is no error and may be a mistake: folders and
 * accounts that are not there, numbers without a unit, promises that contradict each other. */
#ifndef SLO_IO_BASE_CONFIG_LOOK_H
#define SLO_IO_BASE_CONFIG_LOOK_H

#include <stdio.h>

#include "conf/config.h"

/* A line for each, to out. The agent starts all the same. */
void config_look(const struct config *c, FILE *out);

#endif
