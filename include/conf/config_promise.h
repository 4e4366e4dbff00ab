/* config_promise.h - what a model promises and where the times of its deployments come from, for
 * config_models.c and config.c. */
#ifndef SLO_CONF_CONFIG_PROMISE_H
#define SLO_CONF_CONFIG_PROMISE_H

#include "conf/config_json.h"

/* "slo" of a model. */
void config_promise_read(struct reader *r, const struct node *model, struct config_model *out);
/* "profile", "kv_tokens" and "max_running" of a deployment; its section was checked. */
void config_source_read(struct reader *r, const struct node *deployment,
                        struct config_deployment *out);
/* "export" of the section "profiles"; out has the defaults, from is where
 * profiles are read; NULL: nowhere. */
void config_export_read(struct reader *r, const struct node *profiles, const char *dir,
                        const char *from, struct config_export *out);

#endif
