/* Who serves after SIGUSR2, when one of the two processes was stopped meanwhile. A shell plays the
 * new program: it is passed no listener, so its descriptor 4 is the channel. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/keep/upgrade.h"

#define PATIENCE 20000 /* ms, far more than a shell takes */

struct rig {
	struct ev_loop *loop;
	struct log log;
	struct listeners listeners;
	struct upgrade upgrade;
	int handed_over;
	bool served; /* what upgrade_go() said */
	pid_t child;
};

static int signals; /* that were sent */

/* In the place of libc's. */
int kill(pid_t pid, int signum)
{
	signals++;
	return (int)syscall(SYS_kill, pid, signum);
}

static void hand_over(void *user)
{
	struct rig *r = user;

	r->handed_over++;
	r->served = upgrade_go(&r->upgrade, (struct slice){ (const uint8_t *)"state", 5 });
}

static int make(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	signal(SIGPIPE, SIG_IGN);
	r->loop = ev_default_loop(0);
	r->log = (struct log){ .level = LOG_ERR, .fd = -1 };
	upgrade_init(&r->upgrade, r->loop, &r->log, hand_over, r);
	*state = r;
	return 0;
}

static int drop(void **state)
{
	struct rig *r = *state;

	if (r->child > 0) {
		kill(r->child, SIGKILL);
		waitpid(r->child, NULL, 0);
	}
	free(r);
	return 0;
}

/* Starts the shell, and waits until it has said something or is gone. */
static void start(struct rig *r, const char *script)
{
	char *argv[] = { "/bin/sh", "-c", (char *)(uintptr_t)script, NULL };
	struct pollfd p = { .events = POLLIN };

	upgrade_start(&r->upgrade, &r->listeners, argv);
	assert_true(r->upgrade.child > 0);
	r->child = r->upgrade.child;
	p.fd = r->upgrade.channel;
	assert_int_equal(poll(&p, 1, PATIENCE), 1);
}

/* The turn of the loop after SIGCONT: the deadline is over, and goes first. The rest of that turn
 * is left out: in it libev would wait for a child that has ended already, and the test could not.
 */
static void wake_up_late(struct rig *r)
{
	ev_io_stop(r->loop, &r->upgrade.ready);
	ev_feed_event(r->loop, &r->upgrade.deadline, EV_TIMER);
	ev_invoke_pending(r->loop);
}

static bool is_alive(const struct rig *r)
{
	int status;

	return waitpid(r->child, &status, WNOHANG) == 0;
}

static void an_old_process_that_was_stopped_kills_nobody_who_serves(void **state)
{
	struct rig *r = *state;

	start(r, "printf ra >&4; exec sleep 100");
	wake_up_late(r);
	assert_int_equal(r->handed_over, 1);
	assert_true(r->served && r->upgrade.serves);
	assert_true(is_alive(r));
}

static void a_new_one_that_waits_still_is_given_the_word(void **state)
{
	struct rig *r = *state;
	int status;

	/* The channel does not block: head fails until "go" is there. */
	start(r,
	      "printf r >&4; for i in $(seq 999); do g=$(head -c 1 <&4 2>&-) && break; sleep 0.01; "
	      "done; test \"$g\" = g && test \"$(cat <&3)\" = ''");
	wake_up_late(r);
	assert_int_equal(r->handed_over, 1);
	assert_true(r->served && !r->upgrade.serves);
	assert_int_equal(waitpid(r->child, &status, 0), r->child);
	assert_int_equal(status, 0); /* it heard "go"; the memory's position is at its end */
	r->child = 0;
}

static void a_new_one_that_hangs_is_ended(void **state)
{
	struct rig *r = *state;
	int status;

	start(r, "printf x >&4; exec sleep 100");
	wake_up_late(r);
	assert_int_equal(r->handed_over, 0);
	assert_int_equal(waitpid(r->child, &status, 0), r->child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	r->child = 0;
}

/* libev has waited for it, and its number may be another's. */
static void a_new_one_that_has_ended_is_sent_no_signal(void **state)
{
	struct rig *r = *state;

	start(r, "exit 3");
	r->child = 0;
	ev_io_stop(r->loop, &r->upgrade.ready);
	signals = 0;
	while (r->upgrade.child) /* until the upgrade's deadline */
		ev_run(r->loop, EVRUN_ONCE);
	assert_int_equal(r->handed_over, 0);
	assert_int_equal(signals, 0);
}

/* The new side. */
static struct slice take_over(const char *word, char heard[8])
{
	struct log log = { .level = LOG_ERR, .fd = -1 };
	struct takeover t;
	struct slice s;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	t = (struct takeover){ memfd_create("test", 0), pair[1] };
	assert_int_equal(write(t.memory, "state", 5), 5);
	assert_int_equal(write(pair[0], word, strlen(word)), strlen(word));
	if (strcmp(word, "x") == 0)
		shutdown(pair[0], SHUT_WR);
	s = takeover_wait(&t, 1, &log);
	memset(heard, 0, 8);
	assert_true(read(pair[0], heard, 7) > 0 || errno == ECONNRESET);
	close(pair[0]);
	return s;
}

static void it_takes_the_state_or_says_that_it_goes_on_alone(void **state)
{
	char heard[8];
	struct slice s;

	(void)state;
	s = take_over("g", heard);
	assert_int_equal(s.len, 5);
	assert_memory_equal(s.p, "state", 5);
	assert_string_equal(heard, "r");
	free((void *)(uintptr_t)s.p);
	s = take_over("", heard);
	assert_null(s.p);
	assert_string_equal(heard, "ra");
	s = take_over("x", heard);
	assert_null(s.p);
	assert_string_equal(heard, "r");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_old_process_that_was_stopped_kills_nobody_who_serves),
		TEST(a_new_one_that_waits_still_is_given_the_word),
		TEST(a_new_one_that_hangs_is_ended),
		TEST(a_new_one_that_has_ended_is_sent_no_signal),
		TEST(it_takes_the_state_or_says_that_it_goes_on_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
