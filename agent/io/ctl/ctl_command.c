/* The commands: names, levels, help. */
#include <string.h>

#include "ctl_private.h"
#include "io/base/clock.h"

struct ctl_command {
	const char *name;
	enum config_level level;
	ctl_action *run; /* NULL: of the connection, see ctl_run() */
	const char *arguments, *help;
};

static const struct ctl_command commands[] = {
	{ "help", CONFIG_LEVEL_USER, NULL, "", "this list" },
	{ "prompt", CONFIG_LEVEL_USER, NULL, "", "go on after this line, with a prompt" },
	{ "quit", CONFIG_LEVEL_USER, NULL, "", "end the connection" },
	{ "show", CONFIG_LEVEL_USER, ctl_show,
	  "info|models|queue|profiles|peers|errors|env [FORMAT]", "what there is" },
	{ "show", CONFIG_LEVEL_USER, ctl_show, "servers [MODEL] [FORMAT]",
	  "servers and their load" },
	{ "show", CONFIG_LEVEL_USER, ctl_show, "decisions [KEY=VALUE...] [FORMAT]",
	  "the last ones; server=, model=, reason=, state=, limit=" },
	{ "explain", CONFIG_LEVEL_USER, ctl_explain, "ID [FORMAT]", "why this was decided" },
	{ "doctor", CONFIG_LEVEL_USER, ctl_doctor, "[FORMAT]", "what is wrong at present" },
	{ "clear", CONFIG_LEVEL_OPERATOR, ctl_clear, "decisions|warnings|peaks|unknown",
	  "forget these" },
	{ "export", CONFIG_LEVEL_OPERATOR, ctl_export, "profiles", "write what was learned, now" },
	{ "set", CONFIG_LEVEL_ADMIN, ctl_set, "strategy MODEL NAME", "of its requests" },
	{ "set", CONFIG_LEVEL_ADMIN, ctl_set, "slo MODEL KIND=TIME...|none", "what it promises" },
	{ "set", CONFIG_LEVEL_ADMIN, ctl_set, "headroom MODEL SHARE|auto",
	  "of a target that is planned with" },
	{ "set", CONFIG_LEVEL_ADMIN, ctl_set, "log debug|info|notice|warning|error",
	  "what is logged" },
	{ "reload", CONFIG_LEVEL_ADMIN, ctl_reload, "", "read the configuration again" },
	{ "drain", CONFIG_LEVEL_ADMIN, ctl_drain, "", "serve who waits, then exit" },
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void help(struct ctl_conn *c)
{
	char usage[96];

	for (size_t i = 0; i < COMMANDS; i++) {
		const struct ctl_command *k = &commands[i];

		if (k->level > c->level)
			continue;
		snprintf(usage, sizeof(usage), "%s %s", k->name, k->arguments);
		ctl_say(c, "  %-62s %s\n", usage, k->help);
	}
	ctl_say(c, "FORMAT: json or typed; without it for people. Level: %s.\n",
	        config_level_name(c->level));
}

/* NULL: there is no such. */
static const struct ctl_command *find(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

/* Who changes something is told to the log. */
static void note(struct ctl_conn *c, const struct ctl_words *w)
{
	char text[256];
	size_t len = 0;

	for (size_t i = 0; i < w->count && len < sizeof(text); i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, " %s", w->word[i]);
	log_limited(c->server->agent->log, clock_nsec(), LOG_CAUSE_CTL_TOLD, LOG_NOTICE,
	            "control: user %ld says:%s", c->user, text);
}

bool ctl_run(struct ctl_conn *c, slo_nsec now, const struct ctl_words *w)
{
	char **word = (char **)w->word;
	const struct ctl_command *k = find(word[0]);

	if (!k) {
		ctl_say(c, "error: no such command: %.64s. Try help.\n", word[0]);
		return true;
	}
	if (k->level > c->level) {
		ctl_say(c, "error: %s takes level %s, and this socket has %s\n", k->name,
		        config_level_name(k->level), config_level_name(c->level));
		return true;
	}
	if (k->level > CONFIG_LEVEL_USER)
		note(c, w);
	if (k->run)
		k->run(c, now, word + 1, w->count - 1);
	else if (strcmp(k->name, "help") == 0)
		help(c);
	else if (strcmp(k->name, "prompt") == 0)
		c->prompt = true;
	else
		return false;
	return true;
}
