#include "io/base/listeners.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/base/socket.h"

#define FIRST_PASSED 3 /* of systemd's protocol */

static long env_number(const char *name)
{
	const char *text = getenv(name);
	char *end;
	long n;

	if (!text || !*text)
		return -1;
	errno = 0;
	n = strtol(text, &end, 10);
	return errno || *end ? -1 : n;
}

void listeners_inherit(struct listeners *l)
{
	long n = env_number("LISTEN_FDS");

	if (env_number("LISTEN_PID") == (long)getpid() && n > 0) {
		l->count = n < LISTENERS_MAX ? (size_t)n : LISTENERS_MAX;
		for (size_t i = 0; i < l->count; i++) {
			int fd = FIRST_PASSED + (int)i;

			l->fd[i] = fd;
			l->claimed[i] = false;
			fcntl(fd, F_SETFD, FD_CLOEXEC);
			fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
		}
	}
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
}

static bool same_address(const struct sockaddr_storage *a, const struct sockaddr *b)
{
	if (a->ss_family != b->sa_family)
		return false;
	if (b->sa_family == AF_INET) {
		const struct sockaddr_in *x = (const struct sockaddr_in *)a;
		const struct sockaddr_in *y = (const struct sockaddr_in *)b;

		return x->sin_port == y->sin_port && x->sin_addr.s_addr == y->sin_addr.s_addr;
	}
	if (b->sa_family == AF_INET6) {
		const struct sockaddr_in6 *x = (const struct sockaddr_in6 *)a;
		const struct sockaddr_in6 *y = (const struct sockaddr_in6 *)b;

		return x->sin6_port == y->sin6_port &&
		       memcmp(&x->sin6_addr, &y->sin6_addr, sizeof(x->sin6_addr)) == 0;
	}
	return strcmp(((const struct sockaddr_un *)a)->sun_path,
	              ((const struct sockaddr_un *)b)->sun_path) == 0;
}

static bool serves(int fd, const struct sockaddr *sa, int type)
{
	struct sockaddr_storage own = { 0 };
	socklen_t len = sizeof(own), type_len = sizeof(int);
	int own_type = 0;

	return getsockname(fd, (struct sockaddr *)&own, &len) == 0 &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &own_type, &type_len) == 0 && own_type == type &&
	       same_address(&own, sa);
}

static int claim(struct listeners *l, const struct sockaddr *sa, int type)
{
	for (size_t i = 0; i < l->count; i++) {
		if (!l->claimed[i] && serves(l->fd[i], sa, type)) {
			l->claimed[i] = true;
			return l->fd[i];
		}
	}
	return -1;
}

static int claim_inherited(struct listeners *l, const struct listen_addr *a)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	struct addrinfo *found;
	char port[8];
	int fd;

	if (l->count == 0)
		return -1;
	hints.ai_socktype = listen_addr_is_datagram(a) ? SOCK_DGRAM : SOCK_STREAM;
	if (listen_addr_is_unix(a)) {
		memcpy(un.sun_path, a->path, sizeof(un.sun_path));
		return claim(l, (const struct sockaddr *)&un, hints.ai_socktype);
	}
	snprintf(port, sizeof(port), "%u", a->port);
	if (getaddrinfo(a->host, port, &hints, &found) != 0)
		return -1;
	fd = claim(l, found->ai_addr, hints.ai_socktype);
	freeaddrinfo(found);
	return fd;
}

int listeners_open(struct listeners *l, const struct listen_addr *a, int udp_buffer, char *why,
                   size_t cap)
{
	int fd = claim_inherited(l, a);

	if (fd >= 0)
		return fd;
	if (l->count == LISTENERS_MAX) {
		snprintf(why, cap, "more than %d listeners", LISTENERS_MAX);
		return -1;
	}
	fd = socket_listen(a, udp_buffer, why, cap);
	if (fd < 0)
		return -1;
	l->fd[l->count] = fd;
	l->claimed[l->count++] = true;
	return fd;
}

static void drop(struct listeners *l, size_t i)
{
	close(l->fd[i]);
	l->count--;
	l->fd[i] = l->fd[l->count];
	l->claimed[i] = l->claimed[l->count];
}

void listeners_close(struct listeners *l, int fd)
{
	for (size_t i = 0; i < l->count; i++) {
		if (l->fd[i] == fd) {
			drop(l, i);
			return;
		}
	}
}

void listeners_close_unclaimed(struct listeners *l, struct log *log)
{
	char name[SOCKET_NAME_MAX];

	for (size_t i = l->count; i-- > 0;) {
		if (l->claimed[i])
			continue;
		socket_local_name(l->fd[i], name, sizeof(name));
		log_write(log, LOG_WARNING,
		          "the inherited socket of %s serves no configured address and is closed",
		          name);
		drop(l, i);
	}
}

bool listeners_pass(const struct listeners *l, const int *extra, size_t extras)
{
	size_t n = l->count + extras;
	int above = FIRST_PASSED + (int)n, copy[LISTENERS_MAX + 8];
	char text[24];

	/* Their present numbers may be wanted for others: first away, then to their places. */
	for (size_t i = 0; i < n; i++) {
		copy[i] = fcntl(i < l->count ? l->fd[i] : extra[i - l->count], F_DUPFD, above);
		if (copy[i] < 0)
			return false;
	}
	for (size_t i = 0; i < n; i++)
		if (dup2(copy[i], FIRST_PASSED + (int)i) < 0)
			return false;
	close_range((unsigned)above, ~0u, 0);
	snprintf(text, sizeof(text), "%ld", (long)getpid());
	if (setenv("LISTEN_PID", text, 1) != 0)
		return false;
	snprintf(text, sizeof(text), "%zu", l->count);
	return setenv("LISTEN_FDS", text, 1) == 0;
}
