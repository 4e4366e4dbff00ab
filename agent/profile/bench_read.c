/* Which tool wrote a file, and its lines if it has one object in each. */
#include <stdlib.h>
#include <string.h>

#include "bench_private.h"

enum format { UNKNOWN, SERVING, GUIDELLM, AIPERF, AIPERF_ROW, AIBRIX_ROW, PROFILE };

static bool has(const struct node *root, const char *key)
{
	return node_member(root, key).value != NULL;
}

static enum format format_of(const struct node *root)
{
	if (node_member_any_case(root, "tputs").value ||
	    node_member_any_case(root, "indexes").value)
		return PROFILE;
	if (has(root, "benchmarks"))
		return GUIDELLM;
	if (has(root, "metadata") && has(root, "metrics"))
		return AIPERF_ROW;
	if (has(root, "metric") || (has(root, "input_tokens") && has(root, "output_tokens")))
		return AIBRIX_ROW;
	if (json_is_object(node_member(root, "request_latency").value) ||
	    json_is_object(node_member(root, "request_throughput").value))
		return AIPERF;
	if (has(root, "total_input_tokens") || has(root, "request_throughput") ||
	    has(root, "completed"))
		return SERVING;
	return UNKNOWN;
}

static void read_object(struct reader *r, struct bench_rows *rows, struct bench_series *s)
{
	struct node root = reader_root(r);

	if (!reader_want_object(r, &root))
		return;
	switch (format_of(&root)) {
	case SERVING:
		bench_read_serving(r, &root, s);
		return;
	case GUIDELLM:
		bench_read_guidellm(r, &root, s);
		return;
	case AIPERF:
		bench_read_aiperf(r, &root, s);
		return;
	case AIPERF_ROW:
		bench_read_aiperf_row(r, &root, rows);
		return;
	case AIBRIX_ROW:
		bench_read_aibrix_row(r, &root, rows);
		return;
	case PROFILE:
		bench_read_profile(r, &root, s);
		return;
	case UNKNOWN:
		break;
	}
	reader_fail(r, &root, JSONPOS_VALUE,
	            "is of no known format: neither vllm bench serve, SGLang, GuideLLM, AIPerf, "
	            "AIBrix rows nor a profile");
}

static bool is_blank(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strchr(" \t\r", p[i]) || p[i] == '\0')
			return false;
	return true;
}

/* One text, which may be a line of the file. */
static slo_err read_text(struct bench_series *s, const char *file, struct slice text,
                         struct bench_rows *rows, struct doc_error *err)
{
	struct reader r;
	slo_err code;

	reader_open(&r, file, (const char *)text.p, text.len, READER_NAN, err);
	if (!r.failed)
		read_object(&r, rows, s);
	code = r.failed ? r.code : SLO_OK;
	reader_close(&r);
	return code;
}

/* Whether the first line is an object by itself and others follow it. */
static bool has_lines(const char *text, size_t len)
{
	const char *end = memchr(text, '\n', len), *last;
	struct doc_error err;
	struct reader r;
	bool whole;

	if (!end)
		return false;
	for (last = end; last < text + len && strchr(" \t\r\n", *last) && *last != '\0';)
		last++;
	if (last == text + len)
		return false;
	reader_open(&r, NULL, text, (size_t)(end - text), READER_NAN, &err);
	whole = !r.failed;
	reader_close(&r);
	return whole;
}

static slo_err read_lines(struct bench_series *s, const char *file, struct slice text,
                          struct bench_rows *rows, struct doc_error *err)
{
	const char *p = (const char *)text.p, *all = p + text.len;

	for (size_t line = 1; p < all; line++) {
		const char *end = memchr(p, '\n', (size_t)(all - p));
		size_t n = (size_t)((end ? end : all) - p);
		slo_err code = SLO_OK;

		if (!is_blank(p, n))
			code =
			    read_text(s, file, (struct slice){ (const uint8_t *)p, n }, rows, err);
		if (code != SLO_OK) {
			err->line += line - 1;
			return code;
		}
		p += n + (end != NULL);
	}
	return SLO_OK;
}

/* What the lines said together. */
static slo_err end_rows(struct bench_series *s, const char *file, struct bench_rows *rows,
                        struct doc_error *err)
{
	struct reader r;
	slo_err code;

	reader_open(&r, file, "{}", 2, READER_NAN, err);
	if (!r.failed)
		bench_rows_end(&r, rows, s);
	code = r.failed ? r.code : SLO_OK;
	reader_close(&r);
	if (code != SLO_OK)
		err->line = err->column = 0;
	return code;
}

slo_err bench_read(struct bench_series *s, const char *file, const char *text, size_t len,
                   struct doc_error *err)
{
	struct slice all = { (const uint8_t *)text, len };
	struct bench_rows *rows = bench_rows_new();
	slo_err code;

	*err = (struct doc_error){ .file = file };
	if (!rows)
		return SLO_ENOMEM;
	if (has_lines(text, len))
		code = read_lines(s, file, all, rows, err);
	else
		code = read_text(s, file, all, rows, err);
	if (code == SLO_OK && bench_rows_count(rows) > 0)
		code = end_rows(s, file, rows, err);
	bench_rows_free(rows);
	return code;
}
