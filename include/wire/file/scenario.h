/* scenario.h - one line of a scenario file (JSON Lines): something that happens, and when.
 *
 *     {"config": {"late": "reject", "queue_timeout_s": 5}}
 *     {"config": {"queue_timeout": "auto", "queue_timeout_max_s": 120}}
 *     {"profile": {...}, "model": "m", "deployment": "a10"}
 *     {"profile_text": "{\"gpu\": ...", "model": "m", "deployment": "a10"}
 *     {"server": "a10-1", "deployment": "a10", "model": "m"}
 *     {"t": 0, "server": "a10-1", "ready": false}
 *     {"t": 0.0, "arrive": "r1", "model": "m", "strategy": "slo", "input": 512, "output": 64}
 *     {"t": 0.1, "arrive": "r2", ..., "slo_e2e_ms": 500, "priority": 10, "created": 0.05}
 *     {"t": 0.35, "done": "r1"}
 *     {"t": 0.4, "cancel": "r2"}
 *     {"t": 0.5, "foreign": "r3", "owner": "node-b", "on": "a10-1", "load": 0.25}
 *     {"t": 0.6, "done": "r3", "owner": "node-b"}
 *     {"t": 0.7, "others": 1}
 *     {"t": 0.8, "heard_ms": 1}
 *
 * Lines with "scenario" or "expect", and empty ones, say nothing to the scheduler. Unknown
 * members are ignored, but not in config. A profile may hold bare NaN and Infinity. */
#ifndef SLO_WIRE_FILE_SCENARIO_H
#define SLO_WIRE_FILE_SCENARIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slo.h"
#include "slo_profile.h"
#include "wire/json/doc_error.h"

#define SCENARIO_ID_MAX      255
#define SCENARIO_REFUSED_MAX 512
#define SCENARIO_LOAD_MAX    4096

struct json_t; /* <jansson.h> */

enum scenario_kind {
	SCENARIO_NOTHING,
	SCENARIO_CONFIG,
	SCENARIO_PROFILE,
	SCENARIO_SERVER,
	SCENARIO_ARRIVE,
	SCENARIO_DONE,
	SCENARIO_CANCEL,
	SCENARIO_FOREIGN,
	SCENARIO_OTHERS,
	SCENARIO_HEARD,
};

enum scenario_switch { SCENARIO_UNSET, SCENARIO_OFF, SCENARIO_ON };
enum scenario_late {
	SCENARIO_LATE_UNSET,
	SCENARIO_LATE_SERVE,
	SCENARIO_LATE_HOLD,
	SCENARIO_LATE_REJECT,
};

/* What is unset keeps its value. */
struct scenario_config {
	enum scenario_late late;
	enum scenario_switch infeasible_fallback;
	enum scenario_switch fallback_random;
	int64_t queue_limit;        /* -1: unset */
	int64_t seed;               /* -1: unset */
	slo_nsec queue_timeout;     /* -1: unset */
	slo_nsec queue_timeout_max; /* of one that is "auto"; -1: unset */
	bool queue_timeout_auto;
};

/* Strings are the line's own, terminated, and NULL when absent. */
struct scenario_line {
	enum scenario_kind kind;
	bool timed;
	slo_nsec t;         /* if timed, which all but config, profile and server are */
	const char *id;     /* of arrive, done, cancel, foreign; 1..SCENARIO_ID_MAX bytes */
	const char *owner;  /* of foreign, and of done or NULL; 1..SCENARIO_ID_MAX bytes */
	const char *server; /* of a server and of foreign, never empty; of done or NULL */
	enum scenario_switch ready;
	const char *model;      /* of arrive and profile; of a server with a deployment; of foreign
	                         * or NULL */
	const char *deployment; /* of a profile with a document; of a server, or NULL */
	const char *strategy;   /* of arrive, foreign, or NULL */
	int64_t input, output;  /* tokens, >= 0 */
	double load;            /* of foreign, in servers, 0..SCENARIO_LOAD_MAX */
	slo_nsec age;           /* of foreign: since its dispatch; of heard: see foreign_heard() */
	int64_t others;         /* agents that hear what is placed */
	slo_nsec created;       /* t unless told */
	struct slo_target own;
	int32_t priority;                /* of arrive; 0 unless told */
	struct slo_profile_doc *profile; /* NULL: profile_text was refused, see `refused` */
	char refused[SCENARIO_REFUSED_MAX];
	struct scenario_config config;
	struct json_t *root; /* owns the strings */
};

/* Reads one line, with or without its newline. On SLO_OK *out is for scenario_line_fini().
 * SLO_EINVAL: it is malformed, *error says how, as if it were line 1. SLO_ENOMEM. */
MUSTCHECK slo_err scenario_parse(const char *text, size_t len, struct scenario_line *out,
                                 struct doc_error *error);
void scenario_line_fini(struct scenario_line *line);

#endif
