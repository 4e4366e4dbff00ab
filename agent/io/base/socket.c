#include "io/base/socket.h"

#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 4096

void socket_name(const struct sockaddr_storage *sa, socklen_t len, char *out, size_t cap)
{
	char host[64], port[16];

	/* Only a unix socket may have no name; one that sends datagrams then has no family either.
	 */
	if (len <= offsetof(struct sockaddr_un, sun_path)) {
		snprintf(out, cap, "unix");
		return;
	}
	if (sa->ss_family == AF_UNIX) {
		const struct sockaddr_un *un = (const struct sockaddr_un *)sa;
		size_t path = len - offsetof(struct sockaddr_un, sun_path);

		snprintf(out, cap, "unix:%.*s", (int)path, un->sun_path);
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
static void remove_stale(const struct sockaddr_un *un, int type)
{
	struct stat st;
	int fd;

	if (lstat(un->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
		return;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)un, sizeof(*un)) != 0 && errno == ECONNREFUSED)
		unlink(un->sun_path);
	close(fd);
}

/* A user's or group's number, from its name or from digits. */
static bool number_of(const char *text, bool group, unsigned *out)
{
	const struct passwd *pw = group ? NULL : getpwnam(text);
	const struct group *gr = group ? getgrnam(text) : NULL;
	char *end;
	unsigned long n;

	if (pw || gr) {
		*out = pw ? pw->pw_uid : gr->gr_gid;
		return true;
	}
	n = strtoul(text, &end, 10);
	*out = (unsigned)n;
	return *text >= '0' && *text <= '9' && *end == '\0' && n < UINT32_MAX;
}

/* The kernel makes the file when it binds, and only then it can be given away: until it has its
 * owner nobody can open it. */
static int bind_guarded(int fd, const struct sockaddr_un *un, const struct listen_access *access,
                        char *why, size_t cap)
{
	unsigned user = UINT32_MAX, group = UINT32_MAX; /* as it is */
	mode_t mask, mode;
	int bound;

	if ((access->user[0] && !number_of(access->user, false, &user)) ||
	    (access->group[0] && !number_of(access->group, true, &group))) {
		snprintf(why, cap, "there is no %s \"%s\"",
		         user == UINT32_MAX && access->user[0] ? "user" : "group",
		         user == UINT32_MAX && access->user[0] ? access->user : access->group);
		close(fd);
		return -1;
	}
	mask = umask(0777);
	bound = bind(fd, (const struct sockaddr *)un, sizeof(*un));
	umask(mask);
	if (bound != 0)
		return fail(fd, why, cap, "bind");
	mode = access->has_mode ? access->mode : 0777 & ~mask;
	if (lchown(un->sun_path, user, group) != 0)
		return fail(fd, why, cap, "chown");
	if (chmod(un->sun_path, mode) != 0)
		return fail(fd, why, cap, "chmod");
	return fd;
}

static int listen_unix(const struct listen_addr *a, int buffer, char *why, size_t cap)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int type = a->kind == LISTEN_UNIX ? SOCK_STREAM : SOCK_DGRAM;
	int fd;

	memcpy(un.sun_path, a->path, strlen(a->path) + 1); /* listen_addr has checked the length */
	remove_stale(&un, type);
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(fd, why, cap, "socket");
	if (type == SOCK_DGRAM)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
	if (a->access.set) {
		if (bind_guarded(fd, &un, &a->access, why, cap) < 0)
			return -1;
	} else if (bind(fd, (const struct sockaddr *)&un, sizeof(un)) != 0) {
		return fail(fd, why, cap, "bind");
	}
	if (type == SOCK_STREAM && listen(fd, BACKLOG) != 0)
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

	if (listen_addr_is_unix(a))
		return listen_unix(a, udp_buffer, why, cap);
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

bool socket_peers_find(const struct config_listen *l, struct socket_peers *out, char *why,
                       size_t cap)
{
	out->count = 0;
	for (size_t i = 0; i < l->peers; i++) {
		unsigned user;

		if (!number_of(l->peer[i], false, &user)) {
			snprintf(why, cap, "peers: there is no user \"%s\"", l->peer[i]);
			return false;
		}
		out->user[out->count++] = user;
	}
	return true;
}

bool socket_peer_allowed(const struct socket_peers *p, int fd, char *why, size_t cap)
{
	struct ucred peer = { .uid = (uid_t)-1 };
	socklen_t len = sizeof(peer), domain_len = sizeof(int);
	int domain = 0;

	if (p->count == 0 || getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &domain_len) != 0 ||
	    domain != AF_UNIX)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0)
		for (size_t i = 0; i < p->count; i++)
			if (p->user[i] == peer.uid)
				return true;
	snprintf(why, cap, "user %ld (pid %ld)", (long)(int)peer.uid, (long)peer.pid);
	return false;
}

void socket_log(struct log *l, const struct listen_addr *a, const char *key, const char *why)
{
	char name[sizeof(a->host) + 32];

	listen_addr_print(a, name, sizeof(name));
	log_write(l, LOG_ERR, "%s: cannot listen on %s: %s", key, name, why);
}
