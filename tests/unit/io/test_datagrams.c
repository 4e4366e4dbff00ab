/* End lines as datagrams: copies of those that come over a connection are read now and then, but a
 * socket in which more wait is read without a pause, or its buffer would overflow. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "inproc.h"

#define AT_ONCE 256 /* what is read before others get their turn; the smallest buffer holds it */

/* A port that was free a moment ago. */
static struct sockaddr_in free_port(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	close(fd);
	return at;
}

static void send_lines(int fd, unsigned int first, unsigned int n)
{
	char line[64];

	for (unsigned int i = first; i < first + n; i++) {
		int len = snprintf(line, sizeof(line), "slo1 id=u%u st=200", i);

		assert_int_equal(send(fd, line, (size_t)len, 0), len);
	}
}

static void more_datagrams_are_read_without_a_pause(void **state)
{
	static const char over_tcp[] = "slo1 id=t st=200\n";
	struct sockaddr_in at = free_port();
	struct inproc p;
	struct peer peer;
	char text[512];
	const uint64_t *counted;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	(void)state;
	inproc_open(&p);
	(void)snprintf(
	    text, sizeof(text),
	    "{\"spop\":{\"listen\":[\"unix:spop\"]},\"events\":{\"listen\":[\"unix:events\","
	    "\"udp:127.0.0.1:%u\"]},\"models\":{\"m\":{\"deployments\":{\"d\":{\"servers\":"
	    "[\"s1\"]}}}}}",
	    ntohs(at.sin_port));
	inproc_write_text(&p, text);
	inproc_start(&p);
	counted = &p.agent->stats.end_lines[END_UNKNOWN];
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	peer_open(&peer, &p, "events");
	peer_send(&peer, (const uint8_t *)over_tcp, sizeof(over_tcp) - 1);
	inproc_turn(&p, 3);
	assert_int_equal(*counted, 1);

	/* The clock stands still: a pause would not end. */
	send_lines(fd, 0, AT_ONCE);
	inproc_turn(&p, 1);
	assert_int_equal(*counted, 1 + AT_ONCE);
	send_lines(fd, AT_ONCE, 10);
	inproc_turn(&p, 2);
	assert_int_equal(*counted, 1 + AT_ONCE + 10);

	/* Fewer than a batch were left, so now there is one. */
	send_lines(fd, AT_ONCE + 10, 1);
	inproc_turn(&p, 2);
	assert_int_equal(*counted, 1 + AT_ONCE + 10);
	inproc_clock += 10 * SLO_NSEC_PER_MSEC;
	inproc_turn(&p, 2);
	assert_int_equal(*counted, 1 + AT_ONCE + 11);

	close(fd);
	peer_close(&peer);
	inproc_turn(&p, 2);
	inproc_stop(&p);
	inproc_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(more_datagrams_are_read_without_a_pause),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
