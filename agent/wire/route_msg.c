#include "wire/route_msg.h"

#include <stddef.h>
#include <string.h>

#include "wire/rd.h"
#include "wire/spop.h"

static struct slice str_of(const struct spop_value *v)
{
	return v->type == SPOP_T_STR ? v->s : (struct slice){ .p = NULL, .len = 0 };
}

static struct slice id_of(struct route_msg *m, const struct spop_value *v)
{
	struct slice s = str_of(v);

	m->long_id = s.len <= ROUTE_MSG_ID_MAX ? 0 : s.len;
	return s.len > 0 && m->long_id == 0 ? s : (struct slice){ .p = NULL, .len = 0 };
}

static struct slice body_of(const struct spop_value *v)
{
	return v->type == SPOP_T_BIN ? v->s : str_of(v);
}

/* Digits with blanks around them, as a header has them; -1 for anything else. */
static int64_t decimal(struct slice s)
{
	uint64_t n;

	return slice_decimal(slice_trim(s), INT64_MAX, &n) ? (int64_t)n : -1;
}

static int64_t count_of(const struct spop_value *v)
{
	int64_t n;

	if (v->type == SPOP_T_STR)
		return decimal(v->s);
	return spop_value_count(v, &n) ? n : -1;
}

static void tell_bad(struct route_msg *m, struct slice name, const struct spop_value *v)
{
	m->bad = v->s;
	m->bad_name = name;
	m->bad_count++;
}

/* A header that a client wrote: what is no number is told. */
static int64_t hint_of(struct route_msg *m, struct slice name, const struct spop_value *v)
{
	int64_t n = count_of(v);

	if (n < 0 && v->type == SPOP_T_STR && v->s.len > 0)
		tell_bad(m, name, v);
	return n;
}

/* Digits, with a minus before them if it is negative. */
static bool signed_decimal(struct slice s, int64_t *out)
{
	int64_t n;

	s = slice_trim(s);
	if (s.len > 1 && s.p[0] == '-') {
		n = decimal((struct slice){ s.p + 1, s.len - 1 });
		*out = -n;
		return n >= 0 && s.p[1] != ' ' && s.p[1] != '\t';
	}
	*out = decimal(s);
	return *out >= 0;
}

/* Of any sign; what is no number is told, and 0. */
static int64_t priority_of(struct route_msg *m, struct slice name, const struct spop_value *v)
{
	int64_t n = 0;

	if (v->type == SPOP_T_INT32 || v->type == SPOP_T_INT64)
		return v->i;
	if (v->type == SPOP_T_STR && v->s.len > 0 && !signed_decimal(v->s, &n)) {
		tell_bad(m, name, v);
		return 0;
	}
	if (v->type != SPOP_T_STR)
		(void)spop_value_count(v, &n);
	return n;
}

static int64_t larger(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

enum kind {
	TEXT,
	ID,   /* text of 1 to ROUTE_MSG_ID_MAX bytes */
	BODY, /* text or bytes */
	SIZE, /* a count; the largest counts */
	HINT, /* a count that a client wrote */
	PRIORITY,
	UNKNOWN,
};

/* Bytes of a name: what same_name() compares. */
#define SHORTEST_NAME 2
#define LONGEST_NAME  16

/* In the order of the sample configuration, so that mostly the next one is the one. */
static const struct argument {
	struct slice name;
	enum kind kind;
	size_t offset;
} arguments[] = {
/* A name that same_name() cannot compare makes an array of negative size. */
#define FITS(name) \
	(0 *       \
	 sizeof(char[sizeof(name) > SHORTEST_NAME && sizeof(name) <= LONGEST_NAME + 1 ? 1 : -1]))
#define ARGUMENT(name, kind, member)                                               \
	{                                                                          \
		SLICE(name), kind, offsetof(struct route_msg, member) + FITS(name) \
	}
	ARGUMENT("id", ID, id),
	ARGUMENT("path", TEXT, path),
	ARGUMENT("body", BODY, body),
	ARGUMENT("size", SIZE, size),
	ARGUMENT("clen", SIZE, size),
	ARGUMENT("encoding", TEXT, encoding),
	ARGUMENT("ctype", TEXT, ctype),
	ARGUMENT("model", TEXT, model),
	ARGUMENT("strategy", TEXT, strategy),
	ARGUMENT("slo_e2e_ms", HINT, slo_e2e_ms),
	ARGUMENT("slo_ttft_ms", HINT, slo_ttft_ms),
	ARGUMENT("slo_tpot_ms", HINT, slo_tpot_ms),
	ARGUMENT("prompt_tokens", HINT, prompt_tokens),
	ARGUMENT("max_tokens", HINT, max_tokens),
	ARGUMENT("traceparent", TEXT, trace),
	ARGUMENT("priority", PRIORITY, priority),
	ARGUMENT("secret", TEXT, secret),
#undef ARGUMENT
#undef FITS
	{ .kind = UNKNOWN }, /* of no name */
};
#define ARGUMENTS (sizeof(arguments) / sizeof(arguments[0]) - 1)
_Static_assert(ARGUMENTS < ROUTE_MSG_ARGUMENTS_MAX, "the header says so");

const char *route_msg_argument(size_t i)
{
	return i < ARGUMENTS ? (const char *)arguments[i].name.p : NULL; /* a literal */
}

static inline uint64_t load8(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t load4(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* slice_same() without a call, of at most LONGEST_NAME bytes: first and last bytes, which may
 * overlap.
 */
static inline bool same_name(struct slice a, struct slice b)
{
	if (a.len != b.len || a.len < SHORTEST_NAME)
		return false;
	if (a.len >= 8)
		return load8(a.p) == load8(b.p) && load8(a.p + a.len - 8) == load8(b.p + a.len - 8);
	if (a.len >= 4)
		return load4(a.p) == load4(b.p) && load4(a.p + a.len - 4) == load4(b.p + a.len - 4);
	return a.p[0] == b.p[0] && a.p[1] == b.p[1] && a.p[a.len - 1] == b.p[a.len - 1];
}

/* The index of the argument of that name, or ARGUMENTS. */
static size_t find_argument(struct slice name)
{
	size_t i = 0;

	while (i < ARGUMENTS && !same_name(name, arguments[i].name))
		i++;
	return i;
}

/* Returns the argument that probably comes next. */
static const struct argument *take(struct route_msg *m, const struct spop_arg *arg,
                                   const struct argument *a)
{
	const struct spop_value *v = &arg->value;
	void *at;

	if (!same_name(arg->name, a->name))
		a = &arguments[find_argument(arg->name)];
	at = (uint8_t *)m + a->offset;
	switch (a->kind) {
	case TEXT:
		*(struct slice *)at = str_of(v);
		break;
	case ID:
		*(struct slice *)at = id_of(m, v);
		break;
	case BODY:
		*(struct slice *)at = body_of(v);
		break;
	case SIZE:
		*(int64_t *)at = larger(*(int64_t *)at, count_of(v));
		break;
	case HINT:
		*(int64_t *)at = hint_of(m, arg->name, v);
		break;
	case PRIORITY:
		*(int64_t *)at = priority_of(m, arg->name, v);
		break;
	case UNKNOWN:
		return arguments;
	}
	return a + 1;
}

slo_err route_msg_parse(struct slice payload, struct route_msg *out)
{
	struct route_msg got = { .prompt_tokens = -1,
		                 .max_tokens = -1,
		                 .slo_e2e_ms = -1,
		                 .slo_ttft_ms = -1,
		                 .slo_tpot_ms = -1 };
	struct spop_msg msg = { .args_left = 0 };
	struct spop_arg arg;
	const struct argument *next = arguments;
	struct rd r;

	rd_init(&r, payload);
	while (spop_msg_next(&r, &msg)) {
		if (got.found || !slice_eq(msg.name, "slo-route"))
			continue;
		got.found = true;
		while (spop_arg_next(&r, &msg, &arg))
			next = take(&got, &arg, next);
	}
	if (r.bad)
		return SLO_EPROTO;
	got.size = larger(got.size, (int64_t)got.body.len);
	*out = got;
	return SLO_OK;
}
