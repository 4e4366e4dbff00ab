#include "io/base/clock.h"

#include <time.h>

slo_nsec clock_nsec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (slo_nsec)ts.tv_sec * SLO_NSEC_PER_SEC + ts.tv_nsec;
}
