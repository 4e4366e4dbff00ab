/* Recordings: what was written is read, and nothing else is. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "wire/file/record.h"

static const int64_t numbers[] = { 0, -1, INT64_MAX, INT64_MIN, 127, 128, 65536 };

/* One of a kind with something in every member. */
static struct slo_event an_event(enum slo_event_kind kind)
{
	return (struct slo_event){
		.kind = kind,
		.strategy = 3,
		.verdict = 2,
		.reason = UINT32_MAX,
		.now = 1000000 + (slo_nsec)kind,
		.created = -5,
		.arrived = INT64_MAX,
		.text = slice_of("7F000001:1 \xff\"\\"),
		.model = 1,
		.deployment = 31,
		.server = UINT64_MAX,
		.input = 512,
		.output = -1,
		.own = { 1, INT64_MAX, 3 },
		.load = UINT64_C(1) << 44,
		.count = INT64_MIN,
		.order = 70000,
		.turn = UINT64_C(1) << 32,
		.waited = 12345678901,
		.real = { 1.8e9, -0.0, 0.1, HUGE_VAL },
		.list = numbers,
		.list_n = sizeof(numbers) / sizeof(numbers[0]),
	};
}

/* Written, one byte further as a copy on the heap, so that an over-read shows. */
static struct slice written(struct record_writer *w)
{
	struct slice s = record_pending(w);
	uint8_t *copy = malloc(s.len);

	assert_non_null(copy);
	memcpy(copy, s.p, s.len);
	record_taken(w);
	return (struct slice){ copy, s.len };
}

static struct slice one_record(enum slo_event_kind kind)
{
	struct record_writer *w = record_writer_new();
	struct slo_event e = an_event(kind);
	struct slice s, record;
	uint8_t *copy;

	assert_non_null(w);
	assert_int_equal(record_add(w, &e), SLO_OK);
	s = written(w);
	record_writer_free(w);
	copy = malloc(s.len - RECORD_HEAD_LEN);
	assert_non_null(copy);
	memcpy(copy, s.p + RECORD_HEAD_LEN, s.len - RECORD_HEAD_LEN);
	record = (struct slice){ copy, s.len - RECORD_HEAD_LEN };
	free((void *)s.p);
	return record;
}

static slo_err read_one(struct slice in, struct slo_event *out, size_t *used)
{
	struct record_reader *r = record_reader_new();
	slo_err err;

	assert_non_null(r);
	err = record_next(r, in, out, used);
	record_reader_free(r);
	return err;
}

/* What is written anew from what was read is the same, so all members were read. */
static void every_kind_is_read_as_it_was_written(void **state)
{
	struct record_writer *w = record_writer_new();
	struct record_writer *again = record_writer_new();
	struct record_reader *r = record_reader_new();
	struct slice file, copy;
	bool known = false;
	size_t at = RECORD_HEAD_LEN, used;

	(void)state;
	for (int kind = 0; kind < SLO_EVENT_KINDS; kind++) {
		struct slo_event e = an_event((enum slo_event_kind)kind);

		assert_int_equal(record_add(w, &e), SLO_OK);
	}
	file = written(w);
	assert_true(record_is_head(file, &known));
	assert_true(known);
	for (int kind = 0; kind < SLO_EVENT_KINDS; kind++) {
		struct slo_event e;

		assert_int_equal(
		    record_next(r, (struct slice){ file.p + at, file.len - at }, &e, &used),
		    SLO_OK);
		assert_int_equal(e.kind, kind);
		assert_int_equal(record_add(again, &e), SLO_OK);
		at += used;
	}
	assert_int_equal(at, file.len);
	copy = written(again);
	assert_int_equal(copy.len, file.len);
	assert_memory_equal(copy.p, file.p, file.len);
	free((void *)file.p);
	free((void *)copy.p);
	record_writer_free(w);
	record_writer_free(again);
	record_reader_free(r);
}

static void members_keep_their_values(void **state)
{
	struct slo_event want = an_event(SLO_EVENT_SUBMIT), e;
	struct slice s = one_record(SLO_EVENT_SUBMIT);
	size_t used;

	(void)state;
	assert_int_equal(read_one(s, &e, &used), SLO_OK);
	assert_true(e.now == want.now && e.created == want.created && e.model == 1);
	assert_true(e.text.len == want.text.len && memcmp(e.text.p, want.text.p, e.text.len) == 0);
	assert_true(e.strategy == 3 && e.input == 512 && e.output == -1);
	assert_memory_equal(&e.own, &want.own, sizeof(e.own));
	assert_true(e.count == INT64_MIN);
	free((void *)s.p);
	s = one_record(SLO_EVENT_PROFILE);
	assert_int_equal(read_one(s, &e, &used), SLO_OK);
	assert_true(e.order == 70000 && e.count == INT64_MIN && e.deployment == 31);
	assert_memory_equal(e.real, want.real, sizeof(e.real));
	free((void *)s.p);
}

/* Such an array has one member less, and nothing where that stood; still older ones lack the
 * priority, too. */
static void recordings_from_before_a_member_are_read(void **state)
{
	struct slice s = one_record(SLO_EVENT_SUBMIT);
	uint8_t *old = (uint8_t *)s.p;
	struct slo_event e;
	size_t used;

	(void)state;
	assert_int_equal(read_one(s, &e, &used), SLO_OK);
	assert_true(e.count == INT64_MIN && e.order == 70000);
	old[0]--;
	s.len -= 5; /* an order of 70000 */
	assert_int_equal(read_one(s, &e, &used), SLO_OK);
	assert_true(e.count == INT64_MIN && e.order == 0 && used == s.len);
	old[0]--;
	s.len -= 9; /* a priority of INT64_MIN */
	assert_int_equal(read_one(s, &e, &used), SLO_OK);
	assert_true(e.count == 0 && e.own.tpot == 3 && used == s.len);
	old[0]--;
	s.len--; /* a tpot of 3 */
	assert_int_equal(read_one(s, &e, &used), SLO_EPROTO);
	free(old);
}

static void every_proper_prefix_is_short(void **state)
{
	struct slo_event e;
	size_t used;

	(void)state;
	for (int kind = 0; kind < SLO_EVENT_KINDS; kind++) {
		struct slice s = one_record((enum slo_event_kind)kind);

		for (size_t n = 0; n < s.len; n++) {
			uint8_t *cut = malloc(n ? n : 1);

			assert_non_null(cut);
			memcpy(cut, s.p, n);
			assert_int_equal(read_one((struct slice){ cut, n }, &e, &used), SLO_ESHORT);
			free(cut);
		}
		free((void *)s.p);
	}
}

static void what_is_no_record_is_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} bad[] = {
		{ "\x00", 1 },                            /* a number */
		{ "\x90", 1 },                            /* an empty array */
		{ "\x81\x17\x00", 3 },                    /* a map */
		{ "\xdc\x00\x02\x17\x00", 5 },            /* a long array */
		{ "\x92\x1b\x00", 3 },                    /* no such kind */
		{ "\x92\xcc\x17\x00", 4 },                /* the kind in two bytes */
		{ "\x91\x17", 2 },                        /* a step without its time */
		{ "\x93\x17\x00\x00", 4 },                /* a step with something more */
		{ "\x92\x17\xa1\x61", 4 },                /* a time that is text */
		{ "\x92\x17\xcb\0\0\0\0\0\0\0\0", 11 },   /* or real */
		{ "\x92\x17\xcf\xff\0\0\0\0\0\0\0", 11 }, /* or no int64_t */
		{ "\x93\x08\xff\xa1\x61", 5 },            /* a negative number of a server */
		{ "\x93\x08\x01\x61", 4 },                /* a name that is a number */
		{ "\x92\x02\x01", 3 },                    /* options that are no list */
		{ "\x92\x02\x91\xc0", 4 },                /* or not of numbers */
		{ "\x92\xc1\x00", 3 },
	};
	struct slo_event e;
	size_t used;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct slice in = { (const uint8_t *)bad[i].bytes, bad[i].len };

		if (read_one(in, &e, &used) != SLO_EPROTO)
			fail_msg("case %zu passes", i);
	}
}

/* Or the rest of a file would pass for a record that was cut. */
static void a_length_that_nothing_has_is_no_cut_record(void **state)
{
	static const uint8_t claims[] = { 0x93, 0x08, 0x01, 0xdb, 0x7f, 0xff, 0xff, 0xff };
	size_t len = (size_t)200 << 10, used;
	uint8_t *file = calloc(1, len);
	struct slo_event e;

	(void)state;
	assert_non_null(file);
	memcpy(file, claims, sizeof(claims));
	assert_int_equal(read_one((struct slice){ file, len }, &e, &used), SLO_EPROTO);
	assert_int_equal(read_one((struct slice){ file, 1000 }, &e, &used), SLO_ESHORT);
	free(file);
}

static void another_head_is_told_from_another_layout(void **state)
{
	bool known = true;

	(void)state;
	assert_false(record_is_head(slice_of("SLOREC1"), &known));
	assert_false(record_is_head(slice_of("SLOSNAP1"), &known));
	assert_true(record_is_head(slice_of("SLOREC2\n"), &known));
	assert_false(known);
	assert_true(record_is_head(slice_of("SLOREC1\nmore"), &known));
	assert_true(known);
}

static void a_file_that_is_begun_anew_has_its_own_head_and_times(void **state)
{
	struct record_writer *w = record_writer_new();
	struct slo_event e = an_event(SLO_EVENT_STEP), read;
	struct slice first, second;
	size_t used;

	(void)state;
	assert_int_equal(record_add(w, &e), SLO_OK);
	first = written(w);
	assert_int_equal(record_add(w, &e), SLO_OK);
	record_writer_restart(w); /* what was not taken is gone */
	assert_int_equal(record_add(w, &e), SLO_OK);
	second = written(w);
	assert_int_equal(first.len, second.len);
	assert_memory_equal(first.p, second.p, first.len);
	assert_int_equal(
	    read_one((struct slice){ second.p + RECORD_HEAD_LEN, second.len - RECORD_HEAD_LEN },
	             &read, &used),
	    SLO_OK);
	assert_true(read.now == e.now);
	free((void *)first.p);
	free((void *)second.p);
	record_writer_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_is_read_as_it_was_written),
		cmocka_unit_test(members_keep_their_values),
		cmocka_unit_test(recordings_from_before_a_member_are_read),
		cmocka_unit_test(every_proper_prefix_is_short),
		cmocka_unit_test(what_is_no_record_is_refused),
		cmocka_unit_test(a_length_that_nothing_has_is_no_cut_record),
		cmocka_unit_test(another_head_is_told_from_another_layout),
		cmocka_unit_test(a_file_that_is_begun_anew_has_its_own_head_and_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
