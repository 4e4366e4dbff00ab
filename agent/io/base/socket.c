#include "io/base/socket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 4096

void socket_name(const struct sockaddr_storage *sa, socklen_t len, char *out, size_t cap)
{
	char host[64], port[16];

	if (sa->ss_family == AF_UNIX) {
		const struct sockaddr_un *un = (const struct sockaddr_un *)sa;
		size_t path = len > offsetof(struct sockaddr_un, sun_path)
		                  ? len - offsetof(struct sockaddr_un, sun_path)
		                  : 0;

		snprintf(out, cap, "unix:%.*s", (int)path, path ? un->sun_path : "");
		return;
	}
	if (getnameinfo((const struct sockaddr *)sa, len, host, sizeof(host), port, sizeof(port),
	                NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		snprintf(out, cap, "?");
	else
		snprintf(out, cap, sa->ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

void socket_local_name(int fd, char *out, size_t cap)
{
	struct sockaddr_storage sa = { 0 };
	socklen_t len = sizeof(sa);

	if (getsockname(fd, (struct sockaddr *)&sa, &len) != 0)
		snprintf(out, cap, "?");
	else
		socket_name(&sa, len, out, cap);
}

static int fail(int fd, char *why, size_t cap, const char *what)
{
	snprintf(why, cap, "%s: %s", what, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

/* A socket file that a dead process left behind refuses connections. */
static void remove_stale(const struct sockaddr_un *un)
{
	struct stat st;
	int fd;

	if (lstat(un->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)un, sizeof(*un)) != 0 && errno == ECONNREFUSED)
		unlink(un->sun_path);
	close(fd);
}

static int listen_unix(const char *path, char *why, size_t cap)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd;

	memcpy(un.sun_path, path, strlen(path) + 1); /* listen_addr has checked the length */
	remove_stale(&un);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(fd, why, cap, "socket");
	if (bind(fd, (const struct sockaddr *)&un, sizeof(un)) != 0)
		return fail(fd, why, cap, "bind");
	if (listen(fd, BACKLOG) != 0)
		return fail(fd, why, cap, "listen");
	return fd;
}

static int open_inet(const struct addrinfo *ai, int udp_buffer, char *why, size_t cap)
{
	int one = 1;
	int fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return fail(fd, why, cap, "socket");
	if (ai->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (ai->ai_socktype == SOCK_STREAM)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	/* FORCE needs a privilege; without it the kernel's limit applies. */
	else if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &udp_buffer, sizeof(udp_buffer)) != 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &udp_buffer, sizeof(udp_buffer));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) != 0)
		return fail(fd, why, cap, "bind");
	if (ai->ai_socktype == SOCK_STREAM && listen(fd, BACKLOG) != 0)
		return fail(fd, why, cap, "listen");
	return fd;
}

int socket_listen(const struct listen_addr *a, int udp_buffer, char *why, size_t cap)
{
	struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	struct addrinfo *found;
	char port[8];
	int fd, err;

	if (a->kind == LISTEN_UNIX)
		return listen_unix(a->path, why, cap);
	hints.ai_socktype = a->kind == LISTEN_UDP ? SOCK_DGRAM : SOCK_STREAM;
	snprintf(port, sizeof(port), "%u", a->port);
	err = getaddrinfo(a->host, port, &hints, &found);
	if (err != 0) {
		snprintf(why, cap, "%s", gai_strerror(err));
		return -1;
	}
	fd = open_inet(found, udp_buffer, why, cap);
	freeaddrinfo(found);
	return fd;
}

void socket_log(struct log *l, const struct listen_addr *a, const char *key, const char *why)
{
	const char *udp = a->kind == LISTEN_UDP ? "udp:" : "";

	if (a->kind == LISTEN_UNIX)
		log_write(l, LOG_ERR, "%s: cannot listen on unix:%s: %s", key, a->path, why);
	else
		log_write(l, LOG_ERR, "%s: cannot listen on %s%s:%u: %s", key, udp, a->host,
		          a->port, why);
}
