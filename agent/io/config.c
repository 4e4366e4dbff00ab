#include "io/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "io/config_json.h"
#include "io/config_redis.h"
#include "wire/route_msg.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MSEC     SLO_NSEC_PER_MSEC
#define SEC      SLO_NSEC_PER_SEC
#define HOUR     (3600 * SEC)
#define DAY      (24 * HOUR)

struct reader {
	struct cfg_doc doc;
	struct config *c;
	char *dir; /* of the configuration file; "": it was named without one */
};

/* HAProxy's rule for names of proxies and servers. */
static bool is_name(const char *s)
{
	return s[strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-")] ==
	       '\0';
}

bool config_is_pattern(const char *server)
{
	return server[strcspn(server, "*?[")] != '\0';
}

/* Everything that a pattern matches is a name. */
static bool is_pattern(const char *s)
{
	return config_is_pattern(s) &&
	       s[strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-"
	                   "*?[]!^")] == '\0';
}

/* A backend or server name: what HAProxy could call something. */
static bool want_name(struct reader *r, const struct cfg_node *n, bool pattern, const char **out)
{
	const char *s;

	if (!cfg_want_string(&r->doc, n, CONFIG_NAME_MAX, &s))
		return false;
	if (pattern && is_pattern(s)) {
		*out = s;
		return true;
	}
	if (!is_name(s)) {
		cfg_fail(&r->doc, n, JSONPOS_VALUE,
		         "is \"%s\", must be letters, digits and _ . : - only, as HAProxy's names",
		         cfg_quote(s).s);
		return false;
	}
	*out = s;
	return true;
}

static bool check_object_name(struct reader *r, const struct cfg_node *n)
{
	size_t len = strlen(n->key);

	if (len == 0)
		cfg_fail(&r->doc, n, JSONPOS_KEY, "the name is empty");
	else if (len > CONFIG_NAME_MAX)
		cfg_fail(&r->doc, n, JSONPOS_KEY, "the name has %zu bytes, at most %d are allowed",
		         len, CONFIG_NAME_MAX);
	return !r->doc.failed;
}

/* Listeners */

/* Port 0 is another one each time. */
static bool is_listed(const struct config_listen *l, const struct listen_addr *a)
{
	for (size_t i = 0; i < l->count; i++) {
		const struct listen_addr *b = &l->addr[i];

		if (a->kind == b->kind &&
		    (a->kind == LISTEN_UNIX
		         ? strcmp(a->path, b->path) == 0
		         : a->port != 0 && a->port == b->port && strcmp(a->host, b->host) == 0))
			return true;
	}
	return false;
}

static void read_address(struct reader *r, const struct cfg_node *n, bool udp,
                         struct config_listen *out)
{
	struct listen_addr *addr = &out->addr[out->count];
	const char *s, *why;

	if (!cfg_want_string(&r->doc, n, SIZE_MAX, &s))
		return;
	if (!listen_addr_parse(s, r->dir, addr, &why))
		cfg_fail(&r->doc, n, JSONPOS_VALUE, "address \"%s\" %s", cfg_quote(s).s, why);
	else if (addr->kind == LISTEN_UDP && !udp)
		cfg_fail(&r->doc, n, JSONPOS_VALUE,
		         "address \"%s\" is UDP, which only events.listen can have",
		         cfg_quote(s).s);
	else if (is_listed(out, addr))
		cfg_fail(&r->doc, n, JSONPOS_VALUE, "address \"%s\" is in this list already",
		         cfg_quote(s).s);
	else
		out->count++;
}

static const struct cfg_field listen_fields[] = { { .name = "listen" } };

static void read_address_list(struct reader *r, const struct cfg_node *list, bool udp,
                              struct config_listen *out)
{
	size_t count = json_array_size(list->value);

	if (!cfg_want_array(&r->doc, list))
		return;
	if (count < 1 || count > CONFIG_LISTEN_MAX)
		cfg_fail(&r->doc, list, JSONPOS_VALUE, "has %zu addresses, must have 1 to %d",
		         count, CONFIG_LISTEN_MAX);
	for (size_t i = 0; i < count && !r->doc.failed; i++) {
		struct cfg_node e = cfg_element(list, i);

		read_address(r, &e, udp, out);
	}
}

static void read_addresses(struct reader *r, const struct cfg_node *root, const char *key, bool udp,
                           struct config_listen *out)
{
	struct cfg_node n = cfg_member(root, key), list;

	if (!cfg_want_object(&r->doc, &n))
		return;
	cfg_section(&r->doc, &n, listen_fields, COUNT(listen_fields), NULL);
	list = cfg_member(&n, "listen");
	read_address_list(r, &list, udp, out);
}

static void read_http(struct reader *r, const struct cfg_node *root)
{
	struct cfg_node n = cfg_member(root, "http"), listen;

	if (!n.value)
		return;
	cfg_section(&r->doc, &n, listen_fields, COUNT(listen_fields), NULL);
	listen = cfg_member(&n, "listen");
	read_address(r, &listen, false, &r->c->http);
}

/* The way to HAProxy */

static void read_haproxy(struct reader *r, const struct cfg_node *root)
{
	static const struct cfg_field fields[] = {
		{ .name = "runtime_api" },
		{ "poll", CFG_TIME, offsetof(struct config, haproxy_poll), 50 * MSEC, HOUR },
		{ "grace", CFG_TIME, offsetof(struct config, haproxy_grace), 0, HOUR },
	};
	struct cfg_node n = cfg_member(root, "haproxy"), list = cfg_member(&n, "runtime_api");

	if (!n.value)
		return;
	cfg_section(&r->doc, &n, fields, COUNT(fields), r->c);
	read_address_list(r, &list, false, &r->c->runtime_api);
}

/* Profiles, log, limits */

static void read_profiles(struct reader *r, const struct cfg_node *root)
{
	static const struct cfg_field fields[] = { { .name = "dir" }, { .name = "redis" } };
	struct cfg_node n = cfg_member(root, "profiles");

	cfg_section(&r->doc, &n, fields, COUNT(fields), NULL);
	(void)cfg_path(&r->doc, &n, "dir", r->dir, &r->c->profile_dir);
	config_redis_read(&r->doc, &n, r->dir, &r->c->redis);
}

static void read_snapshot(struct reader *r, const struct cfg_node *root)
{
	static const struct cfg_field fields[] = {
		{ .name = "file" },
		{ "every", CFG_TIME, offsetof(struct config_snapshot, every), 100 * MSEC, HOUR },
		{ "max_age", CFG_TIME, offsetof(struct config_snapshot, max_age), 0, DAY },
	};
	struct cfg_node n = cfg_member(root, "snapshot"), path;
	const char *file;

	if (!n.value)
		return;
	cfg_section(&r->doc, &n, fields, COUNT(fields), &r->c->snapshot);
	path = cfg_member(&n, "file");
	if (cfg_want_string(&r->doc, &path, SIZE_MAX, &file))
		(void)cfg_path(&r->doc, &n, "file", r->dir, &r->c->snapshot.file);
}

static void read_recorder(struct reader *r, const struct cfg_node *root)
{
	static const struct cfg_field fields[] = {
		{ .name = "file" },
		{ "max_size", CFG_SIZE, offsetof(struct config_recorder, max_size), 64 << 10,
		  INT64_C(1) << 40 },
		{ "keep", CFG_COUNT, offsetof(struct config_recorder, keep), 0, 1000 },
	};
	struct cfg_node n = cfg_member(root, "recorder"), path;
	const char *file;

	if (!n.value)
		return;
	cfg_section(&r->doc, &n, fields, COUNT(fields), &r->c->recorder);
	path = cfg_member(&n, "file");
	if (cfg_want_string(&r->doc, &path, SIZE_MAX, &file))
		(void)cfg_path(&r->doc, &n, "file", r->dir, &r->c->recorder.file);
}

static void read_log(struct reader *r, const struct cfg_node *root)
{
	static const struct cfg_field fields[] = { { .name = "level" } };
	static const struct cfg_choice levels[] = {
		{ "debug", LOG_DEBUG },     { "info", LOG_INFO }, { "notice", LOG_NOTICE },
		{ "warning", LOG_WARNING }, { "error", LOG_ERR },
	};
	struct cfg_node n = cfg_member(root, "log");

	cfg_section(&r->doc, &n, fields, COUNT(fields), NULL);
	(void)cfg_choice(&r->doc, &n, "level", levels, COUNT(levels), &r->c->log_level);
}

static void read_limits(struct reader *r, const struct cfg_node *root)
{
#define LIMIT(type, name, min, max)                                         \
	{                                                                   \
#name, type, offsetof(struct config_limits, name), min, max \
	}
	static const struct cfg_field fields[] = {
		LIMIT(CFG_COUNT, spop_connections, 1, 1000000),
		LIMIT(CFG_SIZE, spop_frame_size, 256, 1 << 20),
		LIMIT(CFG_TIME, hello_timeout, MSEC, HOUR),
		LIMIT(CFG_TIME, idle_timeout, 0, DAY),
		LIMIT(CFG_COUNT, frames_in_flight, 1, 1000000),
		LIMIT(CFG_SIZE, output_buffer, 4096, 64 << 20),
		LIMIT(CFG_COUNT, id_length, 1, ROUTE_MSG_ID_MAX),
		LIMIT(CFG_SIZE, end_line_length, 128, 65535),
		LIMIT(CFG_COUNT, event_connections, 1, 100000),
		LIMIT(CFG_COUNT, http_connections, 1, 100000),
		LIMIT(CFG_TIME, remember_ended, 0, HOUR),
		LIMIT(CFG_COUNT, remember_limit, 0, 10000000),
		LIMIT(CFG_TIME, lease_max_age, MSEC, 30 * DAY),
	};
#undef LIMIT
	struct config_limits *limits = &r->c->limits;
	struct cfg_node n = cfg_member(root, "limits"), culprit;

	cfg_section(&r->doc, &n, fields, COUNT(fields), limits);
	/* A frame leaves whole, with its length before it. */
	if (r->doc.failed || limits->output_buffer >= limits->spop_frame_size + 4)
		return;
	culprit = cfg_member(&n, "output_buffer");
	if (!culprit.value)
		culprit = cfg_member(&n, "spop_frame_size");
	cfg_fail(&r->doc, &culprit, JSONPOS_VALUE,
	         "an output_buffer of %zu bytes cannot hold a spop_frame_size of %zu and 4 more",
	         limits->output_buffer, limits->spop_frame_size);
}

/* Routing */

static void read_strategy(struct reader *r, const struct cfg_node *n, enum slo_strategy *out)
{
	struct cfg_choice names[SLO_STRATEGIES];
	int v;

	for (int i = 0; i < SLO_STRATEGIES; i++)
		names[i] = (struct cfg_choice){ policy_strategy_name((enum slo_strategy)i), i };
	if (cfg_choice(&r->doc, n, "strategy", names, SLO_STRATEGIES, &v))
		*out = (enum slo_strategy)v;
}

static void read_tokens(struct reader *r, const struct cfg_node *section,
                        const struct token_weights **out)
{
	static const struct cfg_field fields[] = { { .name = "weights" } };
	struct cfg_node n = cfg_member(section, "tokens"), weights = cfg_member(&n, "weights");
	const struct token_weights *found;
	const char *name;

	cfg_section(&r->doc, &n, fields, COUNT(fields), NULL);
	if (!cfg_string(&r->doc, &n, "weights", SIZE_MAX, &name))
		return;
	found = tokens_weights(name);
	if (found)
		*out = found;
	else
		cfg_fail(&r->doc, &weights, JSONPOS_VALUE,
		         "is \"%s\", must be avg, cl100k, o200k, llama3, qwen2, dsv3 or llama2",
		         cfg_quote(name).s);
}

static void read_choices(struct reader *r, const struct cfg_node *n)
{
	static const struct cfg_choice fallback[] = {
		{ "least-request", SLO_STRATEGY_LEAST_REQUEST },
		{ "random", SLO_STRATEGY_RANDOM },
	};
	static const struct cfg_choice late[] = {
		{ "serve", SLO_LATE_SERVE },
		{ "reject", SLO_LATE_REJECT },
	};
	static const struct cfg_choice infeasible[] = {
		{ "reject", SLO_INFEASIBLE_REJECT },
		{ "fallback", SLO_INFEASIBLE_FALLBACK },
	};
	static const struct cfg_choice predict[] = {
		{ "sample", SLO_PREDICT_SAMPLE },
		{ "p50", SLO_PREDICT_P50 },
		{ "p90", SLO_PREDICT_P90 },
	};
	static const struct cfg_choice cold[] = {
		{ "optimistic", SLO_COLD_OPTIMISTIC },
		{ "input", SLO_COLD_INPUT },
		{ "max", SLO_COLD_MAX },
	};
	struct config_routing *to = &r->c->routing;
	int v;

	if (cfg_choice(&r->doc, n, "fallback", fallback, COUNT(fallback), &v))
		to->fallback = (enum slo_strategy)v;
	if (cfg_choice(&r->doc, n, "late", late, COUNT(late), &v))
		to->late = (enum slo_late)v;
	if (cfg_choice(&r->doc, n, "infeasible", infeasible, COUNT(infeasible), &v))
		to->infeasible = (enum slo_infeasible)v;
	if (cfg_choice(&r->doc, n, "predict", predict, COUNT(predict), &v))
		to->predict = (enum slo_predict)v;
	if (cfg_choice(&r->doc, n, "cold", cold, COUNT(cold), &v))
		to->cold = (enum slo_cold)v;
}

static void read_routing(struct reader *r, const struct cfg_node *root)
{
#define ROUTING(type, name, min, max)                                        \
	{                                                                    \
#name, type, offsetof(struct config_routing, name), min, max \
	}
	static const struct cfg_field fields[] = {
		ROUTING(CFG_TIME, queue_timeout, MSEC, DAY),
		ROUTING(CFG_TIME, drain_timeout, 0, DAY),
		ROUTING(CFG_COUNT, queue_limit, 0, 10000000),
		ROUTING(CFG_U64, seed, 0, INT64_MAX),
		{ .name = "strategy" },
		{ .name = "fallback" },
		{ .name = "default_model" },
		{ .name = "late" },
		{ .name = "infeasible" },
		{ .name = "predict" },
		{ .name = "cold" },
		{ .name = "tokens" },
	};
#undef ROUTING
	struct cfg_node n = cfg_member(root, "routing");

	cfg_section(&r->doc, &n, fields, COUNT(fields), &r->c->routing);
	read_strategy(r, &n, &r->c->routing.strategy);
	read_choices(r, &n);
	read_tokens(r, &n, &r->c->routing.weights);
}

/* Needs the models. */
static void read_default_model(struct reader *r, const struct cfg_node *root)
{
	struct cfg_node routing = cfg_member(root, "routing");
	struct cfg_node n = cfg_member(&routing, "default_model");
	const char *name;

	if (!cfg_string(&r->doc, &routing, "default_model", SIZE_MAX, &name))
		return;
	for (size_t i = 0; i < r->c->model_count; i++) {
		if (strcmp(r->c->models[i].name, name) == 0) {
			r->c->routing.default_model = &r->c->models[i];
			return;
		}
	}
	cfg_fail(&r->doc, &n, JSONPOS_VALUE, "is \"%s\", which is none of the models",
	         cfg_quote(name).s);
}

/* Models */

/* `seen` has the names of the servers that the model's deployments had so far. */
static void read_server(struct reader *r, const struct cfg_node *n, json_t *seen, const char **out)
{
	const char *name;

	if (!want_name(r, n, true, &name))
		return;
	if (config_is_pattern(name) && r->c->runtime_api.count == 0)
		cfg_fail(&r->doc, n, JSONPOS_VALUE,
		         "\"%s\" is a pattern, which needs \"haproxy.runtime_api\"",
		         cfg_quote(name).s);
	else if (json_object_get(seen, name))
		cfg_fail(&r->doc, n, JSONPOS_VALUE, "server \"%s\" is already in this model",
		         cfg_quote(name).s);
	else if (json_object_set_new(seen, name, json_true()) != 0)
		cfg_no_memory(&r->doc);
	else
		*out = name;
}

/* Room for the names of n's servers. */
static bool alloc_servers(struct reader *r, size_t count, struct config_deployment *out)
{
	out->servers = calloc(count, sizeof(*out->servers));
	if (!out->servers) {
		cfg_no_memory(&r->doc);
		return false;
	}
	out->server_count = count;
	return true;
}

/* Without "servers" (n) all of the backend are meant, which only one deployment can say. */
static void all_servers(struct reader *r, const struct cfg_node *n, struct config_deployment *out)
{
	if (r->doc.failed)
		return;
	if (json_object_size(n->parent->parent->value) > 1)
		cfg_fail(&r->doc, n, JSONPOS_VALUE,
		         "is missing, and the model has other deployments");
	else if (r->c->runtime_api.count == 0)
		cfg_fail(&r->doc, n, JSONPOS_VALUE,
		         "is missing, which needs \"haproxy.runtime_api\"");
	else if (alloc_servers(r, 1, out))
		out->servers[0] = "*";
}

static void read_deployment(struct reader *r, const struct cfg_node *n, json_t *seen,
                            struct config_deployment *out)
{
	static const struct cfg_field fields[] = { { .name = "servers" } };
	struct cfg_node servers = cfg_member(n, "servers");
	size_t count = json_array_size(servers.value);

	if (!check_object_name(r, n) || !cfg_want_object(&r->doc, n))
		return;
	cfg_section(&r->doc, n, fields, COUNT(fields), NULL);
	out->name = n->key;
	if (!servers.value) {
		all_servers(r, &servers, out);
		return;
	}
	if (!cfg_want_array(&r->doc, &servers))
		return;
	if (count == 0) {
		cfg_fail(&r->doc, &servers, JSONPOS_VALUE, "is empty, must name a server");
		return;
	}
	if (!alloc_servers(r, count, out))
		return;
	for (size_t i = 0; i < count && !r->doc.failed; i++) {
		struct cfg_node e = cfg_element(&servers, i);

		read_server(r, &e, seen, &out->servers[i]);
	}
}

static void read_deployments(struct reader *r, const struct cfg_node *model,
                             struct config_model *out)
{
	struct cfg_node n = cfg_member(model, "deployments");
	size_t count = json_object_size(n.value), i = 0;
	json_t *seen, *value;
	const char *key;

	if (!cfg_want_object(&r->doc, &n))
		return;
	if (count < 1 || count > SLO_DEPLOYMENTS_MAX) {
		cfg_fail(&r->doc, &n, JSONPOS_VALUE, "has %zu deployments, must have 1 to %d",
		         count, SLO_DEPLOYMENTS_MAX);
		return;
	}
	seen = json_object();
	out->deployments = calloc(count, sizeof(*out->deployments));
	if (!seen || !out->deployments) {
		cfg_no_memory(&r->doc);
		json_decref(seen);
		return;
	}
	out->deployment_count = count;
	json_object_foreach(n.value, key, value)
	{
		struct cfg_node d = cfg_member(&n, key);

		read_deployment(r, &d, seen, &out->deployments[i++]);
	}
	json_decref(seen);
}

static void read_model(struct reader *r, const struct cfg_node *n, struct config_model *out)
{
	static const struct cfg_field fields[] = {
		{ .name = "backend" },
		{ .name = "strategy" },
		{ .name = "tokens" },
		{ .name = "deployments" },
	};
	struct cfg_node backend = cfg_member(n, "backend");

	if (!check_object_name(r, n) || !cfg_want_object(&r->doc, n))
		return;
	if (strcmp(n->key, ".") == 0 || strcmp(n->key, "..") == 0)
		cfg_fail(&r->doc, n, JSONPOS_KEY, "a model cannot be named \".\" or \"..\"");
	out->name = out->backend = n->key;
	out->strategy = r->c->routing.strategy;
	out->weights = r->c->routing.weights;
	cfg_section(&r->doc, n, fields, COUNT(fields), NULL);
	if (!backend.value && !is_name(n->key)) {
		cfg_fail(
		    &r->doc, n, JSONPOS_KEY,
		    "the model's name cannot be a backend's in HAProxy, so it needs \"backend\"");
		return;
	}
	if (backend.value)
		(void)want_name(r, &backend, false, &out->backend);
	read_strategy(r, n, &out->strategy);
	read_tokens(r, n, &out->weights);
	read_deployments(r, n, out);
}

static void read_models(struct reader *r, const struct cfg_node *root)
{
	struct cfg_node n = cfg_member(root, "models");
	size_t count = json_object_size(n.value), i = 0;
	const char *key;
	json_t *value;

	if (!cfg_want_object(&r->doc, &n))
		return;
	if (count == 0) {
		cfg_fail(&r->doc, &n, JSONPOS_VALUE, "is empty, must have a model");
		return;
	}
	r->c->models = calloc(count, sizeof(*r->c->models));
	if (!r->c->models) {
		cfg_no_memory(&r->doc);
		return;
	}
	r->c->model_count = count;
	json_object_foreach(n.value, key, value)
	{
		struct cfg_node m = cfg_member(&n, key);

		read_model(r, &m, &r->c->models[i++]);
	}
}

/* The whole file */

static void set_defaults(struct config *c)
{
	c->redis.refresh = 10 * SEC;
	c->haproxy_poll = SEC;
	c->haproxy_grace = 3 * SEC;
	c->log_level = LOG_INFO;
	c->routing = (struct config_routing){
		.strategy = SLO_STRATEGY_SLO,
		.fallback = SLO_STRATEGY_LEAST_REQUEST,
		.queue_timeout = 30 * SEC,
		.drain_timeout = 30 * SEC,
		.queue_limit = 100000,
		.late = SLO_LATE_SERVE,
		.infeasible = SLO_INFEASIBLE_REJECT,
		.predict = SLO_PREDICT_SAMPLE,
		.cold = SLO_COLD_OPTIMISTIC,
		.weights = tokens_weights("avg"),
	};
	c->snapshot = (struct config_snapshot){ .every = 2 * SEC, .max_age = 600 * SEC };
	c->recorder = (struct config_recorder){ .max_size = (size_t)64 << 20, .keep = 4 };
	c->limits = (struct config_limits){
		.spop_connections = 20000,
		.spop_frame_size = 16380,
		.hello_timeout = 2 * SEC,
		.idle_timeout = 300 * SEC,
		.frames_in_flight = 1024,
		.output_buffer = 256 << 10,
		.id_length = ROUTE_MSG_ID_MAX,
		.end_line_length = 8192,
		.event_connections = 256,
		.http_connections = 64,
		.remember_ended = 30 * SEC,
		.remember_limit = 100000,
		.lease_max_age = 2 * HOUR,
	};
}

static void read_config(struct reader *r)
{
	static const struct cfg_field fields[] = {
		{ .name = "spop" },     { .name = "events" },   { .name = "http" },
		{ .name = "profiles" }, { .name = "routing" },  { .name = "models" },
		{ .name = "limits" },   { .name = "log" },      { .name = "haproxy" },
		{ .name = "snapshot" }, { .name = "recorder" },
	};
	struct cfg_node root = { .value = r->c->dom };

	if (!cfg_want_object(&r->doc, &root))
		return;
	cfg_section(&r->doc, &root, fields, COUNT(fields), NULL);
	read_addresses(r, &root, "spop", false, &r->c->spop);
	read_addresses(r, &root, "events", true, &r->c->events);
	read_http(r, &root);
	/* Patterns need it. */
	read_haproxy(r, &root);
	read_profiles(r, &root);
	read_snapshot(r, &root);
	read_recorder(r, &root);
	read_log(r, &root);
	read_limits(r, &root);
	/* Models inherit from it. */
	read_routing(r, &root);
	read_models(r, &root);
	read_default_model(r, &root);
}

static char *directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	/* Keeps the slash, which the root needs. */
	return strndup(path, slash ? (size_t)(slash - path) + 1 : 0);
}

static void fail_syntax(struct reader *r, const json_error_t *json_err)
{
	struct config_error *err = r->doc.err;
	struct jsonpos pos;

	/* Without memory jansson often says nothing at all. */
	if (json_err->text[0] == '\0' || json_error_code(json_err) == json_error_out_of_memory) {
		cfg_no_memory(&r->doc);
		return;
	}
	pos = jsonpos_at(r->doc.text, r->doc.len,
	                 jsonpos_syntax_error(r->doc.text, r->doc.len, json_err));
	r->doc.failed = true;
	err->line = pos.line;
	err->column = pos.column;
	snprintf(err->message, sizeof(err->message), "%s", json_err->text);
	cfg_printable(err->message);
}

struct config *config_parse(const char *text, size_t len, const char *path,
                            struct config_error *err)
{
	struct reader r = { .doc = { .text = text, .len = len, .err = err } };
	json_error_t json_err;

	*err = (struct config_error){ .file = path };
	r.c = calloc(1, sizeof(*r.c));
	r.dir = directory_of(path);
	if (!r.c || !r.dir) {
		cfg_no_memory(&r.doc);
	} else {
		set_defaults(r.c);
		r.c->dom = json_loadb(text, len, JSON_REJECT_DUPLICATES, &json_err);
		if (r.c->dom)
			read_config(&r);
		else
			fail_syntax(&r, &json_err);
	}
	free(r.dir);
	if (!r.doc.failed)
		return r.c;
	config_free(r.c);
	return NULL;
}

void config_free(struct config *c)
{
	if (!c)
		return;
	for (size_t m = 0; m < c->model_count; m++) {
		for (size_t d = 0; d < c->models[m].deployment_count; d++)
			free(c->models[m].deployments[d].servers);
		free(c->models[m].deployments);
	}
	free(c->models);
	free(c->profile_dir);
	config_redis_fini(&c->redis);
	free(c->snapshot.file);
	free(c->recorder.file);
	json_decref(c->dom);
	free(c);
}
