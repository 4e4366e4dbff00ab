#include "io/base/trim.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PERIOD 5.0        /* seconds */
#define WORTH  (64 << 10) /* bytes that are worth a walk */

/* Resident and not allocated: code and the libraries' data, which stay as they are, and what was
 * freed. Negative if much of what is allocated was never touched. PTRDIFF_MAX: it cannot be told.
 */
static ptrdiff_t unused_now(void)
{
	struct mallinfo2 info = mallinfo2();
	char text[64], *second;
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
	size_t used = info.uordblks + info.hblkhd;

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return PTRDIFF_MAX;
	text[n] = '\0';
	second = strchr(text, ' ');
	return second ? strtol(second, NULL, 10) * sysconf(_SC_PAGESIZE) - (ptrdiff_t)used
	              : PTRDIFF_MAX;
}

static void on_time(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct trim *h = w->data;
	ptrdiff_t unused;

	h->give_back(h->arg);
	unused = unused_now();
	if (unused - WORTH > h->unused) {
		malloc_trim(0);
		h->unused = unused_now();
	} else if (unused < h->unused) {
		h->unused = unused;
	}
}

void trim_watch(struct trim *h, struct ev_loop *loop, void (*give_back)(void *arg), void *arg)
{
	h->loop = loop;
	h->give_back = give_back;
	h->arg = arg;
	h->unused = unused_now();
	ev_timer_init(&h->timer, on_time, PERIOD, PERIOD);
	h->timer.data = h;
	ev_timer_start(loop, &h->timer);
}

void trim_unwatch(struct trim *h)
{
	if (h->loop)
		ev_timer_stop(h->loop, &h->timer);
	h->loop = NULL;
}
