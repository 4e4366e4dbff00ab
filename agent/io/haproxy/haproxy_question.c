#include "io/haproxy/haproxy_question.h"

#include <stdio.h>
#include <string.h>

/* Questions */

/* False: there is no room for it. */
static bool add_text(struct haproxy_question *q, const char *before, const char *backend,
                     const char *after)
{
	size_t room = sizeof(q->text) - q->len;
	int n = snprintf(q->text + q->len, room, "%s%s%s", before, backend, after);

	if (n < 0 || (size_t)n + 1 >= room)
		return false;
	q->len += (size_t)n;
	q->commands++;
	return true;
}

static bool add_backend(struct haproxy_question *q, const struct agent *a, const char *backend)
{
	backend = roster_backend_name(a, backend);
	if (!backend) /* there was no memory for it: no server of it is known either */
		return true;
	for (size_t i = 0; i < q->backends; i++)
		if (q->backend[i] == backend)
			return true;
	if (q->backends == QUESTION_BACKENDS_MAX)
		return false;
	q->backend[q->backends++] = backend;
	return add_text(q, ";show stat ", backend, " 4 -1");
}

static void begin(struct haproxy_question *q)
{
	q->len = q->commands = 0;
	(void)add_text(q, "show info", "", "");
}

/* 4 stands for servers, -1 for whatever id. */
void haproxy_question_write(struct haproxy_question *q, const struct agent *a)
{
	bool fits = true;

	q->backends = 0;
	q->addresses = a->conf->engines.metrics != NULL;
	begin(q);
	for (size_t i = 0; fits && i < a->model_count; i++)
		fits = add_backend(q, a, a->models[i]->conf->backend);
	for (size_t i = 0; fits && q->addresses && i < q->backends; i++)
		fits = add_text(q, ";show servers state ", q->backend[i], "");
	if (!fits) {
		q->backends = 0;
		begin(q);
		(void)add_text(q, ";show stat -1 4 -1", "", "");
		if (q->addresses)
			(void)add_text(q, ";show servers state", "", "");
	}
	q->text[q->len++] = '\n';
}

/* Answers */

void haproxy_answer_begin(struct haproxy_answer *x)
{
	x->process = (struct haproxy_process){ 0, 0, 0 };
	x->unknown = x->no_addresses = 0;
	x->denied = NULL;
	haproxy_stat_init(&x->parser);
}

/* False: nothing that the configuration can have. */
static bool copy_name(char out[CONFIG_NAME_MAX + 1], struct slice name)
{
	if (!config_is_name(name))
		return false;
	memcpy(out, name.p, name.len);
	out[name.len] = '\0';
	return true;
}

static void see_server(struct haproxy_answer *x, slo_nsec now, const struct haproxy_server *row)
{
	char backend[CONFIG_NAME_MAX + 1], name[CONFIG_NAME_MAX + 1];
	uint32_t all = row->sessions + row->queued;
	struct server *server;

	if (!copy_name(backend, row->backend) || !copy_name(name, row->name))
		return;
	roster_server_seen(x->agent, now, backend, name, row->state);
	server = roster_find(x->agent, backend, name);
	if (server && row->queued > 0)
		roster_server(server)->queued_views++;
	else if (server)
		roster_server(server)->queued_views = 0;
	if (server)
		heal_count(x->heal, server, all < row->sessions ? UINT32_MAX : all);
}

static void see_address(const struct haproxy_answer *x, const struct haproxy_address *row)
{
	roster_server_address(x->agent, row->backend, row->name, row->address, row->port);
}

/* FNV-1a. */
static uint64_t hash_of(struct slice text)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < text.len; i++)
		h = (h ^ text.p[i]) * UINT64_C(1099511628211);
	return h;
}

/* What the answer with that number denies us. */
static const char *denied(const struct haproxy_question *q, uint32_t block)
{
	if (block == 0)
		return HAPROXY_DENIES "show info";
	return block <= (q->backends ? q->backends : 1) ? HAPROXY_DENIES "show stat"
	                                                : HAPROXY_DENIES "show servers state";
}

/* Instead of a table: this process has no such backend, which is told once. Any other word makes
 * the answer worthless. */
static void see_text(struct haproxy_answer *x, slo_nsec now, struct slice text)
{
	const struct haproxy_question *q = x->question;
	uint32_t block = x->parser.blocks;

	if (slice_eq(text, "Permission denied") && !x->denied)
		x->denied = denied(q, block);
	if (block == 0) { /* of "show info" */
		if (slice_starts(text, "node: "))
			x->process.node = hash_of(text);
		return;
	}
	if (slice_eq(text, "Can't find backend.")) /* "No such proxy." was told before */
		x->no_addresses++;
	if (!slice_eq(text, "No such proxy."))
		return;
	x->unknown++;
	if (block <= q->backends)
		warn_set(x->agent, now, BACKEND_ABSENT, q->backend[block - 1],
		         "HAProxy at %s has no backend %s, which models name: their requests go to "
		         "default_backend; give it the same name in both",
		         x->name, q->backend[block - 1]);
	if (x->unknown > x->told_unknown)
		log_limited(x->agent->log, now, LOG_CAUSE_HAPROXY_BACKEND, LOG_WARNING,
		            "haproxy: %s does not know backend %s", x->name,
		            block <= q->backends ? q->backend[block - 1] : "-1");
}

const char *haproxy_answer_take(struct haproxy_answer *x, slo_nsec now, struct slice bytes)
{
	struct haproxy_item item = { .kind = HAPROXY_TEXT };
	slo_err err;

	while ((err = haproxy_stat_next(&x->parser, &bytes, &item)) == SLO_OK) {
		if (x->parser.blocks >= x->question->commands)
			break; /* more answers than questions */
		switch (item.kind) {
		case HAPROXY_SERVER:
			see_server(x, now, &item.server);
			break;
		case HAPROXY_ADDRESS:
			see_address(x, &item.address);
			break;
		case HAPROXY_PID:
			x->process.pid = item.number;
			break;
		case HAPROXY_UPTIME:
			x->process.uptime = item.number;
			break;
		case HAPROXY_TEXT:
			see_text(x, now, item.text);
			break;
		}
	}
	return err == SLO_ESHORT ? NULL : "the answer makes no sense";
}

const char *haproxy_answer_end(const struct haproxy_answer *x)
{
	uint32_t commands = x->question->commands;

	if (x->denied)
		return x->denied;
	if (!haproxy_stat_complete(&x->parser, commands) ||
	    x->parser.tables + x->unknown + x->no_addresses != commands - 1)
		return "the answer is not whole";
	return x->process.pid == 0 ? "it does not tell its process" : NULL;
}
