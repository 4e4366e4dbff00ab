/* A value means something by where it stands: its role. The scanner keeps a stack of the
 * containers it is in; each has a role, and gives one to every member (by name) or element. */
#include "wire/body.h"

#include <string.h>

#include "slice.h"
#include "wire/json/json_scan.h"

enum {
	DEPTH_MAX = 24,
	KEY_MAX = 32,     /* longer than every name we know, decoded */
	OPAQUE_MIN = 512, /* bytes of a passed-over string that make it a blob */
};

enum role {
	R_SKIP,
	R_ROOT,
	R_MODEL,
	R_STREAM,
	R_N,
	R_BEST_OF,
	R_LIMIT, /* the output limits, best first */
	R_LIMIT_OLD,
	R_LIMIT_RESPONSES,
	R_LIMIT_TGI,
	R_LIMIT_SGLANG,
	R_LIMIT_END,
	R_PARAMETERS, /* objects around the last two */
	R_SAMPLING,
	R_RAW,   /* prompt as it is written, JSON and all */
	R_WORDS, /* a string is prompt, a container is R_RAW */
	R_PARTS, /* a string is prompt, an array has R_PARTs */
	R_PART,
	R_MESSAGES,
	R_MESSAGE,
	R_OWN_TEXT, /* like R_PARTS, but the type of the part or message must agree */
	R_TYPE,
	R_INPUT,  /* one prompt, or an array of R_PROMPT */
	R_PROMPT, /* a string, a number (one id of the prompt), an array of R_ID, an item */
	R_ID,
	R_CALLS,
	R_CALL,
	R_FUNCTION,
	R_FORMAT,
	ROLES
};

struct member {
	struct slice name;
	enum role role;
};

/* At most 32 each: struct frame has a bit for every member seen. */
static const struct member root_members[] = {
	{ SLICE("model"), R_MODEL },
	{ SLICE("messages"), R_MESSAGES },
	{ SLICE("prompt"), R_INPUT },
	{ SLICE("input"), R_INPUT },
	{ SLICE("inputs"), R_INPUT },
	{ SLICE("text"), R_INPUT },
	{ SLICE("input_ids"), R_INPUT },
	{ SLICE("system"), R_PARTS },
	{ SLICE("instructions"), R_PARTS },
	{ SLICE("suffix"), R_WORDS },
	{ SLICE("tools"), R_RAW },
	{ SLICE("functions"), R_RAW },
	{ SLICE("documents"), R_RAW },
	{ SLICE("response_format"), R_FORMAT },
	{ SLICE("stream"), R_STREAM },
	{ SLICE("n"), R_N },
	{ SLICE("best_of"), R_BEST_OF },
	{ SLICE("max_completion_tokens"), R_LIMIT },
	{ SLICE("max_tokens"), R_LIMIT_OLD },
	{ SLICE("max_output_tokens"), R_LIMIT_RESPONSES },
	{ SLICE("parameters"), R_PARAMETERS },
	{ SLICE("sampling_params"), R_SAMPLING },
};

/* A message, a part of one, or an input item: they share names and never disagree. */
static const struct member item_members[] = {
	{ SLICE("type"), R_TYPE },        { SLICE("text"), R_OWN_TEXT },
	{ SLICE("content"), R_OWN_TEXT }, { SLICE("output"), R_OWN_TEXT },
	{ SLICE("tool_calls"), R_CALLS }, { SLICE("function_call"), R_FUNCTION },
	{ SLICE("name"), R_SKIP },        { SLICE("arguments"), R_WORDS },
	{ SLICE("input"), R_RAW }, /* of a tool_use */
};

static const struct member call_members[] = { { SLICE("function"), R_FUNCTION } };
static const struct member function_members[] = { { SLICE("name"), R_WORDS },
	                                          { SLICE("arguments"), R_WORDS } };
static const struct member format_members[] = { { SLICE("json_schema"), R_RAW } };
static const struct member parameters_members[] = { { SLICE("max_new_tokens"), R_LIMIT_TGI } };
static const struct member sampling_members[] = { { SLICE("max_new_tokens"), R_LIMIT_SGLANG },
	                                          { SLICE("n"), R_N } };

/* What an object or array in this role is made of; nothing where it would be of the wrong type. */
#define MEMBERS(table) .members = (table), .nmembers = sizeof(table) / sizeof((table)[0])
static const struct shape {
	const struct member *members;
	size_t nmembers;
	enum role element;
} shapes[ROLES] = {
	[R_ROOT] = { MEMBERS(root_members) },
	[R_PARAMETERS] = { MEMBERS(parameters_members) },
	[R_SAMPLING] = { MEMBERS(sampling_members) },
	[R_PARTS] = { .element = R_PART },
	[R_PART] = { MEMBERS(item_members) },
	[R_MESSAGES] = { .element = R_MESSAGE },
	[R_MESSAGE] = { MEMBERS(item_members) },
	[R_OWN_TEXT] = { .element = R_PART },
	[R_INPUT] = { .element = R_PROMPT },
	[R_PROMPT] = { MEMBERS(item_members), .element = R_ID },
	[R_CALLS] = { .element = R_CALL },
	[R_CALL] = { MEMBERS(call_members) },
	[R_FUNCTION] = { MEMBERS(function_members) },
	[R_FORMAT] = { MEMBERS(format_members) },
};

/* Types whose own text is prompt. Without a type it is, too. */
static const struct slice text_types[] = {
	SLICE("text"),    SLICE("input_text"),  SLICE("output_text"),
	SLICE("message"), SLICE("tool_result"), SLICE("function_call_output"),
};

enum place { AT_FIRST, AT_NEXT, AFTER_ONE };

struct frame {
	enum role role;
	enum place place;
	bool object;
	bool blob;            /* it has a type, which is not of text */
	uint32_t seen;        /* members, by their index in the shape */
	const uint8_t *raw;   /* where the container starts, when it is R_RAW, else NULL */
	struct json_text own; /* waits for the type; raw.p NULL = none */
};

struct scan {
	struct json_cursor at;
	struct body_info *out;
	int64_t limits[R_LIMIT_END - R_LIMIT];
	int64_t best_of;
	size_t depth;
	bool bad;
	struct frame stack[DEPTH_MAX];
};

static struct frame *top(struct scan *s)
{
	return &s->stack[s->depth - 1];
}

static void feed(struct scan *s, struct json_text t)
{
	struct tokens *text = &s->out->text;
	struct slice piece;
	uint8_t buf[JSON_PIECE_MAX];

	tokens_gap(text);
	if (!t.escaped) {
		tokens_feed(text, t.raw.p, t.raw.len);
		return;
	}
	while (json_piece(&t.raw, buf, &piece))
		tokens_feed(text, piece.p, piece.len);
}

static void feed_raw(struct scan *s, const uint8_t *from)
{
	tokens_gap(&s->out->text);
	tokens_feed(&s->out->text, from, (size_t)(s->at.p - from));
}

static bool in_raw(const struct scan *s)
{
	for (size_t i = 0; i < s->depth; i++) {
		if (s->stack[i].raw)
			return true;
	}
	return false;
}

/* A string that is not prompt by itself. */
static void pass_over(struct scan *s, struct json_text t)
{
	if (!t.closed && t.raw.len >= OPAQUE_MIN)
		s->out->opaque_tail = !in_raw(s);
}

static void set_model(struct body_info *out, struct json_text t)
{
	size_t len = t.raw.len;

	if (!t.closed)
		return;
	if (t.escaped) {
		if (!json_decode(t.raw, out->model_buf, sizeof(out->model_buf), &len))
			return;
		t.raw.p = out->model_buf;
	}
	if (len > 0 && len <= BODY_MODEL_MAX)
		out->model = (struct slice){ .p = t.raw.p, .len = len };
}

static bool is_blob(struct json_text type)
{
	if (!type.closed)
		return false;
	for (size_t i = 0; i < sizeof(text_types) / sizeof(text_types[0]); i++) {
		if (slice_same(type.raw, text_types[i]))
			return false;
	}
	return true;
}

static void on_string(struct scan *s, enum role role, struct json_text t)
{
	switch (role) {
	case R_MODEL:
		set_model(s->out, t);
		break;
	case R_TYPE:
		top(s)->blob = is_blob(t);
		break;
	case R_OWN_TEXT:
		if (top(s)->own.raw.p)
			pass_over(s, t);
		else
			top(s)->own = t;
		break;
	case R_PROMPT:
	case R_INPUT:
		s->out->prompts++;
		feed(s, t);
		break;
	case R_WORDS:
	case R_PARTS:
	case R_PART:
	case R_RAW:
		feed(s, t);
		break;
	default:
		pass_over(s, t);
	}
}

static void on_number(struct scan *s, enum role role, int64_t value)
{
	if (value < 0)
		return;
	if (value > INT32_MAX)
		value = INT32_MAX;
	if (role >= R_LIMIT && role < R_LIMIT_END)
		s->limits[role - R_LIMIT] = value;
	else if (role == R_N && value > 0)
		s->out->n = value;
	else if (role == R_BEST_OF)
		s->best_of = value;
}

/* A number, true, false or null. false: stop. */
static bool scalar(struct scan *s, enum role role)
{
	struct slice word = json_word(&s->at);
	bool cut = s->at.p == s->at.end;
	bool numeric = word.len > 0 && (word.p[0] == '-' || (word.p[0] >= '0' && word.p[0] <= '9'));
	int64_t n;

	if (numeric) {
		/* An id is one token whatever it is, even when it is cut. */
		if (role == R_ID || role == R_PROMPT)
			s->out->ids++;
		if (cut)
			return false;
		s->bad = !json_number(word, &n);
		if (!s->bad)
			on_number(s, role, n);
		return !s->bad;
	}
	s->bad = word.len == 0 || !json_literal(word, cut);
	if (!s->bad && role == R_STREAM && !slice_eq(word, "null")) {
		s->out->stream = slice_eq(word, "true");
		s->out->has_stream = s->out->stream || slice_eq(word, "false");
	}
	return !s->bad && !cut;
}

/* A container starts. false: it was too deep and the text ended in it. */
static bool push(struct scan *s, enum role role, bool object)
{
	const uint8_t *start = s->at.p;
	bool raw = role == R_RAW || role == R_WORDS;

	if (role == R_MESSAGE || (role == R_PROMPT && object))
		s->out->messages += object;
	if (role == R_PROMPT && !object)
		s->out->prompts++;
	/* A single part, not in an array. */
	if (object && (role == R_PARTS || role == R_OWN_TEXT))
		role = R_PART;
	json_take(&s->at);
	if (s->depth == DEPTH_MAX) {
		bool closed = json_skip(&s->at);

		if (raw)
			feed_raw(s, start);
		return closed;
	}
	s->stack[s->depth++] = (struct frame){
		.role = raw ? R_SKIP : role,
		.object = object,
		.raw = raw ? start : NULL,
	};
	return true;
}

/* The container on top ends, or the sample does. */
static void pop(struct scan *s)
{
	struct frame *f = top(s);

	if (f->raw)
		feed_raw(s, f->raw);
	if (f->own.raw.p) {
		if (f->blob)
			pass_over(s, f->own);
		else
			feed(s, f->own);
	}
	s->depth--;
}

/* The value that stands next. false: stop. */
static bool value(struct scan *s, enum role role)
{
	int b = json_peek(&s->at);

	if (b == JSON_CUT)
		return false;
	if (b == '{' || b == '[')
		return push(s, role, b == '{');
	if (b == '"') {
		struct json_text t = json_quoted(&s->at);

		on_string(s, role, t);
		return t.closed;
	}
	return scalar(s, role);
}

/* The role of the member called key, R_SKIP if it is unknown or was there before. */
static enum role member_role(struct frame *f, struct json_text key)
{
	const struct shape *shape = &shapes[f->role];
	struct slice name = key.raw;
	uint8_t buf[KEY_MAX];

	if (key.escaped) {
		if (!json_decode(key.raw, buf, sizeof(buf), &name.len))
			return R_SKIP;
		name.p = buf;
	}
	for (size_t i = 0; i < shape->nmembers; i++) {
		uint32_t bit = UINT32_C(1) << i;

		if (!slice_same(name, shape->members[i].name))
			continue;
		if (f->seen & bit)
			return R_SKIP;
		f->seen |= bit;
		return shape->members[i].role;
	}
	return R_SKIP;
}

static bool member(struct scan *s, struct frame *f)
{
	struct json_text key;
	int b = json_peek(&s->at);

	if (b != '"') {
		s->bad = b != JSON_CUT;
		return false;
	}
	key = json_quoted(&s->at);
	if (!key.closed)
		return false;
	b = json_peek(&s->at);
	if (b != ':') {
		s->bad = b != JSON_CUT;
		return false;
	}
	json_take(&s->at);
	return value(s, member_role(f, key));
}

/* One member or element, or the end of the container on top. false: stop. */
static bool step(struct scan *s)
{
	struct frame *f = top(s);
	int b = json_peek(&s->at);

	if (b == JSON_CUT)
		return false;
	if (b == (f->object ? '}' : ']') && f->place != AT_NEXT) {
		json_take(&s->at);
		pop(s);
		return true;
	}
	if (f->place == AFTER_ONE) {
		if (b != ',') {
			s->bad = true;
			return false;
		}
		json_take(&s->at);
		f->place = AT_NEXT;
		return true;
	}
	f->place = AFTER_ONE;
	return f->object ? member(s, f) : value(s, shapes[f->role].element);
}

static void conclude(struct scan *s)
{
	struct body_info *out = s->out;

	for (size_t i = 0; i < sizeof(s->limits) / sizeof(s->limits[0]) && out->max_tokens < 0; i++)
		out->max_tokens = s->limits[i];
	if (s->best_of > out->n)
		out->n = s->best_of;
	if (out->prompts < 1)
		out->prompts = 1;
	/* Both are below 2^31 unless the sample is larger than memory: no overflow. */
	out->sequences = out->prompts * out->n;
	if (out->sequences > INT32_MAX)
		out->sequences = INT32_MAX;
}

void body_scan(struct slice sample, struct body_info *out)
{
	struct scan s;

	memset(out, 0, offsetof(struct body_info, model_buf));
	tokens_init(&out->text);
	out->max_tokens = -1;
	out->n = 1;
	out->prompts = 1;
	out->sequences = 1;
	if (sample.len == 0)
		return;
	s.at = (struct json_cursor){ .p = sample.p, .end = sample.p + sample.len };
	s.out = out;
	s.depth = 0;
	s.best_of = 0;
	s.bad = false;
	for (size_t i = 0; i < sizeof(s.limits) / sizeof(s.limits[0]); i++)
		s.limits[i] = -1;
	if (json_peek(&s.at) == '{' && push(&s, R_ROOT, true)) {
		out->prompts = 0;
		while (s.depth > 0 && step(&s))
			;
		out->complete = s.depth == 0;
		while (s.depth > 0)
			pop(&s);
		out->is_json = !s.bad && (!out->complete || json_peek(&s.at) == JSON_CUT);
		conclude(&s);
	}
	out->scanned = (size_t)(s.at.p - sample.p);
}

int64_t body_prompt_tokens(const struct body_info *b, const struct token_weights *w, int64_t size)
{
	int64_t counted =
	    tokens_total(&b->text, w) + b->ids + b->messages * BODY_TOKENS_PER_MESSAGE;
	double tokens = (double)counted;

	if (!b->complete && !b->opaque_tail && b->scanned > 0 && size > (int64_t)b->scanned)
		tokens *= (double)size / (double)b->scanned;
	if (b->messages > 0)
		tokens += BODY_TOKENS_PER_CHAT;
	return tokens < (double)INT32_MAX ? (int64_t)(tokens + 0.5) : INT32_MAX;
}
