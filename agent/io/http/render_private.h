/* render_private.h - the part of both texts that is about Redis. */
#ifndef SLO_IO_HTTP_RENDER_PRIVATE_H
#define SLO_IO_HTTP_RENDER_PRIVATE_H

#include <jansson.h>
#include <stdio.h>

#include "io/redis/redis_client.h"

void render_redis_metrics(FILE *f, const struct redis_client *c);
json_t *render_redis_state(const struct redis_client *c); /* null when it is not configured */

#endif
