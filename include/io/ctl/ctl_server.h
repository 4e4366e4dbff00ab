/* ctl_server.h - the control socket, in HAProxy's manner: a line of commands, their answers, and
 * the end of the connection; or many lines after `prompt`.
 *
 * An answer ends with an empty line. One that begins with "error: " says why nothing was done.
 * A long answer is rendered and sent a slice at a time; while it is, no input is read. A
 * connection that is silent, or does not read, is closed after CTL_IDLE. */
#ifndef SLO_IO_CTL_CTL_SERVER_H
#define SLO_IO_CTL_CTL_SERVER_H

#include "io/base/conn.h"
#include "io/http/render.h"
#include "io/keep/export.h"

#define CTL_CONNECTIONS 32                      /* at once */
#define CTL_IDLE        (60 * SLO_NSEC_PER_SEC) /* after which a silent one is closed */
#define CTL_WHY_MAX     1024                    /* bytes of a reason */

struct ctl_server;

/* What only the whole daemon can do. */
struct ctl_daemon {
	void *daemon;
	/* False: why says so. */
	bool (*reload)(void *daemon, char why[CTL_WHY_MAX]);
	void (*drain)(void *daemon);
	const char *path; /* of the configuration */
	struct export *export;
};

/* Opens conf->control of the agent, if it is configured: only call it then. The sources must
 * outlive it. NULL: the reason is logged. */
struct ctl_server *ctl_server_new(struct agent *a, struct conns *conns,
                                  const struct http_sources *sources,
                                  const struct ctl_daemon *daemon);
/* Closes its connections, and leaves the sockets to another process. */
void ctl_server_stop(struct ctl_server *s);
void ctl_server_free(struct ctl_server *s); /* NULL is accepted; connections close first */

#endif
