/* The sections are read in the order in which they need each other: models take their defaults from
 * routing, patterns of servers need haproxy. The first error is kept by the reader, and whatever is
 * read after it is thrown away with the rest. Strings borrow from the JSON tree, which the
 * configuration keeps (dom). */
#include "conf/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "conf/config_addresses.h"
#include "conf/config_engines.h"
#include "conf/config_json.h"
#include "conf/config_models.h"
#include "conf/config_promise.h"
#include "conf/config_redis.h"
#include "conf/config_routing.h"
#include "wire/route_msg.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MSEC     SLO_NSEC_PER_MSEC
#define SEC      SLO_NSEC_PER_SEC
#define HOUR     (3600 * SEC)
#define DAY      (24 * HOUR)

struct loading {
	struct reader doc;
	struct config *c;
	char *dir; /* of the configuration file; "": it was named without one */
};

static void read_profiles(struct loading *r, const struct node *root)
{
	static const struct cfg_field fields[] = { { .name = "dir" },
		                                   { .name = "redis" },
		                                   { .name = "export" } };
	struct node n = node_member(root, "profiles");

	cfg_section(&r->doc, &n, fields, COUNT(fields), NULL);
	(void)cfg_path(&r->doc, &n, "dir", r->dir, &r->c->profile_dir);
	config_export_read(&r->doc, &n, r->dir, r->c->profile_dir, &r->c->export);
	config_redis_read(&r->doc, &n, r->dir, &r->c->redis);
}

/* The "file" of a section that is of no use without one. */
static void want_file(struct loading *r, const struct node *section, char **out)
{
	struct node n = node_member(section, "file");
	const char *file;

	if (reader_want_string(&r->doc, &n, SIZE_MAX, &file))
		(void)cfg_path(&r->doc, section, "file", r->dir, out);
}

static void read_snapshot(struct loading *r, const struct node *root)
{
	static const struct cfg_field fields[] = {
		{ .name = "file" },
		{ "every", CFG_TIME, offsetof(struct config_snapshot, every), 100 * MSEC, HOUR },
		{ "max_age", CFG_TIME, offsetof(struct config_snapshot, max_age), 0, DAY },
	};
	struct node n = node_member(root, "snapshot");

	if (!n.value)
		return;
	cfg_section(&r->doc, &n, fields, COUNT(fields), &r->c->snapshot);
	want_file(r, &n, &r->c->snapshot.file);
}

static void read_recorder(struct loading *r, const struct node *root)
{
	static const struct cfg_field fields[] = {
		{ .name = "file" },
		{ "max_size", CFG_SIZE, offsetof(struct config_recorder, max_size), 64 << 10,
		  INT64_C(1) << 40 },
		{ "keep", CFG_COUNT, offsetof(struct config_recorder, keep), 0, 1000 },
	};
	struct node n = node_member(root, "recorder");

	if (!n.value)
		return;
	cfg_section(&r->doc, &n, fields, COUNT(fields), &r->c->recorder);
	want_file(r, &n, &r->c->recorder.file);
}

/* Behind what says nothing: a "/" too many, "./". */
static const char *skip_nothing(const char *path)
{
	while (path[0] == '/' || (path[0] == '.' && (path[1] == '/' || path[1] == '\0')))
		path++;
	return path;
}

/* Whether they name the same file, as far as the names tell it: links and ".." are not followed. */
static bool same_file(const char *a, const char *b)
{
	if ((*a == '/') != (*b == '/'))
		return false;
	for (a = skip_nothing(a), b = skip_nothing(b); *a && *b;
	     a = skip_nothing(a), b = skip_nothing(b)) {
		size_t len = strcspn(a, "/");

		if (len != strcspn(b, "/") || memcmp(a, b, len) != 0)
			return false;
		a += len;
		b += len;
	}
	return *a == *b;
}

/* Each is replaced by a new file again and again. */
static void check_files(struct loading *r, const struct node *root)
{
	static const char *const sections[] = { "snapshot", "recorder" };
	const char *const files[] = { r->c->snapshot.file, r->c->recorder.file };

	for (size_t i = 0; i < COUNT(files); i++) {
		struct node section = node_member(root, sections[i]);
		struct node n = node_member(&section, "file");

		if (r->doc.failed || !files[i])
			continue;
		if (same_file(files[i], r->doc.error->file))
			reader_fail(&r->doc, &n, JSONPOS_VALUE, "is the configuration");
		else if (i > 0 && files[0] && same_file(files[i], files[0]))
			reader_fail(&r->doc, &n, JSONPOS_VALUE, "is \"snapshot.file\" too");
	}
}

static void read_decisions(struct loading *r, const struct node *root)
{
	static const struct cfg_field fields[] = {
		{ "keep", CFG_COUNT, offsetof(struct config, decisions), 0, 1000000 },
	};
	struct node n = node_member(root, "decisions");

	cfg_section(&r->doc, &n, fields, COUNT(fields), r->c);
}

static void read_log(struct loading *r, const struct node *root)
{
	static const struct cfg_field fields[] = { { .name = "level" },
		                                   { .name = "decisions" },
		                                   { .name = "format" } };
	static const struct reader_choice formats[] = { { "logfmt", 0 }, { "json", 1 } };
	static const struct reader_choice levels[] = {
		{ "debug", LOG_DEBUG },     { "info", LOG_INFO }, { "notice", LOG_NOTICE },
		{ "warning", LOG_WARNING }, { "error", LOG_ERR },
	};
	struct node n = node_member(root, "log");
	int json = 0;

	cfg_section(&r->doc, &n, fields, COUNT(fields), NULL);
	(void)reader_choice(&r->doc, &n, "level", levels, COUNT(levels), &r->c->log_level);
	(void)reader_bool(&r->doc, &n, "decisions", &r->c->log_decisions);
	if (reader_choice(&r->doc, &n, "format", formats, COUNT(formats), &json))
		r->c->log_json = json == 1;
}

static void read_limits(struct loading *r, const struct node *root)
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
		LIMIT(CFG_COUNT, foreign_requests, 1, 10000000),
		LIMIT(CFG_TIME, lease_max_age, MSEC, 30 * DAY),
		LIMIT(CFG_TIME, silence, 100 * MSEC, HOUR),
	};
#undef LIMIT
	struct config_limits *limits = &r->c->limits;
	struct node n = node_member(root, "limits"), culprit;

	cfg_section(&r->doc, &n, fields, COUNT(fields), limits);
	/* A frame leaves whole, with its length before it. */
	if (r->doc.failed || limits->output_buffer >= limits->spop_frame_size + 4)
		return;
	culprit = node_member(&n, "output_buffer");
	if (!culprit.value)
		culprit = node_member(&n, "spop_frame_size");
	reader_fail(&r->doc, &culprit, JSONPOS_VALUE,
	            "an output_buffer of %zu bytes cannot hold a spop_frame_size of %zu and 4 more",
	            limits->output_buffer, limits->spop_frame_size);
}

/* The whole file */

static void set_defaults(struct config *c)
{
	c->redis.refresh = 10 * SEC;
	c->cluster.group = "llm";
	c->haproxy_poll = SEC;
	c->haproxy_grace = 3 * SEC;
	c->decisions = 10000;
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
		.limits = { .priority_max = 1000 },
	};
	c->export.every = 60 * SEC;
	c->engines.poll = 2 * SEC;
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
		.foreign_requests = 100000,
		.lease_max_age = 2 * HOUR,
		.silence = 30 * SEC,
	};
}

static void read_config(struct loading *r)
{
	static const struct cfg_field fields[] = {
		{ .name = "spop" },     { .name = "events" },    { .name = "http" },
		{ .name = "profiles" }, { .name = "routing" },   { .name = "models" },
		{ .name = "limits" },   { .name = "log" },       { .name = "haproxy" },
		{ .name = "snapshot" }, { .name = "recorder" },  { .name = "engines" },
		{ .name = "cluster" },  { .name = "decisions" }, { .name = "control" },
	};
	struct node root = reader_root(&r->doc);

	if (!reader_want_object(&r->doc, &root))
		return;
	cfg_section(&r->doc, &root, fields, COUNT(fields), NULL);
	config_addresses_read(&r->doc, &root, r->dir, r->c);
	config_engines_read(&r->doc, &root, r->c);
	read_profiles(r, &root);
	config_cluster_read(&r->doc, &root, r->dir, &r->c->cluster);
	read_snapshot(r, &root);
	read_recorder(r, &root);
	check_files(r, &root);
	read_decisions(r, &root);
	read_log(r, &root);
	read_limits(r, &root);
	config_routing_read(&r->doc, &root, &r->c->routing);
	config_models_read(&r->doc, &root, r->c);
	config_models_default(&r->doc, &root, r->c);
}

static char *directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	/* Keeps the slash, which the root needs. */
	return strndup(path, slash ? (size_t)(slash - path) + 1 : 0);
}

struct config *config_parse(const char *text, size_t len, const char *path, struct doc_error *err)
{
	struct loading r = { .c = calloc(1, sizeof(*r.c)), .dir = directory_of(path) };

	reader_open(&r.doc, path, text, len, READER_UNIQUE, err);
	if (!r.c || !r.dir) {
		reader_no_memory(&r.doc);
		reader_close(&r.doc);
	} else {
		set_defaults(r.c);
		r.c->dom = r.doc.root;
		read_config(&r);
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
	config_models_fini(c);
	free(c->profile_dir);
	free(c->export.dir);
	config_redis_fini(&c->redis);
	config_engines_fini(&c->engines);
	config_redis_fini(&c->cluster.redis);
	free(c->snapshot.file);
	free(c->recorder.file);
	json_decref(c->dom);
	free(c);
}

bool config_is_name(struct slice name)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789_.:-";

	if (name.len == 0 || name.len > CONFIG_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (!memchr(allowed, name.p[i], sizeof(allowed) - 1))
			return false;
	return true;
}

bool config_is_pattern(const char *server)
{
	return server[strcspn(server, "*?[")] != '\0';
}
