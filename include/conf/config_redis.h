/* config_redis.h - the sections "profiles.redis" and "cluster", for config.c. */
#ifndef SLO_CONF_CONFIG_REDIS_H
#define SLO_CONF_CONFIG_REDIS_H

#include "conf/config_json.h"

/* out has the defaults; it stays as it is when the section is absent. */
void config_redis_read(struct reader *r, const struct node *profiles, const char *dir,
                       struct config_redis *out);
/* The section "cluster"; likewise. */
void config_cluster_read(struct reader *r, const struct node *root, const char *dir,
                         struct config_cluster *out);
void config_redis_fini(struct config_redis *r);
/* Whether both mean the same server and us as the same client. */
bool config_redis_same_peer(const struct config_redis *a, const struct config_redis *b);
/* Whether both mean the same server, and the same agent there. */
bool config_cluster_same(const struct config_cluster *a, const struct config_cluster *b);

#endif
