#include "wire/route_msg.h"

#include <stddef.h>

#include "wire/rd.h"
#include "wire/spop.h"

static struct slice str_of(const struct spop_value *v)
{
	return v->type == SPOP_T_STR ? v->s : (struct slice){ .p = NULL, .len = 0 };
}

static struct slice id_of(const struct spop_value *v)
{
	struct slice s = str_of(v);

	return s.len > 0 && s.len <= ROUTE_MSG_ID_MAX ? s : (struct slice){ .p = NULL, .len = 0 };
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

/* A header that a client wrote: what is no number is told. */
static int64_t hint_of(struct route_msg *m, struct slice name, const struct spop_value *v)
{
	int64_t n = count_of(v);

	if (n < 0 && v->type == SPOP_T_STR && v->s.len > 0) {
		m->bad = v->s;
		m->bad_name = name;
		m->bad_count++;
	}
	return n;
}

static int64_t larger(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static void take_4(struct route_msg *m, struct slice name, const struct spop_value *v)
{
	if (slice_eq(name, "body"))
		m->body = body_of(v);
	else if (slice_eq(name, "path"))
		m->path = str_of(v);
	else if (slice_eq(name, "size") || slice_eq(name, "clen"))
		m->size = larger(m->size, count_of(v));
}

/* By length, so that a name is compared with at most a few others. */
static void take(struct route_msg *m, struct slice name, const struct spop_value *v)
{
	switch (name.len) {
	case sizeof("id") - 1:
		if (slice_eq(name, "id"))
			m->id = id_of(v);
		break;
	case sizeof("body") - 1:
		take_4(m, name, v);
		break;
	case sizeof("model") - 1:
		if (slice_eq(name, "model"))
			m->model = str_of(v);
		else if (slice_eq(name, "ctype"))
			m->ctype = str_of(v);
		break;
	case sizeof("secret") - 1:
		if (slice_eq(name, "secret"))
			m->secret = str_of(v);
		break;
	case sizeof("strategy") - 1:
		if (slice_eq(name, "strategy"))
			m->strategy = str_of(v);
		else if (slice_eq(name, "encoding"))
			m->encoding = str_of(v);
		break;
	case sizeof("max_tokens") - 1:
		if (slice_eq(name, "max_tokens"))
			m->max_tokens = hint_of(m, name, v);
		else if (slice_eq(name, "slo_e2e_ms"))
			m->slo_e2e_ms = hint_of(m, name, v);
		break;
	case sizeof("slo_ttft_ms") - 1:
		if (slice_eq(name, "slo_ttft_ms"))
			m->slo_ttft_ms = hint_of(m, name, v);
		else if (slice_eq(name, "slo_tpot_ms"))
			m->slo_tpot_ms = hint_of(m, name, v);
		break;
	case sizeof("prompt_tokens") - 1:
		if (slice_eq(name, "prompt_tokens"))
			m->prompt_tokens = hint_of(m, name, v);
		break;
	default:
		break;
	}
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
	struct rd r;

	rd_init(&r, payload);
	while (spop_msg_next(&r, &msg)) {
		if (got.found || !slice_eq(msg.name, "slo-route"))
			continue;
		got.found = true;
		while (spop_arg_next(&r, &msg, &arg))
			take(&got, arg.name, &arg.value);
	}
	if (r.bad)
		return SLO_EPROTO;
	got.size = larger(got.size, (int64_t)got.body.len);
	*out = got;
	return SLO_OK;
}
