#include "io/base/clock.h"

#include <time.h>

static int64_t nsec_of(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * SLO_NSEC_PER_SEC + ts.tv_nsec;
}

slo_nsec clock_nsec(void)
{
	return nsec_of(CLOCK_MONOTONIC);
}

int64_t clock_unix_nsec(void)
{
	return nsec_of(CLOCK_REALTIME);
}

double clock_unix_seconds(void)
{
	return (double)clock_unix_nsec() / 1e9;
}
