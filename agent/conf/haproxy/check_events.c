/* How HAProxy tells the agent that a request has ended. */
#include <string.h>

#include "check_private.h"

#define LINE_MIN 512 /* bytes: what an end line may need */

struct targets {
	size_t streams, datagrams;    /* lines that lead to the agent */
	const struct hap_line *stray; /* a target that is another listener of the agent */
	const struct hap_line *other; /* some target that leads elsewhere */
	const struct hap_line *cut;   /* a target that cuts lines */
	const struct hap_line *less;  /* a target that leads here and gets none, or a part */
	/* Raw lines to nobody of ours, perhaps meant for the agent. */
	const struct hap_line *wrong_ring, *wrong_log;
};

/* Whether a ring's server is the agent. */
static bool ring_leads_here(const struct checking *c, const struct hap_section *ring,
                            struct targets *t)
{
	struct hap_walk w = hap_walk(ring);
	const struct hap_line *l, *maxlen = hap_find(ring, "maxlen", NULL);
	bool here = false;

	while ((l = hap_next(&w, "server", NULL))) {
		const char *address = hap_word(l, 2);

		if (hap_listener_has(&c->conf->events, address, false) != MATCH_NO)
			here = true;
		else if (hap_listener_has(&c->conf->spop, address, false) != MATCH_NO ||
		         hap_listener_has(&c->conf->http, address, false) != MATCH_NO)
			t->stray = l;
		else
			t->other = l;
	}
	if (here && maxlen && hap_number(hap_word(maxlen, 1)) < LINE_MIN)
		t->cut = maxlen;
	return here;
}

/* "log ADDRESS [len N] [format F] [sample R] [profile P] FACILITY [LEVEL [LEVEL]]": end lines are
 * of level info. */
static bool keeps_back(const struct hap_line *l)
{
	static const char *const options[] = { "len", "format", "sample", "profile" };
	static const char *const levels[] = { "info", "debug" };
	size_t i = 2;

	for (size_t k = 0; k < sizeof(options) / sizeof(options[0]); k++)
		i += hap_index(l, 2, options[k]) < l->words ? 2 : 0;
	if (hap_index(l, 2, "sample") < l->words)
		return true;
	if (i + 1 >= l->words)
		return false;
	return strcmp(l->word[i + 1], levels[0]) != 0 && strcmp(l->word[i + 1], levels[1]) != 0;
}

/* A line or ring without "format" is in one of syslog's, which end lines are not. */
static bool is_raw(const struct hap_line *l)
{
	size_t i = l ? hap_index(l, 1, "format") : 0;

	return l && (strcmp(l->word[0], "format") == 0
	                 ? strcmp(hap_word(l, 1), "raw") == 0
	                 : i + 1 < l->words && strcmp(l->word[i + 1], "raw") == 0);
}

static void add_target(const struct checking *c, const struct hap_line *l, struct targets *t)
{
	const char *target = hap_word(l, 1);
	size_t here = t->streams + t->datagrams;
	size_t len = hap_index(l, 2, "len");

	if (strncmp(target, "ring@", 5) == 0) {
		const struct hap_section *ring = hap_section_find(c->hap, HAP_RING, target + 5);

		if (ring && ring_leads_here(c, ring, t))
			t->streams++;
		else if (!ring)
			t->other = l;
		else if (is_raw(l) || is_raw(hap_find(ring, "format", NULL)))
			t->wrong_ring = hap_find(ring, "server", NULL);
	} else if (hap_listener_has(&c->conf->events, target, true) != MATCH_NO) {
		t->datagrams++;
		if (len + 1 < l->words && hap_number(l->word[len + 1]) < LINE_MIN)
			t->cut = l;
	} else {
		if (hap_listener_has(&c->conf->spop, target, false) == MATCH_YES ||
		    hap_listener_has(&c->conf->http, target, false) == MATCH_YES)
			t->stray = l;
		else
			t->other = l;
		if (is_raw(l) && strchr(target, ':'))
			t->wrong_log = l;
	}
	if (t->streams + t->datagrams > here && keeps_back(l))
		t->less = l;
}

static struct targets targets_of(const struct checking *c, const struct hap_section *s)
{
	struct targets t = { 0 };
	struct hap_walk w = hap_walk(s);
	const struct hap_line *l;

	while ((l = hap_next(&w, "log", NULL))) {
		struct hap_walk global = { c->global, c->global ? c->global->lines : NULL };
		const struct hap_line *g;

		if (strcmp(hap_word(l, 1), "global") != 0)
			add_target(c, l, &t);
		else
			while ((g = hap_next(&global, "log", NULL)))
				add_target(c, g, &t);
	}
	return t;
}

/* End lines come, but not both ways. */
static void check_halves(const struct checking *c, const struct asking *a, const struct targets *t,
                         const char *listens)
{
	const struct hap_line *log = t->wrong_log, *ring = t->wrong_ring;

	if (t->datagrams == 0)
		tell(c, WORSE, "no-datagrams", log ? log : a->frontend->head,
		     "%s%s%sfrontend %s sends end lines over a ring only: a process that a reload "
		     "replaces no longer does, so what still runs there is not heard of; log to a "
		     "udp: or unixgram: address of events.listen too (%s)",
		     log ? "log " : "", log ? hap_word(log, 1) : "",
		     log ? " is no address of events.listen: " : "", a->frontend->name, listens);
	else if (t->streams == 0 && ring)
		tell(c, WORSE, "lines-lost", ring,
		     "%s is no address of events.listen: frontend %s sends end lines over UDP "
		     "only, and what is lost there is never sent again; name an address of "
		     "events.listen (%s)",
		     hap_word(ring, 2), a->frontend->name, listens);
}

static void check_targets(const struct checking *c, const struct asking *a, const struct targets *t)
{
	const struct listen_text listens = listen_text(&c->conf->events);
	const struct hap_line *at = t->stray ? t->stray : t->other ? t->other : a->frontend->head;

	if (t->streams + t->datagrams == 0 && t->stray)
		tell(c, FATAL, "ports-swapped", at,
		     "end lines go to %s, which is another listener of the agent: it hears of no "
		     "end, "
		     "servers seem full and after some requests all are refused; events.listen is "
		     "%s",
		     hap_word(at, strcmp(at->word[0], "server") == 0 ? 2 : 1), listens.text);
	else if (t->streams + t->datagrams == 0)
		tell(c, FATAL, "no-end-lines", at,
		     "no \"log\" line of frontend %s leads to the agent: it hears of no end, "
		     "servers seem "
		     "full and after some requests all are refused; events.listen is %s",
		     a->frontend->name, listens.text);
	else
		check_halves(c, a, t, listens.text);
	if (t->less)
		tell(c, FATAL, "no-end-lines", t->less,
		     "this target gets no line of level info, or a sample of them: ends that are "
		     "not told keep their load; take level and sample away");
	if (t->cut)
		tell(c, FATAL, "lines-cut", t->cut,
		     "lines are cut at less than %d bytes: end lines lose their tail; write 1024 "
		     "or leave "
		     "it out",
		     LINE_MIN);
}

/* What keeps lines back. */
static void check_silence(const struct checking *c, const struct asking *a)
{
	static const struct {
		const char *option, *follows;
	} options[] = {
		{ "dontlog-normal", "good requests write no end line" },
		{ "logasap", "the line comes before the end, without times and sizes" },
	};
	struct hap_walk w = hap_walk(a->frontend);
	const struct hap_line *l;
	bool on;

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if ((l = hap_option(a->frontend, options[i].option, &on)) && on)
			tell(c, FATAL, "no-end-lines", l,
			     "option %s: %s, so the agent takes those servers for full; take it "
			     "away",
			     options[i].option, options[i].follows);
	while ((l = hap_next(&w, "http-request", "set-log-level")))
		if (strcmp(hap_word(l, 2), "silent") == 0)
			tell(c, FATAL, "no-end-lines", l,
			     "set-log-level silent: such requests write no end line, so the agent "
			     "counts "
			     "them for ever; take it away, or do not ask the agent about them");
}

void check_end_lines(const struct checking *c, const struct asking *a)
{
	struct targets t = targets_of(c, a->frontend);

	check_targets(c, a, &t);
	check_silence(c, a);
}
