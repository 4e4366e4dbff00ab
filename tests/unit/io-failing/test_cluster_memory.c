/* News of an agent that nobody knew, with the n-th allocation failing: it is not heard, the log
 * says why, and it is heard the next time. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "cluster_private.h"
#include "failing_malloc.h"
#include "inproc.h"

static size_t message_of(const char *name, uint8_t out[NEWS_HEAD_MAX + NEWS_TAIL_MAX])
{
	const struct news_head h = {
		.kind = NEWS_RECORDS, .name = slice_of(name), .incarnation = 7, .number = 1
	};
	size_t len = news_pack_head(&h, 0, out);

	return len + news_pack_tail(&h, out + len);
}

/* False: it took fewer allocations. */
static bool heard_without_memory(struct inproc *p, long n)
{
	struct cluster *c = cluster_new(p->agent, NULL);
	uint8_t bytes[NEWS_HEAD_MAX + NEWS_TAIL_MAX];
	struct slice message = { bytes, message_of("b", bytes) };
	struct cluster_peer_status peer;
	bool struck, known;

	assert_non_null(c);
	inproc_log(p);
	allocations_until_failure = n;
	hear_message(c, inproc_clock, message);
	struck = allocations_disarm();
	known = cluster_peer_status(c, 0, &peer);
	assert_int_equal(c->full[FULL_AGENTS].count, 0);
	assert_int_equal(inproc_logged(p, "out of memory, a message of b is not heard"), !known);
	hear_message(c, inproc_clock, message);
	assert_true(cluster_peer_status(c, 0, &peer));
	assert_string_equal(peer.name, "b");
	cluster_free(c);
	return struck;
}

static void an_agent_that_no_memory_is_left_for_is_not_one_too_many(void **state)
{
	struct inproc p;
	long n = 0;

	(void)state;
	do {
		inproc_open(&p);
		inproc_write_conf(&p, "", "", "");
		inproc_start(&p);
		inproc_pass(&p, 60 * SLO_NSEC_PER_SEC); /* for the limits of the log */
		if (!heard_without_memory(&p, n))
			break;
		inproc_stop(&p);
		inproc_close(&p);
		n++;
	} while (true);
	inproc_stop(&p);
	inproc_close(&p);
	assert_true(n >= 3);
}

static struct cluster *start(struct inproc *p)
{
	struct cluster *c;

	inproc_open(p);
	inproc_write_conf(p, "", "", "");
	inproc_start(p);
	c = cluster_new(p->agent, NULL);
	assert_non_null(c);
	return c;
}

static void too_many_agents_are_told_so(void **state)
{
	uint8_t bytes[NEWS_HEAD_MAX + NEWS_TAIL_MAX];
	struct inproc p;
	struct cluster *c;
	char name[16];

	(void)state;
	c = start(&p);
	for (int i = 0; i <= PEERS_MAX; i++) {
		size_t len;

		assert_int_equal(c->full[FULL_AGENTS].count, 0);
		snprintf(name, sizeof(name), "b%d", i);
		len = message_of(name, bytes);
		hear_message(c, inproc_clock, (struct slice){ bytes, len });
	}
	assert_int_equal(c->full[FULL_AGENTS].count, 1);
	assert_false(inproc_logged(&p, "out of memory"));
	cluster_free(c);
	inproc_stop(&p);
	inproc_close(&p);
}

/* How many lines of len bytes about requests that nobody told us of are kept; `most` are sent. */
static size_t unknown_kept(struct inproc *p, size_t len, size_t most)
{
	const struct agent_deferral *to = &p->agent->deferral;
	char *text = malloc(len), id[32];
	size_t kept = 0;

	assert_non_null(text);
	memset(text, ' ', len);
	memcpy(text, "slo1 id=u", 9);
	for (size_t i = 0; i < most; i++) {
		snprintf(id, sizeof(id), "u%zu", i);
		kept += to->defer(to->arg, slice_of(id), (struct slice){ (uint8_t *)text, len });
	}
	free(text);
	return kept;
}

static void strangers_lines_have_half_of_the_room(void **state)
{
	uint8_t bytes[NEWS_HEAD_MAX + NEWS_TAIL_MAX];
	struct inproc p;
	struct cluster *c;

	(void)state;
	c = start(&p);
	hear_message(c, inproc_clock, (struct slice){ bytes, message_of("b", bytes) });
	defer_lines(c, true);
	c->link.state = CLUSTER_UP;

	assert_int_equal(unknown_kept(&p, 8192, 2000), DEFERRED_BYTES / 2 / 8192);
	assert_int_equal(c->deferred.bytes, DEFERRED_BYTES / 2);
	inproc_pass(&p, SLO_NSEC_PER_SEC);
	assert_int_equal(c->deferred.count, 0);
	assert_int_equal(c->deferred.bytes, 0);
	assert_int_equal(unknown_kept(&p, 100, 20000), DEFERRED_MAX / 2);
	/* The rest is for those of which we were told. */
	c->deferred.bytes = DEFERRED_BYTES - 50;
	c->deferred.unknowns = 0;
	assert_int_equal(unknown_kept(&p, 100, 1), 0);
	c->deferred.bytes = DEFERRED_MAX / 2 * 100;
	assert_int_equal(unknown_kept(&p, 100, 1), 1);
	c->deferred.unknowns = c->deferred.count;

	defer_lines(c, false);
	assert_int_equal(c->deferred.bytes, 0);
	assert_int_equal(c->deferred.unknowns, 0);
	assert_int_equal(c->deferred.unknown_bytes, 0);
	cluster_free(c);
	inproc_stop(&p);
	inproc_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_agent_that_no_memory_is_left_for_is_not_one_too_many),
		cmocka_unit_test(strangers_lines_have_half_of_the_room),
		cmocka_unit_test(too_many_agents_are_told_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
