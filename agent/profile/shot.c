#include "shot.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "answer.h"

#define ANSWER_MAX ((size_t)16 << 20) /* bytes */

/* HOST:PORT, where an IPv6 address is in brackets. */
static bool split(struct shot_target *t, const char *p, size_t n)
{
	const char *close = *p == '[' ? memchr(p, ']', n) : NULL;
	const char *colon = memchr(close ? close : p, ':', n - (size_t)((close ? close : p) - p));
	size_t host = colon ? (size_t)(colon - p) : n;

	if (close) {
		p++;
		host = (size_t)(close - p);
	}
	if (host == 0 || host >= sizeof(t->host))
		return false;
	snprintf(t->host, sizeof(t->host), "%.*s", (int)host, p);
	snprintf(t->port, sizeof(t->port), "80");
	if (colon)
		snprintf(t->port, sizeof(t->port), "%.*s", (int)strcspn(colon + 1, "/"), colon + 1);
	return true;
}

const char *shot_target_parse(struct shot_target *t, const char *url)
{
	const struct addrinfo wanted = { .ai_socktype = SOCK_STREAM };
	size_t n;

	memset(t, 0, sizeof(*t));
	if (strncmp(url, "http://", 7) != 0)
		return "must begin with http:// (TLS is not spoken; measure the server itself)";
	url += 7;
	n = strcspn(url, "/");
	if (n == 0 || !split(t, url, n))
		return "has no host";
	snprintf(t->path, sizeof(t->path), "%s", url + n);
	n = strlen(t->path);
	while (n > 0 && t->path[n - 1] == '/')
		t->path[--n] = '\0';
	if (n >= 3 && strcmp(t->path + n - 3, "/v1") == 0)
		t->path[n - 3] = '\0';
	if (strpbrk(t->path, " \r\n") || strpbrk(t->host, " \r\n"))
		return "has a blank";
	return getaddrinfo(t->host, t->port, &wanted, &t->found) == 0
	           ? NULL
	           : "has an unknown host or port";
}

void shot_target_free(struct shot_target *t)
{
	if (t->found)
		freeaddrinfo(t->found);
	t->found = NULL;
}

void shot_init(struct shot *s)
{
	memset(s, 0, sizeof(*s));
	s->fd = -1;
}

void shot_stop(struct shot *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

void shot_free(struct shot *s)
{
	shot_stop(s);
	free(s->out);
	free(s->in);
	shot_init(s);
}

bool shot_start(struct shot *s, const struct shot_target *t, const char *body, double now)
{
	const struct addrinfo *to = t->found;
	int n;

	shot_stop(s);
	free(s->out);
	n = asprintf(&s->out,
	             "POST %s/v1/completions HTTP/1.1\r\nHost: %s:%s\r\nContent-Type: "
	             "application/json\r\nAccept: text/event-stream\r\nConnection: close\r\n"
	             "Content-Length: %zu\r\n\r\n%s",
	             t->path, t->host, t->port, strlen(body), body);
	if (n < 0) {
		s->out = NULL;
		return false;
	}
	s->out_len = (size_t)n;
	s->out_at = s->in_len = 0;
	s->sent = now;
	s->first = s->end = 0;
	s->fd =
	    socket(to->ai_family, to->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, to->ai_protocol);
	if (s->fd < 0)
		return false;
	if (connect(s->fd, to->ai_addr, to->ai_addrlen) == 0 || errno == EINPROGRESS)
		return true;
	shot_stop(s);
	return false;
}

short shot_events(const struct shot *s)
{
	return s->out_at < s->out_len ? POLLOUT | POLLIN : POLLIN;
}

static enum shot_state ended(struct shot *s, enum shot_state how, double now)
{
	s->end = now;
	shot_stop(s);
	return how;
}

/* False: the connection broke. */
static bool push(struct shot *s)
{
	while (s->out_at < s->out_len) {
		ssize_t n = send(s->fd, s->out + s->out_at, s->out_len - s->out_at, MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR || errno == ENOTCONN;
		s->out_at += (size_t)n;
	}
	return true;
}

static bool make_room(struct shot *s)
{
	size_t more = s->in_room ? 2 * s->in_room : 16384;
	char *p;

	if (s->in_len + 4096 <= s->in_room)
		return true;
	p = more <= ANSWER_MAX ? realloc(s->in, more) : NULL;
	if (!p)
		return false;
	s->in = p;
	s->in_room = more;
	return true;
}

enum shot_state shot_go(struct shot *s, double now)
{
	ssize_t n;

	if (!push(s))
		return ended(s, SHOT_FAILED, now);
	for (;;) {
		if (!make_room(s))
			return ended(s, SHOT_FAILED, now);
		n = recv(s->fd, s->in + s->in_len, s->in_room - s->in_len, 0);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return SHOT_OPEN;
		if (n <= 0)
			return ended(s, n == 0 && s->in_len > 0 ? SHOT_DONE : SHOT_FAILED, now);
		s->in_len += (size_t)n;
		if (!(s->first > 0) && answer_has_begun(s->in, s->in_len))
			s->first = now;
		if (answer_is_whole(s->in, s->in_len))
			return ended(s, SHOT_DONE, now);
	}
}
