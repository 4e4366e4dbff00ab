#include "config_case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct config *parse_bytes(const char *s, size_t len, const char *path, struct doc_error *err)
{
	char *text = malloc(len > 0 ? len : 1); /* of exactly its size */
	struct config *c;

	assert_non_null(text);
	memcpy(text, s, len);
	c = config_parse(text, len, path, err);
	free(text);
	return c;
}

struct config *parse_at(const char *s, const char *path, struct doc_error *err)
{
	return parse_bytes(s, strlen(s), path, err);
}

struct config *parse(const char *s)
{
	static struct doc_error err;
	struct config *c = parse_at(s, "dir/slo.json", &err);
	char line[1024];

	if (!c) {
		doc_error_format(&err, line, sizeof(line));
		fail_msg("%s", line);
	}
	return c;
}

void expect_error(const char *text, const char *want)
{
	static struct doc_error err;
	char line[1024];

	assert_null(parse_at(text, "f", &err));
	doc_error_format(&err, line, sizeof(line));
	assert_string_equal(line, want);
}
