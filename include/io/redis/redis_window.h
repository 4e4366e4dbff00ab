/* redis_window.h - the commands under way on a link, and what each is for: its replies come in the
 * same order. Everything that asks Redis goes through it; it knows nobody who does. */
#ifndef SLO_IO_REDIS_REDIS_WINDOW_H
#define SLO_IO_REDIS_REDIS_WINDOW_H

#include "io/redis/redis_link.h"

/* Enough to keep the server busy, few enough that their replies are little. */
#define REDIS_WINDOW 32

struct redis_entry;

enum command_kind {
	COMMAND_GREETING, /* AUTH, SELECT */
	COMMAND_SCAN,
	COMMAND_VALUE,
	COMMAND_TRACE,
	COMMAND_FORGOTTEN, /* its reply is of no use any more */
};

struct command {
	enum command_kind kind;
	struct redis_entry *entry; /* of COMMAND_VALUE */
};

struct redis_window {
	struct redis_link *link;
	bool ready;                           /* greeted: anything may be asked */
	struct command command[REDIS_WINDOW]; /* [first, first + count), a ring */
	size_t first, count;
};

bool redis_window_has_room(const struct redis_window *w); /* and is ready */
void redis_window_send(struct redis_window *w, struct command command, int argc, const char **argv,
                       const size_t *len);
/* The command that the next reply is of; there is one. */
struct command redis_window_take(struct redis_window *w);
/* Of SCAN and VALUE no reply is wanted any more. */
void redis_window_forget_scan(struct redis_window *w);
/* The link is closed. */
void redis_window_clear(struct redis_window *w);

#endif
