#include "io/base/lookup.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POLL     0.02 /* seconds between two looks */
#define HOST_MAX 255

struct lookup {
	struct ev_loop *loop;
	ev_timer poll;
	struct gaicb request;
	struct addrinfo hints;
	void (*done)(void *user, const struct lookup_addresses *found, const char *why);
	void *user;
	char host[HOST_MAX + 1], port[8];
};

static void collect(const struct addrinfo *list, struct lookup_addresses *out)
{
	out->count = 0;
	for (; list && out->count < LOOKUP_ADDRESSES_MAX; list = list->ai_next) {
		if (list->ai_addrlen > sizeof(out->sa[0]))
			continue;
		memcpy(&out->sa[out->count], list->ai_addr, list->ai_addrlen);
		out->len[out->count++] = list->ai_addrlen;
	}
}

static bool numeric(const char *host, uint16_t port, struct lookup_addresses *out)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		                  .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV };
	struct addrinfo *list = NULL;
	char text[8];

	snprintf(text, sizeof(text), "%u", (unsigned)port);
	if (getaddrinfo(host, text, &hints, &list) != 0)
		return false;
	collect(list, out);
	freeaddrinfo(list);
	return out->count > 0;
}

bool lookup_at_once(const char *host, uint16_t port, struct lookup_addresses *out)
{
	struct lookup_addresses v6;

	if (strcmp(host, "localhost") != 0)
		return numeric(host, port, out);
	if (!numeric("127.0.0.1", port, out))
		return false;
	if (numeric("::1", port, &v6)) {
		out->sa[out->count] = v6.sa[0];
		out->len[out->count++] = v6.len[0];
	}
	return true;
}

static void release(struct lookup *l)
{
	ev_timer_stop(l->loop, &l->poll);
	if (l->request.ar_result)
		freeaddrinfo(l->request.ar_result);
	free(l);
}

static void on_poll(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct lookup *l = w->data;
	struct lookup_addresses found;
	int error = gai_error(&l->request);
	void (*done)(void *, const struct lookup_addresses *, const char *) = l->done;
	void *user = l->user;

	if (error == EAI_INPROGRESS)
		return;
	collect(error == 0 ? l->request.ar_result : NULL, &found);
	release(l);
	if (found.count > 0)
		done(user, &found, NULL);
	else
		done(user, NULL, error ? gai_strerror(error) : "no address");
}

struct lookup *lookup_start(struct ev_loop *loop, const char *host, uint16_t port,
                            void (*done)(void *user, const struct lookup_addresses *found,
                                         const char *why),
                            void *user)
{
	struct lookup *l = calloc(1, sizeof(*l));
	struct gaicb *list[1];

	if (!l)
		return NULL;
	snprintf(l->host, sizeof(l->host), "%s", host);
	snprintf(l->port, sizeof(l->port), "%u", (unsigned)port);
	l->hints = (struct addrinfo){ .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
	l->request =
	    (struct gaicb){ .ar_name = l->host, .ar_service = l->port, .ar_request = &l->hints };
	list[0] = &l->request;
	if (getaddrinfo_a(GAI_NOWAIT, list, 1, NULL) != 0) {
		free(l);
		return NULL;
	}
	l->loop = loop;
	l->done = done;
	l->user = user;
	ev_timer_init(&l->poll, on_poll, POLL, POLL);
	l->poll.data = l;
	ev_timer_start(loop, &l->poll);
	return l;
}

void lookup_cancel(struct lookup *l)
{
	if (!l)
		return;
	ev_timer_stop(l->loop, &l->poll);
	if (gai_cancel(&l->request) != EAI_NOTCANCELED)
		release(l);
}
