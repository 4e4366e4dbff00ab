#include "io/base/service.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/base/clock.h"

#define GRACE 10 /* seconds beyond what we think that stopping takes */

/* Never waits. The manager may be gone, and that is no concern of ours. */
static void tell(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	socklen_t len;
	size_t n;
	int fd;

	if (!path || (path[0] != '/' && path[0] != '@'))
		return;
	n = strlen(path);
	if (n >= sizeof(un.sun_path))
		return;
	memcpy(un.sun_path, path, n);
	if (path[0] == '@')
		un.sun_path[0] = '\0'; /* a name without a file */
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	(void)sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&un, len);
	close(fd);
}

void service_ready(void)
{
	tell("READY=1\nSTATUS=Serving");
}

/* Type=notify-reload asks for the time by the clock of systemd. */
void service_reloading(void)
{
	char text[96];

	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=Reloading",
	         (long long)(clock_nsec() / 1000));
	tell(text);
}

void service_stopping(slo_nsec longest)
{
	const int64_t seconds = longest / SLO_NSEC_PER_SEC + GRACE;
	char text[96];

	snprintf(text, sizeof(text),
	         "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRId64 "000000\nSTATUS=Draining", seconds);
	tell(text);
}

void service_handed_over(pid_t successor)
{
	char text[32];

	snprintf(text, sizeof(text), "MAINPID=%ld", (long)successor);
	tell(text);
}
