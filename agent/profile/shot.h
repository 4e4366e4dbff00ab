/* shot.h - one request to a server at a time, over its own connection. Never waits: the caller
 * polls. */
#ifndef SLO_PROFILE_SHOT_H
#define SLO_PROFILE_SHOT_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

struct addrinfo;

struct shot_target {
	char host[256], port[16];
	char path[512];         /* before /v1/completions */
	struct addrinfo *found; /* the first one is taken */
};

/* http://HOST[:PORT][/PATH]. NULL: it is good; else what is wrong. */
const char *shot_target_parse(struct shot_target *t, const char *url);
void shot_target_free(struct shot_target *t);

struct shot {
	int fd; /* -1: there is none */
	char *out;
	size_t out_len, out_at;
	char *in;
	size_t in_len, in_room;
	double sent, first, end; /* seconds of a monotonic clock; first is 0 before it came */
};

enum shot_state { SHOT_OPEN, SHOT_DONE, SHOT_FAILED };

void shot_init(struct shot *s);
/* Sends a body. False: it cannot, errno says why. */
bool shot_start(struct shot *s, const struct shot_target *t, const char *body, double now);
short shot_events(const struct shot *s);
/* Does what can be done. On SHOT_DONE the response is in `in`. */
enum shot_state shot_go(struct shot *s, double now);
/* Ends it, whatever it does. */
void shot_stop(struct shot *s);
void shot_free(struct shot *s);

#endif
