/* The file that carries leases and learned counts over a restart. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>

#include <stdlib.h>
#include <string.h>

#include "snapshot_forge.h"
#include "wire/file/snapshot.h"

#define WRITTEN INT64_C(1764000000123456789)

static bool is(struct slice s, const char *want)
{
	return s.len == strlen(want) && memcmp(s.p, want, s.len) == 0;
}

static const struct snapshot_count counts[] = { { 0, 9, 6, 12 }, { 23, 0, 20, UINT32_MAX } };

static struct snapshot_model a_model(void)
{
	return (struct snapshot_model){ .name = slice_of("org/model"),
		                        .input = { -0.25, 64 },
		                        .json = { 4.5, 1 },
		                        .stream = { 0, 0 },
		                        .spread = { 0.25, 63 },
		                        .event = { 159, 7 },
		                        .counts = counts,
		                        .count_n = 2 };
}

static struct snapshot_lease a_lease(void)
{
	return (struct snapshot_lease){ .id = slice_of("7F000001:1"),
		                        .model = slice_of("org/model"),
		                        .backend = slice_of("be"),
		                        .server = slice_of("l20-3"),
		                        .load = UINT64_C(1) << 32,
		                        .created = WRITTEN - 5,
		                        .arrived = -7,
		                        .dispatched = WRITTEN,
		                        .input = 512,
		                        .output = 64,
		                        .estimate = -1,
		                        .strategy = slice_of("slo-pack-load"),
		                        .flags = SNAPSHOT_STREAM | SNAPSHOT_FALLBACK,
		                        .goal = 3,
		                        .per_token = 0.05,
		                        .fixed = 0,
		                        .tpat = 0.5,
		                        .e2e = 30,
		                        .limit = 256,
		                        .sequences = 4,
		                        .class = 3 };
}

static struct snapshot_learned a_learned(void)
{
	struct snapshot_learned l = { .model = slice_of("org/model"),
		                      .deployment = slice_of("l20") };

	for (int i = 0; i < SNAPSHOT_NUMBERS; i++)
		l.number[i] = i - 0.5;
	for (int i = 0; i < SNAPSHOT_BINS; i++)
		l.bin[i] = (uint16_t)(1000 * i);
	return l;
}

static struct snapshot_foreign a_foreign(void)
{
	return (struct snapshot_foreign){ .owner = slice_of("node-b"),
		                          .id = slice_of("7F000001:2"),
		                          .model = slice_of(""),
		                          .backend = slice_of("be"),
		                          .server = slice_of("l20-3"),
		                          .load = 77,
		                          .dispatched = WRITTEN - 3,
		                          .input = 5,
		                          .output = 6,
		                          .estimate = -1,
		                          .limit = 100,
		                          .sequences = 2,
		                          .class = 1,
		                          .strategy = slice_of("slo"),
		                          .flags = SNAPSHOT_STREAM | 3u << 8 };
}

/* An exact-size copy of a file with one record of each kind, so that an over-read shows. */
static struct slice a_file(void)
{
	struct snapshot_writer *w = snapshot_begin(WRITTEN);
	struct snapshot_model m = a_model();
	struct snapshot_lease l = a_lease();
	const struct snapshot_server s = { slice_of("be"), slice_of("l20-3"), 2 };
	struct snapshot_learned learned = a_learned();
	const struct snapshot_speed speed = { slice_of("org/model"), slice_of("be"),
		                              slice_of("l20-3"), -0.25, 77 };
	const struct snapshot_owner owner = { slice_of("node-b"), UINT64_MAX, SNAPSHOT_VISIBLE };
	const struct snapshot_foreign foreign = a_foreign();
	const struct snapshot_refuted refuted = { slice_of("org/model"), slice_of("l20"),
		                                  UINT64_MAX, 401 };
	const struct snapshot_guard guard = { slice_of("org/model"), slice_of("l20"), 0.64, 99,
		                              10 };
	const struct snapshot_promises promises = {
		.model = slice_of("org/model"),
		.of = SNAPSHOT_OF_TARGET,
		.name = slice_of("ttft"),
		.slots = 2,
		.slot = { { 0, 3, { 1, UINT32_MAX, 2 } }, { 1, 29, { 4, 5, 6 } } },
	};
	const struct snapshot_grown grown = { slice_of("org/model"), slice_of("l20"), UINT64_MAX,
		                              5056.5 };
	struct slice out;
	uint8_t *copy;

	assert_non_null(w);
	snapshot_add_model(w, &m);
	snapshot_add_server(w, &s);
	snapshot_add_lease(w, &l);
	snapshot_add_learned(w, &learned);
	snapshot_add_speed(w, &speed);
	snapshot_add_owner(w, &owner);
	snapshot_add_foreign(w, &foreign);
	snapshot_add_refuted(w, &refuted);
	snapshot_add_guard(w, &guard);
	snapshot_add_promises(w, &promises);
	snapshot_add_grown(w, &grown);
	assert_int_equal(snapshot_end(w, &out), SLO_OK);
	copy = malloc(out.len);
	assert_non_null(copy);
	memcpy(copy, out.p, out.len);
	out.p = copy;
	snapshot_writer_free(w);
	return out;
}

static struct snapshot_reader *opened(struct slice file)
{
	const char *why = "?";
	int64_t written = 0;
	struct snapshot_reader *r = snapshot_open(file, &written, &why);

	assert_null(why);
	assert_non_null(r);
	assert_int_equal(written, WRITTEN);
	return r;
}

static void what_was_written_is_read(void **state)
{
	struct slice file = a_file();
	struct snapshot_reader *r = opened(file);
	const struct snapshot_learned learned = a_learned();
	struct snapshot_record rec;

	(void)state;
	assert_int_equal(snapshot_next(r, &rec), SLO_OK);
	assert_int_equal(rec.kind, SNAPSHOT_MODEL);
	assert_true(is(rec.model.name, "org/model"));
	assert_true(rec.model.input.value == -0.25 && rec.model.input.samples == 64);
	assert_true(rec.model.json.value == 4.5 && rec.model.json.samples == 1);
	assert_true(rec.model.spread.value == 0.25 && rec.model.spread.samples == 63);
	assert_true(rec.model.event.value == 159 && rec.model.event.samples == 7);
	assert_int_equal(rec.model.count_n, 2);
	assert_memory_equal(rec.model.counts, counts, sizeof(counts));
	assert_int_equal(snapshot_next(r, &rec), SLO_OK);
	assert_int_equal(rec.kind, SNAPSHOT_SERVER);
	assert_true(is(rec.server.backend, "be") && is(rec.server.server, "l20-3"));
	assert_int_equal(rec.server.state, 2);
	assert_int_equal(snapshot_next(r, &rec), SLO_OK);
	assert_int_equal(rec.kind, SNAPSHOT_LEASE);
	assert_true(is(rec.lease.id, "7F000001:1") && is(rec.lease.strategy, "slo-pack-load"));
	assert_true(is(rec.lease.backend, "be") && is(rec.lease.server, "l20-3"));
	assert_true(rec.lease.load == UINT64_C(1) << 32);
	assert_true(rec.lease.created == WRITTEN - 5 && rec.lease.arrived == -7);
	assert_true(rec.lease.dispatched == WRITTEN && rec.lease.estimate == -1);
	assert_int_equal(rec.lease.input, 512);
	assert_int_equal(rec.lease.output, 64);
	assert_int_equal(rec.lease.flags, SNAPSHOT_STREAM | SNAPSHOT_FALLBACK);
	assert_int_equal(rec.lease.goal, 3);
	assert_true(rec.lease.per_token == 0.05 && rec.lease.fixed == 0);
	assert_true(rec.lease.tpat == 0.5 && rec.lease.e2e == 30 && rec.lease.limit == 256);
	assert_true(rec.lease.sequences == 4 && rec.lease.class == 3);
	assert_int_equal(snapshot_next(r, &rec), SLO_OK);
	assert_int_equal(rec.kind, SNAPSHOT_LEARNED);
	assert_true(is(rec.learned.model, "org/model") && is(rec.learned.deployment, "l20"));
	assert_memory_equal(rec.learned.number, learned.number, sizeof(learned.number));
	assert_memory_equal(rec.learned.bin, learned.bin, sizeof(learned.bin));
	assert_int_equal(snapshot_next(r, &rec), SLO_OK);
	assert_int_equal(rec.kind, SNAPSHOT_SPEED);
	assert_true(is(rec.speed.model, "org/model") && is(rec.speed.server, "l20-3"));
	assert_true(rec.speed.late == -0.25 && rec.speed.ends == 77);
	assert_int_equal(snapshot_next(r, &rec), SLO_OK);
	assert_int_equal(rec.kind, SNAPSHOT_OWNER);
	assert_true(is(rec.owner.name, "node-b") && rec.owner.life == UINT64_MAX);
	assert_int_equal(rec.owner.flags, SNAPSHOT_VISIBLE);
	assert_int_equal(snapshot_next(r, &rec), SLO_OK);
	assert_int_equal(rec.kind, SNAPSHOT_FOREIGN);
	assert_true(is(rec.foreign.owner, "node-b") && is(rec.foreign.id, "7F000001:2"));
	assert_true(is(rec.foreign.model, "") && is(rec.foreign.backend, "be"));
	assert_true(is(rec.foreign.server, "l20-3") && is(rec.foreign.strategy, "slo"));
	assert_true(rec.foreign.load == 77 && rec.foreign.dispatched == WRITTEN - 3);
	assert_int_equal(rec.foreign.input, 5);
	assert_int_equal(rec.foreign.output, 6);
	assert_true(rec.foreign.estimate == -1 && rec.foreign.limit == 100);
	assert_int_equal(rec.foreign.sequences, 2);
	assert_int_equal(rec.foreign.class, 1);
	assert_int_equal(rec.foreign.flags, SNAPSHOT_STREAM | 3u << 8);
	assert_int_equal(snapshot_next(r, &rec), SLO_OK);
	assert_int_equal(rec.kind, SNAPSHOT_REFUTED);
	assert_true(is(rec.refuted.model, "org/model") && is(rec.refuted.deployment, "l20"));
	assert_true(rec.refuted.digest == UINT64_MAX && rec.refuted.ends == 401);
	assert_int_equal(snapshot_next(r, &rec), SLO_OK);
	assert_int_equal(rec.kind, SNAPSHOT_GUARD);
	assert_true(is(rec.guard.model, "org/model") && is(rec.guard.deployment, "l20"));
	assert_true(fabs(rec.guard.share - 0.64) < 1e-12);
	assert_true(rec.guard.seen == 99 && rec.guard.missed == 10);
	assert_int_equal(snapshot_next(r, &rec), SLO_OK);
	assert_int_equal(rec.kind, SNAPSHOT_PROMISES);
	assert_true(is(rec.promises.model, "org/model") && is(rec.promises.name, "ttft"));
	assert_int_equal(rec.promises.of, SNAPSHOT_OF_TARGET);
	assert_int_equal(rec.promises.slots, 2);
	assert_int_equal(rec.promises.slot[0].age, 3);
	assert_int_equal(rec.promises.slot[0].count[1], UINT32_MAX);
	assert_true(rec.promises.slot[1].coarse == 1 && rec.promises.slot[1].count[2] == 6);
	assert_int_equal(snapshot_next(r, &rec), SLO_OK);
	assert_int_equal(rec.kind, SNAPSHOT_GROWN);
	assert_true(is(rec.grown.model, "org/model") && is(rec.grown.deployment, "l20"));
	assert_true(rec.grown.digest == UINT64_MAX && rec.grown.tokens == 5056.5);
	assert_int_equal(snapshot_next(r, &rec), SLO_ENOENT);
	snapshot_reader_free(r);
	free((void *)file.p);
}

static void every_prefix_is_refused(void **state)
{
	struct slice file = a_file();

	(void)state;
	for (size_t n = 0; n < file.len; n++) {
		uint8_t *copy = malloc(n ? n : 1);
		const char *why = NULL;
		int64_t written;

		assert_non_null(copy);
		memcpy(copy, file.p, n);
		assert_null(snapshot_open((struct slice){ copy, n }, &written, &why));
		assert_string_equal(why, n < SNAPSHOT_HEAD ? "it is no snapshot"
		                                           : "its length is wrong");
		free(copy);
	}
	free((void *)file.p);
}

static void every_flipped_bit_is_noticed(void **state)
{
	struct slice file = a_file();
	uint8_t *bytes = (uint8_t *)file.p;

	(void)state;
	for (size_t bit = 0; bit < 8 * file.len; bit++) {
		const char *why = NULL;
		int64_t written;

		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_null(snapshot_open(file, &written, &why));
		if (bit / 8 == 7)
			assert_string_equal(why, "another version wrote it");
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	free((void *)file.p);
}

static void malformed_records_are_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} bad[] = {
		{ "\xc0", 1 },      /* nil, no array */
		{ "\x90", 1 },      /* no kind */
		{ "\x91\x00", 2 },  /* the first record again */
		{ "\x91\xa1x", 3 }, /* a kind that is no number */
		{ "\x91\x04", 2 },  /* nothing but a kind that is known */
		{ "\x94\x02\xa1"
		  "b\xa1"
		  "s\xff",
		  7 }, /* a negative state */
		{ "\x93\x02\xa1"
		  "b\xa1"
		  "s",
		  6 }, /* a field is missing */
		{ "\x94\x02\xc4\x01"
		  "b\xa1"
		  "s\x01",
		  8 }, /* bytes, no text */
		{ "\x94\x02\xa1"
		  "b\xa1"
		  "s\xce\x00\x00",
		  9 },                             /* it ends in a number */
		{ "\xdd\xff\xff\xff\xff\x02", 6 }, /* an array of 2^32 - 1 */
		{ "\x99\x01\xa1"
		  "m\xcb\0\0\0\0\0\0\0\0\0\xcb\0\0\0\0\0\0\0\0\0\xcb\0\0\0\0\0\0\0\0\0"
		  "\x93\x01\x01\x01",
		  38 }, /* three numbers of a count */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct slice file = forge(WRITTEN, bad[i].bytes, bad[i].len);
		struct snapshot_reader *r = opened(file);
		struct snapshot_record rec;

		assert_int_equal(snapshot_next(r, &rec), SLO_EPROTO);
		snapshot_reader_free(r);
		free((void *)file.p);
	}
}

/* Of kind 2, with `more` numbers behind what is known. */
static struct slice longer_server(uint16_t more)
{
	uint8_t record[256] = "\xdc\0\0\x02\xa1"
			      "b\xa1"
			      "s\x01";

	assert_true(9 + more <= (int)sizeof(record));
	record[2] = (uint8_t)(4 + more);
	return forge(WRITTEN, record, 9 + (size_t)more);
}

static void what_a_newer_agent_wrote_besides_is_passed_over(void **state)
{
	static const char records[] = "\x93\x0c\xa1x\xc0"        /* an unknown kind */
				      "\x91\xce\xff\xff\xff\xff" /* the last one there is */
				      "\x96\x02\xa1"
				      "b\xa1"
				      "s\x01\x91\x90\xc0" /* two fields more */
				      "\x92\x0d\x80"
				      "\x94\x02\xa1"
				      "b\xa1"
				      "t\x02";
	struct slice file = forge(WRITTEN, records, sizeof(records) - 1);
	struct snapshot_reader *r = opened(file);
	struct snapshot_record rec;

	(void)state;
	for (int pass = 0; pass < 2; pass++) {
		assert_int_equal(snapshot_next(r, &rec), SLO_OK);
		assert_true(rec.kind == SNAPSHOT_SERVER && is(rec.server.server, "s"));
		assert_int_equal(rec.server.state, 1);
		assert_int_equal(snapshot_next(r, &rec), SLO_OK);
		assert_true(rec.kind == SNAPSHOT_SERVER && is(rec.server.server, "t"));
		assert_int_equal(snapshot_next(r, &rec), SLO_ENOENT);
		assert_int_equal(snapshot_news(r).unknown, 3);
		assert_int_equal(snapshot_news(r).longer, 1);
		snapshot_rewind(r);
		assert_int_equal(snapshot_news(r).unknown, 0);
	}
	snapshot_reader_free(r);
	free((void *)file.p);
}

static void what_is_much_longer_is_malformed(void **state)
{
	static const uint16_t more[] = { 0, 1, SNAPSHOT_SURPLUS_MAX, SNAPSHOT_SURPLUS_MAX + 1 };

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct slice file = longer_server(more[i]);
		struct snapshot_reader *r = opened(file);
		struct snapshot_record rec;

		assert_int_equal(snapshot_next(r, &rec), i < 3 ? SLO_OK : SLO_EPROTO);
		assert_int_equal(snapshot_news(r).longer, i == 1 || i == 2);
		snapshot_reader_free(r);
		free((void *)file.p);
	}
}

/* An array in a record may be longer, too, but not shorter than the first agents wrote it. */
static void more_numbers_may_have_been_learned(void **state)
{
	const int least = SNAPSHOT_NUMBERS_LEAST - SNAPSHOT_NUMBERS;

	(void)state;
	for (int more = least - 1; more <= 2; more++) {
		uint8_t record[512] = "\x95\x04\xa1"
				      "m\xa1"
				      "d\xdc\0";
		size_t at = 8;
		struct snapshot_record rec;
		struct snapshot_reader *r;
		struct slice file;

		record[at++] = (uint8_t)(SNAPSHOT_NUMBERS + more);
		for (int i = 0; i < SNAPSHOT_NUMBERS + more; i++) {
			record[at] = 0xcb;
			at += 9;
		}
		memcpy(record + at, "\xdc\0\x40", 3);
		at += 3 + SNAPSHOT_BINS;
		file = forge(WRITTEN, record, at);
		r = opened(file);
		assert_int_equal(snapshot_next(r, &rec), more < least ? SLO_EPROTO : SLO_OK);
		assert_true(more != least || rec.learned.number[SNAPSHOT_NUMBERS - 1] == 0);
		assert_int_equal(snapshot_news(r).longer, more > 0);
		snapshot_reader_free(r);
		free((void *)file.p);
	}
}

/* Seventeen parts, without what came later. */
static void a_lease_of_an_older_agent_is_read(void **state)
{
	static const char lease[] = "\xdc\0\x11\x03\xa1i\xa1m\xa1u\xa1s\x07\x01\x02\x03\x08"
				    "\x09\xff\xa3slo\x01\x04\xcb\0\0\0\0\0\0\0\0"
				    "\xcb\x40\x3e\0\0\0\0\0\0";
	struct slice file = forge(WRITTEN, lease, sizeof(lease) - 1);
	struct snapshot_reader *r = opened(file);
	struct snapshot_record rec;

	(void)state;
	assert_int_equal(snapshot_next(r, &rec), SLO_OK);
	assert_int_equal(rec.kind, SNAPSHOT_LEASE);
	assert_true(is(rec.lease.id, "i") && rec.lease.estimate == -1 && rec.lease.fixed == 30);
	assert_true(rec.lease.tpat == 0 && rec.lease.e2e == 0 && rec.lease.limit == -1);
	assert_true(rec.lease.sequences == 1 && rec.lease.class == 0);
	assert_int_equal(snapshot_next(r, &rec), SLO_ENOENT);
	snapshot_reader_free(r);
	free((void *)file.p);
}

/* Nine parts, without how far estimates are off. */
static void a_model_of_an_older_agent_is_read(void **state)
{
	static const char model[] = "\x99\x01\xa1m\xcb\xbf\xd0\0\0\0\0\0\0\x40"
				    "\xcb\0\0\0\0\0\0\0\0\0\xcb\0\0\0\0\0\0\0\0\0\x90";
	struct slice file = forge(WRITTEN, model, sizeof(model) - 1);
	struct snapshot_reader *r = opened(file);
	struct snapshot_record rec;

	(void)state;
	assert_int_equal(snapshot_next(r, &rec), SLO_OK);
	assert_int_equal(rec.kind, SNAPSHOT_MODEL);
	assert_true(rec.model.input.value == -0.25 && rec.model.input.samples == 64);
	assert_true(rec.model.spread.value == 0 && rec.model.spread.samples == 0);
	assert_int_equal(snapshot_next(r, &rec), SLO_ENOENT);
	snapshot_reader_free(r);
	free((void *)file.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_written_is_read),
		cmocka_unit_test(a_lease_of_an_older_agent_is_read),
		cmocka_unit_test(a_model_of_an_older_agent_is_read),
		cmocka_unit_test(every_prefix_is_refused),
		cmocka_unit_test(every_flipped_bit_is_noticed),
		cmocka_unit_test(malformed_records_are_refused),
		cmocka_unit_test(what_a_newer_agent_wrote_besides_is_passed_over),
		cmocka_unit_test(what_is_much_longer_is_malformed),
		cmocka_unit_test(more_numbers_may_have_been_learned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
