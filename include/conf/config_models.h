/* config_models.h - the section "models", for config.c: deployments, servers and their names. */
#ifndef SLO_CONF_CONFIG_MODELS_H
#define SLO_CONF_CONFIG_MODELS_H

#include "conf/config_json.h"

/* c has the addresses and the routing already: patterns need a runtime API, and models inherit. */
void config_models_read(struct reader *r, const struct node *root, struct config *c);
/* routing.default_model, which is one of them. */
void config_models_default(struct reader *r, const struct node *root, struct config *c);
void config_models_fini(struct config *c);

#endif
