/* http_server.h - /metrics, /healthz and /state.json, by libmicrohttpd on our own loop. */
#ifndef SLO_IO_HTTP_HTTP_SERVER_H
#define SLO_IO_HTTP_HTTP_SERVER_H

#include "io/http/render.h"

struct http_server;

/* Opens conf->http of the agent, if one is configured: only call it then. The sources must outlive
 * it. NULL: the reason is logged. */
struct http_server *http_server_new(struct agent *a, const struct http_sources *sources);
void http_server_free(struct http_server *s); /* NULL is accepted */

#endif
