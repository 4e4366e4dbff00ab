/* What the kernel counts of this process, as Prometheus' client libraries tell it. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "render_private.h"

static double seconds_of(const struct timeval *t)
{
	return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

/* Resident bytes; 0: unknown. */
static double resident(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (!f)
		return 0;
	if (fscanf(f, "%*u %lu", &pages) != 1)
		pages = 0;
	fclose(f);
	return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

/* The Unix time of the start in seconds; 0: unknown. The command's name, in brackets, may hold
 * anything; the start is 20 words behind it, in ticks since the system's. */
static double started(void)
{
	char line[1024] = "", *word;
	unsigned long long ticks = 0;
	struct timespec since, now;
	FILE *f = fopen("/proc/self/stat", "re");

	if (!f)
		return 0;
	word = fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
	fclose(f);
	if (!word ||
	    sscanf(word + 1, "%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%llu",
	           &ticks) != 1)
		return 0;
	clock_gettime(CLOCK_BOOTTIME, &since);
	clock_gettime(CLOCK_REALTIME, &now);
	return (double)now.tv_sec - (double)since.tv_sec +
	       (double)(now.tv_nsec - since.tv_nsec) / 1e9 +
	       (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

void render_process_metrics(FILE *f)
{
	struct rusage used;
	struct rlimit files;
	struct stat open_files;
	double start = started(), bytes = resident();

	if (getrusage(RUSAGE_SELF, &used) == 0)
		render_simple(f, "process_cpu_seconds_total", "counter",
		              "CPU time of this process, user and system.",
		              seconds_of(&used.ru_utime) + seconds_of(&used.ru_stime));
	if (bytes > 0)
		render_simple(f, "process_resident_memory_bytes", "gauge", "Resident memory.",
		              bytes);
	if (start > 0)
		render_simple(f, "process_start_time_seconds", "gauge",
		              "Unix time of this process' start.", start);
	/* Linux 6.2 and later; to count them one by one takes too long with 20,000. */
	if (stat("/proc/self/fd", &open_files) == 0 && open_files.st_size > 0)
		render_simple(f, "process_open_fds", "gauge", "Open descriptors.",
		              (double)open_files.st_size);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
		render_simple(f, "process_max_fds", "gauge", "Descriptors that it may open.",
		              (double)files.rlim_cur);
}
