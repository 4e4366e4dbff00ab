/* The scheduler tells of every event by its tap. What it tells is kept as bytes of whole records
 * and written from the loop, every second or 64 KB: a write to the page cache takes microseconds,
 * and a thread would need a copy of each event. So nothing is synced either: a power cut may cost
 * the last seconds, a crash of this process costs one second at most.
 *
 * A file must begin with the whole state, so it can begin only between two events: `wanted` says
 * that a new one is due, and the timer begins it. It is written under another name first, since
 * until the state is in it the files from before are all there is.
 *
 *     begin -> write ... write -> full: wanted -> begin
 *                \-> cannot be written: give_up, closed, lost records are counted
 *                                        -> wanted, after RECORDER_RETRY -> begin */
#include "io/keep/recorder.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/tap.h"
#include "io/base/clock.h"
#include "io/base/file.h"
#include "wire/file/record.h"

#define WRITE_SIZE ((size_t)64 << 10) /* bytes */
#define WRITE_TIME 1.                 /* seconds */

struct recorder {
	struct agent *agent;
	struct record_writer *writer;
	char *path; /* NULL: off */
	ev_timer timer;
	int fd;           /* -1: none is written */
	uint64_t size;    /* of the file, whole records */
	uint64_t full;    /* a new one is begun then */
	uint64_t pending; /* records that are not written yet */
	bool wanted;      /* a new file */
	slo_nsec not_before;
	struct recorder_counts counts;
};

/* Failures */

/* The file ends behind its last whole record, and a new one is tried later. */
static void give_up(struct recorder *r, const char *doing, int err)
{
	slo_nsec now = clock_nsec();

	log_limited(r->agent->log, now, LOG_CAUSE_RECORDER, LOG_ERR,
	            "recorder: cannot %s %s: %s; tried again in %d s", doing, r->path,
	            file_why(err), (int)(RECORDER_RETRY / SLO_NSEC_PER_SEC));
	warn_set(r->agent, now, "recorder", NULL,
	         "decisions are not recorded: cannot %s %s: %s; it is tried again every %d s",
	         doing, r->path, file_why(err), (int)(RECORDER_RETRY / SLO_NSEC_PER_SEC));
	if (r->fd >= 0) {
		(void)!ftruncate(r->fd, (off_t)r->size);
		close(r->fd);
	}
	r->fd = -1;
	r->counts.lost += r->pending;
	r->pending = 0;
	record_taken(r->writer);
	r->wanted = true;
	r->not_before = now + RECORDER_RETRY;
}

/* Soon, but not now: the scheduler may be in the midst of deciding. */
static void want_new_file(struct recorder *r)
{
	r->wanted = true;
	ev_feed_event(r->agent->loop, &r->timer, EV_TIMER);
}

static void flush(struct recorder *r)
{
	struct slice s = record_pending(r->writer);

	if (r->fd < 0 || s.len == 0)
		return;
	if (!file_write_all(r->fd, s)) {
		give_up(r, "write", errno);
		return;
	}
	r->size += s.len;
	r->counts.bytes += s.len;
	r->counts.records += r->pending;
	warn_clear(r->agent, clock_nsec(), "recorder", NULL);
	r->pending = 0;
	record_taken(r->writer);
	if (r->full > 0 && r->size >= r->full && !r->wanted)
		want_new_file(r);
}

/* What the tap tells. Without a file it is lost, which is counted. */
static void hear(void *arg, const struct slo_event *e)
{
	struct recorder *r = arg;

	if (r->fd < 0) {
		r->counts.lost++;
		return;
	}
	r->pending++;
	if ((e->kind == SLO_EVENT_PROFILE && !e->list) || record_add(r->writer, e) != SLO_OK)
		give_up(r, "write", ENOMEM);
	else if (record_pending(r->writer).len >= WRITE_SIZE)
		flush(r);
}

/* Files */

/* FILE for 0, FILE.1 for 1. False: the name is too long. */
static bool numbered(const struct recorder *r, size_t i, char out[PATH_MAX])
{
	char suffix[24] = "";

	if (i > 0)
		snprintf(suffix, sizeof(suffix), ".%zu", i);
	return snprintf(out, PATH_MAX, "%s%s", r->path, suffix) < PATH_MAX;
}

/* file -> file.1 -> ... -> file.keep -> gone */
static void rotate(const struct recorder *r)
{
	char from[PATH_MAX], to[PATH_MAX];

	for (size_t i = r->agent->conf->recorder.keep; i > 0; i--)
		if (numbered(r, i - 1, from) && numbered(r, i, to))
			(void)rename(from, to); /* there may be none yet */
}

/* The whole state, under another name: the old files are good until the new one is. */
static bool begin_as(struct recorder *r, const char *new, slo_nsec now)
{
	const struct sched_tap tap = { hear, r };

	r->fd = file_begin(r->path, new);
	if (r->fd < 0) {
		give_up(r, "open", errno);
		return false;
	}
	r->size = 0;
	r->full = 0;
	record_writer_restart(r->writer);
	sched_tell_state(r->agent->sched, &tap, now, clock_unix_nsec());
	flush(r);
	return r->fd >= 0;
}

/* The next file: the state at its head, then the older ones move on by a number. */
static void begin(struct recorder *r, slo_nsec now)
{
	const struct sched_tap tap = { hear, r };
	uint64_t max_size = r->agent->conf->recorder.max_size;
	char new[PATH_MAX];

	flush(r);
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
	r->wanted = false;
	sched_listen(r->agent->sched, &tap);
	if (snprintf(new, sizeof(new), "%s.new", r->path) >= (int)sizeof(new)) {
		give_up(r, "open", ENAMETOOLONG);
		return;
	}
	if (!begin_as(r, new, now)) {
		(void)unlink(new);
		return;
	}
	rotate(r);
	if (rename(new, r->path) != 0) {
		give_up(r, "rename", errno);
		return;
	}
	r->counts.files++;
	/* A file with little but its first state would be of no use. */
	r->full = max_size > 2 * r->size ? max_size : 2 * r->size;
}

/* A file begins between two events, so the state at its head is whole. */
static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct recorder *r = w->data;
	slo_nsec now = clock_nsec();

	flush(r);
	if (!r->wanted || now < r->not_before)
		return;
	agent_pump(r->agent, now);
	if (sched_is_quiet(r->agent->sched))
		begin(r, now);
}

/* Life */

/* Writes what there is and listens no more. */
static void turn_off(struct recorder *r)
{
	flush(r);
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
	free(r->path);
	r->path = NULL;
	r->wanted = false;
	sched_listen(r->agent->sched, NULL);
	ev_timer_stop(r->agent->loop, &r->timer);
}

void recorder_configure(struct recorder *r)
{
	const char *path = r->agent->conf->recorder.file;

	if (r->path && path && strcmp(r->path, path) == 0)
		return;
	turn_off(r);
	warn_clear(r->agent, clock_nsec(), "recorder", NULL);
	if (!path)
		return;
	r->path = strdup(path);
	if (!r->path) {
		log_write(r->agent->log, LOG_ERR, "recorder: out of memory, nothing is recorded");
		return;
	}
	r->not_before = 0;
	ev_timer_again(r->agent->loop, &r->timer);
	want_new_file(r);
}

struct recorder *recorder_new(struct agent *a)
{
	struct recorder *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->agent = a;
	r->fd = -1;
	r->writer = record_writer_new();
	if (!r->writer) {
		free(r);
		return NULL;
	}
	ev_init(&r->timer, on_timer);
	r->timer.repeat = WRITE_TIME;
	r->timer.data = r;
	return r;
}

void recorder_free(struct recorder *r)
{
	if (!r)
		return;
	turn_off(r);
	record_writer_free(r->writer);
	free(r);
}

struct recorder_counts recorder_counts(const struct recorder *r)
{
	return r->counts;
}

bool recorder_is_on(const struct recorder *r)
{
	return r->path != NULL;
}
