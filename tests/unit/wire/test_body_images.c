/* Of what is counted as it is written, images are left out and text is not. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exact.h"
#include "scanned.h"

#define TEXT 4000 /* bytes of what stands in the place of %s */

/* Where JSON counts as it is written: what is retrieved or answered, ... */
static const char *const told[] = {
	"{'query':'q','documents':[{'text':'%s'}]}",
	"{'query':'q','documents':[{'a':['x','%s']}]}",
	"{'messages':[{'content':[{'toolResult':{'content':[{'text':'%s'}]}}]}]}",
	"{'contents':[{'parts':[{'functionResponse':{'response':{'a':'%s'}}}]}]}",
	"{'messages':[{'content':[{'toolResult':{'a':'%s", /* cut */
};

/* ... and what a model wrote or a client declared. */
static const char *const written[] = {
	"{'tools':[{'function':{'description':'%s'}}],'messages':[]}",
	"{'tools':[{'function':{'data':'%s'}}],'messages':[]}",
	"{'messages':[{'tool_calls':[{'function':{'name':'f','arguments':{'data':'%s'}}}]}]}",
	"{'messages':[{'content':[{'type':'tool_use','input':{'bytes':'%s'}}]}]}",
	"{'contents':[{'parts':[{'functionCall':{'args':{'data':'%s'}}}]}]}",
	"{'input':[{'type':'local_shell_call','action':{'data':'%s'}}]}",
	"{'messages':[{'tool_calls':[{'function':{'name':'f','arguments':{'data':'%s", /* cut */
};

/* Of `text` again and again; a cut body ends where it wants. */
static void scan_around(struct scanned *s, const char *body, const char *start, const char *text)
{
	char *shape = quoted(body), filled[TEXT + 1] = "", *whole;
	size_t room = strlen(shape) + sizeof(filled);

	add(filled, sizeof(filled), start);
	while (strlen(filled) + strlen(text) <= TEXT)
		add(filled, sizeof(filled), text);
	whole = malloc(room);
	assert_non_null(whole);
	(void)snprintf(whole, room, shape, filled);
	scan(s, whole);
	free(whole);
	free(shape);
}

static bool is_cut(const char *body)
{
	return strcmp(body + strlen(body) - 2, "%s") == 0;
}

static void assert_text(const char *body, const char *start, const char *text)
{
	struct scanned s;

	scan_around(&s, body, start, text);
	if (s.b.opaque || avg_tokens(&s.b, 0) < TEXT / 10)
		print_error("%s of %s\n", body, text);
	assert_true(s.b.is_json && s.b.complete == !is_cut(body));
	assert_false(s.b.opaque || s.b.opaque_tail);
	assert_true(avg_tokens(&s.b, 0) >= TEXT / 10);
	if (is_cut(body)) /* and so goes the rest of it */
		assert_true(avg_tokens(&s.b, 3 * (int64_t)TEXT) >= 2 * TEXT / 10);
	done(&s);
}

static void text_without_blanks_is_no_image(void **state)
{
	static const char *const texts[] = {
		"\\u4f60\\u597d\\u4e16\\u754c", /* as Python writes Chinese, */
		"\\u3053\\u3093\\u306b\\u3061", /* Japanese */
		"\\ud83d\\ude00",
		"\\tword",
		"deadbeef",
		"src/main/java/org/example/",
		"a\\/b\\/c\\n",
		"very-long-identifier_name=",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		for (size_t k = 0; k < sizeof(told) / sizeof(told[0]); k++)
			assert_text(told[k], "", texts[i]);
		for (size_t k = 0; k < sizeof(written) / sizeof(written[0]); k++)
			assert_text(written[k], "", texts[i]);
	}
	/* Python's escapes are no bytes either, whatever their name says. */
	for (size_t i = 0; i < 4; i++)
		assert_text("{'query':'q','documents':[{'data':'%s'}]}", "", texts[i]);
	assert_text(told[0], "data:text/plain;base64,", "\\u4f60");
	assert_text(told[0], "/9j/", "\\u4f60");
	assert_text("{'query':'q','documents':[{'data':{'a':'%s'}}]}", "", "deadbeef");
	assert_text("{'query':'q','documents':[{'data':1,'a':'%s'}]}", "", "deadbeef");
}

static void what_a_model_wrote_is_text_all_through(void **state)
{
	(void)state;
	for (size_t k = 0; k < sizeof(written) / sizeof(written[0]); k++) {
		assert_text(written[k], "iVBORw0KGgo", "AAAANSUhEUg/+");
		assert_text(written[k], "data:image/png;base64,", "AAAANSUhEUg/+");
	}
}

static void files_in_base64_are_known_by_how_they_begin(void **state)
{
	static const char *const starts[] = {
		"iVBORw0KGgo", "/9j/",   "\\/9j\\/",       "R0lGOD",
		"UklGR",       "JVBERi", "data:x;base64,", "data:image\\/png;base64,",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		for (size_t k = 0; k < sizeof(told) / sizeof(told[0]); k++) {
			struct scanned s;

			scan_around(&s, told[k], starts[i], "AANSUhEU\\/+\\r\\n");
			assert_true(s.b.opaque && s.b.opaque_tail == is_cut(told[k]));
			assert_in_range(avg_tokens(&s.b, 0), 1, 80);
			done(&s);
		}
	}
}

/* What is counted as it is written may hold images: their base64 is no text. */
static void images_within_what_is_written_are_left_out(void **state)
{
	static const char *const bodies[] = {
		"{\"query\":\"q\",\"documents\":[{\"image\":\"%s\",\"text\":\"d\"}]}",
		"{\"query\":{\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
		"\"data:image/png;base64,%s\"}}]},\"documents\":\"d\"}",
		"{\"messages\":[{\"content\":[{\"toolResult\":{\"content\":[{\"image\":{\"source\":"
		"{"
		"\"bytes\":\"%s\"}}}]}}]}]}",
		"{\"messages\":[{\"content\":[{\"toolResult\":{\"a\":\"%s",
	};
	char image[4001], text[1001];

	(void)state;
	for (size_t i = 0; i < sizeof(image) - 1; i++)
		image[i] = "iVBORw0KGgo+/\\n8_-"[i % 18];
	image[sizeof(image) - 1] = '\0';
	for (size_t i = 0; i < sizeof(text) - 1; i++)
		text[i] = i % 6 == 5 ? ' ' : 'a';
	text[sizeof(text) - 1] = '\0';
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		char body[8192];
		struct scanned s;
		bool cut = i == 3;

		(void)snprintf(body, sizeof(body), bodies[i], image);
		scan(&s, body);
		assert_true(s.b.is_json && s.b.complete == !cut);
		assert_true(s.b.opaque && s.b.opaque_tail == cut);
		assert_in_range(avg_tokens(&s.b, 20000), 1, 80);
		done(&s);
		(void)snprintf(body, sizeof(body), bodies[i], text);
		scan(&s, body);
		assert_false(s.b.opaque || s.b.opaque_tail);
		assert_in_range(avg_tokens(&s.b, 0), 150, 1200);
		done(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_without_blanks_is_no_image),
		cmocka_unit_test(what_a_model_wrote_is_text_all_through),
		cmocka_unit_test(files_in_base64_are_known_by_how_they_begin),
		cmocka_unit_test(images_within_what_is_written_are_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
