/* Bodies that are no JSON as we read it, but that an engine behind us may well understand: they
 * must not be taken for nonsense, and what can be known of them is. */
#include "wire/body.h"

#include <string.h>
#include <strings.h>

#include "body_private.h"
#include "wire/rd.h"

#define NAME_MAX_BYTES 70 /* of a boundary, by RFC 2046 */

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
		[BODY_MULTIPART] = "multipart",
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

/* The value of a parameter of a header, such as `boundary=` or ` name=`; p NULL: it has none. */
static struct slice parameter(struct slice header, const char *name)
{
	size_t at = find_text(header, name);
	bool quoted;
	size_t len = 0;

	if (at == header.len)
		return (struct slice){ 0 };
	header = from(header, at + strlen(name));
	quoted = header.len > 0 && header.p[0] == '"';
	if (quoted)
		header = from(header, 1);
	while (len < header.len && (quoted ? header.p[len] != '"'
	                                   : header.p[len] != ';' && header.p[len] != ' ' &&
	                                         header.p[len] != ',' && header.p[len] != '\t'))
		len++;
	return (struct slice){ .p = header.p, .len = len };
}

/* What parts the fields, "--" and the boundary, as the header or else the first line says. It is
 * put into buf. */
static struct slice delimiter_of(struct slice s, struct slice ctype,
                                 uint8_t buf[2 + NAME_MAX_BYTES])
{
	struct slice boundary = ctype.len > 0 ? parameter(ctype, "boundary=") : ctype;

	if (boundary.len == 0 && starts(s, "--", 2)) {
		boundary = from(s, 2);
		for (size_t i = 0; i < boundary.len; i++) {
			if (boundary.p[i] == '\r' || boundary.p[i] == '\n')
				boundary.len = i;
		}
	}
	if (boundary.len == 0 || boundary.len > NAME_MAX_BYTES)
		return (struct slice){ 0 };
	buf[0] = buf[1] = '-';
	memcpy(buf + 2, boundary.p, boundary.len);
	return (struct slice){ .p = buf, .len = 2 + boundary.len };
}

static bool is_multipart(struct slice s, struct slice ctype)
{
	struct slice head = { .p = s.p, .len = s.len < 512 ? s.len : 512 };

	ctype = slice_trim(ctype);
	if (ctype.len > 0)
		return ctype.len >= 10 && strncasecmp((const char *)ctype.p, "multipart/", 10) == 0;
	return starts(s, "--", 2) && find_text(head, "content-disposition:") < head.len;
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
		out->stream =
		    slice_eq(value, "true") || slice_eq(value, "True") || slice_eq(value, "1");
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
		    find_text(line, " filename") == line.len)
			*name = parameter(line, " name=");
	}
	return false;
}

static void read_form(struct slice s, struct slice ctype, struct body_info *out)
{
	uint8_t buf[2 + NAME_MAX_BYTES];
	struct slice delimiter = delimiter_of(s, ctype, buf), name, line;
	const uint8_t *at;

	while (delimiter.p && s.len > 0 && (at = memmem(s.p, s.len, delimiter.p, delimiter.len))) {
		s = from(s, (size_t)(at - s.p) + delimiter.len);
		if (!take_line(&s, &line) || !take_headers(&s, &name))
			return;
		at = s.len > 0 ? memmem(s.p, s.len, delimiter.p, delimiter.len) : NULL;
		if (!at)
			return; /* of a field that is cut nothing counts */
		line = (struct slice){ .p = s.p, .len = (size_t)(at - s.p) };
		if (line.len > 0 && line.p[line.len - 1] == '\n')
			line.len--;
		if (line.len > 0 && line.p[line.len - 1] == '\r')
			line.len--;
		if (name.len > 0)
			take_field(out, name, line);
		s = from(s, (size_t)(at - s.p));
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
		tokens += BODY_TOKENS_PER_CHAT;
	return tokens < (double)INT32_MAX ? (int64_t)(tokens + 0.5) : INT32_MAX;
}
