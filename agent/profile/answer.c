#include "answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/json/reader.h"

static const char *head_end(const char *raw, size_t len)
{
	const char *p = memmem(raw, len, "\r\n\r\n", 4);

	return p ? p + 4 : NULL;
}

/* What follows a word in the headers, in any case; NULL: it is not there. */
static const char *behind(const char *raw, const char *end, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = raw; (size_t)(end - p) >= n; p++)
		if (strncasecmp(p, word, n) == 0)
			return p + n;
	return NULL;
}

static bool is_chunked(const char *raw, size_t len)
{
	const char *end = head_end(raw, len);

	return end && behind(raw, end, "\nTransfer-Encoding: chunked\r");
}

/* The length that the headers tell; false: none. */
static bool content_length(const char *raw, const char *end, size_t *out)
{
	const char *value = behind(raw, end, "\nContent-Length:");

	/* The headers end with a line break, so the number ends before that. */
	if (value)
		*out = strtoul(value, NULL, 10);
	return value != NULL;
}

bool answer_is_whole(const char *raw, size_t len)
{
	const char *body = head_end(raw, len);
	size_t told;

	if (!body)
		return false;
	if (is_chunked(raw, len))
		return len >= 5 && memcmp(raw + len - 5, "0\r\n\r\n", 5) == 0 &&
		       (raw + len - 5 == body || raw[len - 6] == '\n');
	return content_length(raw, body, &told) && (size_t)(raw + len - body) >= told;
}

bool answer_has_begun(const char *raw, size_t len)
{
	const char *body = head_end(raw, len);

	return body && memmem(body, (size_t)(raw + len - body), "data:", 5);
}

/* Chunks, put together in place. Returns the length; what is no chunk ends it. */
static size_t join_chunks(char *body, size_t len)
{
	size_t from = 0, to = 0;

	while (from < len) {
		char *end;
		unsigned long n = strtoul(body + from, &end, 16);
		char *data =
		    end == body + from ? NULL : memchr(end, '\n', len - (size_t)(end - body));

		if (!data || n == 0 || n > len - (size_t)(data + 1 - body))
			break;
		from = (size_t)(data + 1 - body);
		memmove(body + to, body + from, n);
		to += n;
		from += n;
		while (from < len && (body[from] == '\r' || body[from] == '\n'))
			from++;
	}
	body[to] = '\0';
	return to;
}

static void read_usage(const char *text, size_t len, struct answer *out)
{
	struct doc_error err;
	struct reader r;
	struct node root, usage, input, output;

	reader_open(&r, NULL, text, len, READER_NAN, &err);
	root = reader_root(&r);
	usage = node_member(&root, "usage");
	input = node_member(&usage, "prompt_tokens");
	output = node_member(&usage, "completion_tokens");
	if (!r.failed && json_is_number(input.value) && json_is_number(output.value)) {
		out->input = json_number_value(input.value);
		out->output = json_number_value(output.value);
	}
	reader_close(&r);
}

/* The events of a stream that tell usage; or one object. */
static void read_body(const char *body, size_t len, struct answer *out)
{
	const char *p = body, *all = body + len;

	if (len > 0 && *body == '{')
		read_usage(body, len, out);
	while (p < all) {
		const char *end = memchr(p, '\n', (size_t)(all - p));
		size_t n = (size_t)((end ? end : all) - p);

		if (n > 5 && memcmp(p, "data:", 5) == 0 && memmem(p, n, "\"usage\"", 7))
			read_usage(p + 5, n - 5, out);
		p += n + (end != NULL);
	}
}

slo_err answer_read(const char *raw, size_t len, struct answer *out)
{
	const char *at = head_end(raw, len);
	size_t n = at ? (size_t)(raw + len - at) : 0;
	char *body;

	*out = (struct answer){ .status = 0 };
	if (!at || len < 12 || memcmp(raw, "HTTP/1.", 7) != 0)
		return SLO_OK;
	body = malloc(n + 1);
	if (!body)
		return SLO_ENOMEM;
	memcpy(body, at, n);
	body[n] = '\0';
	out->status = (int)strtol(raw + 9, NULL, 10);
	if (is_chunked(raw, len))
		n = join_chunks(body, n);
	if (out->status == 200)
		read_body(body, n, out);
	else
		snprintf(out->error, sizeof(out->error), "%s", body);
	reader_printable(out->error);
	free(body);
	return SLO_OK;
}
