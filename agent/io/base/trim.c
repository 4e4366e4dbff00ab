#include "io/base/trim.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PERIOD 5.0        /* seconds */
#define WORTH  (64 << 10) /* bytes that are worth a walk */

ptrdiff_t trim_resident(void)
{
	char text[64], *second;
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	second = strchr(text, ' ');
	return second ? strtol(second, NULL, 10) * sysconf(_SC_PAGESIZE) : -1;
}

/* Resident and not allocated: code and the libraries' data, which stay as they are, and what was
 * freed. Negative if much of what is allocated was never touched. PTRDIFF_MAX: it cannot be told.
 */
static ptrdiff_t unused_now(void)
{
	struct mallinfo2 info = mallinfo2();
	ptrdiff_t resident = trim_resident();

	return resident < 0 ? PTRDIFF_MAX : resident - (ptrdiff_t)(info.uordblks + info.hblkhd);
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
