/* SIGHUP: what of a new configuration can be put in force in place. */
#include <string.h>

#include "io/agent/agent.h"
#include "io/redis/redis_client.h"

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

	if (!same_listeners(&old->spop, &conf->spop) ||
	    !same_listeners(&old->events, &conf->events) ||
	    !same_listeners(&old->http, &conf->http)) {
		log_write(a->log, LOG_WARNING,
		          "reload: listeners differ; that takes SIGUSR2 or a restart, "
		          "the old configuration stays");
		return false;
	}
	keep_fixed_limits(a, &conf->limits);
	switch (roster_configure(a, conf)) {
	case SLO_OK:
		break;
	case SLO_ENOMEM:
		log_write(a->log, LOG_ERR, "reload: out of memory, the old configuration stays");
		return false;
	default:
		log_write(a->log, LOG_ERR,
		          "reload: out of memory, some of the new fleet is missing; reload again");
		break;
	}
	agent_configure(a);
	if (a->redis)
		redis_client_reload(a->redis, old);
	return true;
}
