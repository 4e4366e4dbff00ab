/* End lines come as often as requests do, so the words of an end line are read by pointers, and the
 * key that is expected next is compared as one masked 64-bit word. The order of fields[] is that of
 * the sample log-format: another order works, and costs a search per key.
 *
 * Everything else on the line is HAProxy's own text. A line is looked at word by word from its
 * left, and the first word that means something decides what it is. That order matters: messages
 * about health checks quote the server's answer, in which somebody could write an end line. */
#include "wire/endline.h"

#include <stdbool.h>
#include <string.h>

#include "slice.h"

/* Takes the bytes before the next b off *rest, and that b; all of *rest if it has none. */
static struct slice take_until(struct slice *rest, int b)
{
	const uint8_t *at = rest->len > 0 ? memchr(rest->p, b, rest->len) : NULL;
	struct slice head = { .p = rest->p, .len = at ? (size_t)(at - rest->p) : rest->len };
	size_t gone = at ? head.len + 1 : head.len;

	if (gone > 0)
		*rest = (struct slice){ .p = rest->p + gone, .len = rest->len - gone };
	return head;
}

/* The functions that follow take pointers and go byte by byte: the words of a line are short. */

/* Reads the digits that [p, end) starts with and returns where they end. *value is -1 if there are
 * none, or if the number does not fit into int64_t. */
static inline const uint8_t *take_digits(const uint8_t *p, const uint8_t *end, int64_t *value)
{
	uint64_t v;
	size_t n = slice_digits((struct slice){ .p = p, .len = (size_t)(end - p) }, &v);

	*value = n > 0 && v <= INT64_MAX ? (int64_t)v : -1;
	return p + n;
}

/* Reads the number that starts at p and returns where it ends. What is no number stays unread. */
static const uint8_t *take_number(const uint8_t *p, const uint8_t *end, int64_t *value)
{
	if (p < end && *p == '+') /* %Ta under logasap */
		p++;
	p = take_digits(p, end, value);
	if (p < end && *p != ' ')
		*value = -1;
	return p;
}

static const uint8_t *take_text(const uint8_t *p, const uint8_t *end, struct slice *value)
{
	const uint8_t *blank = p < end ? memchr(p, ' ', (size_t)(end - p)) : NULL;
	struct slice s = { .p = p, .len = (size_t)((blank ? blank : end) - p) };

	if (s.len == 0 || slice_eq(s, "-"))
		*value = (struct slice){ 0 };
	else
		*value = s;
	return p + s.len;
}

#define KEY_MAX 8 /* bytes, "=" included: what is compared at once */

/* In the order of the sample configuration's log-format. */
static const struct field {
	char key[KEY_MAX];
	uint8_t mask[KEY_MAX]; /* which bytes of key count */
	uint8_t len;           /* of key, without "=" */
	bool number;
	size_t offset;
} fields[] = {
#define BYTES3 0xff, 0xff, 0xff
#define BYTES4 BYTES3, 0xff
#define BYTES6 BYTES3, BYTES3
#define BYTES7 BYTES3, BYTES4
	{ "id=", { BYTES3 }, 2, false, offsetof(struct endline, id) },
	{ "be=", { BYTES3 }, 2, false, offsetof(struct endline, be) },
	{ "srv=", { BYTES4 }, 3, false, offsetof(struct endline, srv) },
	{ "st=", { BYTES3 }, 2, true, offsetof(struct endline, st) },
	{ "tr=", { BYTES3 }, 2, true, offsetof(struct endline, tr_ms) },
	{ "ta=", { BYTES3 }, 2, true, offsetof(struct endline, ta_ms) },
	{ "bytes=", { BYTES6 }, 5, true, offsetof(struct endline, bytes) },
	{ "ts=", { BYTES3 }, 2, false, offsetof(struct endline, ts) },
	{ "in=", { BYTES3 }, 2, true, offsetof(struct endline, in) },
	{ "out=", { BYTES4 }, 3, true, offsetof(struct endline, out) },
	{ "tf=", { BYTES3 }, 2, true, offsetof(struct endline, tf_ms) },
	{ "ev=", { BYTES3 }, 2, true, offsetof(struct endline, event) },
	{ "cached=", { BYTES7 }, 6, true, offsetof(struct endline, cached) },
	{ "err=", { BYTES4 }, 3, true, offsetof(struct endline, err) },
	{ "ptime=", { BYTES6 }, 5, true, offsetof(struct endline, ptime_ms) },
	{ "enc=", { BYTES4 }, 3, false, offsetof(struct endline, enc) },
	{ "rc=", { BYTES3 }, 2, false, offsetof(struct endline, rc) },
	{ "key=", { BYTES4 }, 3, false, offsetof(struct endline, key) },
};
#define FIELDS (sizeof(fields) / sizeof(fields[0]))

/* Whether p, with KEY_MAX bytes behind it, starts with f's key and "=". */
static inline bool is_key(const uint8_t *p, const struct field *f)
{
	uint64_t word, key, mask;

	memcpy(&word, p, KEY_MAX);
	memcpy(&key, f->key, KEY_MAX);
	memcpy(&mask, f->mask, KEY_MAX);
	return ((word ^ key) & mask) == 0;
}

/* Where the value stands if [p, end) starts with f's key, else NULL. */
static const uint8_t *behind_key(const uint8_t *p, const uint8_t *end, const struct field *f)
{
	if (end - p < f->len || memcmp(p, f->key, f->len) != 0)
		return NULL;
	p += f->len;
	if (p == end || *p == ' ')
		return p; /* no value */
	return *p == '=' ? p + 1 : NULL;
}

/* The index of the field whose key p starts with, or FIELDS, and where its value stands. It mostly
 * is the one at `next`. */
static size_t find_field(const uint8_t *p, const uint8_t *end, size_t next, const uint8_t **value)
{
	if (end - p >= KEY_MAX && is_key(p, &fields[next])) {
		*value = p + fields[next].len + 1;
		return next;
	}
	for (size_t n = 0; n < FIELDS; n++) {
		size_t i = next + n < FIELDS ? next + n : next + n - FIELDS;

		*value = behind_key(p, end, &fields[i]);
		if (*value)
			return i;
	}
	return FIELDS;
}

/* The value of a field into its place in e. */
static const uint8_t *take_value(const uint8_t *p, const uint8_t *end, const struct field *f,
                                 struct endline *e)
{
	void *at = (uint8_t *)e + f->offset;

	return f->number ? take_number(p, end, at) : take_text(p, end, at);
}

/* What is no HTTP, or ends before its headers do, has no id yet: a port scan, TLS on a plain port.
 * HAProxy (P), or who sent it (C), ended it, and no server saw it. */
static bool is_no_request(const struct endline *e)
{
	return !e->id.p && !e->srv.p && e->ts.len > 1 && e->ts.p[1] == 'R' &&
	       (e->ts.p[0] == 'P' || e->ts.p[0] == 'C' || e->ts.p[0] == 'c');
}

static slo_err parse_fields(struct slice rest, struct endline *e)
{
	const uint8_t *p = rest.p, *end = p + rest.len, *value;
	uint32_t seen = 0;
	size_t next = 0;

	e->kind = ENDLINE_END;
	while (p < end) {
		size_t i = find_field(p, end, next, &value);

		if (i < FIELDS && !(seen & UINT32_C(1) << i)) {
			seen |= UINT32_C(1) << i;
			next = i + 1 < FIELDS ? i + 1 : 0;
			p = take_value(value, end, &fields[i], e);
		}
		/* A word that is no field of ours, or the rest of one that is no number. */
		while (p < end && *p != ' ')
			p++;
		p += p < end;
	}
	/* HAProxy's words for what is no server: <NOSRV>, <CACHE>, <STATS>, <lua.NAME>, ... */
	if (e->srv.len > 0 && e->srv.p[0] == '<') {
		e->srv = (struct slice){ 0 };
		e->no_server = true;
	}
	if (is_no_request(e))
		e->kind = ENDLINE_NO_REQUEST;
	else if (e->id.len == 0 || e->id.len > ENDLINE_ID_MAX)
		return SLO_EPROTO;
	return SLO_OK;
}

/* HAProxy's phrases behind "Server be/srv ", the longer before its own beginning. */
static const struct {
	const char *phrase;
	enum slo_server_state state;
} changes[] = {
	{ "is UP/DRAIN", SLO_SERVER_DRAIN },
	{ "is UP", SLO_SERVER_UP },
	{ "is DOWN", SLO_SERVER_DOWN },
	{ "is going DOWN for maintenance", SLO_SERVER_MAINT },
	{ "was DOWN and now enters maintenance", SLO_SERVER_MAINT },
	{ "remains in maintenance", SLO_SERVER_MAINT },
	{ "remains in forced maintenance", SLO_SERVER_MAINT },
	{ "is leaving forced maintenance but remains in maintenance", SLO_SERVER_MAINT },
	{ "resolves again but remains in maintenance", SLO_SERVER_MAINT },
	{ "enters drain state", SLO_SERVER_DRAIN },
	{ "remains in drain mode", SLO_SERVER_DRAIN },
	{ "remains in forced drain mode", SLO_SERVER_DRAIN },
	{ "is leaving forced drain but remains in drain mode", SLO_SERVER_DRAIN },
	{ "is stopping", SLO_SERVER_DRAIN },
};

/* What a check says where nobody listens; in other reasons there may be words of the server. */
static const char refused[] =
    "is DOWN, reason: Layer4 connection problem, info: \"Connection refused";
static const char idle[] = " 0 sessions active,";

/* Of a server whose address comes from DNS its host stands there: ('llm.example') and a blank. */
static struct slice behind_host(struct slice rest)
{
	static const char end[] = "') ";
	const uint8_t *p = NULL;

	if (slice_starts(rest, "('"))
		p = memmem(rest.p, rest.len, end, sizeof(end) - 1);
	if (!p)
		return rest;
	p += sizeof(end) - 1;
	return (struct slice){ .p = p, .len = (size_t)(rest.p + rest.len - p) };
}

/* rest is what stands behind "Server ". Whether this is a message about a server, if only one that
 * changes nothing. */
static bool parse_server(struct slice rest, struct endline *e)
{
	struct slice srv = take_until(&rest, ' ');
	struct slice be = take_until(&srv, '/');

	if (be.len == 0 || srv.len == 0)
		return false;
	rest = behind_host(rest);
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		if (!slice_starts(rest, changes[i].phrase))
			continue;
		e->kind = ENDLINE_SERVER;
		e->state = changes[i].state;
		e->be = be;
		e->srv = srv;
		e->refused = slice_starts(rest, refused);
		e->idle = e->refused && memmem(rest.p, rest.len, idle, sizeof(idle) - 1);
		break;
	}
	return true;
}

/* rest is what stands behind "Proxy ". */
static bool parse_proxy(struct slice rest, struct endline *e)
{
	struct slice name = take_until(&rest, ' ');

	if (name.len == 0 || !slice_starts(rest, "stopped"))
		return false;
	e->kind = ENDLINE_STOPPED;
	e->be = name;
	return true;
}

/* "3", and what stands behind it. */
static void parse_dropped(struct slice word, struct slice rest, struct endline *e)
{
	int64_t n;

	if (!slice_eq(rest, "event dropped") && !slice_eq(rest, "events dropped") &&
	    !slice_eq(rest, "event(s) dropped"))
		return;
	/* No ring holds more lines than that. */
	if (take_digits(word.p, word.p + word.len, &n) == word.p + word.len && n >= 0 &&
	    n <= UINT32_MAX) {
		e->kind = ENDLINE_DROPPED;
		e->dropped = (uint64_t)n;
	}
}

/* log formats "short" and "priority" put <6> before the text, without a blank. */
static struct slice behind_priority(struct slice rest)
{
	size_t i = 1;

	while (i < rest.len && i <= 3 && rest.p[i] >= '0' && rest.p[i] <= '9')
		i++;
	if (i == 1 || i >= rest.len || rest.p[0] != '<' || rest.p[i] != '>')
		return rest;
	return (struct slice){ .p = rest.p + i + 1, .len = rest.len - i - 1 };
}

static struct slice without_line_end(const uint8_t *line, size_t len)
{
	while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r' || line[len - 1] == 0))
		len--;
	return (struct slice){ .p = line, .len = len };
}

slo_err endline_parse(const uint8_t *line, size_t len, struct endline *out)
{
	struct slice rest = behind_priority(without_line_end(line, len));
	struct endline e = { .kind = ENDLINE_OTHER,
		             .st = -1,
		             .tr_ms = -1,
		             .ta_ms = -1,
		             .bytes = -1,
		             .in = -1,
		             .out = -1,
		             .cached = -1,
		             .event = -1,
		             .tf_ms = -1,
		             .err = -1,
		             .ptime_ms = -1 };

	while (rest.len > 0 && e.kind == ENDLINE_OTHER) {
		struct slice word = take_until(&rest, ' ');

		if (slice_eq(word, "slo1")) {
			slo_err err = parse_fields(rest, &e);

			if (err != SLO_OK)
				return err;
			break;
		}
		/* These messages quote what a server wrote: a slo1 in there is not ours. */
		if (slice_eq(word, "Server") && parse_server(rest, &e))
			break;
		if (slice_eq(word, "Proxy") && parse_proxy(rest, &e))
			break;
		if ((slice_eq(word, "Health") || slice_eq(word, "Agent")) &&
		    slice_starts(rest, "check for "))
			break;
		parse_dropped(word, rest, &e);
	}
	*out = e;
	return SLO_OK;
}
