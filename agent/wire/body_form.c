/* Bodies that are no JSON as we read it, but that an engine behind us may well understand: they
 * must not be taken for nonsense, and what can be known of them is. */
#include "wire/body.h"

#include <string.h>
#include <strings.h>

#include "body_private.h"
#include "wire/rd.h"

/* Bytes of a boundary that are compared. RFC 2046 allows 70, and nobody minds more. */
#define BOUNDARY_MAX 128

/* Roughly, of requests that are mostly text: text is 4 bytes a token, and is compressed to a third.
 */
#define UNSEEN_PER_TOKEN       4
#define WIDE16_PER_TOKEN       8
#define WIDE32_PER_TOKEN       16
#define COMPRESSED_PER_2TOKENS 3

const char *body_form_name(enum body_form f)
{
	static const char *const names[BODY_FORMS] = {
		[BODY_EMPTY] = "empty",         [BODY_JSON] = "json",
		[BODY_BROKEN] = "broken",       [BODY_WIDE16] = "utf-16",
		[BODY_WIDE32] = "utf-32",       [BODY_COMPRESSED] = "compressed",
		[BODY_MULTIPART] = "multipart", [BODY_BINARY] = "binary",
	};

	return names[f];
}

void body_is_cut(struct body_info *b)
{
	if (b->form != BODY_BROKEN || !b->blank)
		return;
	b->form = BODY_JSON;
	b->is_json = true;
}

bool body_is_foreign(const struct body_info *b)
{
	return b->form >= BODY_WIDE16;
}

size_t body_mark(struct slice sample)
{
	return sample.len >= 3 && memcmp(sample.p, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

static bool starts(struct slice s, const char *bytes, size_t len)
{
	return s.len >= len && memcmp(s.p, bytes, len) == 0;
}

/* By its mark, or by the zeros around the first character, which is of ASCII: as Python does. */
static enum body_form wide_form(struct slice s)
{
	if (starts(s, "\xff\xfe\0\0", 4) || starts(s, "\0\0\xfe\xff", 4))
		return BODY_WIDE32;
	if (starts(s, "\xff\xfe", 2) || starts(s, "\xfe\xff", 2))
		return BODY_WIDE16;
	if (s.len < 4 || (s.p[0] != 0 && s.p[1] != 0))
		return BODY_BROKEN;
	if (s.p[0] == 0)
		return s.p[1] == 0 ? BODY_WIDE32 : BODY_WIDE16;
	return s.p[2] == 0 && s.p[3] == 0 ? BODY_WIDE32 : BODY_WIDE16;
}

static bool is_compressed(struct slice s, struct slice encoding)
{
	static const struct {
		const char *bytes;
		size_t len;
	} magic[] = {
		{ "\x1f\x8b", 2 },         /* gzip */
		{ "\x28\xb5\x2f\xfd", 4 }, /* zstd */
		{ "\x04\x22\x4d\x18", 4 }, /* lz4 */
		{ "\x78\x01", 2 },         /* zlib, as of "deflate" */
		{ "\x78\x5e", 2 },         { "\x78\x9c", 2 }, { "\x78\xda", 2 },
	};

	encoding = slice_trim(encoding);
	if (encoding.len > 0 &&
	    !(encoding.len == 8 && strncasecmp((const char *)encoding.p, "identity", 8) == 0))
		return true;
	for (size_t i = 0; i < sizeof(magic) / sizeof(magic[0]); i++) {
		if (starts(s, magic[i].bytes, magic[i].len))
			return true;
	}
	return false;
}

/* Where text stands in s, in any case, or s.len. */
static size_t find_text(struct slice s, const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; len <= s.len && i <= s.len - len; i++) {
		if (strncasecmp((const char *)s.p + i, text, len) == 0)
			return i;
	}
	return s.len;
}

static struct slice from(struct slice s, size_t at)
{
	return (struct slice){ .p = s.p + at, .len = s.len - at };
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

/* The next parameter of a header, "; name=value", taken off *rest. The value of a quoted one is
 * what stands between the quotes. False: there is none. */
static bool take_parameter(struct slice *rest, struct slice *name, struct slice *value)
{
	const uint8_t *p = rest->len > 0 ? memchr(rest->p, ';', rest->len) : NULL;
	const uint8_t *end, *start;
	bool quoted;

	if (!p)
		return false;
	end = rest->p + rest->len;
	start = ++p;
	while (p < end && *p != '=' && *p != ';')
		p++;
	*name = slice_trim((struct slice){ .p = start, .len = (size_t)(p - start) });
	*value = (struct slice){ .p = p, .len = 0 };
	if (p < end && *p == '=') {
		for (p++; p < end && is_blank(*p); p++)
			;
		quoted = p < end && *p == '"';
		start = quoted ? ++p : p;
		while (p < end && *p != (quoted ? '"' : ';') && (quoted || *p != ','))
			p++;
		*value = (struct slice){ .p = start, .len = (size_t)(p - start) };
		if (!quoted)
			*value = slice_trim(*value);
	}
	*rest = (struct slice){ .p = p, .len = (size_t)(end - p) };
	return true;
}

/* The value of that parameter of a header; p NULL: it has none. */
static struct slice parameter(struct slice header, const char *wanted)
{
	struct slice name, value;

	while (take_parameter(&header, &name, &value)) {
		if (name.len == strlen(wanted) &&
		    strncasecmp((const char *)name.p, wanted, name.len) == 0)
			return value;
	}
	return (struct slice){ 0 };
}

/* What stands between the fields of a form: "--" and the boundary, at the begin of a line. */
struct delimiter {
	uint8_t text[2 + BOUNDARY_MAX];
	size_t len;    /* 0: unknown */
	bool is_begin; /* the boundary goes on behind it */
};

/* As the header or else the first line says. */
static struct delimiter delimiter_of(struct slice s, struct slice ctype)
{
	struct delimiter d = { .text = "--" };
	struct slice boundary = parameter(ctype, "boundary");

	if (boundary.len == 0 && starts(s, "--", 2)) {
		boundary = from(s, 2);
		for (size_t i = 0; i < boundary.len; i++) {
			if (boundary.p[i] == '\r' || boundary.p[i] == '\n')
				boundary.len = i;
		}
	}
	/* HAProxy cuts the header, too. */
	d.is_begin = boundary.len >= BOUNDARY_MAX;
	if (d.is_begin)
		boundary.len = BOUNDARY_MAX;
	if (boundary.len == 0)
		return d;
	memcpy(d.text + 2, boundary.p, boundary.len);
	d.len = 2 + boundary.len;
	return d;
}

/* Whether a boundary ends before c. */
static bool is_end(uint8_t c)
{
	return c == '-' || c == '\r' || c == '\n' || is_blank(c);
}

/* Where the next delimiter stands in s, which begins with a line, or s.len. */
static size_t find_delimiter(struct slice s, const struct delimiter *d)
{
	size_t at = 0;

	while (d->len > 0 && at < s.len) {
		const uint8_t *p = memmem(s.p + at, s.len - at, d->text, d->len);
		size_t end;

		if (!p)
			break;
		at = (size_t)(p - s.p);
		end = at + d->len;
		if ((at == 0 || s.p[at - 1] == '\n') &&
		    (d->is_begin || end == s.len || is_end(s.p[end])))
			return at;
		at++;
	}
	return s.len;
}

static bool is_multipart(struct slice s, struct slice ctype)
{
	struct slice head = { .p = s.p, .len = s.len < 512 ? s.len : 512 };

	ctype = slice_trim(ctype);
	if (ctype.len > 0)
		return ctype.len >= 10 && strncasecmp((const char *)ctype.p, "multipart/", 10) == 0;
	return starts(s, "--", 2) && find_text(head, "content-disposition:") < head.len;
}

/* Whether the header names a format that is neither JSON nor text: sound, tensors, CBOR. A form as
 * of curl -d may be JSON all the same. */
static bool is_binary(struct slice ctype)
{
	struct slice type = slice_trim(ctype);
	const uint8_t *end = type.len > 0 ? memchr(type.p, ';', type.len) : NULL;

	if (end)
		type.len = (size_t)(end - type.p);
	return type.len > 0 && memchr(type.p, '/', type.len) &&
	       find_text(type, "json") == type.len && find_text(type, "text/") != 0 &&
	       find_text(type, "form-urlencoded") == type.len;
}

/* A line of *rest without its end; *rest goes on behind it. False: the line is cut. */
static bool take_line(struct slice *rest, struct slice *line)
{
	const uint8_t *end = rest->len > 0 ? memchr(rest->p, '\n', rest->len) : NULL;

	if (!end)
		return false;
	*line = (struct slice){ .p = rest->p, .len = (size_t)(end - rest->p) };
	*rest = from(*rest, line->len + 1);
	if (line->len > 0 && line->p[line->len - 1] == '\r')
		line->len--;
	return true;
}

static void take_field(struct body_info *out, struct slice name, struct slice value)
{
	out->asks = true;
	if (slice_eq(name, "model")) {
		out->model = (struct slice){ 0 };
		if (value.len > 0 && value.len <= BODY_MODEL_MAX)
			out->model = value;
	} else if (slice_eq(name, "stream")) {
		out->has_stream = true;
		out->stream = body_is_yes(value) || slice_eq(value, "1");
	} else if (slice_eq(name, "prompt")) {
		tokens_gap(&out->text);
		tokens_feed(&out->text, value.p, value.len);
	}
}

/* The headers of a part, of which *rest then starts with the content. False: they are cut. */
static bool take_headers(struct slice *rest, struct slice *name)
{
	static const char disposition[] = "content-disposition:";
	struct slice line;

	*name = (struct slice){ 0 };
	while (take_line(rest, &line)) {
		if (line.len == 0)
			return true;
		if (line.len > sizeof(disposition) &&
		    strncasecmp((const char *)line.p, disposition, sizeof(disposition) - 1) == 0 &&
		    !parameter(line, "filename").p && !parameter(line, "filename*").p)
			*name = parameter(line, "name");
	}
	return false;
}

/* The content of a part, which ends with the line before the delimiter. */
static struct slice content(struct slice s, size_t len)
{
	if (len > 0 && s.p[len - 1] == '\n')
		len--;
	if (len > 0 && s.p[len - 1] == '\r')
		len--;
	return (struct slice){ .p = s.p, .len = len };
}

static void read_form(struct slice s, struct slice ctype, struct body_info *out)
{
	struct delimiter d = delimiter_of(s, ctype);
	struct slice name, line;
	size_t at;

	while ((at = find_delimiter(s, &d)) < s.len) {
		s = from(s, at + d.len);
		if (!take_line(&s, &line) || !take_headers(&s, &name))
			return;
		at = find_delimiter(s, &d);
		if (at == s.len)
			return; /* of a field that is cut nothing counts */
		if (name.len > 0)
			take_field(out, name, content(s, at));
		s = from(s, at);
	}
}

void body_read(struct slice sample, struct slice encoding, struct slice ctype,
               struct body_info *out)
{
	body_scan(sample, out);
	if (out->form != BODY_BROKEN)
		return;
	if (is_compressed(sample, encoding))
		out->form = BODY_COMPRESSED;
	else if (is_multipart(sample, ctype))
		out->form = BODY_MULTIPART;
	else
		out->form = wide_form(sample);
	if (out->form == BODY_BROKEN && is_binary(ctype))
		out->form = BODY_BINARY;
	out->opaque = body_is_foreign(out);
	if (out->form == BODY_MULTIPART)
		read_form(sample, ctype, out);
}

/* Tokens of a body of that many bytes whose text cannot be read. */
static double foreign_tokens(enum body_form form, double size)
{
	switch (form) {
	case BODY_WIDE16:
		return size / WIDE16_PER_TOKEN;
	case BODY_WIDE32:
		return size / WIDE32_PER_TOKEN;
	case BODY_COMPRESSED:
		return size * 2 / COMPRESSED_PER_2TOKENS;
	default:
		return 0;
	}
}

int64_t body_prompt_tokens(const struct body_info *b, const struct token_weights *w, int64_t size)
{
	int64_t counted =
	    tokens_total(&b->text, w) + b->ids + b->messages * BODY_TOKENS_PER_MESSAGE;
	double tokens = (double)counted;
	bool cut = !b->complete && b->scanned > 0 && size > (int64_t)b->scanned;

	if (body_is_foreign(b))
		tokens += size > 0 ? foreign_tokens(b->form, (double)size) : 0;
	else if (cut && !b->opaque_tail && !b->asks)
		tokens += (double)(size - (int64_t)b->scanned) / UNSEEN_PER_TOKEN;
	else if (cut && !b->opaque_tail)
		tokens *= (double)size / (double)b->scanned;
	if (b->messages > 0)
		tokens += BODY_TOKENS_PER_CHAT * (double)b->prompts;
	return tokens < (double)INT32_MAX ? (int64_t)(tokens + 0.5) : INT32_MAX;
}
