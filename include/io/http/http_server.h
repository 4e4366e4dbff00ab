/* http_server.h - /metrics, /healthz and /state.json, by libmicrohttpd on our own loop. */
#ifndef SLO_IO_HTTP_HTTP_SERVER_H
#define SLO_IO_HTTP_HTTP_SERVER_H

#include "io/agent/agent.h"

struct http_server;

/* Opens conf->http. NULL: the reason is logged. Only call it if one is configured. */
struct http_server *http_server_new(struct agent *a);
void http_server_free(struct http_server *s); /* NULL is accepted */

#endif
