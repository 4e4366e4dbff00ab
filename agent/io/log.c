#include "io/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1000

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

void log_init(struct log *l, int level, bool to_syslog)
{
	memset(l, 0, sizeof(*l));
	l->level = level;
	l->syslog = to_syslog;
	if (to_syslog)
		openlog("slo-spoa", LOG_PID | LOG_NDELAY, LOG_DAEMON);
}

bool log_wants(const struct log *l, int level)
{
	return level <= l->level;
}

static void emit(const struct log *l, int level, const char *fmt, va_list ap)
{
	char line[LINE_MAX_BYTES];

	vsnprintf(line, sizeof(line), fmt, ap);
	for (char *p = line; *p; p++)
		if ((unsigned char)*p < ' ' || (unsigned char)*p >= 0x7f)
			*p = '?';
	if (l->syslog)
		syslog(level, "%s", line);
	else
		fprintf(stderr, "[%s] (%ld) : %s\n", level_name(level), (long)getpid(), line);
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

void log_limited(struct log *l, slo_nsec now, enum log_cause cause, int level, const char *fmt, ...)
{
	va_list ap;

	if (!log_wants(l, level))
		return;
	if (l->cause[cause].passed == 0 || now - l->cause[cause].window >= LOG_WINDOW) {
		if (l->cause[cause].left_out > 0)
			log_write(l, level, "%" PRIu64 " lines like the next one were left out",
			          l->cause[cause].left_out);
		l->cause[cause].left_out = 0;
		l->cause[cause].passed = 0;
		l->cause[cause].window = now;
	}
	if (l->cause[cause].passed >= LOG_BURST) {
		l->cause[cause].left_out++;
		return;
	}
	l->cause[cause].passed++;
	va_start(ap, fmt);
	emit(l, level, fmt, ap);
	va_end(ap);
}
