/* bench_net.h - sockets, clock and complaints of the bench programs. Nothing is gentle here: what
 * fails ends the program with a word. */
#ifndef BENCH_NET_H
#define BENCH_NET_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

_Noreturn static inline void bench_die(const char *what)
{
	fprintf(stderr, "bench: %s: %s\n", what, errno ? strerror(errno) : "wrong");
	exit(EXIT_FAILURE);
}

static inline int64_t bench_nsec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* Ports of 127.0.0.1 only: load stays on loopback. */
static inline struct sockaddr_in bench_address(const char *port)
{
	long n = strtol(port, NULL, 10);

	errno = 0;
	if (n < 1 || n > 65535)
		bench_die(port);
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)n),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

static inline int bench_connect(const char *port, int type)
{
	struct sockaddr_in sa = bench_address(port);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0)
		bench_die("connect");
	if (type == SOCK_STREAM)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static inline int bench_listen(const char *port, int type)
{
	struct sockaddr_in sa = bench_address(port);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;

	if (fd < 0)
		bench_die("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0 ||
	    (type == SOCK_STREAM && listen(fd, 1024) != 0))
		bench_die("listen");
	return fd;
}

#endif
