/* config_look.h - what a configuration names on this machine and is not there. */
#ifndef SLO_IO_BASE_CONFIG_LOOK_H
#define SLO_IO_BASE_CONFIG_LOOK_H

#include <stdio.h>

#include "conf/config.h"

/* A line for each, to out. The agent starts all the same, and says so then. */
void config_look(const struct config *c, FILE *out);

#endif
