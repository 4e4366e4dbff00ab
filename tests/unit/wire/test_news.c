/* What agents tell each other. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "exact.h"
#include "wire/cluster/news.h"

static bool is(struct slice s, const char *want)
{
	return s.len == strlen(want) && (s.len == 0 || memcmp(s.p, want, s.len) == 0);
}

static struct news_head a_head(void)
{
	return (struct news_head){ .kind = NEWS_RECORDS,
		                   .name = slice_of("node-a"),
		                   .incarnation = UINT64_MAX,
		                   .number = 7,
		                   .now = 123456789,
		                   .process = { 1, UINT64_MAX },
		                   .processes = 2 };
}

static struct news_lease a_lease(void)
{
	return (struct news_lease){ .model = slice_of("org/model"),
		                    .backend = slice_of("be"),
		                    .server = slice_of("l20-3"),
		                    .strategy = slice_of("slo"),
		                    .load = UINT64_C(1) << 29,
		                    .placed = -5,
		                    .input = 512,
		                    .output = 64,
		                    .estimate = -1,
		                    .limit = 100,
		                    .sequences = 2,
		                    .class = 3,
		                    .flags = NEWS_STREAM | 5u << 8 };
}

static struct news_end an_end(void)
{
	return (struct news_end){ .flags = NEWS_END_TOLD,
		                  .outcome = 1,
		                  .input = 510,
		                  .output = 60,
		                  .bytes = 4000,
		                  .cached = -1,
		                  .lasted = 2500000,
		                  .backend = slice_of("be"),
		                  .server = { NULL, 0 },
		                  .event = 151 };
}

/* A message with a lease, an end and another agent's end. */
static size_t a_message(uint8_t out[4096])
{
	const struct news_head h = a_head();
	const struct news_lease l = a_lease();
	const struct news_end e = an_end();
	size_t value, n = news_pack_head(&h, 3, out);

	n += news_pack_lease(slice_of("id-1"), &l, out + n, &value);
	n += news_pack_end(slice_of("id-2"), (struct slice){ 0 }, &e, out + n);
	n += news_pack_end(slice_of("id-3"), slice_of("node-b"), &e, out + n);
	return n + news_pack_tail(&h, out + n);
}

static void check_lease(const struct news_lease *l)
{
	assert_true(is(l->model, "org/model") && is(l->backend, "be") && is(l->server, "l20-3") &&
	            is(l->strategy, "slo"));
	assert_true(l->load == UINT64_C(1) << 29 && l->placed == -5 && l->input == 512);
	assert_true(l->output == 64 && l->estimate == -1 && l->limit == 100 && l->sequences == 2);
	assert_int_equal(l->class, 3);
	assert_int_equal(l->flags & 0xff, NEWS_STREAM);
	assert_int_equal(NEWS_MUTE(l->flags), 5);
}

static void check_end(const struct news_record *r, const char *id, const char *owner)
{
	assert_true(r->ended && is(r->id, id) && is(r->owner, owner));
	assert_int_equal(r->end.flags, NEWS_END_TOLD);
	assert_int_equal(r->end.outcome, 1);
	assert_true(r->end.input == 510 && r->end.output == 60 && r->end.bytes == 4000);
	assert_true(r->end.cached == -1 && r->end.lasted == 2500000);
	assert_true(is(r->end.backend, "be") && is(r->end.server, ""));
	assert_int_equal(r->end.event, 151);
}

static void what_is_written_is_read_again(void **state)
{
	uint8_t out[4096];
	size_t len = a_message(out);
	struct news_record r;
	struct news_reader reader;
	struct news_head h;

	(void)state;
	assert_int_equal(news_open(&reader, (struct slice){ out, len }, &h), SLO_OK);
	assert_int_equal(h.kind, NEWS_RECORDS);
	assert_true(is(h.name, "node-a") && h.incarnation == UINT64_MAX && h.number == 7);
	assert_true(h.now == 123456789);
	assert_int_equal(news_next(&reader, &r), SLO_OK);
	assert_true(!r.ended && is(r.id, "id-1"));
	check_lease(&r.lease);
	assert_int_equal(news_next(&reader, &r), SLO_OK);
	check_end(&r, "id-2", "");
	assert_int_equal(news_next(&reader, &r), SLO_OK);
	check_end(&r, "id-3", "node-b");
	assert_int_equal(news_next(&reader, &r), SLO_ENOENT);
	assert_int_equal(news_close(&reader, &h), SLO_OK);
	assert_true(h.processes == 2 && h.process[0] == 1 && h.process[1] == UINT64_MAX);
}

static void the_values_of_a_key_are_read_again(void **state)
{
	const struct news_mark mark = { 1, 2, 5, 3, true };
	const struct news_lease lease = a_lease();
	uint8_t out[NEWS_RECORD_MAX];
	struct news_lease l;
	struct news_mark m;
	size_t value, len = news_pack_lease(slice_of("x"), &lease, out, &value);

	(void)state;
	assert_int_equal(news_read_lease((struct slice){ out + value, len - value }, &l), SLO_OK);
	check_lease(&l);
	len = news_pack_mark(&mark, out);
	assert_int_equal(news_read_mark((struct slice){ out, len }, &m), SLO_OK);
	assert_true(m.incarnation == 1 && m.number == 2 && m.told == 5 && m.now == 3 && m.whole);
}

static void a_mark_may_tell_what_was_told(void **state)
{
	/* incarnation 1, number 7, now 9, whole 0 */
	uint8_t older[] = { 0x95, 1, 1, 7, 9, 0 }, newer[] = { 0x96, 1, 1, 7, 9, 0, 8 };
	struct news_mark m;

	(void)state;
	assert_int_equal(news_read_mark((struct slice){ older, sizeof(older) }, &m), SLO_OK);
	assert_true(m.number == 7 && m.told == 7);
	assert_int_equal(news_read_mark((struct slice){ newer, sizeof(newer) }, &m), SLO_OK);
	assert_true(m.number == 7 && m.told == 8);
	newer[6] = 6; /* less than the key is up to */
	assert_int_equal(news_read_mark((struct slice){ newer, sizeof(newer) }, &m), SLO_EPROTO);
	newer[6] = 0xc0; /* no number */
	assert_int_equal(news_read_mark((struct slice){ newer, sizeof(newer) }, &m), SLO_EPROTO);
}

/* Where the id of a record is: whoever writes a key relies on it. */
static void an_id_stands_where_it_is_looked_for(void **state)
{
	const struct news_lease l = a_lease();
	const struct news_end e = an_end();
	char id[NEWS_TEXT_MAX + 1];
	uint8_t out[NEWS_RECORD_MAX];
	size_t value;

	(void)state;
	memset(id, 'i', sizeof(id));
	for (size_t n = 1; n <= NEWS_TEXT_MAX; n++) {
		const struct slice s = { (const uint8_t *)id, n };

		assert_true(news_pack_lease(s, &l, out, &value) > 0);
		assert_memory_equal(out + news_id_at(n), id, n);
		assert_true(news_pack_end(s, slice_of("o"), &e, out) > 0);
		assert_memory_equal(out + news_id_at(n), id, n);
	}
}

static void a_text_that_is_too_long_is_not_written(void **state)
{
	struct news_lease l = a_lease();
	uint8_t out[NEWS_RECORD_MAX];
	char text[NEWS_TEXT_MAX + 1];
	size_t value;

	(void)state;
	memset(text, 't', sizeof(text));
	l.model = l.backend = l.server = l.strategy = (struct slice){ (uint8_t *)text, 255 };
	l.load = UINT64_MAX;
	l.input = INT64_MAX;
	assert_true(news_pack_lease((struct slice){ (uint8_t *)text, 255 }, &l, out, &value) > 0);
	l.model.len = 256;
	assert_int_equal(news_pack_lease(slice_of("x"), &l, out, &value), 0);
}

/* Whether it is a message from its first byte to its last. */
static bool is_whole(struct slice message, size_t *records)
{
	struct news_reader reader;
	struct news_record r;
	struct news_head h;
	slo_err err;

	*records = 0;
	if (news_open(&reader, message, &h) != SLO_OK)
		return false;
	while ((err = news_next(&reader, &r)) != SLO_ENOENT)
		*records += err == SLO_OK;
	return news_close(&reader, &h) == SLO_OK;
}

static void a_message_that_breaks_off_is_not_whole(void **state)
{
	uint8_t out[4096];
	size_t len = a_message(out), records, most = 0;

	(void)state;
	for (size_t n = 0; n < len; n++) {
		uint8_t *bytes = exact(out, n);

		assert_false(is_whole((struct slice){ bytes, n }, &records));
		assert_true(records >= most && records <= 3); /* what came before counts */
		most = records;
		free(bytes);
	}
	assert_int_equal(most, 3);
	out[len] = 0; /* nor may anything follow */
	assert_false(is_whole((struct slice){ out, len + 1 }, &records));
	assert_true(is_whole((struct slice){ out, len }, &records));
}

/* As many as an array may have, in a few bytes. */
static void records_that_are_only_counted_are_not_waited_for(void **state)
{
	const struct news_head h = a_head();
	uint8_t out[NEWS_HEAD_MAX + 8];
	size_t n = news_pack_head(&h, 0, out) - 1, records;

	(void)state;
	memcpy(out + n, (uint8_t[]){ 0xdd, 0xff, 0xff, 0xff, 0xff, 0x93 }, 6);
	assert_false(is_whole((struct slice){ out, n + 6 }, &records));
	assert_int_equal(records, 0);
}

/* One bad record does not take the others along. */
static void a_malformed_record_is_passed_over(void **state)
{
	const struct news_head h = a_head();
	const struct news_end e = an_end();
	static const uint8_t bad[] = { 0x93, 0x01, 0xa0, 0x90 }; /* no id, no end */
	uint8_t out[4096];
	size_t n = news_pack_head(&h, 2, out);
	struct news_reader reader;
	struct news_record r;
	struct news_head got;

	(void)state;
	memcpy(out + n, bad, sizeof(bad));
	n += sizeof(bad);
	n += news_pack_end(slice_of("id-2"), (struct slice){ 0 }, &e, out + n);
	n += news_pack_tail(&h, out + n);
	assert_int_equal(news_open(&reader, (struct slice){ out, n }, &got), SLO_OK);
	assert_int_equal(news_next(&reader, &r), SLO_EPROTO);
	assert_int_equal(news_next(&reader, &r), SLO_OK);
	check_end(&r, "id-2", "");
	assert_int_equal(news_next(&reader, &r), SLO_ENOENT);
	assert_int_equal(news_close(&reader, &got), SLO_OK);
}

/* A mark whose number, or time, is written as the bytes say. */
static slo_err read_mark_of(const uint8_t *number, size_t n, struct news_mark *m)
{
	uint8_t out[32] = { 0x95, 0x01, 0x01 };
	size_t len = 3;

	memcpy(out + len, number, n);
	len += n;
	out[len++] = 0x00;
	out[len++] = 0x00;
	return news_read_mark((struct slice){ out, len }, m);
}

static void a_number_may_be_written_in_any_width(void **state)
{
	static const struct {
		uint8_t bytes[9];
		size_t n;
		uint64_t is;
		bool good;
	} t[] = {
		{ { 0x7f }, 1, 0x7f, true },
		{ { 0xcc, 0xff }, 2, 0xff, true },
		{ { 0xcd, 0x01, 0x02 }, 3, 0x102, true },
		{ { 0xce, 1, 2, 3, 4 }, 5, 0x1020304, true },
		{ { 0xcf, 1, 2, 3, 4, 5, 6, 7, 8 }, 9, UINT64_C(0x102030405060708), true },
		{ { 0xd0, 0x7f }, 2, 0x7f, true },
		{ { 0xd1, 0x7f, 0xff }, 3, 0x7fff, true },
		{ { 0xd2, 0x7f, 0, 0, 0 }, 5, 0x7f000000, true },
		{ { 0xd3, 0x7f, 0, 0, 0, 0, 0, 0, 1 }, 9, UINT64_C(0x7f00000000000001), true },
		{ { 0xff }, 1, 0, false },
		{ { 0xd0, 0x80 }, 2, 0, false },
		{ { 0xd1, 0x80, 0 }, 3, 0, false },
		{ { 0xd2, 0xff, 0, 0, 0 }, 5, 0, false },
		{ { 0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0 }, 9, 0, false },
		{ { 0xcf, 255, 255, 255, 255, 255, 255, 255, 255 }, 9, 0, false }, /* none is due */
		{ { 0xca, 0, 0, 0, 0 }, 5, 0, false },
		{ { 0xa0 }, 1, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct news_mark m = { 0 };

		assert_int_equal(read_mark_of(t[i].bytes, t[i].n, &m),
		                 t[i].good ? SLO_OK : SLO_EPROTO);
		assert_true(m.number == t[i].is);
	}
}

/* Before zero, in every width that is written or read. */
static void a_time_may_be_before_its_clock_began(void **state)
{
	static const int64_t placed[] = { -1, -32, -33, -128, -129, -40000, -3000000000 };
	struct news_lease lease = a_lease(), l;
	uint8_t out[NEWS_RECORD_MAX];
	size_t value, len;

	(void)state;
	for (size_t i = 0; i < sizeof(placed) / sizeof(placed[0]); i++) {
		lease.placed = placed[i];
		len = news_pack_lease(slice_of("x"), &lease, out, &value);
		assert_int_equal(news_read_lease((struct slice){ out + value, len - value }, &l),
		                 SLO_OK);
		assert_true(l.placed == placed[i]);
	}
	lease.placed = -INT64_C(400) * 86400 * 1000000;
	len = news_pack_lease(slice_of("x"), &lease, out, &value);
	assert_int_equal(news_read_lease((struct slice){ out + value, len - value }, &l),
	                 SLO_EPROTO);
}

static void an_end_without_an_event_says_so(void **state)
{
	const struct news_head h = a_head();
	struct news_end e = an_end();
	uint8_t out[4096];
	size_t n = news_pack_head(&h, 1, out);
	struct news_reader reader;
	struct news_record r;
	struct news_head got;

	(void)state;
	e.event = 0;
	n += news_pack_end(slice_of("id-1"), (struct slice){ 0 }, &e, out + n);
	n += news_pack_tail(&h, out + n);
	assert_int_equal(news_open(&reader, (struct slice){ out, n }, &got), SLO_OK);
	assert_int_equal(news_next(&reader, &r), SLO_OK);
	assert_int_equal(r.end.event, -1);
	assert_int_equal(news_close(&reader, &got), SLO_OK);
}

/* A later version may tell more. */
static void what_stands_behind_the_known_is_passed_over(void **state)
{
	const struct news_head h = a_head();
	const struct news_end e = an_end();
	static const uint8_t more[] = { 0x92, 0xc0, 0xa1, 'x' };
	uint8_t out[4096], record[NEWS_RECORD_MAX];
	size_t n = news_pack_head(&h, 2, out), len;
	struct news_reader reader;
	struct news_record r;
	struct news_head got;

	(void)state;
	for (int i = 0; i < 2; i++) { /* once with a further element, once without */
		len = news_pack_end(slice_of("id-1"), (struct slice){ 0 }, &e, record);
		record[0] = i == 0 ? 0x94 : 0x93;
		memcpy(out + n, record, len);
		memcpy(out + n + len, more, sizeof(more));
		n += len + (i == 0 ? sizeof(more) : 0);
	}
	n += news_pack_tail(&h, out + n);
	memcpy(out + n, more, sizeof(more));
	n += sizeof(more);
	out[0]++;
	assert_int_equal(news_open(&reader, (struct slice){ out, n }, &got), SLO_OK);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(news_next(&reader, &r), SLO_OK);
		check_end(&r, "id-1", "");
	}
	assert_int_equal(news_next(&reader, &r), SLO_ENOENT);
	assert_int_equal(news_close(&reader, &got), SLO_OK);
}

static void names_are_what_may_stand_in_a_key(void **state)
{
	static const char *const good[] = { "a", "node-a", "A.b_9" };
	static const char *const bad[] = { "", "a b", "a:b", "a/b", "\n", "\xc3\xa4" };
	char longest[NEWS_NAME_MAX + 2];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(news_is_name(slice_of(good[i])));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(news_is_name(slice_of(bad[i])));
	memset(longest, 'n', sizeof(longest));
	assert_true(news_is_name((struct slice){ (uint8_t *)longest, NEWS_NAME_MAX }));
	assert_false(news_is_name((struct slice){ (uint8_t *)longest, NEWS_NAME_MAX + 1 }));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read_again),
		cmocka_unit_test(the_values_of_a_key_are_read_again),
		cmocka_unit_test(a_mark_may_tell_what_was_told),
		cmocka_unit_test(an_id_stands_where_it_is_looked_for),
		cmocka_unit_test(a_text_that_is_too_long_is_not_written),
		cmocka_unit_test(a_message_that_breaks_off_is_not_whole),
		cmocka_unit_test(records_that_are_only_counted_are_not_waited_for),
		cmocka_unit_test(a_malformed_record_is_passed_over),
		cmocka_unit_test(a_number_may_be_written_in_any_width),
		cmocka_unit_test(a_time_may_be_before_its_clock_began),
		cmocka_unit_test(an_end_without_an_event_says_so),
		cmocka_unit_test(what_stands_behind_the_known_is_passed_over),
		cmocka_unit_test(names_are_what_may_stand_in_a_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
