#include "conf/config_models.h"

#include <stdlib.h>
#include <string.h>

#include "conf/config_promise.h"
#include "conf/config_routing.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static bool is_name(const char *s)
{
	return config_is_name(slice_of(s));
}

/* Everything that a pattern matches is a name. */
static bool is_pattern(const char *s)
{
	return config_is_pattern(s) &&
	       s[strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-"
	                   "*?[]!^")] == '\0';
}

/* A backend or server name: what HAProxy could call something. */
static bool want_name(struct reader *r, const struct node *n, bool pattern, const char **out)
{
	const char *s;

	if (!reader_want_string(r, n, CONFIG_NAME_MAX, &s))
		return false;
	if (pattern && is_pattern(s)) {
		*out = s;
		return true;
	}
	if (!is_name(s)) {
		reader_fail(
		    r, n, JSONPOS_VALUE,
		    "is \"%s\", must be letters, digits and _ . : - only, as HAProxy's names",
		    reader_quote(s).s);
		return false;
	}
	*out = s;
	return true;
}

static bool check_object_name(struct reader *r, const struct node *n)
{
	size_t len = strlen(n->key);

	if (len == 0)
		reader_fail(r, n, JSONPOS_KEY, "the name is empty");
	else if (len > CONFIG_NAME_MAX)
		reader_fail(r, n, JSONPOS_KEY, "the name has %zu bytes, at most %d are allowed",
		            len, CONFIG_NAME_MAX);
	return !r->failed;
}

/* `seen` has the names of the servers that the model's deployments had so far. */
static void read_server(struct reader *r, const struct config *c, const struct node *n,
                        json_t *seen, const char **out)
{
	const char *name;

	if (!want_name(r, n, true, &name))
		return;
	if (config_is_pattern(name) && c->runtime_api.count == 0)
		reader_fail(r, n, JSONPOS_VALUE,
		            "\"%s\" is a pattern, which needs \"haproxy.runtime_api\"",
		            reader_quote(name).s);
	else if (json_object_get(seen, name))
		reader_fail(r, n, JSONPOS_VALUE, "server \"%s\" is already in this model",
		            reader_quote(name).s);
	else if (json_object_set_new(seen, name, json_true()) != 0)
		reader_no_memory(r);
	else
		*out = name;
}

/* Room for the names of n's servers. */
static bool alloc_servers(struct reader *r, size_t count, struct config_deployment *out)
{
	out->servers = calloc(count, sizeof(*out->servers));
	if (!out->servers) {
		reader_no_memory(r);
		return false;
	}
	out->server_count = count;
	return true;
}

/* Without "servers" (n) all of the backend are meant, which only one deployment can say. */
static void all_servers(struct reader *r, const struct config *c, const struct node *n,
                        struct config_deployment *out)
{
	if (r->failed)
		return;
	if (json_object_size(n->parent->parent->value) > 1)
		reader_fail(r, n, JSONPOS_VALUE, "is missing, and the model has other deployments");
	else if (c->runtime_api.count == 0)
		reader_fail(r, n, JSONPOS_VALUE, "is missing, which needs \"haproxy.runtime_api\"");
	else if (alloc_servers(r, 1, out))
		out->servers[0] = "*";
}

static void read_deployment(struct reader *r, const struct config *c, const struct node *n,
                            json_t *seen, struct config_deployment *out)
{
	struct node servers = node_member(n, "servers");
	size_t count = json_array_size(servers.value);

	if (!check_object_name(r, n) || !reader_want_object(r, n))
		return;
	config_source_read(r, n, out);
	out->name = n->key;
	if (!servers.value) {
		all_servers(r, c, &servers, out);
		return;
	}
	if (!reader_want_array(r, &servers))
		return;
	if (count == 0) {
		reader_fail(r, &servers, JSONPOS_VALUE, "is empty, must name a server");
		return;
	}
	if (!alloc_servers(r, count, out))
		return;
	for (size_t i = 0; i < count && !r->failed; i++) {
		struct node e = node_element(&servers, i);

		read_server(r, c, &e, seen, &out->servers[i]);
	}
}

static void read_deployments(struct reader *r, const struct config *c, const struct node *model,
                             struct config_model *out)
{
	struct node n = node_member(model, "deployments");
	size_t count = json_object_size(n.value), i = 0;
	json_t *seen, *value;
	const char *key;

	if (!reader_want_object(r, &n))
		return;
	if (count < 1 || count > SLO_DEPLOYMENTS_MAX) {
		reader_fail(r, &n, JSONPOS_VALUE, "has %zu deployments, must have 1 to %d", count,
		            SLO_DEPLOYMENTS_MAX);
		return;
	}
	seen = json_object();
	out->deployments = calloc(count, sizeof(*out->deployments));
	if (!seen || !out->deployments) {
		reader_no_memory(r);
		json_decref(seen);
		return;
	}
	out->deployment_count = count;
	json_object_foreach(n.value, key, value)
	{
		struct node child = node_member(&n, key);

		read_deployment(r, c, &child, seen, &out->deployments[i++]);
	}
	json_decref(seen);
}

/* Other names that clients may use: adapters, cases of letters. */
static void read_aliases(struct reader *r, const struct node *model, struct config_model *out)
{
	struct node n = node_member(model, "aliases");
	size_t count = json_array_size(n.value);

	if (!n.value || !reader_want_array(r, &n))
		return;
	if (count > CONFIG_ALIAS_MAX) {
		reader_fail(r, &n, JSONPOS_VALUE, "has %zu aliases, at most %d are allowed", count,
		            CONFIG_ALIAS_MAX);
		return;
	}
	out->aliases = calloc(count + 1, sizeof(*out->aliases));
	if (!out->aliases) {
		reader_no_memory(r);
		return;
	}
	for (size_t i = 0; i < count && !r->failed; i++) {
		struct node e = node_element(&n, i);

		if (!reader_want_string(r, &e, CONFIG_NAME_MAX, &out->aliases[i]))
			return;
		if (out->aliases[i][0] == '\0')
			reader_fail(r, &e, JSONPOS_VALUE, "is empty");
		out->alias_count = i + 1;
	}
}

static void read_model(struct reader *r, const struct config *c, const struct node *n,
                       struct config_model *out)
{
	static const struct cfg_field fields[] = {
		{ .name = "backend" }, { .name = "aliases" }, { .name = "strategy" },
		{ .name = "tokens" },  { .name = "limits" },  { .name = "deployments" },
		{ .name = "slo" },
	};
	struct node backend = node_member(n, "backend");

	if (!check_object_name(r, n) || !reader_want_object(r, n))
		return;
	if (strcmp(n->key, ".") == 0 || strcmp(n->key, "..") == 0)
		reader_fail(r, n, JSONPOS_KEY, "a model cannot be named \".\" or \"..\"");
	out->name = out->backend = n->key;
	out->strategy = c->routing.strategy;
	out->weights = c->routing.weights;
	out->limits = c->routing.limits;
	cfg_section(r, n, fields, COUNT(fields), NULL);
	if (!backend.value && !is_name(n->key)) {
		reader_fail(
		    r, n, JSONPOS_KEY,
		    "the model's name cannot be a backend's in HAProxy, so it needs \"backend\"");
		return;
	}
	if (backend.value)
		(void)want_name(r, &backend, false, &out->backend);
	read_aliases(r, n, out);
	config_routing_strategy(r, n, &out->strategy);
	config_routing_weights(r, n, &out->weights);
	config_routing_limits(r, n, &out->limits);
	config_promise_read(r, n, out);
	read_deployments(r, c, n, out);
}

void config_models_read(struct reader *r, const struct node *root, struct config *c)
{
	struct node n = node_member(root, "models");
	size_t count = json_object_size(n.value);
	const char *key;
	json_t *value;

	if (!reader_want_object(r, &n))
		return;
	if (count == 0) {
		reader_fail(r, &n, JSONPOS_VALUE, "is empty, must have a model");
		return;
	}
	c->models = calloc(count, sizeof(*c->models));
	if (!c->models) {
		reader_no_memory(r);
		return;
	}
	json_object_foreach(n.value, key, value)
	{
		struct node m = node_member(&n, key);

		read_model(r, c, &m, &c->models[c->model_count++]);
	}
}

void config_models_default(struct reader *r, const struct node *root, struct config *c)
{
	struct node routing = node_member(root, "routing");
	struct node n = node_member(&routing, "default_model");
	const char *name;

	if (!reader_string(r, &routing, "default_model", SIZE_MAX, &name))
		return;
	for (size_t i = 0; i < c->model_count; i++) {
		if (strcmp(c->models[i].name, name) == 0) {
			c->routing.default_model = &c->models[i];
			return;
		}
	}
	reader_fail(r, &n, JSONPOS_VALUE, "is \"%s\", which is none of the models",
	            reader_quote(name).s);
}

void config_models_fini(struct config *c)
{
	for (size_t m = 0; m < c->model_count; m++) {
		for (size_t d = 0; d < c->models[m].deployment_count; d++)
			free(c->models[m].deployments[d].servers);
		free(c->models[m].deployments);
		free(c->models[m].aliases);
	}
	free(c->models);
}
