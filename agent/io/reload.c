/* SIGHUP: what of a new configuration can be put in force in place. */
#include <string.h>

#include "io/agent.h"

static bool same_servers(const struct config_deployment *a, const struct config_deployment *b)
{
	if (strcmp(a->name, b->name) != 0 || a->server_count != b->server_count)
		return false;
	for (size_t i = 0; i < a->server_count; i++)
		if (strcmp(a->servers[i], b->servers[i]) != 0)
			return false;
	return true;
}

static bool same_model(const struct config_model *a, const struct config_model *b)
{
	if (strcmp(a->name, b->name) != 0 || strcmp(a->backend, b->backend) != 0 ||
	    a->deployment_count != b->deployment_count)
		return false;
	for (size_t i = 0; i < a->deployment_count; i++)
		if (!same_servers(&a->deployments[i], &b->deployments[i]))
			return false;
	return true;
}

static bool same_fleet(const struct config *a, const struct config *b)
{
	if (a->model_count != b->model_count)
		return false;
	for (size_t i = 0; i < a->model_count; i++)
		if (!same_model(&a->models[i], &b->models[i]))
			return false;
	return true;
}

static bool same_listeners(const struct config_listen *a, const struct config_listen *b)
{
	return a->count == b->count && memcmp(a->addr, b->addr, a->count * sizeof(a->addr[0])) == 0;
}

/* What sizes buffers and sockets is fixed at start. */
static void keep_fixed_limits(struct agent *a, struct config_limits *new)
{
	const struct config_limits *old = &a->conf->limits;
	struct config_limits wanted = *new;

	new->spop_connections = old->spop_connections;
	new->spop_frame_size = old->spop_frame_size;
	new->output_buffer = old->output_buffer;
	new->id_length = old->id_length;
	new->end_line_length = old->end_line_length;
	new->event_connections = old->event_connections;
	new->http_connections = old->http_connections;
	if (memcmp(&wanted, new, sizeof(wanted)) != 0)
		log_write(
		    a->log, LOG_WARNING,
		    "reload: limits on connections, frames, ids, lines and output take a restart");
}

bool agent_reload(struct agent *a, struct config *conf)
{
	const struct config *old = a->conf;

	if (!same_fleet(old, conf)) {
		log_write(a->log, LOG_WARNING,
		          "reload: models, backends or servers differ; that "
		          "takes a restart, the old configuration stays");
		return false;
	}
	if (!same_listeners(&old->spop, &conf->spop) ||
	    !same_listeners(&old->events, &conf->events) ||
	    !same_listeners(&old->http, &conf->http)) {
		log_write(a->log, LOG_WARNING,
		          "reload: listeners differ; that takes a restart, "
		          "the old configuration stays");
		return false;
	}
	keep_fixed_limits(a, &conf->limits);
	a->conf = conf;
	agent_configure(a);
	return true;
}
