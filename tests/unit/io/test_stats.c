/* Into which bucket of a histogram a value falls, whatever came before it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "io/agent/stats.h"

#define VALUES ((size_t)3 * HISTOGRAM_BUCKETS_MAX)

static size_t bucket_of(const struct histogram_bounds *b, double seconds)
{
	size_t i = 0;

	while (i < b->count && b->bound[i] < seconds)
		i++;
	return i;
}

/* Each bound, and what lies right below and above it. */
static size_t edges(const struct histogram_bounds *b, double value[VALUES])
{
	size_t n = 0;

	for (size_t i = 0; i < b->count; i++) {
		value[n++] = nextafter(b->bound[i], 0);
		value[n++] = b->bound[i];
		value[n++] = nextafter(b->bound[i], INFINITY);
	}
	return n;
}

static void a_value_counts_in_its_bucket_behind_any_other(void **state)
{
	static const struct histogram_bounds *const all[] = { &stats_wait_bounds, &stats_cpu_bounds,
		                                              &stats_lag_bounds,
		                                              &stats_token_bounds };

	(void)state;
	for (size_t k = 0; k < sizeof(all) / sizeof(all[0]); k++) {
		uint64_t want[HISTOGRAM_BUCKETS_MAX + 1] = { 0 };
		double value[VALUES];
		size_t n = edges(all[k], value);
		struct histogram h;

		histogram_init(&h, all[k]);
		for (size_t i = 0; i < n * n; i++) {
			histogram_add(&h, value[i / n], 1);
			histogram_add(&h, value[i % n], 1);
			want[bucket_of(all[k], value[i / n])]++;
			want[bucket_of(all[k], value[i % n])]++;
		}
		assert_memory_equal(h.count, want, sizeof(want));
		assert_int_equal(h.total, 2 * n * n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_value_counts_in_its_bucket_behind_any_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
