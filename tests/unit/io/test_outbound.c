/* Connections that we open: whose address refuses, who never answers, and users that close or open
 * while they are called. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/base/outbound.h"

#define DEADLINE 120. /* seconds: however slow the machine is, what works is in time */
#define SHORT    0.05

struct rig {
	struct ev_loop *loop;
	struct outbound o;
	int ups, downs, readies, again;
	char why[OUTBOUND_WHY_MAX];
	struct outbound_peer peer;
};

static void up(void *user)
{
	struct rig *r = user;

	r->ups++;
	ev_break(r->loop, EVBREAK_ALL);
}

static void ready(void *user, int revents)
{
	struct rig *r = user;

	(void)revents;
	r->readies++;
	outbound_close(&r->o);
	ev_break(r->loop, EVBREAK_ALL);
}

static void down(void *user, const char *why)
{
	struct rig *r = user;

	r->downs++;
	snprintf(r->why, sizeof(r->why), "%s", why);
	assert_int_equal(r->o.state, OUTBOUND_CLOSED);
	assert_int_equal(r->o.fd, -1);
	if (r->again-- > 0)
		outbound_open(&r->o, &r->peer);
	else
		ev_break(r->loop, EVBREAK_ALL);
}

static int make(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	const struct outbound_user user = { r, up, ready, down };

	assert_non_null(r);
	r->loop = ev_loop_new(0);
	outbound_init(&r->o, r->loop, &user, DEADLINE);
	*state = r;
	return 0;
}

static int drop(void **state)
{
	struct rig *r = *state;

	outbound_close(&r->o);
	ev_loop_destroy(r->loop);
	free(r);
	return 0;
}

/* A socket on that port of the loopback, of any port if it is 0; -1: there is no such family here,
 * or somebody else has the port. */
static int bound(int family, uint16_t port)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
		                   .sin6_addr = IN6ADDR_LOOPBACK_INIT,
		                   .sin6_port = htons(port) };
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	bool four = family == AF_INET;
	int fd = socket(family, SOCK_STREAM, 0), on = 1;

	v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0)
		return -1;
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	if (bind(fd, four ? (void *)&v4 : (void *)&v6, four ? sizeof(v4) : sizeof(v6)) == 0)
		return fd;
	close(fd);
	return -1;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_storage sa = { 0 };
	socklen_t len = sizeof(sa);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	return ntohs(sa.ss_family == AF_INET ? ((struct sockaddr_in *)&sa)->sin_port
	                                     : ((struct sockaddr_in6 *)&sa)->sin6_port);
}

static void no_callback_comes_before_the_call_returns(void **state)
{
	struct rig *r = *state;

	r->peer = (struct outbound_peer){ .path = "/nowhere/at/all" };
	outbound_open(&r->o, &r->peer);
	assert_int_equal(r->downs, 0);
	ev_run(r->loop, 0);
	assert_int_equal(r->downs, 1);
	assert_string_equal(r->why, "No such file or directory");
}

static void the_next_address_is_tried(void **state)
{
	struct rig *r = *state;
	int fd, closed;

	do { /* localhost is 127.0.0.1 first, where nobody listens on that port */
		fd = bound(AF_INET6, 0);
		if (fd < 0)
			skip();
		closed = bound(AF_INET, port_of(fd));
		if (closed < 0)
			close(fd);
	} while (closed < 0);
	assert_int_equal(listen(fd, 5), 0);
	r->peer = (struct outbound_peer){ .host = "localhost", .port = port_of(fd) };
	outbound_open(&r->o, &r->peer);
	ev_run(r->loop, 0);
	assert_int_equal(r->ups, 1);
	assert_int_equal(r->o.next_address, 2);
	close(closed);
	close(fd);
}

static void who_never_answers_is_left(void **state)
{
	struct rig *r = *state;
	int fd = bound(AF_INET, 0);

	assert_int_equal(listen(fd, 5), 0);
	r->peer = (struct outbound_peer){ .host = "127.0.0.1", .port = port_of(fd) };
	outbound_open(&r->o, &r->peer);
	ev_run(r->loop, 0);
	assert_int_equal(r->ups, 1);
	r->o.deadline.repeat = SHORT;
	outbound_watch(&r->o, true, false);
	outbound_wait(&r->o, true);
	ev_run(r->loop, 0);
	assert_int_equal(r->downs, 1);
	assert_string_equal(r->why, "no answer in time");
	close(fd);
}

static void addresses_are_kept_until_one_fails(void **state)
{
	struct rig *r = *state;
	int closed = bound(AF_INET, 0); /* nobody else gets the port when the listener is gone */
	int fd = bound(AF_INET, port_of(closed));

	assert_int_equal(listen(fd, 5), 0);
	r->peer = (struct outbound_peer){ .host = "127.0.0.1", .port = port_of(fd) };
	for (int i = 1; i <= 2; i++) {
		outbound_open(&r->o, &r->peer);
		ev_run(r->loop, 0);
		assert_int_equal(r->ups, i);
		assert_int_equal(r->o.addresses.count, 1);
		outbound_watch(&r->o, false, true);
		ev_run(r->loop, 0); /* ready() closes */
		assert_int_equal(r->readies, i);
	}
	close(fd);
	outbound_open(&r->o, &r->peer);
	ev_run(r->loop, 0);
	assert_string_equal(r->why, "Connection refused");
	assert_int_equal(r->o.addresses.count, 0);
	close(closed);
}

static void a_user_may_open_while_it_is_told_of_the_end(void **state)
{
	struct rig *r = *state;
	uint64_t opened = r->o.opened;

	r->again = 3;
	r->peer = (struct outbound_peer){ .path = "/nowhere/at/all" };
	outbound_open(&r->o, &r->peer);
	ev_run(r->loop, 0);
	assert_int_equal(r->downs, 4);
	assert_int_equal(r->o.opened - opened, 8);
}

static void after_a_close_nothing_comes(void **state)
{
	struct rig *r = *state;

	r->peer = (struct outbound_peer){ .path = "/nowhere/at/all" };
	outbound_open(&r->o, &r->peer);
	outbound_close(&r->o);
	ev_run(r->loop, 0);
	assert_int_equal(r->downs + r->ups, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(no_callback_comes_before_the_call_returns),
		TEST(the_next_address_is_tried),
		TEST(who_never_answers_is_left),
		TEST(addresses_are_kept_until_one_fails),
		TEST(a_user_may_open_while_it_is_told_of_the_end),
		TEST(after_a_close_nothing_comes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
