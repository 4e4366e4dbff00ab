/* demo_http.h - libmicrohttpd in the few shapes the demo server needs. */
#ifndef DEMO_HTTP_H
#define DEMO_HTTP_H

#include <errno.h>
#include <jansson.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define DEMO_BODY_MAX ((size_t)32 << 20)

struct demo_body {
	char *p; /* from malloc, the owner frees it */
	size_t len, size;
	bool too_big; /* some of it was dropped */
};

/* Takes what libmicrohttpd offers, all of it. */
static inline enum MHD_Result demo_body_take(struct demo_body *b, const char *data, size_t *len)
{
	size_t need = b->len + *len;
	char *p;

	if (need > DEMO_BODY_MAX) {
		b->too_big = true;
		*len = 0;
		return MHD_YES;
	}
	if (need > b->size) {
		p = realloc(b->p, 2 * need);
		if (p == NULL)
			return MHD_NO;
		b->p = p;
		b->size = 2 * need;
	}
	memcpy(b->p + b->len, data, *len);
	b->len = need;
	*len = 0;
	return MHD_YES;
}

static inline const char *demo_header(struct MHD_Connection *conn, const char *name)
{
	return MHD_lookup_connection_value(conn, MHD_HEADER_KIND, name);
}

/* 0: absent, or not a positive number that fits. */
static inline uint32_t demo_header_count(struct MHD_Connection *conn, const char *name)
{
	const char *text = demo_header(conn, name);
	char *end;
	unsigned long long v;

	if (text == NULL || *text < '0' || *text > '9')
		return 0;
	errno = 0;
	v = strtoull(text, &end, 10);
	return errno == 0 && *end == '\0' && v <= UINT32_MAX ? (uint32_t)v : 0;
}

/* Queues resp and lets go of it; NULL breaks the connection. Every answer names its server. */
static inline enum MHD_Result demo_respond(struct MHD_Connection *conn, const char *server,
                                           unsigned status, struct MHD_Response *resp,
                                           const char *type)
{
	enum MHD_Result ret = MHD_NO;

	if (resp == NULL)
		return MHD_NO;
	if (MHD_add_response_header(resp, "x-demo-server", server) == MHD_YES &&
	    MHD_add_response_header(resp, "Content-Type", type) == MHD_YES)
		ret = MHD_queue_response(conn, status, resp);
	MHD_destroy_response(resp);
	return ret;
}

/* Takes over text, which is JSON from malloc; NULL breaks the connection. */
static inline enum MHD_Result demo_respond_text(struct MHD_Connection *conn, const char *server,
                                                unsigned status, char *text, size_t len)
{
	struct MHD_Response *resp;

	if (text == NULL)
		return MHD_NO;
	resp = MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);
	if (resp == NULL)
		free(text);
	return demo_respond(conn, server, status, resp, "application/json");
}

/* Takes over the reference. */
static inline enum MHD_Result demo_respond_json(struct MHD_Connection *conn, const char *server,
                                                unsigned status, json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT);

	json_decref(value);
	return demo_respond_text(conn, server, status, text, text != NULL ? strlen(text) : 0);
}

#endif
