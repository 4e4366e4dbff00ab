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

/* Where the agent got a port when it asked for any: nobody else can take that before. */
static struct sockaddr_in port_of(const struct inproc *p)
{
	const struct listeners *l = &p->agent->listeners;

	for (size_t i = 0; i < l->count; i++) {
		struct sockaddr_in at = { 0 };
		int type = 0;
		socklen_t len = sizeof(at), type_len = sizeof(type);

		assert_int_equal(getsockname(l->fd[i], (struct sockaddr *)&at, &len), 0);
		assert_int_equal(getsockopt(l->fd[i], SOL_SOCKET, SO_TYPE, &type, &type_len), 0);
		if (at.sin_family == AF_INET && type == SOCK_DGRAM)
			return at;
	}
	fail_msg("it listens on no UDP port");
	return (struct sockaddr_in){ 0 };
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
	struct sockaddr_in at;
	struct inproc p;
	struct peer peer;
	const uint64_t *counted;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	(void)state;
	inproc_open(&p);
	inproc_write_text(
	    &p, "{\"spop\":{\"listen\":[\"unix:spop\"]},\"events\":{\"listen\":[\"unix:events\","
		"\"udp:127.0.0.1:0\"]},\"models\":{\"m\":{\"deployments\":{\"d\":{\"servers\":"
		"[\"s1\"]}}}}}");
	inproc_start(&p);
	at = port_of(&p);
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

/* A relay may join lines, and each has its prefix of syslog then. */
static void lines_that_a_relay_joined_all_count(void **state)
{
	static const struct {
		const char *text;
		unsigned int lines;
	} cases[] = {
		{ "slo1 id=a st=200\nslo1 id=b st=200\n", 2 },
		{ "<134>Nov 29 07:00:00 h haproxy[1]: slo1 id=c st=200\n"
		  "<134>Nov 29 07:00:00 h haproxy[1]: slo1 id=d st=200\n<6>1 - - slo1 id=e st=200",
		  3 },
		{ "<134>h slo1 id=f st=200\nslo1 id=g st=200\n<134>h slo1 id=h st=200", 3 },
		{ "slo1 id=i st=200\n<134>what else it says", 1 },
		{ "slo1 id=j st=200\n<1345>h slo1 id=k st=200", 1 },
		{ "slo1 id=l st=200\n<>h slo1 id=m st=200", 1 },
		{ "slo1 id=n st=200\n<134", 1 },
		{ "slo1 id=o st=200\n<134>\nslo1 id=p st=200", 2 },
		{ "slo1 id=q st=200\n<", 1 },
	};
	struct inproc p;
	uint64_t counted = 0;
	struct sockaddr_in at;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	(void)state;
	inproc_open(&p);
	inproc_write_text(&p, "{\"spop\":{\"listen\":[\"unix:spop\"]},\"events\":{\"listen\":["
	                      "\"udp:127.0.0.1:0\"]},\"models\":{\"m\":{\"deployments\":{\"d\":{"
	                      "\"servers\":[\"s1\"]}}}}}");
	inproc_start(&p);
	at = port_of(&p);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = strlen(cases[i].text);

		assert_int_equal(send(fd, cases[i].text, len, 0), len);
		inproc_turn(&p, 2);
		counted += cases[i].lines;
		assert_int_equal(p.agent->stats.end_lines[END_UNKNOWN], counted);
	}
	assert_int_equal(p.agent->stats.end_lines[END_MALFORMED], 0);
	close(fd);
	inproc_stop(&p);
	inproc_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_that_a_relay_joined_all_count),
		cmocka_unit_test(more_datagrams_are_read_without_a_pause),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
