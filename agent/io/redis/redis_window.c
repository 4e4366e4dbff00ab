#include "io/redis/redis_window.h"

bool redis_window_has_room(const struct redis_window *w)
{
	return w->ready && w->count < REDIS_WINDOW;
}

void redis_window_send(struct redis_window *w, struct command command, int argc, const char **argv,
                       const size_t *len)
{
	w->command[(w->first + w->count++) % REDIS_WINDOW] = command;
	redis_link_command(w->link, argc, argv, len);
}

struct command redis_window_take(struct redis_window *w)
{
	struct command command = w->command[w->first];

	w->first = (w->first + 1) % REDIS_WINDOW;
	w->count--;
	return command;
}

void redis_window_forget_scan(struct redis_window *w)
{
	for (size_t i = 0; i < w->count; i++) {
		struct command *command = &w->command[(w->first + i) % REDIS_WINDOW];

		if (command->kind == COMMAND_SCAN || command->kind == COMMAND_VALUE)
			*command = (struct command){ COMMAND_FORGOTTEN, NULL };
	}
}

void redis_window_clear(struct redis_window *w)
{
	w->ready = false;
	w->count = 0;
}
