/* config_routing.h - the section "routing", for config.c, and what a model may say otherwise. */
#ifndef SLO_CONF_CONFIG_ROUTING_H
#define SLO_CONF_CONFIG_ROUTING_H

#include "conf/config_json.h"

/* All but the default model (config_models.h). out has the defaults. */
void config_routing_read(struct reader *r, const struct node *root, struct config_routing *out);

/* "strategy", "tokens" and "limits" of the section or of a model; what they lack stays as it is in
 * *out. */
void config_routing_strategy(struct reader *r, const struct node *section, enum slo_strategy *out);
void config_routing_weights(struct reader *r, const struct node *section,
                            const struct token_weights **out);
void config_routing_limits(struct reader *r, const struct node *section,
                           struct config_client_limits *out);

#endif
