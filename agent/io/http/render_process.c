/* What the kernel counts of this process, as Prometheus' client libraries tell it. */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "io/base/trim.h"
#include "render_private.h"

static double seconds_of(const struct timeval *t)
{
	return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

void render_process_metrics(FILE *f, const struct stats *stats)
{
	struct rusage used;
	struct rlimit files;
	struct stat open_files;
	ptrdiff_t bytes = trim_resident();

	if (getrusage(RUSAGE_SELF, &used) == 0)
		render_simple(f, "process_cpu_seconds_total", "counter",
		              "CPU time of this process, user and system.",
		              seconds_of(&used.ru_utime) + seconds_of(&used.ru_stime));
	if (bytes > 0)
		render_simple(f, "process_resident_memory_bytes", "gauge", "Resident memory.",
		              (double)bytes);
	/* Kept from the start: what is computed anew differs a little each time, and changes()
	 * would take it for a restart. */
	render_simple(f, "process_start_time_seconds", "gauge", "Unix time of this process' start.",
	              stats->started_unix);
	/* Linux 6.2 and later; to count them one by one takes too long with 20,000. */
	if (stat("/proc/self/fd", &open_files) == 0 && open_files.st_size > 0)
		render_simple(f, "process_open_fds", "gauge", "Open descriptors.",
		              (double)open_files.st_size);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
		render_simple(f, "process_max_fds", "gauge", "Descriptors that it may open.",
		              (double)files.rlim_cur);
}
