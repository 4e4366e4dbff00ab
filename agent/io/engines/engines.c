#include "io/engines/engines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/agent/learned.h"
#include "io/base/clock.h"
#include "io/engines/fetch.h"
#include "io/engines/meaning.h"

#define OPEN_MOST 16   /* pages at a time */
#define TURNS     20.0 /* of the timer, in a poll */
#define TURN_MOST 0.25 /* seconds */
#define URL_MAX   (CONFIG_URL_MAX + ENGINE_ADDRESS_MAX + 16)

_Static_assert(OPEN_MOST + FETCH_KEPT <= ENGINES_DESCRIPTORS, "who raises the limit counts them");

struct page;
LIST_HEAD(page_list, page);

struct engines {
	struct agent *agent;
	struct fetches *fetches; /* NULL: nobody is asked */
	struct page_list pages;
	ev_timer turn;
	char next[2 * CONFIG_NAME_MAX + 2]; /* the key of the server to look at next */
	bool more;                          /* some may be due, and too many pages are open */
};

/* A page that comes. Its server may go meanwhile, so it is known by name. */
struct page {
	LIST_ENTRY(page) link;
	struct engines *engines;
	slo_nsec asked;
	struct engine_text text;
	char key[]; /* BACKEND/SERVER */
};

/* Where to ask */

static const char *own_url(const struct config_engines *conf, const char *key)
{
	for (size_t i = 0; i < conf->count; i++)
		if (strcmp(conf->at[i].server, key) == 0)
			return conf->at[i].url;
	return NULL;
}

/* The template with the server's address in it. False: that is not known. */
static bool fill(const char *template, const struct engine_seen *e, char out[URL_MAX])
{
	bool v6 = strchr(e->address, ':') != NULL;
	size_t n = 0;

	if (e->address[0] == '\0')
		return false;
	while (*template && n < URL_MAX - 1) {
		int put;

		if (strncmp(template, "{address}", 9) == 0) {
			put = snprintf(out + n, URL_MAX - n, v6 ? "[%s]" : "%s", e->address);
			template += 9;
		} else if (strncmp(template, "{port}", 6) == 0) {
			put = snprintf(out + n, URL_MAX - n, "%u", (unsigned)e->port);
			template += 6;
		} else {
			put = snprintf(out + n, URL_MAX - n, "%c", *template ++);
		}
		n += put > 0 ? (size_t)put : 0;
	}
	return n < URL_MAX - 1;
}

static bool url_of(const struct config_engines *conf, const struct roster_server *s,
                   char out[URL_MAX])
{
	const char *own = own_url(conf, s->key);

	if (own)
		snprintf(out, URL_MAX, "%s", own);
	return own || (conf->metrics && fill(conf->metrics, s->engine, out));
}

/* Answers */

static void page_free(struct page *p)
{
	LIST_REMOVE(p, link);
	free(p);
}

static struct roster_server *server_of(const struct page *p)
{
	struct roster_server *s;

	HASH_FIND(hh, p->engines->agent->roster.servers, p->key, strlen(p->key), s);
	return s && s->engine ? s : NULL;
}

static void ask_due(struct engines *e);

static void on_bytes(void *user, struct slice bytes)
{
	struct page *p = user;

	engine_text_take(&p->text, bytes);
}

static void on_over(void *user, const char *why)
{
	struct page *p = user;
	struct engines *e = p->engines;
	struct roster_server *s = server_of(p);
	slo_nsec now = clock_nsec();

	if (s) {
		s->engine->asked = false;
		if (why)
			engine_missed(e->agent, now, s, why);
		else
			engine_told(e->agent, now, s, p->asked, engine_text_end(&p->text));
	}
	page_free(p);
	if (e->more)
		ask_due(e);
}

/* Questions */

static void ask(struct engines *e, slo_nsec now, struct roster_server *s)
{
	const struct config_engines *conf = &e->agent->conf->engines;
	size_t len = strlen(s->key);
	char url[URL_MAX];
	struct page *p;
	struct fetch_user user = { NULL, on_bytes, on_over };

	s->engine->due = now + conf->poll;
	if (!url_of(conf, s, url)) {
		engine_unasked(e->agent, now, s);
		return;
	}
	user.user = p = malloc(sizeof(*p) + len + 1);
	if (!p)
		return;
	p->engines = e;
	p->asked = now;
	memcpy(p->key, s->key, len + 1);
	engine_text_init(&p->text);
	LIST_INSERT_HEAD(&e->pages, p, link);
	s->engine->asked = fetch_start(e->fetches, url, &user);
	if (!s->engine->asked)
		page_free(p);
}

/* Those whose time has come, as many as may be open; the next time it goes on behind them, so that
 * engines that never answer do not keep all others from being asked. */
static void ask_due(struct engines *e)
{
	struct roster_server *first = e->agent->roster.servers, *s;
	size_t left = HASH_COUNT(first);
	slo_nsec now = clock_nsec();

	HASH_FIND(hh, first, e->next, strlen(e->next), s);
	if (!s)
		s = first;
	for (; left > 0 && fetches_open(e->fetches) < OPEN_MOST; left--) {
		if (s->engine && !s->engine->asked && now >= s->engine->due)
			ask(e, now, s);
		s = s->hh.next ? s->hh.next : first;
	}
	e->more = left > 0;
	snprintf(e->next, sizeof(e->next), "%s", s ? s->key : "");
}

static void on_turn(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct engines *e = w->data;
	const struct config_engines *conf = &e->agent->conf->engines;

	for (size_t i = 0; i < conf->count; i++) {
		struct roster_server *s;

		HASH_FIND(hh, e->agent->roster.servers, conf->at[i].server,
		          strlen(conf->at[i].server), s);
		if (s)
			(void)roster_engine(s);
	}
	ask_due(e);
}

/* Life */

struct engines *engines_new(struct agent *a)
{
	struct engines *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->agent = a;
	LIST_INIT(&e->pages);
	ev_init(&e->turn, on_turn);
	e->turn.data = e;
	return e;
}

/* Asks nobody any more, and what was told is forgotten. */
static void stop(struct engines *e)
{
	if (!e->fetches)
		return;
	ev_timer_stop(e->agent->loop, &e->turn);
	fetches_free(e->fetches);
	e->fetches = NULL;
	for (struct page *p = LIST_FIRST(&e->pages), *next; p; p = next) {
		next = LIST_NEXT(p, link);
		page_free(p);
	}
	for (struct roster_server *s = e->agent->roster.servers; s; s = s->hh.next)
		engine_forget(e->agent, clock_nsec(), s);
}

void engines_free(struct engines *e)
{
	if (!e)
		return;
	stop(e);
	free(e);
}

void engines_configure(struct engines *e)
{
	const struct config_engines *conf = &e->agent->conf->engines;
	double turn = (double)conf->poll / 1e9 / TURNS;

	if (!conf->set && e->fetches) {
		stop(e);
		(void)learned_configure(e->agent); /* without what engines told */
	}
	if (!conf->set)
		return;
	if (!e->fetches)
		e->fetches = fetches_new(e->agent->loop);
	if (!e->fetches) {
		log_write(e->agent->log, LOG_ERR,
		          "engines: out of memory, none is asked until a reload");
		return;
	}
	ev_timer_stop(e->agent->loop, &e->turn);
	ev_timer_set(&e->turn, 0., turn < TURN_MOST ? turn : TURN_MOST);
	ev_timer_start(e->agent->loop, &e->turn);
}
