/* Pages whose server's name nobody tells. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netdb.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "io/base/clock.h"
#include "io/engines/fetch.h"

#define GIVEN_UP 120 /* seconds after which the name server answers all the same */

static sem_t answer, answered;

/* In place of libc's: nobody knows any name until `answer`. */
int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
	struct timespec until;

	(void)host;
	(void)service;
	(void)hints;
	(void)out;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += GIVEN_UP;
	while (sem_timedwait(&answer, &until) != 0 && errno == EINTR)
		;
	sem_post(&answered);
	return EAI_AGAIN;
}

struct rig {
	struct ev_loop *loop;
	char why[128];
};

static void bytes(void *user, struct slice s)
{
	(void)user;
	(void)s;
}

static void over(void *user, const char *why)
{
	struct rig *r = user;

	snprintf(r->why, sizeof(r->why), "%s", why ? why : "whole");
	ev_break(r->loop, EVBREAK_ALL);
}

static void a_name_that_nobody_tells_holds_nobody_up(void **state)
{
	struct rig r = { .loop = ev_loop_new(0) };
	struct fetches *f = fetches_new(r.loop);
	const struct fetch_user user = { &r, bytes, over };
	slo_nsec began = clock_nsec();

	(void)state;
	assert_int_equal(sem_init(&answer, 0, 0), 0);
	assert_int_equal(sem_init(&answered, 0, 0), 0);
	assert_true(fetch_start(f, "http://slow.test/metrics", &user));
	ev_run(r.loop, 0);
	assert_string_not_equal(r.why, "whole");
	assert_int_equal(fetches_open(f), 0);
	/* One that is open when all end. */
	assert_true(fetch_start(f, "http://slow.test/metrics", &user));
	ev_run(r.loop, EVRUN_ONCE);
	fetches_free(f);
	assert_in_range(clock_nsec() - began, 0, GIVEN_UP / 2 * SLO_NSEC_PER_SEC);
	assert_int_equal(sem_trywait(&answered), -1); /* it is still asked */
	sem_post(&answer);
	sem_post(&answer);
	ev_loop_destroy(r.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_that_nobody_tells_holds_nobody_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
