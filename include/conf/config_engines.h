/* config_engines.h - the section "engines": see config.h. */
#ifndef SLO_CONF_CONFIG_ENGINES_H
#define SLO_CONF_CONFIG_ENGINES_H

#include "conf/config_json.h"

/* After "haproxy": addresses that fill the template come from there. */
void config_engines_read(struct reader *r, const struct node *root, struct config *c);
void config_engines_fini(struct config_engines *e);

#endif
