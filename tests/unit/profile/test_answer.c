/* Responses of servers, whole, cut and wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "answer.h"
#include "shot.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define CHUNKED  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
#define USAGE    "{\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3}}"
#define STREAM   CHUNKED "9\r\ndata: {}\n\r\n3a\r\ndata: " USAGE "\n\r\n0\r\n\r\n"

static void what_a_response_tells(void **state)
{
	static const struct {
		const char *raw;
		int status;
		double input, output;
		bool whole, begun;
		const char *error;
	} cases[] = {
		{ STREAM, 200, 7, 3, true, true, "" },
		/* The chunk's border is in the middle of the word. */
		{ CHUNKED "8\r\ndata: {\"\r\n32\r\nusage\":{\"prompt_tokens\":7,"
		          "\"completion_tokens\":3}}\n\r\n0\r\n\r\n",
		  200, 7, 3, true, true, "" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 51\r\n\r\n" USAGE, 200, 7, 3, true, false,
		  "" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 52\r\n\r\n" USAGE, 200, 7, 3, false, false,
		  "" },
		{ "HTTP/1.1 400 Bad\r\ncontent-length: 8\r\n\r\ntoo long", 400, 0, 0, true, false,
		  "too long" },
		{ "HTTP/1.1 503 Busy\r\n\r\nload\ning", 503, 0, 0, false, false, "load?ing" },
		{ CHUNKED "5\r\ndata:", 200, 0, 0, false, true, "" },
		{ CHUNKED "ffffffffffffffff\r\ndata:", 200, 0, 0, false, true, "" },
		{ CHUNKED "xyz", 200, 0, 0, false, false, "" },
		{ CHUNKED, 200, 0, 0, false, false, "" },
		{ "HTTP/1.1 200 OK\r\n", 0, 0, 0, false, false, "" },
		{ "SSH-2.0-x\r\n\r\n", 0, 0, 0, false, false, "" },
		{ "", 0, 0, 0, false, false, "" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t len = strlen(cases[i].raw);
		char *raw = malloc(len ? len : 1); /* no byte behind it */
		struct answer a;

		assert_non_null(raw);
		memcpy(raw, cases[i].raw, len);
		assert_int_equal(answer_read(raw, len, &a), SLO_OK);
		if (a.status != cases[i].status || a.input != cases[i].input ||
		    a.output != cases[i].output || strcmp(a.error, cases[i].error) != 0 ||
		    answer_is_whole(raw, len) != cases[i].whole ||
		    answer_has_begun(raw, len) != cases[i].begun)
			fail_msg("case %zu: status %d, %g + %g, '%s', whole %d, begun %d", i,
			         a.status, a.input, a.output, a.error, answer_is_whole(raw, len),
			         answer_has_begun(raw, len));
		free(raw);
	}
}

static void addresses(void **state)
{
	static const struct {
		const char *url, *host, *port, *path; /* host NULL: refused */
	} cases[] = {
		{ "http://127.0.0.1:8000", "127.0.0.1", "8000", "" },
		{ "http://127.0.0.1", "127.0.0.1", "80", "" },
		{ "http://127.0.0.1:8000/v1/", "127.0.0.1", "8000", "" },
		{ "http://127.0.0.1:8000/a/v1", "127.0.0.1", "8000", "/a" },
		{ "http://[::1]:8000/", "::1", "8000", "" },
		{ "https://127.0.0.1", NULL, NULL, NULL },
		{ "http://", NULL, NULL, NULL },
		{ "http://:80", NULL, NULL, NULL },
		{ "http://127.0.0.1:99x", NULL, NULL, NULL },
		{ "http://127.0.0.1/a b", NULL, NULL, NULL },
		{ "127.0.0.1:8000", NULL, NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct shot_target t;
		const char *why = shot_target_parse(&t, cases[i].url);

		if ((why == NULL) != (cases[i].host != NULL))
			fail_msg("%s: %s", cases[i].url, why ? why : "taken");
		if (!why) {
			assert_string_equal(t.host, cases[i].host);
			assert_string_equal(t.port, cases[i].port);
			assert_string_equal(t.path, cases[i].path);
		}
		shot_target_free(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_response_tells),
		cmocka_unit_test(addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
