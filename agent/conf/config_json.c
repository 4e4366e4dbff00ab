#include "conf/config_json.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 8  /* models, M, deployments, D, servers, element */
#define WORD_MAX  32 /* longer keys get no suggestion */

struct unit {
	const char *suffix;
	int64_t factor;
};

static const struct unit time_units[] = {
	{ "d", 86400 * SLO_NSEC_PER_SEC }, { "h", 3600 * SLO_NSEC_PER_SEC },
	{ "m", 60 * SLO_NSEC_PER_SEC },    { "s", SLO_NSEC_PER_SEC },
	{ "ms", SLO_NSEC_PER_MSEC },       { "us", 1000 },
	{ "", SLO_NSEC_PER_MSEC }, /* HAProxy's way */
};
static const struct unit size_units[] = {
	{ "g", 1 << 30 }, { "m", 1 << 20 }, { "k", 1 << 10 }, { "G", 1 << 30 },
	{ "M", 1 << 20 }, { "K", 1 << 10 }, { "", 1 },
};
#define TIME_UNITS (sizeof(time_units) / sizeof(time_units[0]))
#define SIZE_UNITS (sizeof(size_units) / sizeof(size_units[0]))

struct cfg_node cfg_member(const struct cfg_node *object, const char *key)
{
	return (struct cfg_node){
		.value = json_object_get(object->value, key),
		.parent = object,
		.key = key,
	};
}

struct cfg_node cfg_element(const struct cfg_node *array, size_t index)
{
	return (struct cfg_node){
		.value = json_array_get(array->value, index),
		.parent = array,
		.index = index,
	};
}

/* Outermost step first. */
static size_t path_of(const struct cfg_node *n, struct jsonpos_step path[DEPTH_MAX])
{
	size_t depth = 0, i;

	for (const struct cfg_node *a = n; a->parent; a = a->parent)
		depth++;
	i = depth;
	for (const struct cfg_node *a = n; a->parent; a = a->parent)
		path[--i] = (struct jsonpos_step){ .key = a->key, .index = a->index };
	return depth;
}

void cfg_printable(char *s)
{
	for (; *s != '\0'; s++) {
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
	}
}

/* Drops what snprintf left of a character that it cut. */
static void trim_character(char *s)
{
	size_t len = strlen(s), start = len;
	unsigned char lead;
	size_t want;

	while (start > 0 && ((unsigned char)s[start - 1] & 0xc0) == 0x80)
		start--;
	if (start == 0)
		return;
	lead = (unsigned char)s[start - 1];
	want = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
	if (len - (start - 1) < want)
		s[start - 1] = '\0';
}

static void print_key(const struct jsonpos_step *path, size_t depth, char *out, size_t cap)
{
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < depth && used < cap; i++) {
		int n = path[i].key ? snprintf(out + used, cap - used, "%s%s", i > 0 ? "." : "",
		                               path[i].key)
		                    : snprintf(out + used, cap - used, "[%zu]", path[i].index);

		used += n > 0 ? (size_t)n : 0;
	}
	trim_character(out);
	cfg_printable(out);
}

void cfg_fail(struct cfg_doc *d, const struct cfg_node *n, enum jsonpos_part part,
              const char *format, ...)
{
	struct config_error *err = d->err;
	struct jsonpos_step path[DEPTH_MAX];
	struct jsonpos pos;
	size_t depth, offset = 0;
	va_list args;

	if (d->failed)
		return;
	d->failed = true;
	va_start(args, format);
	vsnprintf(err->message, sizeof(err->message), format, args);
	va_end(args);
	depth = path_of(n, path);
	print_key(path, depth, err->key, sizeof(err->key));
	if (!n->value && depth > 0)
		depth--;
	if (!jsonpos_find(d->text, d->len, path, depth, part, &offset))
		offset = 0;
	pos = jsonpos_at(d->text, d->len, offset);
	err->line = pos.line;
	err->column = pos.column;
}

void cfg_no_memory(struct cfg_doc *d)
{
	if (d->failed)
		return;
	d->failed = true;
	snprintf(d->err->message, sizeof(d->err->message), "out of memory");
}

struct cfg_quote cfg_quote(const char *s)
{
	struct cfg_quote q;
	int n = snprintf(q.s, sizeof(q.s) - 3, "%s", s);

	trim_character(q.s);
	cfg_printable(q.s);
	if (n >= (int)sizeof(q.s) - 3)
		memcpy(q.s + strlen(q.s), "...", 4);
	return q;
}

static const char *type_name(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "a number";
	case JSON_REAL:
		return "a fraction";
	case JSON_NULL:
		return "null";
	default:
		return "a boolean";
	}
}

static void fail_type(struct cfg_doc *d, const struct cfg_node *n, const char *wanted)
{
	if (n->value)
		cfg_fail(d, n, JSONPOS_VALUE, "is %s, must be %s", type_name(n->value), wanted);
	else
		cfg_fail(d, n, JSONPOS_VALUE, "is missing");
}

bool cfg_want_object(struct cfg_doc *d, const struct cfg_node *n)
{
	if (!d->failed && !json_is_object(n->value))
		fail_type(d, n, "an object");
	return !d->failed;
}

bool cfg_want_array(struct cfg_doc *d, const struct cfg_node *n)
{
	if (!d->failed && !json_is_array(n->value))
		fail_type(d, n, "an array");
	return !d->failed;
}

bool cfg_want_string(struct cfg_doc *d, const struct cfg_node *n, size_t max, const char **out)
{
	size_t len = json_string_length(n->value);

	if (d->failed)
		return false;
	if (!json_is_string(n->value)) {
		fail_type(d, n, "a string");
		return false;
	}
	if (len == 0) {
		cfg_fail(d, n, JSONPOS_VALUE, "is empty");
		return false;
	}
	if (len > max) {
		cfg_fail(d, n, JSONPOS_VALUE, "has %zu bytes, at most %zu are allowed", len, max);
		return false;
	}
	*out = json_string_value(n->value);
	return true;
}

bool cfg_string(struct cfg_doc *d, const struct cfg_node *object, const char *key, size_t max,
                const char **out)
{
	struct cfg_node n = cfg_member(object, key);

	return n.value && cfg_want_string(d, &n, max, out);
}

bool cfg_path(struct cfg_doc *d, const struct cfg_node *object, const char *key, const char *dir,
              char **out)
{
	const char *path, *sep;
	size_t size;

	if (!cfg_string(d, object, key, SIZE_MAX, &path))
		return false;
	sep = dir[0] == '\0' || dir[strlen(dir) - 1] == '/' ? "" : "/";
	if (path[0] == '/')
		dir = sep = "";
	size = strlen(dir) + strlen(path) + 2;
	*out = malloc(size);
	if (!*out) {
		cfg_no_memory(d);
		return false;
	}
	snprintf(*out, size, "%s%s%s", dir, sep, path);
	return true;
}

bool cfg_bool(struct cfg_doc *d, const struct cfg_node *object, const char *key, bool *out)
{
	struct cfg_node n = cfg_member(object, key);

	if (!n.value || d->failed)
		return false;
	if (!json_is_boolean(n.value)) {
		fail_type(d, &n, "true or false");
		return false;
	}
	*out = json_is_true(n.value);
	return true;
}

bool cfg_choice(struct cfg_doc *d, const struct cfg_node *object, const char *key,
                const struct cfg_choice *choices, size_t count, int *out)
{
	struct cfg_node n = cfg_member(object, key);
	char list[160] = "";
	const char *s;

	if (!n.value || !cfg_want_string(d, &n, SIZE_MAX, &s))
		return false;
	for (size_t i = 0; i < count; i++) {
		size_t used = strlen(list);

		if (strcmp(choices[i].name, s) == 0) {
			*out = choices[i].value;
			return true;
		}
		snprintf(list + used, sizeof(list) - used, "%s%s",
		         i == 0           ? ""
		         : i == count - 1 ? " or "
		                          : ", ",
		         choices[i].name);
	}
	cfg_fail(d, &n, JSONPOS_VALUE, "is \"%s\", must be %s", cfg_quote(s).s, list);
	return false;
}

/* A decimal number and one of the units; false: it is not, or is over INT64_MAX. */
static bool parse_with_unit(const char *s, const struct unit *units, size_t count, int64_t *out)
{
	uint64_t v;
	size_t digits = slice_digits(slice_of(s), &v);

	if (digits == 0 || v > INT64_MAX)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (strcmp(s + digits, units[i].suffix) == 0)
			return !__builtin_mul_overflow((int64_t)v, units[i].factor, out);
	}
	return false;
}

struct amount {
	char s[32];
};

/* In the largest unit that leaves no rest; a bare number only for bytes. */
static struct amount print_amount(int64_t v, enum cfg_type type)
{
	const struct unit *units = type == CFG_TIME ? time_units : size_units;
	size_t count = type == CFG_TIME ? TIME_UNITS - 1 : SIZE_UNITS;
	struct amount a;

	for (size_t i = 0; i < count && type != CFG_COUNT && type != CFG_U64; i++) {
		if (v != 0 && v % units[i].factor == 0) {
			snprintf(a.s, sizeof(a.s), "%lld%s", (long long)(v / units[i].factor),
			         units[i].suffix);
			return a;
		}
	}
	snprintf(a.s, sizeof(a.s), "%lld", (long long)v);
	return a;
}

/* The member's value in bytes, nanoseconds or things. */
static bool read_amount(struct cfg_doc *d, const struct cfg_node *n, enum cfg_type type,
                        int64_t *out)
{
	bool is_time = type == CFG_TIME;
	const char *s;

	if (json_is_integer(n->value)) {
		*out = json_integer_value(n->value);
		if (!is_time || !__builtin_mul_overflow(*out, SLO_NSEC_PER_MSEC, out))
			return true;
		cfg_fail(d, n, JSONPOS_VALUE, "is too large for a time");
		return false;
	}
	if (type == CFG_COUNT || type == CFG_U64) {
		fail_type(d, n, "an integer");
		return false;
	}
	if (!json_is_string(n->value)) {
		fail_type(d, n, is_time ? "a time such as \"30s\"" : "a size such as \"64k\"");
		return false;
	}
	s = json_string_value(n->value);
	if (parse_with_unit(s, is_time ? time_units : size_units, is_time ? TIME_UNITS : SIZE_UNITS,
	                    out))
		return true;
	cfg_fail(d, n, JSONPOS_VALUE, "is \"%s\", must be %s", cfg_quote(s).s,
	         is_time ? "a time such as \"500ms\", \"30s\", \"5m\" or \"2h\""
	                 : "a size such as \"16380\", \"64k\" or \"1m\"");
	return false;
}

static void store(enum cfg_type type, int64_t v, void *to)
{
	size_t size = (size_t)v;
	uint64_t u64 = (uint64_t)v;
	slo_nsec time = v;

	if (type == CFG_TIME)
		memcpy(to, &time, sizeof(time));
	else if (type == CFG_U64)
		memcpy(to, &u64, sizeof(u64));
	else
		memcpy(to, &size, sizeof(size));
}

static void read_field(struct cfg_doc *d, const struct cfg_node *object, const struct cfg_field *f,
                       void *section)
{
	struct cfg_node n = cfg_member(object, f->name);
	int64_t v;

	if (d->failed || f->type == CFG_ELSEWHERE || !n.value || !read_amount(d, &n, f->type, &v))
		return;
	if (v < f->min || v > f->max)
		cfg_fail(d, &n, JSONPOS_VALUE, "is %s, must be %s to %s",
		         print_amount(v, f->type).s, print_amount(f->min, f->type).s,
		         print_amount(f->max, f->type).s);
	else
		store(f->type, v, (char *)section + f->offset);
}

/* How many letters must change to make b of a (Levenshtein). */
static size_t edit_distance(const char *a, size_t alen, const char *b, size_t blen)
{
	size_t row[WORD_MAX + 1];

	for (size_t j = 0; j <= blen; j++)
		row[j] = j;
	for (size_t i = 1; i <= alen; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= blen; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[blen];
}

/* The known key that was probably meant, or NULL. */
static const char *suggest(const char *key, const struct cfg_field *fields, size_t count)
{
	size_t len = strlen(key), best = (len + 2) / 3;
	const char *found = NULL;

	if (len > WORD_MAX)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		size_t flen = strlen(fields[i].name);
		size_t distance =
		    flen <= WORD_MAX ? edit_distance(key, len, fields[i].name, flen) : SIZE_MAX;

		if (distance < best || (distance == best && !found)) {
			best = distance;
			found = fields[i].name;
		}
	}
	return found;
}

static void check_keys(struct cfg_doc *d, const struct cfg_node *object,
                       const struct cfg_field *fields, size_t count)
{
	const char *key, *hint;
	json_t *value;

	json_object_foreach(object->value, key, value)
	{
		struct cfg_node n = cfg_member(object, key);
		size_t i = 0;

		while (i < count && strcmp(key, fields[i].name) != 0)
			i++;
		if (i < count)
			continue;
		hint = suggest(key, fields, count);
		if (hint)
			cfg_fail(d, &n, JSONPOS_KEY, "unknown key (did you mean \"%s\"?)", hint);
		else
			cfg_fail(d, &n, JSONPOS_KEY, "unknown key");
		return;
	}
}

void cfg_section(struct cfg_doc *d, const struct cfg_node *n, const struct cfg_field *fields,
                 size_t count, void *section)
{
	if (!n->value || !cfg_want_object(d, n))
		return;
	check_keys(d, n, fields, count);
	for (size_t i = 0; i < count; i++)
		read_field(d, n, &fields[i], section);
}
