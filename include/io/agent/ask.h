/* ask.h - what a slo-route message asks for: its path, headers and body taken together. */
#ifndef SLO_IO_AGENT_ASK_H
#define SLO_IO_AGENT_ASK_H

#include "core/sched.h"
#include "wire/body.h"
#include "wire/endpoint.h"
#include "wire/route_msg.h"

struct agent;
struct agent_model;

/* Do not copy: see struct body_info. */
struct ask {
	const struct route_msg *msg;
	struct endpoint endpoint; /* its kind is known: never ENDPOINT_UNKNOWN */
	struct body_info body;
	struct slice name;         /* of the model, as it was asked for; p NULL: none */
	struct agent_model *model; /* NULL: unknown, or not named */
};

/* msg must outlive ask. Counts what kind of body it is. */
void ask_read(struct agent *a, const struct route_msg *msg, struct ask *ask);
/* The reason why it needs no decision; SLO_REASON_NONE: it needs one. */
enum slo_reason ask_is_idle(const struct ask *ask);
/* It goes to a server of ask->model. */
struct sched_request ask_request(struct agent *a, const struct ask *ask, slo_nsec now,
                                 enum slo_strategy strategy, void *user);

#endif
