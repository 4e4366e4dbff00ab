/* failing_malloc.h - makes the n-th allocation of the linked archives fail. The test is linked with
 * -Wl,--wrap for each kind of allocation, and with failing_malloc.c. */
#ifndef SLO_TESTS_FAILING_MALLOC_H
#define SLO_TESTS_FAILING_MALLOC_H

#include <stdbool.h>

extern long allocations_until_failure; /* -1: none fails */
extern bool allocations_stay_out;      /* and then all after it fail too */

/* False: the one that was to fail was never asked for. */
bool allocations_disarm(void);

#endif
