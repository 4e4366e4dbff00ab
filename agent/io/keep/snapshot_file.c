#include "io/keep/snapshot_file.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/base/clock.h"
#include "io/base/file.h"
#include "io/base/timer.h"
#include "io/keep/agent_snapshot.h"

#define SLOW         (30 * SLO_NSEC_PER_SEC)  /* for one file */
#define OTHERS_GONE  (120 * SLO_NSEC_PER_SEC) /* without a file of theirs, at least */
#define OTHERS_MISS  3                        /* of their files in a row may be overlooked */
#define SNAPSHOT_MAX ((size_t)256 << 20)      /* bytes: a million requests in flight */

static int save_state(struct agent *a)
{
	struct slice data;
	struct snapshot_writer *w = agent_snapshot_write(a, clock_nsec(), &data);
	int err = w ? file_save(a->conf->snapshot.file, data, 0600, true) : ENOMEM;

	snapshot_writer_free(w);
	return err;
}

/* What can be done about it; "": who knows. */
static const char *remedy(int err)
{
	if (err == EACCES || err == EPERM || err == EROFS)
		return "; the agent's user needs the right to write there";
	if (err == ENOENT || err == ENOTDIR)
		return "; its folder must exist";
	return err == ENOSPC || err == EDQUOT ? "; make room on that disk" : "";
}

static void complain(struct agent *a, int err)
{
	log_limited(a->log, clock_nsec(), LOG_CAUSE_SNAPSHOT, LOG_ERR,
	            "snapshot %s cannot be written: %s", a->conf->snapshot.file, file_why(err));
	warn_set(a, clock_nsec(), "snapshot", NULL,
	         "snapshot %s cannot be written (%s): a restart forgets what runs%s",
	         a->conf->snapshot.file, file_why(err), remedy(err));
}

/* The file is ours from here on, as far as we know. */
static void remember_own(struct snapshot_file *f)
{
	if (stat(f->agent->conf->snapshot.file, &f->own) != 0)
		f->own.st_ino = 0;
}

/* The other's snapshots may be farther apart than OTHERS_GONE, an hour at most; as far as ours,
 * until a second one is seen. We do not look in between. */
static void see_others(struct snapshot_file *f, slo_nsec now)
{
	const slo_nsec hour = 3600 * SLO_NSEC_PER_SEC, every = f->agent->conf->snapshot.every;
	slo_nsec apart = f->others_seen ? now - f->others_seen : 0;

	if (apart < every)
		apart = every;
	if (apart <= hour + OTHERS_GONE) {
		f->others_gone = (OTHERS_MISS + 1) * apart;
		if (f->others_gone < OTHERS_GONE)
			f->others_gone = OTHERS_GONE;
	}
	f->others_seen = now;
}

/* Two agents with one file put the ledger of the one in the place of the other's, and the one that
 * restarts takes up requests that are not its own. */
static void look_for_others(struct snapshot_file *f)
{
	struct agent *a = f->agent;
	const char *file = a->conf->snapshot.file;
	slo_nsec now = clock_nsec();
	struct stat st;

	if (f->own.st_ino && stat(file, &st) == 0 &&
	    (st.st_ino != f->own.st_ino || st.st_mtim.tv_sec != f->own.st_mtim.tv_sec ||
	     st.st_mtim.tv_nsec != f->own.st_mtim.tv_nsec)) {
		see_others(f, now);
		warn_set(a, now, "snapshot", file,
		         "another process writes snapshot %s too: a restart takes up what was the "
		         "other's; give each agent a file of its own",
		         file);
	} else if (f->others_seen && now - f->others_seen > f->others_gone) {
		warn_clear(a, now, "snapshot", file);
	}
}

static void on_written(struct ev_loop *loop, ev_child *w, int revents)
{
	struct snapshot_file *f = w->data;

	ev_child_stop(loop, w);
	f->child = 0;
	if (WIFEXITED(w->rstatus) && WEXITSTATUS(w->rstatus) == 0) {
		f->agent->stats.snapshots++;
		if (f->agent->conf->snapshot.file)
			remember_own(f);
		warn_clear(f->agent, clock_nsec(), "snapshot", NULL);
	} else if (f->agent->conf->snapshot.file) { /* a reload may have turned it off meanwhile */
		complain(f->agent, WIFEXITED(w->rstatus) ? WEXITSTATUS(w->rstatus) : EIO);
	}
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct snapshot_file *f = w->data;
	pid_t child;

	if (f->child) { /* a slow disk: no queue of writers */
		if (clock_nsec() - f->began > SLOW)
			complain(f->agent, ETIMEDOUT);
		return;
	}
	look_for_others(f);
	f->began = clock_nsec();
	child = fork();
	if (child == 0) {
		/* Of a process that was killed, it would put its older state over a newer one. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* A connection that the agent closes must not stay open in here while a disk is
		 * slow. */
		close_range(STDERR_FILENO + 1, ~0u, 0);
		_exit(save_state(f->agent));
	}
	if (child < 0) {
		complain(f->agent, errno);
		return;
	}
	f->child = child;
	ev_child_set(&f->writer, child, 0);
	ev_child_start(loop, &f->writer);
}

void snapshot_file_load(struct agent *a)
{
	const struct config_snapshot *conf = &a->conf->snapshot;
	char source[PATH_MAX + 16], *data;
	size_t len;
	int err;

	if (!conf->file)
		return;
	data = file_read_own(conf->file, SNAPSHOT_MAX, &len);
	err = errno;

	snprintf(source, sizeof(source), "snapshot %s", conf->file);
	if (!data) {
		log_write(a->log, err == ENOENT ? LOG_NOTICE : LOG_ERR,
		          "%s: %s, so this start knows nothing of before", source, file_why(err));
		return;
	}
	agent_snapshot_restore(a, clock_nsec(), (struct slice){ (uint8_t *)data, len },
	                       conf->max_age, source);
	free(data);
}

void snapshot_file_configure(struct snapshot_file *f)
{
	const struct config_snapshot *conf = &f->agent->conf->snapshot;

	const char *file = conf->file ? conf->file : "";

	timer_every(f->agent->loop, &f->timer, conf->file ? conf->every : 0);
	if (strcmp(file, f->file) == 0)
		return;
	snprintf(f->file, sizeof(f->file), "%s", file);
	f->own.st_ino = 0;
	f->others_seen = 0;
	f->others_gone = OTHERS_GONE;
	warn_clear_all(f->agent, clock_nsec(), "snapshot");
}

void snapshot_file_init(struct snapshot_file *f, struct agent *a)
{
	*f = (struct snapshot_file){ .agent = a };
	ev_init(&f->timer, on_timer);
	ev_init(&f->writer, on_written);
	f->timer.data = f->writer.data = f;
}

void snapshot_file_stop(struct snapshot_file *f)
{
	if (!f->agent)
		return;
	ev_timer_stop(f->agent->loop, &f->timer);
	ev_child_stop(f->agent->loop, &f->writer);
	if (f->child) {
		/* Late, it would put its older state over a newer one. */
		kill(f->child, SIGKILL);
		waitpid(f->child, NULL, 0);
	}
	f->child = 0;
}

void snapshot_file_finish(struct snapshot_file *f)
{
	int err;

	snapshot_file_stop(f);
	if (!f->agent || !f->agent->conf->snapshot.file)
		return;
	err = save_state(f->agent);
	if (err)
		complain(f->agent, err);
}
