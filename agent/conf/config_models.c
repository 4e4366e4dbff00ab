#include "conf/config_models.h"

#include <stdlib.h>
#include <string.h>

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
static bool want_name(struct cfg_doc *d, const struct cfg_node *n, bool pattern, const char **out)
{
	const char *s;

	if (!cfg_want_string(d, n, CONFIG_NAME_MAX, &s))
		return false;
	if (pattern && is_pattern(s)) {
		*out = s;
		return true;
	}
	if (!is_name(s)) {
		cfg_fail(d, n, JSONPOS_VALUE,
		         "is \"%s\", must be letters, digits and _ . : - only, as HAProxy's names",
		         cfg_quote(s).s);
		return false;
	}
	*out = s;
	return true;
}

static bool check_object_name(struct cfg_doc *d, const struct cfg_node *n)
{
	size_t len = strlen(n->key);

	if (len == 0)
		cfg_fail(d, n, JSONPOS_KEY, "the name is empty");
	else if (len > CONFIG_NAME_MAX)
		cfg_fail(d, n, JSONPOS_KEY, "the name has %zu bytes, at most %d are allowed", len,
		         CONFIG_NAME_MAX);
	return !d->failed;
}

/* `seen` has the names of the servers that the model's deployments had so far. */
static void read_server(struct cfg_doc *d, const struct config *c, const struct cfg_node *n,
                        json_t *seen, const char **out)
{
	const char *name;

	if (!want_name(d, n, true, &name))
		return;
	if (config_is_pattern(name) && c->runtime_api.count == 0)
		cfg_fail(d, n, JSONPOS_VALUE,
		         "\"%s\" is a pattern, which needs \"haproxy.runtime_api\"",
		         cfg_quote(name).s);
	else if (json_object_get(seen, name))
		cfg_fail(d, n, JSONPOS_VALUE, "server \"%s\" is already in this model",
		         cfg_quote(name).s);
	else if (json_object_set_new(seen, name, json_true()) != 0)
		cfg_no_memory(d);
	else
		*out = name;
}

/* Room for the names of n's servers. */
static bool alloc_servers(struct cfg_doc *d, size_t count, struct config_deployment *out)
{
	out->servers = calloc(count, sizeof(*out->servers));
	if (!out->servers) {
		cfg_no_memory(d);
		return false;
	}
	out->server_count = count;
	return true;
}

/* Without "servers" (n) all of the backend are meant, which only one deployment can say. */
static void all_servers(struct cfg_doc *d, const struct config *c, const struct cfg_node *n,
                        struct config_deployment *out)
{
	if (d->failed)
		return;
	if (json_object_size(n->parent->parent->value) > 1)
		cfg_fail(d, n, JSONPOS_VALUE, "is missing, and the model has other deployments");
	else if (c->runtime_api.count == 0)
		cfg_fail(d, n, JSONPOS_VALUE, "is missing, which needs \"haproxy.runtime_api\"");
	else if (alloc_servers(d, 1, out))
		out->servers[0] = "*";
}

static void read_deployment(struct cfg_doc *d, const struct config *c, const struct cfg_node *n,
                            json_t *seen, struct config_deployment *out)
{
	static const struct cfg_field fields[] = { { .name = "servers" } };
	struct cfg_node servers = cfg_member(n, "servers");
	size_t count = json_array_size(servers.value);

	if (!check_object_name(d, n) || !cfg_want_object(d, n))
		return;
	cfg_section(d, n, fields, COUNT(fields), NULL);
	out->name = n->key;
	if (!servers.value) {
		all_servers(d, c, &servers, out);
		return;
	}
	if (!cfg_want_array(d, &servers))
		return;
	if (count == 0) {
		cfg_fail(d, &servers, JSONPOS_VALUE, "is empty, must name a server");
		return;
	}
	if (!alloc_servers(d, count, out))
		return;
	for (size_t i = 0; i < count && !d->failed; i++) {
		struct cfg_node e = cfg_element(&servers, i);

		read_server(d, c, &e, seen, &out->servers[i]);
	}
}

static void read_deployments(struct cfg_doc *d, const struct config *c,
                             const struct cfg_node *model, struct config_model *out)
{
	struct cfg_node n = cfg_member(model, "deployments");
	size_t count = json_object_size(n.value), i = 0;
	json_t *seen, *value;
	const char *key;

	if (!cfg_want_object(d, &n))
		return;
	if (count < 1 || count > SLO_DEPLOYMENTS_MAX) {
		cfg_fail(d, &n, JSONPOS_VALUE, "has %zu deployments, must have 1 to %d", count,
		         SLO_DEPLOYMENTS_MAX);
		return;
	}
	seen = json_object();
	out->deployments = calloc(count, sizeof(*out->deployments));
	if (!seen || !out->deployments) {
		cfg_no_memory(d);
		json_decref(seen);
		return;
	}
	out->deployment_count = count;
	json_object_foreach(n.value, key, value)
	{
		struct cfg_node child = cfg_member(&n, key);

		read_deployment(d, c, &child, seen, &out->deployments[i++]);
	}
	json_decref(seen);
}

/* Other names that clients may use: adapters, cases of letters. */
static void read_aliases(struct cfg_doc *d, const struct cfg_node *model, struct config_model *out)
{
	struct cfg_node n = cfg_member(model, "aliases");
	size_t count = json_array_size(n.value);

	if (!n.value || !cfg_want_array(d, &n))
		return;
	if (count > CONFIG_ALIAS_MAX) {
		cfg_fail(d, &n, JSONPOS_VALUE, "has %zu aliases, at most %d are allowed", count,
		         CONFIG_ALIAS_MAX);
		return;
	}
	out->aliases = calloc(count + 1, sizeof(*out->aliases));
	if (!out->aliases) {
		cfg_no_memory(d);
		return;
	}
	for (size_t i = 0; i < count && !d->failed; i++) {
		struct cfg_node e = cfg_element(&n, i);

		if (!cfg_want_string(d, &e, CONFIG_NAME_MAX, &out->aliases[i]))
			return;
		if (out->aliases[i][0] == '\0')
			cfg_fail(d, &e, JSONPOS_VALUE, "is empty");
		out->alias_count = i + 1;
	}
}

static void read_model(struct cfg_doc *d, const struct config *c, const struct cfg_node *n,
                       struct config_model *out)
{
	static const struct cfg_field fields[] = {
		{ .name = "backend" }, { .name = "aliases" }, { .name = "strategy" },
		{ .name = "tokens" },  { .name = "limits" },  { .name = "deployments" },
	};
	struct cfg_node backend = cfg_member(n, "backend");

	if (!check_object_name(d, n) || !cfg_want_object(d, n))
		return;
	if (strcmp(n->key, ".") == 0 || strcmp(n->key, "..") == 0)
		cfg_fail(d, n, JSONPOS_KEY, "a model cannot be named \".\" or \"..\"");
	out->name = out->backend = n->key;
	out->strategy = c->routing.strategy;
	out->weights = c->routing.weights;
	out->limits = c->routing.limits;
	cfg_section(d, n, fields, COUNT(fields), NULL);
	if (!backend.value && !is_name(n->key)) {
		cfg_fail(
		    d, n, JSONPOS_KEY,
		    "the model's name cannot be a backend's in HAProxy, so it needs \"backend\"");
		return;
	}
	if (backend.value)
		(void)want_name(d, &backend, false, &out->backend);
	read_aliases(d, n, out);
	config_routing_strategy(d, n, &out->strategy);
	config_routing_weights(d, n, &out->weights);
	config_routing_limits(d, n, &out->limits);
	read_deployments(d, c, n, out);
}

void config_models_read(struct cfg_doc *d, const struct cfg_node *root, struct config *c)
{
	struct cfg_node n = cfg_member(root, "models");
	size_t count = json_object_size(n.value);
	const char *key;
	json_t *value;

	if (!cfg_want_object(d, &n))
		return;
	if (count == 0) {
		cfg_fail(d, &n, JSONPOS_VALUE, "is empty, must have a model");
		return;
	}
	c->models = calloc(count, sizeof(*c->models));
	if (!c->models) {
		cfg_no_memory(d);
		return;
	}
	json_object_foreach(n.value, key, value)
	{
		struct cfg_node m = cfg_member(&n, key);

		read_model(d, c, &m, &c->models[c->model_count++]);
	}
}

void config_models_default(struct cfg_doc *d, const struct cfg_node *root, struct config *c)
{
	struct cfg_node routing = cfg_member(root, "routing");
	struct cfg_node n = cfg_member(&routing, "default_model");
	const char *name;

	if (!cfg_string(d, &routing, "default_model", SIZE_MAX, &name))
		return;
	for (size_t i = 0; i < c->model_count; i++) {
		if (strcmp(c->models[i].name, name) == 0) {
			c->routing.default_model = &c->models[i];
			return;
		}
	}
	cfg_fail(d, &n, JSONPOS_VALUE, "is \"%s\", which is none of the models", cfg_quote(name).s);
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
