/* The two halves of an upgrade: above, what the running process does; below, what the program does
 * that it started. They share a socket pair for single letters and a memory file for the state,
 * both passed by number in the environment, as the listening sockets are.
 *
 * Nobody may wait here but the new one, which serves nobody yet. The old one learns by watchers
 * that the new one is ready, dead or late. It hands over in one turn of the loop: between "ready"
 * and "go" it reads and accepts nothing, so whatever HAProxy sends lies in a socket for the new
 * one. */
#include "io/keep/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/base/file.h"
#include "io/base/socket.h"

#define ENVIRONMENT "SLO_SPOA_TAKEOVER" /* "PID MEMORY CHANNEL" */
#define START_MAX   30.0                /* seconds until the new program must be ready */
#define READY       'r'
#define GO          'g'
#define ALONE       'a' /* of the new one: it has waited long enough, and serves now */

/* Old */

/* The upgrade is over, however it ended. */
static void forget_child(struct upgrade *u)
{
	ev_io_stop(u->loop, &u->ready);
	ev_child_stop(u->loop, &u->gone);
	ev_timer_stop(u->loop, &u->deadline);
	close(u->memory);
	close(u->channel);
	u->child = 0;
}

/* The new program is of no use, and this process goes on. */
static void give_up(struct upgrade *u, const char *why)
{
	u->failed = true;
	log_write(u->log, LOG_ERR, "upgrade: %s; this process goes on", why);
	forget_child(u);
}

/* It may still be there. */
static void failed(struct upgrade *u, const char *why)
{
	kill(u->child, SIGKILL);
	give_up(u, why);
}

/* Takes the words that have come; -1 and 0 as read() has them. */
static ssize_t hear(struct upgrade *u)
{
	char words[8];
	ssize_t n = read(u->channel, words, sizeof(words));

	for (ssize_t i = 0; i < n; i++) {
		u->is_ready |= words[i] == READY;
		u->serves |= words[i] == ALONE;
	}
	return n;
}

/* The new program waits: from here on nothing stops the upgrade. */
static void go_on(struct upgrade *u)
{
	ev_io_stop(u->loop, &u->ready);
	ev_timer_stop(u->loop, &u->deadline);
	ev_child_stop(u->loop, &u->gone);
	u->hand_over(u->user);
}

static void on_ready(struct ev_loop *loop, ev_io *w, int revents)
{
	struct upgrade *u = w->data;
	ssize_t n = hear(u);

	if (n < 0 && socket_would_block(errno))
		return;
	if (u->is_ready)
		go_on(u);
	else
		failed(u, "the new program did not start");
}

static void on_gone(struct ev_loop *loop, ev_child *w, int revents)
{
	struct upgrade *u = w->data;
	char why[64];

	if (WIFEXITED(w->rstatus))
		snprintf(why, sizeof(why), "the new program ended with status %d",
		         WEXITSTATUS(w->rstatus));
	else
		snprintf(why, sizeof(why), "the new program died of signal %d",
		         WTERMSIG(w->rstatus));
	give_up(u, why); /* libev has waited for it: its number may be another's by now */
}

/* This process may have been stopped meanwhile, and the word have come long ago. */
static void on_deadline(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct upgrade *u = w->data;

	(void)hear(u);
	if (u->is_ready)
		go_on(u);
	else
		failed(u, "the new program was not ready in time");
}

void upgrade_init(struct upgrade *u, struct ev_loop *loop, struct log *log,
                  void (*hand_over)(void *user), void *user)
{
	*u = (struct upgrade){ .loop = loop, .log = log, .hand_over = hand_over, .user = user };
}

/* The child's side of the fork. */
static void become(const struct listeners *l, int memory, int channel, char **argv)
{
	const int extra[] = { memory, channel };
	sigset_t none;
	char text[64];

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	snprintf(text, sizeof(text), "%ld %zu %zu", (long)getpid(), 3 + l->count, 4 + l->count);
	if (listeners_pass(l, extra, 2) && setenv(ENVIRONMENT, text, 1) == 0)
		execvp(argv[0], argv);
	fprintf(stderr, "upgrade: %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

/* Waits for the new program, in the loop. */
static void watch(struct upgrade *u, pid_t child, int memory, int channel)
{
	u->child = child;
	u->is_ready = u->serves = false;
	u->memory = memory;
	u->channel = channel;
	ev_io_init(&u->ready, on_ready, channel, EV_READ);
	ev_child_init(&u->gone, on_gone, child, 0);
	ev_timer_init(&u->deadline, on_deadline, START_MAX, 0.);
	u->ready.data = u->gone.data = u->deadline.data = u;
	ev_io_start(u->loop, &u->ready);
	ev_child_start(u->loop, &u->gone);
	ev_timer_start(u->loop, &u->deadline);
}

void upgrade_start(struct upgrade *u, const struct listeners *l, char **argv)
{
	int pair[2] = { -1, -1 };
	int memory;
	pid_t child;

	if (u->child) {
		log_write(u->log, LOG_WARNING, "upgrade: one is under way already");
		return;
	}
	memory = memfd_create("slo-spoa", MFD_CLOEXEC);
	if (memory < 0)
		goto err;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
		goto err;
	child = fork();
	if (child < 0)
		goto err;
	if (child == 0)
		become(l, memory, pair[1], argv);
	close(pair[1]);
	watch(u, child, memory, pair[0]);
	log_write(u->log, LOG_NOTICE, "upgrade: started %s as pid %ld", argv[0], (long)child);
	return;

err:
	log_write(u->log, LOG_ERR, "upgrade: %s; this process goes on", strerror(errno));
	if (memory >= 0)
		close(memory);
	if (pair[0] >= 0) {
		close(pair[0]);
		close(pair[1]);
	}
}

bool upgrade_go(struct upgrade *u, struct slice snapshot)
{
	const char word = GO;
	bool heard;
	int why = 0;

	if (!file_write_all(u->memory, snapshot))
		log_write(u->log, LOG_ERR, "upgrade: the snapshot cannot be passed on: %s",
		          strerror(errno));
	heard = write(u->channel, &word, 1) == 1;
	if (!heard)
		why = errno;
	(void)hear(u);
	if (u->serves)
		log_write(u->log, LOG_WARNING,
		          "upgrade: this process was stopped for too long; the new one serves "
		          "already, and may not know what runs");
	else if (!heard)
		log_write(u->log, LOG_ERR, "upgrade: the new program does not listen: %s",
		          strerror(why));
	forget_child(u);
	return heard || u->serves;
}

void upgrade_cancel(struct upgrade *u)
{
	if (!u->child)
		return;
	log_write(u->log, LOG_NOTICE, "upgrade: pid %ld is ended, because this process stops",
	          (long)u->child);
	kill(u->child, SIGKILL);
	forget_child(u);
}

/* New */

struct takeover takeover_init(void)
{
	const char *text = getenv(ENVIRONMENT);
	struct takeover t = { -1, -1 };
	long pid;

	if (text &&
	    (sscanf(text, "%ld %d %d", &pid, &t.memory, &t.channel) != 3 || pid != (long)getpid()))
		t = (struct takeover){ -1, -1 };
	if (t.channel >= 0) {
		fcntl(t.memory, F_SETFD, FD_CLOEXEC);
		fcntl(t.channel, F_SETFD, FD_CLOEXEC);
	}
	unsetenv(ENVIRONMENT);
	return t;
}

/* Each side writes its last word first and then looks for the other's. So if the old one says GO
 * just when this one says ALONE, at least one of them sees it, and this one serves either way. */
static bool wait_for_go(int channel, int ms, bool *alone)
{
	struct pollfd p = { .fd = channel, .events = POLLIN };
	char word = READY;
	int n;

	if (write(channel, &word, 1) != 1)
		return false;
	while ((n = poll(&p, 1, ms)) < 0)
		if (errno != EINTR)
			return false;
	word = ALONE;
	*alone = n == 0;
	if (*alone && write(channel, &word, 1) != 1)
		return false;
	return read(channel, &word, 1) == 1 && word == GO;
}

/* All of the file, for free(); p NULL: there is nothing in it, or no memory. */
static struct slice read_memory(int fd)
{
	struct stat st;
	uint8_t *p;
	size_t len = 0;
	ssize_t n = 1;

	if (fstat(fd, &st) != 0 || st.st_size <= 0)
		return (struct slice){ 0 };
	p = malloc((size_t)st.st_size);
	while (p && len < (size_t)st.st_size &&
	       (n = pread(fd, p + len, (size_t)st.st_size - len, (off_t)len)) > 0)
		len += (size_t)n;
	return (struct slice){ p, p ? len : 0 };
}

struct slice takeover_wait(struct takeover *t, int ms, struct log *log)
{
	struct slice snapshot = { 0 };
	bool alone = false;

	if (wait_for_go(t->channel, ms, &alone))
		snapshot = read_memory(t->memory);
	else if (alone)
		log_write(log, LOG_WARNING,
		          "upgrade: the old process has not handed over for %d s; this one "
		          "serves now, from what snapshot.file knows",
		          ms / 1000);
	else
		log_write(log, LOG_WARNING, "upgrade: the old process is gone without a word");
	close(t->channel);
	close(t->memory);
	*t = (struct takeover){ -1, -1 };
	return snapshot;
}
