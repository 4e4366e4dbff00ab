/* The scanner reads the JSON once, because every request passes here and a tree would cost more
 * than the decision. It keeps a stack of the containers that it is in; each has a role
 * (body_private.h), which says what its members mean. Engines take the last of two members of one
 * name, and the scanner cannot know which one is the last before the end. So when a member of the
 * root comes twice, it reads the body a second time and counts only the last one. */
#include "wire/body.h"

#include <string.h>

#include "body_private.h"
#include "slice.h"
#include "wire/json/json_scan.h"

enum {
	DEPTH_MAX = 24,
};

struct frame {
	enum role role;
	bool object;
	bool after_one;       /* member or element */
	bool blob;            /* its type is none of text_types */
	bool thought;         /* this message has told its reasoning already */
	bool literal;         /* R_RAW without images */
	const uint8_t *raw;   /* where the container starts, if it is R_RAW, else NULL */
	size_t own_member;    /* the index of the member that `own` is the value of */
	struct json_text own; /* a text whose part may still tell its type; raw.p NULL = none */
};

struct scan {
	struct json_cursor at;
	struct body_info *out;
	int64_t limits[R_LIMIT_END - R_LIMIT];
	int64_t best_of;
	size_t depth;
	bool bad;
	bool agent;                    /* it names one */
	bool bytes;                    /* the name of the member that comes says so */
	bool twice;                    /* a member of the root came again */
	bool last;                     /* this is the second pass */
	size_t member;                 /* the index of the latest member */
	uint32_t times[BODY_ROOT_MAX]; /* how often each member of the root came (first pass), or is
	                                * still to come (second pass) */
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

/* What is counted as it is written may hold an image: it is left out. start is where the string
 * stands. */
static void leave_out_base64(struct scan *s, struct json_text t, const uint8_t *start, bool bytes)
{
	for (size_t i = 0; i < s->depth; i++) {
		struct frame *f = &s->stack[i];

		if (!f->raw || f->literal || !body_is_base64(t.raw, bytes))
			continue;
		tokens_gap(&s->out->text);
		tokens_feed(&s->out->text, f->raw, (size_t)(start - f->raw));
		f->raw = s->at.p;
		s->out->opaque = true;
		s->out->opaque_tail = !t.closed;
		return;
	}
}

/* A string that is not prompt by itself. */
static void pass_over(struct scan *s, struct json_text t)
{
	if (!t.closed && t.raw.len >= BODY_BLOB_MIN)
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

static void set_type(struct scan *s, struct json_text type)
{
	top(s)->blob = type.closed && !body_is_text_type(type.raw);
	if (top(s)->blob && !body_is_plain_type(type.raw))
		s->out->opaque = true;
}

/* Of one member given twice the last text counts, of several members the longest. */
static void set_own(struct scan *s, struct json_text t)
{
	struct frame *f = top(s);

	if (f->own.raw.p && f->own_member != s->member && f->own.raw.len >= t.raw.len) {
		pass_over(s, t);
		return;
	}
	f->own = t;
	f->own_member = s->member;
}

static void on_bool(struct scan *s, enum role role, bool value)
{
	struct body_info *out = s->out;

	if (role == R_STREAM) {
		out->has_stream = true;
		out->stream = value;
	} else if (role == R_IGNORE_EOS) {
		out->ignore_eos = value;
	} else if (role == R_RECEIPT) {
		out->receipt = value;
	} else if (role == R_BULKY) {
		out->bulky |= value;
	} else if (role == R_OPAQUE) {
		out->opaque |= value;
	}
}

static void on_number(struct scan *s, enum role role, int64_t value)
{
	struct body_info *out = s->out;

	if (role == R_OPAQUE)
		out->opaque = true;
	if (value < 0)
		return;
	if (value > INT32_MAX)
		value = INT32_MAX;
	if (role >= R_LIMIT && role < R_LIMIT_END)
		s->limits[role - R_LIMIT] = value;
	else if (role == R_N && value > 0)
		out->n = value;
	else if (role == R_BEST_OF)
		s->best_of = value;
	else if (role == R_MIN)
		out->min_tokens = value;
	else if (role == R_BULKY && value > 0)
		out->bulky = true;
	else if (role == R_STREAM && value <= 1)
		on_bool(s, role, value == 1);
}

/* Engines read "12" as 12 and "true" or "yes" as true. */
static void on_quoted_scalar(struct scan *s, enum role role, struct json_text t)
{
	struct slice word = slice_trim(t.raw);
	int64_t n;

	if (!t.closed || t.escaped)
		return;
	if (json_number(word, &n))
		on_number(s, role, n);
	else if (body_is_yes(word) || body_is_no(word))
		on_bool(s, role, body_is_yes(word));
}

/* A string that is prompt, or else says something of it. false: neither. */
static bool on_text(struct scan *s, enum role role, struct json_text t)
{
	switch (role) {
	case R_PROMPT:
	case R_INPUT:
	case R_STORED:
	case R_TEXT:
		s->out->prompts++;
		break;
	case R_TEXTS:
		s->out->asks = true;
		break;
	case R_WORDS:
	case R_ARGUMENTS:
	case R_PARTS:
	case R_PART:
	case R_RAW:
	case R_TOOLS:
		break;
	case R_THOUGHT:
		if (top(s)->thought)
			return false;
		top(s)->thought = t.raw.len > 0;
		break;
	default:
		return false;
	}
	feed(s, t);
	return true;
}

static void on_string(struct scan *s, enum role role, struct json_text t)
{
	if (on_text(s, role, t))
		return;
	switch (role) {
	case R_MODEL:
		set_model(s->out, t);
		break;
	case R_TYPE:
		set_type(s, t);
		break;
	case R_OWN_TEXT:
		set_own(s, t);
		break;
	case R_FORMAT_TYPE:
		s->out->schema |= slice_eq(t.raw, "json_schema") || slice_eq(t.raw, "json_object");
		break;
	case R_SCHEMA:
		s->out->schema |= t.raw.len > 0;
		break;
	case R_AGENT:
		s->agent = t.raw.len > 0;
		break;
	case R_OPAQUE:
		s->out->opaque |= t.raw.len > 0;
		pass_over(s, t);
		break;
	default:
		if (role >= R_STREAM && role <= R_IGNORE_EOS)
			on_quoted_scalar(s, role, t);
		else
			pass_over(s, t);
	}
}

/* Python's json knows these as numbers. */
static bool is_no_number(struct slice word, bool cut)
{
	static const struct slice names[] = { SLICE("NaN"), SLICE("Infinity"), SLICE("-Infinity") };

	for (size_t i = 0; i < 3; i++) {
		if ((word.len == names[i].len || (cut && word.len < names[i].len)) &&
		    memcmp(word.p, names[i].p, word.len) == 0)
			return true;
	}
	return false;
}

/* A number, true, false, null or what Python takes for a number. false: stop. */
static bool scalar(struct scan *s, enum role role)
{
	struct slice word = json_word(&s->at);
	bool cut = s->at.p == s->at.end;
	bool numeric = word.len > 0 && (word.p[0] == '-' || (word.p[0] >= '0' && word.p[0] <= '9'));
	int64_t n;

	if (word.len > 0 && (word.p[0] == 'N' || word.p[0] == 'I' || word.p[0] == '-') &&
	    is_no_number(word, cut))
		return !cut;
	if (numeric) {
		/* An id is one token whatever it is, even when it is cut. */
		if (role == R_ID || role == R_PROMPT || role == R_TEXTS)
			s->out->ids++;
		if (cut)
			return false;
		s->bad = !json_number(word, &n);
		if (!s->bad)
			on_number(s, role, n);
		return !s->bad;
	}
	s->bad = word.len == 0 || !json_literal(word, cut);
	if (s->bad)
		return false;
	if (slice_eq(word, "true") || slice_eq(word, "false"))
		on_bool(s, role, word.p[0] == 't');
	return !cut;
}

/* What an object or array of that role says by being there. Returns the role it has then. */
static enum role container_role(struct scan *s, enum role role, bool object)
{
	struct body_info *out = s->out;
	bool empty = json_peek(&s->at) == (object ? '}' : ']');

	switch (role) {
	case R_MESSAGE:
		out->messages += object;
		out->prompts += !object;
		return object ? R_MESSAGE : R_CHAT;
	case R_PROMPT:
		out->messages += object;
		out->prompts += !object;
		break;
	case R_STORED:
		out->opaque |= object;
		return object ? R_PART : R_INPUT;
	case R_TEXT:
		return object ? R_TEXT : R_INPUT;
	case R_PARTS: /* a single part, not in an array */
	case R_OWN_TEXT:
		return object ? R_PART : role;
	case R_THOUGHT:
		if (top(s)->thought)
			return R_SKIP;
		top(s)->thought = !empty;
		return object ? R_PART : role;
	case R_OPAQUE:
		out->opaque |= !empty;
		break;
	case R_SCHEMA:
		out->schema = true;
		break;
	case R_BULKY:
		out->bulky |= !empty;
		break;
	case R_TOOLS:
		out->tools |= !empty;
		return R_RAW;
	case R_TEXTS:
		return object ? R_RAW : role;
	case R_WORDS:
	case R_ARGUMENTS:
		return R_RAW;
	default:
		break;
	}
	return role;
}

/* A container starts. false: it was too deep and the text ended in it. */
static bool push(struct scan *s, enum role role, bool object)
{
	const uint8_t *start = s->at.p;
	bool literal = role == R_TOOLS || role == R_ARGUMENTS;

	json_take(&s->at);
	role = container_role(s, role, object);
	if (s->depth == DEPTH_MAX) {
		bool closed = json_skip(&s->at);

		if (role == R_RAW)
			feed_raw(s, start);
		return closed;
	}
	s->stack[s->depth++] = (struct frame){
		.role = role == R_RAW ? R_SKIP : role,
		.object = object,
		.literal = literal,
		.raw = role == R_RAW ? start : NULL,
		.blob = role == R_SOURCE, /* until its type says that it is text */
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
		if (f->blob) {
			pass_over(s, f->own);
			s->out->opaque |= f->role == R_SOURCE;
		} else
			feed(s, f->own);
	}
	s->depth--;
}

/* The value that stands next. false: stop. */
static bool value(struct scan *s, enum role role)
{
	int b = json_peek(&s->at);
	bool bytes = s->bytes;

	s->bytes = false;
	if (b == JSON_CUT)
		return false;
	if (b == '{' || b == '[')
		return push(s, role, b == '{');
	if (b == '"') {
		const uint8_t *start = s->at.p;
		struct json_text t = json_quoted(&s->at);

		on_string(s, role, t);
		if (t.raw.len >= BODY_BLOB_MIN)
			leave_out_base64(s, t, start, bytes);
		return t.closed;
	}
	return scalar(s, role);
}

/* The role of the root's member. */
static enum role root_role(struct scan *s, size_t i)
{
	if (s->last) /* 0 times: the last one was cut */
		return s->times[i]-- == 1 ? body_shapes[R_ROOT].members[i].role : R_SKIP;
	s->twice |= ++s->times[i] > 1;
	return body_shapes[R_ROOT].members[i].role;
}

/* The role of the member called key, R_SKIP if it is unknown. */
static enum role member_role(struct scan *s, const struct frame *f, struct json_text key)
{
	const struct shape *shape = &body_shapes[f->role];
	const struct member *known;
	struct slice name = key.raw;
	uint8_t buf[BODY_KEY_MAX];

	s->member = shape->nmembers;
	if (key.escaped) {
		if (!json_decode(key.raw, buf, sizeof(buf), &name.len))
			return R_SKIP;
		name.p = buf;
	}
	known = body_member(f->role, name);
	if (!known)
		return R_SKIP;
	s->member = (size_t)(known - shape->members);
	return f->role == R_ROOT ? root_role(s, s->member) : known->role;
}

/* A member whose value was cut is as if it was not there, unless it is a text, which goes on. */
static void forget_cut(struct scan *s, const struct frame *f, size_t i)
{
	if (f->role == R_ROOT && f == top(s) && !s->bad && !s->last &&
	    i < body_shapes[R_ROOT].nmembers && body_shapes[R_ROOT].members[i].role < R_PARAMETERS)
		s->times[i]--;
}

static bool member(struct scan *s, struct frame *f)
{
	struct json_text key;
	enum role role;
	size_t i;
	bool ok;
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
	role = member_role(s, f, key);
	s->bytes = body_names_bytes(key.raw);
	i = s->member;
	ok = value(s, role);
	if (!ok)
		forget_cut(s, f, i);
	return ok;
}

/* One member or element, or the end of the container on top. false: stop. */
static bool step(struct scan *s)
{
	struct frame *f = top(s);
	int b = json_peek(&s->at);

	if (b == JSON_CUT)
		return false;
	if (b == (f->object ? '}' : ']')) {
		json_take(&s->at);
		pop(s);
		return true;
	}
	if (f->after_one) {
		if (b != ',') {
			s->bad = true;
			return false;
		}
		json_take(&s->at);
	}
	f->after_one = true;
	return f->object ? member(s, f) : value(s, body_shapes[f->role].element);
}

static void conclude(struct scan *s)
{
	struct body_info *out = s->out;

	for (size_t i = 0; i < sizeof(s->limits) / sizeof(s->limits[0]) && out->max_tokens < 0; i++)
		out->max_tokens = s->limits[i];
	if (s->best_of > out->n)
		out->n = s->best_of;
	out->opaque |= s->agent && !out->model.p;
	out->asks |= out->prompts > 0 || out->messages > 0 || out->ids > 0 || out->opaque;
	if (out->prompts < 1)
		out->prompts = 1;
	/* Both are below 2^31 unless the sample is larger than memory: no overflow. */
	out->sequences = out->prompts * out->n;
	if (out->sequences > INT32_MAX)
		out->sequences = INT32_MAX;
}

static void reset(struct body_info *out)
{
	memset(out, 0, offsetof(struct body_info, model_buf));
	tokens_init(&out->text);
	out->max_tokens = -1;
	out->n = 1;
	out->prompts = 1;
	out->sequences = 1;
}

/* One pass over the document, which starts at s->at. */
static void pass(struct scan *s, struct body_info *out)
{
	s->out = out;
	s->depth = 0;
	s->best_of = 0;
	s->agent = s->bytes = false;
	s->bad = false;
	for (size_t i = 0; i < sizeof(s->limits) / sizeof(s->limits[0]); i++)
		s->limits[i] = -1;
	out->blank = json_peek(&s->at) == JSON_CUT;
	if (out->blank || json_peek(&s->at) != '{' || !push(s, R_ROOT, true))
		return;
	out->prompts = 0;
	while (s->depth > 0 && step(s))
		;
	out->complete = s->depth == 0;
	while (s->depth > 0)
		pop(s);
	out->is_json = !s->bad && (!out->complete || json_peek(&s->at) == JSON_CUT);
	conclude(s);
}

void body_scan(struct slice sample, struct body_info *out)
{
	struct scan s;
	size_t mark = body_mark(sample);

	reset(out);
	if (sample.len == 0)
		return;
	s.twice = false;
	s.last = false;
	memset(s.times, 0, sizeof(s.times));
	s.at = (struct json_cursor){ .p = sample.p + mark, .end = sample.p + sample.len };
	pass(&s, out);
	if (s.twice) {
		reset(out);
		s.last = true;
		s.at.p = sample.p + mark;
		pass(&s, out);
	}
	out->scanned = (size_t)(s.at.p - sample.p);
	out->form = out->is_json ? BODY_JSON : BODY_BROKEN;
}
