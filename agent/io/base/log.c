#include "io/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "clean.h"

#define LINE_MAX_BYTES 1000
#define HEAD_MAX_BYTES 64

static const char *const about[] = {
#define ABOUT(name, about) [LOG_CAUSE_##name] = (about),
	LOG_CAUSE_LIST(ABOUT)
#undef ABOUT
};

static const char *level_name(int level)
{
	switch (level) {
	case LOG_DEBUG:
		return "DEBUG";
	case LOG_INFO:
		return "INFO";
	case LOG_NOTICE:
		return "NOTICE";
	case LOG_WARNING:
		return "WARNING";
	default:
		return "ALERT";
	}
}

/* Where lines go */

static void close_fd(struct log *l)
{
	if (l->own_fd)
		close(l->fd);
	l->own_fd = false;
	l->fd = -1;
}

/* Not syslog(3), which waits when the daemon does not read. */
static void open_syslog(struct log *l)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	close_fd(l);
	snprintf(un.sun_path, sizeof(un.sun_path), "%s", l->syslog_path);
	l->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	l->own_fd = l->fd >= 0;
	l->is_socket = true;
	if (l->fd >= 0 && connect(l->fd, (const struct sockaddr *)&un, sizeof(un)) != 0)
		close_fd(l);
}

static void open_stderr(struct log *l)
{
	struct stat st;
	int fd;

	l->fd = STDERR_FILENO;
	if (fstat(l->fd, &st) != 0 || S_ISREG(st.st_mode))
		return;
	l->is_socket = S_ISSOCK(st.st_mode);
	if (l->is_socket)
		return; /* send() can be told not to wait */
	fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	l->own_fd = fd >= 0;
	l->may_block = fd < 0;
	if (fd >= 0)
		l->fd = fd;
}

void log_init(struct log *l, int level, const char *syslog_path)
{
	memset(l, 0, sizeof(*l));
	l->level = level;
	l->fd = -1;
	l->syslog_path = syslog_path;
	if (syslog_path)
		open_syslog(l);
	else
		open_stderr(l);
}

static ssize_t try_write(const struct log *l, const char *text, size_t len)
{
	struct pollfd p = { .fd = l->fd, .events = POLLOUT };

	if (l->is_socket)
		return send(l->fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (l->may_block && poll(&p, 1, 0) != 1)
		return -1;
	return write(l->fd, text, len);
}

static bool put(struct log *l, const char *text, size_t len)
{
	ssize_t n = l->fd < 0 ? -1 : try_write(l, text, len);

	/* The daemon may have been started anew. Without a socket errno is somebody else's. */
	if (n < 0 && l->syslog_path && (l->fd < 0 || errno != EAGAIN)) {
		open_syslog(l);
		n = l->fd < 0 ? -1 : try_write(l, text, len);
	}
	if (n > 0)
		l->torn = (size_t)n < len;
	return n == (ssize_t)len;
}

/* Lines */

static void put_line(struct log *l, int level, const char *line)
{
	char text[HEAD_MAX_BYTES + LINE_MAX_BYTES + 2], date[32] = "";
	const char *newline = l->torn ? "\n" : "";
	time_t now = time(NULL);
	struct tm tm;
	int len;

	if (l->syslog_path) {
		if (localtime_r(&now, &tm))
			(void)strftime(date, sizeof(date), "%b %e %T", &tm);
		len = snprintf(text, sizeof(text), "<%d>%s slo-spoa[%ld]: %s", LOG_DAEMON | level,
		               date, (long)getpid(), line);
	} else {
		len = snprintf(text, sizeof(text), "%s[%s] (%ld) : %s\n", newline,
		               level_name(level), (long)getpid(), line);
	}
	if (!put(l, text, (size_t)len)) {
		l->lost++;
		l->lost_total++;
	}
}

static void tell_lost(struct log *l)
{
	char line[LINE_MAX_BYTES];
	uint64_t lost = l->lost, total = l->lost_total;

	l->lost = 0;
	snprintf(line, sizeof(line), "%" PRIu64 " log lines could not be written", lost);
	put_line(l, LOG_WARNING, line);
	if (l->lost > 0) { /* nor could this one, which is not counted */
		l->lost = lost;
		l->lost_total = total;
	}
}

static void emit(struct log *l, int level, const char *fmt, va_list ap)
{
	char line[LINE_MAX_BYTES];

	vsnprintf(line, sizeof(line), fmt, ap);
	for (char *p = line; *p; p++)
		*p = clean_char(*p);
	if (l->lost > 0)
		tell_lost(l);
	put_line(l, level, line);
}

bool log_wants(const struct log *l, int level)
{
	return level <= l->level;
}

void log_write(struct log *l, int level, const char *fmt, ...)
{
	va_list ap;

	if (!log_wants(l, level))
		return;
	va_start(ap, fmt);
	emit(l, level, fmt, ap);
	va_end(ap);
}

static void end_window(struct log *l, enum log_cause cause)
{
	uint64_t left_out = l->cause[cause].left_out;

	l->cause[cause].passed = 0;
	l->cause[cause].left_out = 0;
	if (left_out > 0)
		log_write(l, l->cause[cause].level, "%" PRIu64 " lines about %s were left out",
		          left_out, about[cause]);
}

void log_limited(struct log *l, slo_nsec now, enum log_cause cause, int level, const char *fmt, ...)
{
	va_list ap;

	if (!log_wants(l, level))
		return;
	if (now - l->cause[cause].window >= LOG_WINDOW)
		end_window(l, cause);
	if (l->cause[cause].passed == 0)
		l->cause[cause].window = now;
	if (l->cause[cause].passed >= LOG_BURST) {
		if (l->cause[cause].left_out++ == 0 || level < l->cause[cause].level)
			l->cause[cause].level = level;
		return;
	}
	l->cause[cause].passed++;
	va_start(ap, fmt);
	emit(l, level, fmt, ap);
	va_end(ap);
}

void log_tell(struct log *l, slo_nsec now)
{
	for (int i = 0; i < LOG_CAUSES; i++)
		if (l->cause[i].left_out > 0 && now - l->cause[i].window >= LOG_WINDOW)
			end_window(l, (enum log_cause)i);
}

void log_fini(struct log *l)
{
	for (int i = 0; i < LOG_CAUSES; i++)
		end_window(l, (enum log_cause)i);
	close_fd(l);
}
