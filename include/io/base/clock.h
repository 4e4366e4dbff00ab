/* clock.h - the only place that asks what time it is. */
#ifndef SLO_IO_BASE_CLOCK_H
#define SLO_IO_BASE_CLOCK_H

#include "slo.h"

slo_nsec clock_nsec(void);       /* CLOCK_MONOTONIC */
int64_t clock_unix_nsec(void);   /* CLOCK_REALTIME: only for what is read after a restart */
double clock_unix_seconds(void); /* the same in seconds, for what people and programs read */

#endif
