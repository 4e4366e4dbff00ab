/* socket.h - listening sockets from parsed addresses. All are non-blocking and close-on-exec. */
#ifndef SLO_IO_BASE_SOCKET_H
#define SLO_IO_BASE_SOCKET_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "conf/config.h"
#include "conf/listen_addr.h"
#include "io/base/log.h"
#include "slo.h"

#define SOCKET_NAME_MAX 128

/* Whether a call on a non-blocking socket failed only for now: try again when it is ready. */
static inline bool socket_would_block(int err)
{
	return err == EAGAIN || err == EWOULDBLOCK || err == EINTR;
}

/* A listening socket (TCP, unix) or a bound one (datagrams, with a receive buffer of udp_buffer
 * bytes if the system lets us). A stale unix socket, one that nobody answers on, is replaced. Mode,
 * owner and group of the address hold before the first peer can come. Returns the descriptor, or -1
 * with a text in why. */
int socket_listen(const struct listen_addr *a, int udp_buffer, char *why, size_t cap);

/* The address as people write it: "127.0.0.1:9901", "unix:/run/x.sock". */
void socket_name(const struct sockaddr_storage *sa, socklen_t len, char *out, size_t cap);
/* The same of a socket's own end. */
void socket_local_name(int fd, char *out, size_t cap);

/* Whose processes may connect to the unix sockets of a listener. */
struct socket_peers {
	uid_t user[CONFIG_PEERS_MAX];
	size_t count; /* 0: all that the socket's mode lets */
};
/* Looks the users up. False: why says which one there is not. */
bool socket_peers_find(const struct config_listen *l, struct socket_peers *out, char *why,
                       size_t cap);
/* Whether who connected on fd is one of them; a peer over TCP has no user, so nothing is asked.
 * False: why says who it is. */
bool socket_peer_allowed(const struct socket_peers *p, int fd, char *why, size_t cap);

/* Why an address of the configuration's `key` could not be listened on. */
void socket_log(struct log *l, const struct listen_addr *a, const char *key, const char *why);

#endif
