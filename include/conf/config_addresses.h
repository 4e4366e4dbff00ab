/* config_addresses.h - the sections "spop", "events", "http" and "haproxy", for config.c: where the
 * agent listens, and where it asks HAProxy. */
#ifndef SLO_CONF_CONFIG_ADDRESSES_H
#define SLO_CONF_CONFIG_ADDRESSES_H

#include "conf/config_json.h"

/* c has the defaults. dir: of the configuration file, with its slash; "": the current one. */
void config_addresses_read(struct reader *r, const struct node *root, const char *dir,
                           struct config *c);

#endif
