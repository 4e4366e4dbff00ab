#include "wire/endline.h"

#include <stdbool.h>
#include <string.h>

#include "wire/rd.h"

static bool starts(struct slice s, const char *text)
{
	size_t len = strlen(text);

	return s.len >= len && memcmp(s.p, text, len) == 0;
}

/* Takes what stands before the next b, or all of it, off *rest; b goes with it. */
static struct slice take_until(struct slice *rest, int b)
{
	const uint8_t *at = rest->len > 0 ? memchr(rest->p, b, rest->len) : NULL;
	struct slice head = { .p = rest->p, .len = at ? (size_t)(at - rest->p) : rest->len };
	size_t gone = at ? head.len + 1 : head.len;

	if (gone > 0)
		*rest = (struct slice){ .p = rest->p + gone, .len = rest->len - gone };
	return head;
}

/* Digits only, at least one. false: something else, or above max. */
static bool decimal(struct slice s, uint64_t max, uint64_t *value)
{
	uint64_t v = 0;

	for (size_t i = 0; i < s.len; i++) {
		uint64_t digit = (uint64_t)s.p[i] - '0';

		if (s.p[i] < '0' || s.p[i] > '9' || v > (max - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	*value = v;
	return s.len > 0;
}

static int64_t number(struct slice s)
{
	uint64_t v;

	if (s.len > 0 && s.p[0] == '+') /* %Ta under logasap */
		s = (struct slice){ .p = s.p + 1, .len = s.len - 1 };
	return decimal(s, INT64_MAX, &v) ? (int64_t)v : -1;
}

static struct slice text(struct slice s)
{
	if (s.len == 0 || slice_eq(s, "-") || slice_eq(s, "<NOSRV>"))
		return (struct slice){ 0 };
	return s;
}

/* In the order of the sample configuration's log-format. */
static const struct field {
	struct slice key;
	bool number;
	size_t offset;
} fields[] = {
	{ SLICE("id"), false, offsetof(struct endline, id) },
	{ SLICE("be"), false, offsetof(struct endline, be) },
	{ SLICE("srv"), false, offsetof(struct endline, srv) },
	{ SLICE("st"), true, offsetof(struct endline, st) },
	{ SLICE("tr"), true, offsetof(struct endline, tr_ms) },
	{ SLICE("ta"), true, offsetof(struct endline, ta_ms) },
	{ SLICE("bytes"), true, offsetof(struct endline, bytes) },
	{ SLICE("ts"), false, offsetof(struct endline, ts) },
	{ SLICE("in"), true, offsetof(struct endline, in) },
	{ SLICE("out"), true, offsetof(struct endline, out) },
};
#define FIELDS (sizeof(fields) / sizeof(fields[0]))

/* The index of key among the fields, or FIELDS. It mostly stands right at `from`. */
static size_t find_field(struct slice key, size_t from)
{
	for (size_t n = 0; n < FIELDS; n++) {
		size_t i = from + n < FIELDS ? from + n : from + n - FIELDS;

		if (slice_same(key, fields[i].key))
			return i;
	}
	return FIELDS;
}

static void set_field(struct endline *e, const struct field *f, struct slice value)
{
	uint8_t *at = (uint8_t *)e + f->offset;

	if (f->number)
		*(int64_t *)(void *)at = number(value);
	else
		*(struct slice *)(void *)at = text(value);
}

/* Keys are a few bytes long: too short for memchr(). */
static struct slice take_key(struct slice *word)
{
	struct slice key = { .p = word->p, .len = 0 };

	while (key.len < word->len && word->p[key.len] != '=')
		key.len++;
	if (key.len < word->len)
		*word = (struct slice){ .p = key.p + key.len + 1, .len = word->len - key.len - 1 };
	else
		*word = (struct slice){ 0 };
	return key;
}

static slo_err parse_fields(struct slice rest, struct endline *e)
{
	uint32_t seen = 0;
	size_t next = 0;

	e->kind = ENDLINE_END;
	while (rest.len > 0) {
		struct slice value = take_until(&rest, ' ');
		struct slice key = take_key(&value);
		size_t i = find_field(key, next);

		if (i == FIELDS || seen & UINT32_C(1) << i)
			continue;
		seen |= UINT32_C(1) << i;
		next = i + 1 < FIELDS ? i + 1 : 0;
		set_field(e, &fields[i], value);
	}
	return e->id.len > 0 && e->id.len <= ENDLINE_ID_MAX ? SLO_OK : SLO_EPROTO;
}

/* HAProxy's phrases behind "Server be/srv ", the longer before its own beginning. */
static const struct {
	const char *phrase;
	enum endline_state state;
} changes[] = {
	{ "is UP/DRAIN", ENDLINE_DRAIN },
	{ "is UP", ENDLINE_UP },
	{ "is DOWN", ENDLINE_DOWN },
	{ "is going DOWN for maintenance", ENDLINE_MAINT },
	{ "was DOWN and now enters maintenance", ENDLINE_MAINT },
	{ "remains in maintenance", ENDLINE_MAINT },
	{ "remains in forced maintenance", ENDLINE_MAINT },
	{ "enters drain state", ENDLINE_DRAIN },
	{ "remains in drain mode", ENDLINE_DRAIN },
	{ "remains in forced drain mode", ENDLINE_DRAIN },
	{ "is leaving forced drain but remains in drain mode", ENDLINE_DRAIN },
	{ "is stopping", ENDLINE_DRAIN },
};

/* rest is what stands behind "Server ". Whether this is a message about a server, if only one that
 * changes nothing. */
static bool parse_server(struct slice rest, struct endline *e)
{
	struct slice srv = take_until(&rest, ' ');
	struct slice be = take_until(&srv, '/');

	if (be.len == 0 || srv.len == 0)
		return false;
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		if (!starts(rest, changes[i].phrase))
			continue;
		e->kind = ENDLINE_SERVER;
		e->state = changes[i].state;
		e->be = be;
		e->srv = srv;
		break;
	}
	return true;
}

/* "3", and what stands behind it. */
static void parse_dropped(struct slice word, struct slice rest, struct endline *e)
{
	uint64_t n;

	if (!slice_eq(rest, "event dropped") && !slice_eq(rest, "events dropped") &&
	    !slice_eq(rest, "event(s) dropped"))
		return;
	if (decimal(word, UINT32_MAX, &n)) { /* no ring holds more lines */
		e->kind = ENDLINE_DROPPED;
		e->dropped = n;
	}
}

static struct slice without_line_end(const uint8_t *line, size_t len)
{
	while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r' || line[len - 1] == 0))
		len--;
	return (struct slice){ .p = line, .len = len };
}

slo_err endline_parse(const uint8_t *line, size_t len, struct endline *out)
{
	struct slice rest = without_line_end(line, len);
	struct endline e = { .kind = ENDLINE_OTHER,
		             .st = -1,
		             .tr_ms = -1,
		             .ta_ms = -1,
		             .bytes = -1,
		             .in = -1,
		             .out = -1 };

	while (rest.len > 0 && e.kind == ENDLINE_OTHER) {
		struct slice word = take_until(&rest, ' ');

		if (slice_eq(word, "slo1")) {
			slo_err err = parse_fields(rest, &e);

			if (err != SLO_OK)
				return err;
			break;
		}
		/* Both quote what the server answered: a slo1 in there is not ours. */
		if (slice_eq(word, "Server") && parse_server(rest, &e))
			break;
		if (slice_eq(word, "Health") && starts(rest, "check for "))
			break;
		parse_dropped(word, rest, &e);
	}
	*out = e;
	return SLO_OK;
}
