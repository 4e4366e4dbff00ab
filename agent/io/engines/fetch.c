#include "io/engines/fetch.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define CONNECT_MSEC 2000L

struct fetch {
	LIST_ENTRY(fetch) link;
	struct fetches *all;
	struct fetch_user user;
	CURL *easy;
	size_t size;   /* bytes so far */
	bool too_long; /* it was given up for its size */
	char error[CURL_ERROR_SIZE];
};
LIST_HEAD(fetch_list, fetch);

struct fetches {
	struct ev_loop *loop;
	CURLM *multi;
	ev_timer timer;
	struct fetch_list list;
	size_t open;
};

/* A socket that libcurl watches. */
struct watched {
	struct fetches *all;
	ev_io io;
};

/* The end of a page */

static void close_fetch(struct fetch *x)
{
	struct fetches *f = x->all;

	LIST_REMOVE(x, link);
	f->open--;
	(void)curl_multi_remove_handle(f->multi, x->easy);
	curl_easy_cleanup(x->easy);
	free(x);
}

static void finish(struct fetch *x, CURLcode result)
{
	struct fetch_user user = x->user;
	char why[CURL_ERROR_SIZE + 32];
	long status = 0;

	(void)curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
	if (x->too_long)
		snprintf(why, sizeof(why), "its page has more than %zu bytes", FETCH_SIZE_MAX);
	else if (result != CURLE_OK)
		snprintf(why, sizeof(why), "%s",
		         x->error[0] ? x->error : curl_easy_strerror(result));
	else
		snprintf(why, sizeof(why), "it answers with status %ld", status);
	close_fetch(x);
	user.over(user.user, result == CURLE_OK && status == 200 ? NULL : why);
}

/* libcurl has done what it could; some pages may be over. */
static void reap(struct fetches *f)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(f->multi, &left))) {
		CURLcode result = message->data.result;
		struct fetch *x = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &x);
		finish(x, result);
	}
}

/* libcurl and the loop */

static void on_socket(struct ev_loop *loop, ev_io *w, int revents)
{
	struct watched *s = w->data;
	struct fetches *f = s->all; /* s may be freed */
	int what = (revents & EV_READ ? CURL_CSELECT_IN : 0) |
	           (revents & EV_WRITE ? CURL_CSELECT_OUT : 0),
	    running;

	(void)curl_multi_socket_action(f->multi, w->fd, what, &running);
	reap(f);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct fetches *f = w->data;
	int running;

	(void)curl_multi_socket_action(f->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	reap(f);
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *of_socket)
{
	struct fetches *f = user;
	struct watched *s = of_socket;
	int events = (what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0);

	if (s)
		ev_io_stop(f->loop, &s->io);
	if (what == CURL_POLL_REMOVE) {
		(void)curl_multi_assign(f->multi, fd, NULL);
		free(s);
		return 0;
	}
	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s)
			return -1; /* libcurl gives the page up */
		s->all = f;
		(void)curl_multi_assign(f->multi, fd, s);
	}
	ev_io_init(&s->io, on_socket, fd, events);
	s->io.data = s;
	ev_io_start(f->loop, &s->io);
	return 0;
}

/* msec -1: no timer is needed. */
static int set_timer(CURLM *multi, long msec, void *user)
{
	struct fetches *f = user;

	ev_timer_stop(f->loop, &f->timer);
	if (msec < 0)
		return 0;
	ev_now_update(f->loop);
	ev_timer_set(&f->timer, (double)msec / 1e3, 0.);
	ev_timer_start(f->loop, &f->timer);
	return 0;
}

static size_t take_bytes(char *bytes, size_t size, size_t n, void *user)
{
	struct fetch *x = user;

	x->size += size * n;
	if (x->size > FETCH_SIZE_MAX) {
		x->too_long = true;
		return 0; /* libcurl gives the page up */
	}
	x->user.bytes(x->user.user, (struct slice){ (const uint8_t *)bytes, size * n });
	return size * n;
}

/* Life */

struct fetches *fetches_new(struct ev_loop *loop)
{
	struct fetches *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(f->multi = curl_multi_init())) {
		free(f);
		return NULL;
	}
	f->loop = loop;
	LIST_INIT(&f->list);
	ev_init(&f->timer, on_timer);
	f->timer.data = f;
	(void)curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
	(void)curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f);
	(void)curl_multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, set_timer);
	(void)curl_multi_setopt(f->multi, CURLMOPT_TIMERDATA, f);
	(void)curl_multi_setopt(f->multi, CURLMOPT_MAXCONNECTS, (long)FETCH_KEPT);
	return f;
}

void fetches_free(struct fetches *f)
{
	if (!f)
		return;
	for (struct fetch *x = LIST_FIRST(&f->list), *next; x; x = next) {
		next = LIST_NEXT(x, link);
		close_fetch(x);
	}
	(void)curl_multi_cleanup(f->multi);
	ev_timer_stop(f->loop, &f->timer);
	curl_global_cleanup();
	free(f);
}

size_t fetches_open(const struct fetches *f)
{
	return f->open;
}

static bool set_options(struct fetch *x, const char *url)
{
	CURL *easy = x->easy;
	bool ok = curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK;

	ok &= curl_easy_setopt(easy, CURLOPT_PRIVATE, x) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, x->error) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_bytes) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_WRITEDATA, x) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MSEC) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, FETCH_SECONDS * 1000L) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_USERAGENT, "slo-spoa/" SLO_VERSION) == CURLE_OK;
#if LIBCURL_VERSION_NUM >= 0x075700
	/* A page that is given up must not wait for the name server, and all the loop with it. */
	ok &= curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK;
#endif
	/* Only what is served over HTTP; a file's URL is refused by the configuration already. */
#if LIBCURL_VERSION_NUM >= 0x075500
	ok &= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
#else
	ok &=
	    curl_easy_setopt(easy, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS) == CURLE_OK;
#endif
	return ok;
}

bool fetch_start(struct fetches *f, const char *url, const struct fetch_user *user)
{
	struct fetch *x = calloc(1, sizeof(*x));

	if (!x)
		return false;
	x->all = f;
	x->user = *user;
	x->easy = curl_easy_init();
	if (!x->easy || !set_options(x, url) ||
	    curl_multi_add_handle(f->multi, x->easy) != CURLM_OK) {
		curl_easy_cleanup(x->easy);
		free(x);
		return false;
	}
	LIST_INSERT_HEAD(&f->list, x, link);
	f->open++;
	return true;
}
