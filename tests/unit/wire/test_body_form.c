/* Bodies that are no JSON: what can be known of them is. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "exact.h"
#include "scanned.h"

static void a_body_that_cannot_be_read_is_told_by_its_bytes_or_headers(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *encoding;
		enum body_form form;
	} cases[] = {
		{ "\x1f\x8b\x08\0\0\0\0\0", 8, NULL, BODY_COMPRESSED },
		{ "\x28\xb5\x2f\xfd\x04\x58", 6, NULL, BODY_COMPRESSED },
		{ "\x78\x9c\xab\xae", 4, NULL, BODY_COMPRESSED },
		{ "\x04\x22\x4d\x18xx", 6, NULL, BODY_COMPRESSED },
		{ "\x0b\x02\x80{}", 5, "br", BODY_COMPRESSED },
		{ "\x0b\x02\x80{}", 5, " gzip, br", BODY_COMPRESSED },
		{ "\x0b\x02\x80{}", 5, "identity", BODY_BROKEN },
		{ "\x0b\x02\x80{}", 5, NULL, BODY_BROKEN },
		{ "\xff\xfe{\0}\0", 6, NULL, BODY_WIDE16 },
		{ "\xfe\xff\0{\0}", 6, NULL, BODY_WIDE16 },
		{ "{\0\"\0m\0", 6, NULL, BODY_WIDE16 },
		{ "\0{\0\"\0m", 6, NULL, BODY_WIDE16 },
		{ "\xff\xfe\0\0{\0\0\0", 8, NULL, BODY_WIDE32 },
		{ "\0\0\xfe\xff\0\0\0{", 8, NULL, BODY_WIDE32 },
		{ "{\0\0\0}\0\0\0", 8, NULL, BODY_WIDE32 },
		{ "\0\0\0{\0\0\0}", 8, NULL, BODY_WIDE32 },
		{ "prompt=x&model=m", 16, NULL, BODY_BROKEN },
		{ "{\"a\":1,}", 8, NULL, BODY_BROKEN },
		{ "{\"a\":1}", 7, "gzip", BODY_JSON },
		{ "\x1f", 1, NULL, BODY_BROKEN },
		{ "\0", 1, NULL, BODY_BROKEN },
		{ "", 0, "gzip", BODY_EMPTY },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scanned s;

		read_bytes(&s, cases[i].bytes, cases[i].len, cases[i].encoding, NULL);
		assert_int_equal(s.b.form, cases[i].form);
		assert_int_equal(s.b.is_json, cases[i].form == BODY_JSON);
		assert_int_equal(body_is_foreign(&s.b), cases[i].form >= BODY_WIDE16);
		assert_int_equal(s.b.opaque, body_is_foreign(&s.b));
		assert_model(&s, NULL);
		done(&s);
	}
}

static void a_header_tells_binary_from_broken(void **state)
{
	static const struct {
		const char *bytes;
		const char *ctype;
		enum body_form form;
	} cases[] = {
		{ "RIFF....WAVE", "audio/wav", BODY_BINARY },
		{ "RIFF....WAVE", " Audio/WAV ; codecs=1", BODY_BINARY },
		{ "\xa2\x65model", "application/cbor", BODY_BINARY },
		{ "{\"inputs\":[]}\x01\x02", "application/octet-stream", BODY_BINARY },
		{ "{\"model\":\"", "application/octet-stream", BODY_JSON },
		{ "{\"a\":1}", "application/octet-stream", BODY_JSON },
		{ "{\"a\":1,}", "application/json", BODY_BROKEN },
		{ "{\"a\":1,}", "application/vnd.api+JSON; charset=x", BODY_BROKEN },
		{ "{\"a\":1,}", "text/plain", BODY_BROKEN },
		{ "model=m", "application/x-www-form-urlencoded", BODY_BROKEN },
		{ "nonsense", "json", BODY_BROKEN },
		{ "nonsense", "", BODY_BROKEN },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scanned s;

		read_bytes(&s, cases[i].bytes, strlen(cases[i].bytes), NULL, cases[i].ctype);
		assert_int_equal(s.b.form, cases[i].form);
		assert_int_equal(body_is_foreign(&s.b), cases[i].form == BODY_BINARY);
		if (body_is_foreign(&s.b))
			assert_int_equal(avg_tokens(&s.b, 3000000), 0);
		done(&s);
	}
}

static void tokens_of_what_cannot_be_read_follow_from_its_size(void **state)
{
	struct scanned s;

	(void)state;
	read_bytes(&s, "\x1f\x8b\x08\0", 4, NULL, NULL);
	assert_in_range(avg_tokens(&s.b, 3000), 1000, 4000);
	assert_int_equal(avg_tokens(&s.b, INT64_MAX), INT32_MAX);
	assert_int_equal(avg_tokens(&s.b, -1), 0);
	done(&s);
	read_bytes(&s, "\xff\xfe{\0", 4, NULL, NULL);
	assert_in_range(avg_tokens(&s.b, 8000), 700, 1300);
	done(&s);
}

#define FORM "multipart/form-data; boundary=XyZ"
#define PART(headers, value) \
	"--XyZ\r\nContent-Disposition: form-data; " headers "\r\n\r\n" value "\r\n"
#define AUDIO \
	PART("name=\"file\"; filename=\"model\"\r\nContent-Type: audio/wav", "RIFF\0\1{\"\xff")
#define END          "--XyZ--\r\n"
#define HIDDEN(line) line "\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\ncheap"
#define LONG_BOUNDARY                                                            \
	"0123456789012345678901234567890123456789012345678901234567890123456789" \
	"0123456789012345678901234567890123456789012345678901234567"

static void a_form_names_its_model(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *ctype;
		const char *model;
	} cases[] = {
#define CASE(text, ctype, model) { (text), sizeof(text) - 1, ctype, model }
		CASE(PART("name=\"model\"", "whisper") AUDIO END, FORM, "whisper"),
		CASE(AUDIO PART("name=\"model\"", "whisper") END, FORM, "whisper"),
		CASE(AUDIO PART("name=\"model\"", "whisper") END, NULL, "whisper"),
		CASE(PART("name=model", "whisper") END, "Multipart/Form-Data; boundary=\"XyZ\"",
		     "whisper"),
		CASE("preamble\r\n" PART("name=\"model\"", "w") END, FORM, "w"),
		/* As headers may be written. */
		CASE("--XyZ\r\ncontent-disposition:form-data;name=\"model\"\r\n\r\nw\r\n" END,
		     "multipart/form-data;boundary=XyZ", "w"),
		CASE("--XyZ\r\nContent-Disposition: form-data; NAME = \"model\"\r\n\r\nw\r\n" END,
		     "multipart/form-data; charset=utf-8 ; Boundary = XyZ ;x=y", "w"),
		CASE("--XyZ\nContent-Disposition: form-data; name=\"model\"\n\nw\n--XyZ--\n", FORM,
		     "w"),
		CASE("--XyZ \t\r\nContent-Disposition: form-data; x=\"a;b\"; name=\"model\"\r\n"
		     "\r\nw\r\n" END,
		     FORM, "w"),
		CASE("--a b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nw\r\n--a b--",
		     "multipart/form-data; boundary=\"a b\"", "w"),
		CASE("--" LONG_BOUNDARY "x\r\nContent-Disposition: form-data; name=\"model\"\r\n"
		     "\r\nw\r\n--" LONG_BOUNDARY "x--\r\n",
		     "multipart/form-data; boundary=" LONG_BOUNDARY, "w"),
		/* A delimiter begins a line, and is no other word's begin. */
		CASE(PART("name=\"model\"", "big" HIDDEN("--XyZ")) END, FORM,
		     "big" HIDDEN("--XyZ")),
		CASE(PART("name=\"model\"", "w\r\n" HIDDEN("--XyZZ")) END, FORM,
		     "w\r\n" HIDDEN("--XyZZ")),
		CASE(PART("name=\"model\";filename=\"model\"", "w") END, FORM, NULL),
		CASE(PART("name=\"model\"; filename*=utf-8''x", "w") END, FORM, NULL),
		CASE(PART("xname=\"model\"", "w") END, FORM, NULL),
		CASE(PART("name=\"Model\"", "w") END, FORM, NULL),
		CASE(PART("name=\"model\"", "a") PART("name=\"model\"", "b") END, FORM, "b"),
		CASE(PART("name=\"model\"\r\nContent-Type: text/plain", "whisper") END, FORM,
		     "whisper"),
		CASE("--XyZ\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nwhis", FORM,
		     NULL),
		CASE("--XyZ\r\nContent-Disposition: form-data; name=\"mod", FORM, NULL),
		CASE(PART("name=\"model\"", "") END, FORM, NULL),
		CASE(AUDIO END, FORM, NULL),
		CASE("--", FORM, NULL),
		CASE(AUDIO END, "multipart/form-data", NULL),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scanned s;

		read_bytes(&s, cases[i].bytes, cases[i].len, NULL, cases[i].ctype);
		assert_int_equal(s.b.form, BODY_MULTIPART);
		assert_model(&s, cases[i].model);
		assert_true(s.b.opaque);
		assert_int_equal(avg_tokens(&s.b, 3000000), 0);
		done(&s);
	}
}

static void a_form_has_fields_of_text(void **state)
{
	static const char body[] =
	    PART("name=\"stream\"", "true") PART("name=\"prompt\"", "one two") AUDIO END;
	const char *texts[] = { "one two" };
	struct scanned s;

	(void)state;
	read_bytes(&s, body, sizeof(body) - 1, NULL, FORM);
	assert_true(s.b.has_stream && s.b.stream);
	assert_texts(&s, texts, 1);
	done(&s);
	read_bytes(&s, "--x", 3, NULL, NULL);
	assert_int_equal(s.b.form, BODY_BROKEN);
	done(&s);
	read_bytes(&s, body, sizeof(body) - 1, NULL, "application/json");
	assert_int_equal(s.b.form, BODY_BROKEN);
	done(&s);
}

static void a_form_may_be_cut_at_every_byte(void **state)
{
	static const char body[] = PART("name=\"model\"", "whisper") AUDIO END;

	(void)state;
	for (size_t cut = 1; cut < sizeof(body); cut++) {
		struct scanned s;

		read_bytes(&s, body, cut, NULL, FORM);
		if (s.b.model.p)
			assert_model(&s, "whisper");
		done(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_body_that_cannot_be_read_is_told_by_its_bytes_or_headers),
		cmocka_unit_test(a_header_tells_binary_from_broken),
		cmocka_unit_test(tokens_of_what_cannot_be_read_follow_from_its_size),
		cmocka_unit_test(a_form_names_its_model),
		cmocka_unit_test(a_form_has_fields_of_text),
		cmocka_unit_test(a_form_may_be_cut_at_every_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
