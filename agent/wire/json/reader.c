#include "wire/json/reader.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define WORD_MAX 32 /* longer keys get no suggestion */

/* Texts for people */

void reader_printable(char *s)
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

struct reader_quote reader_quote(const char *s)
{
	struct reader_quote q;
	int n = snprintf(q.s, sizeof(q.s) - 3, "%s", s);

	trim_character(q.s);
	reader_printable(q.s);
	if (n >= (int)sizeof(q.s) - 3)
		memcpy(q.s + strlen(q.s), "...", 4);
	return q;
}

static const char *type_name(const struct reader *r, const json_t *value)
{
	double d = json_real_value(value);

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
		return d == floor(d) ? "a number" : "a fraction";
	case JSON_NULL:
		return r->nan ? "null (or NaN, Infinity)" : "null";
	default:
		return "a boolean";
	}
}

/* Nodes */

struct node reader_root(const struct reader *r)
{
	return (struct node){ .value = r->root };
}

struct node node_member(const struct node *object, const char *key)
{
	return (struct node){
		.value = json_object_get(object->value, key),
		.parent = object,
		.key = key,
	};
}

struct node node_element(const struct node *array, size_t index)
{
	return (struct node){
		.value = json_array_get(array->value, index),
		.parent = array,
		.index = index,
	};
}

struct node node_member_any_case(const struct node *object, const char *name)
{
	struct node n = { .parent = object, .key = name };
	const char *key;
	json_t *value;

	json_object_foreach(object->value, key, value)
	{
		if (strcasecmp(key, name) == 0) {
			n.value = value;
			n.key = key;
		}
	}
	return n;
}

struct node node_not_null(struct node n)
{
	if (json_is_null(n.value))
		n.value = NULL;
	return n;
}

/* Outermost step first; returns how many. */
static size_t path_of(const struct node *n, struct jsonpos_step path[NODE_DEPTH_MAX])
{
	size_t depth = 0, i;

	for (const struct node *a = n; a->parent; a = a->parent)
		depth++;
	i = depth;
	for (const struct node *a = n; a->parent; a = a->parent)
		path[--i] = (struct jsonpos_step){ .key = a->key, .index = a->index };
	return depth;
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
	reader_printable(out);
}

/* Errors */

static void keep_place(struct reader *r, size_t offset)
{
	struct jsonpos pos = jsonpos_at(r->text, r->len, offset);

	r->error->line = pos.line;
	r->error->column = pos.column;
}

void reader_fail(struct reader *r, const struct node *n, enum jsonpos_part part, const char *format,
                 ...)
{
	struct jsonpos_step path[NODE_DEPTH_MAX];
	size_t depth, offset = 0;
	va_list args;

	if (r->failed)
		return;
	r->failed = true;
	r->code = SLO_EINVAL;
	va_start(args, format);
	vsnprintf(r->error->message, sizeof(r->error->message), format, args);
	va_end(args);
	depth = path_of(n, path);
	print_key(path, depth, r->error->key, sizeof(r->error->key));
	while (!jsonpos_find(r->text, r->len, path, depth, part, &offset) && depth > 0)
		depth--;
	keep_place(r, offset);
}

void reader_fail_type(struct reader *r, const struct node *n, const char *wanted)
{
	if (n->value)
		reader_fail(r, n, JSONPOS_VALUE, "is %s, must be %s", type_name(r, n->value),
		            wanted);
	else
		reader_fail(r, n, JSONPOS_VALUE, "is missing");
}

void reader_no_memory(struct reader *r)
{
	if (r->failed)
		return;
	r->failed = true;
	r->code = SLO_ENOMEM;
	snprintf(r->error->message, sizeof(r->error->message), "out of memory");
}

/* Whether a file that is written by hand begins as JSON cannot: with a comment, or with a word. */
static bool is_no_json(const char *text, size_t len)
{
	size_t i = 0;

	while (i < len && strchr(" \t\r\n", text[i]) && text[i] != '\0')
		i++;
	return i < len && text[i] != '{' && text[i] != '[';
}

/* `text` is what jansson was given: a copy of r->text, if that may hold NaN. */
static void fail_syntax(struct reader *r, const char *text, size_t len, const json_error_t *why)
{
	size_t offset;

	/* Without memory jansson often says nothing at all. */
	if (why->text[0] == '\0' || json_error_code(why) == json_error_out_of_memory) {
		reader_no_memory(r);
		return;
	}
	r->failed = true;
	r->code = SLO_EPROTO;
	snprintf(r->error->message, sizeof(r->error->message), "%s%s", why->text,
	         !r->nan && is_no_json(text, len) ? ": this is no JSON, is it another file?" : "");
	reader_printable(r->error->message); /* what jansson quotes may hold any byte */
	offset = jsonpos_syntax_error(text, len, why);
	keep_place(r, r->nan ? jsonpos_original(r->text, r->len, offset) : offset);
}

/* Mostly there is none, and no copy to make. */
static bool may_hold_nan(const char *text, size_t len)
{
	static const char *const begins[] = { "nan", "NaN", "NAN", "inf", "Inf", "INF" };

	for (size_t i = 0; len > 0 && i < sizeof(begins) / sizeof(begins[0]); i++) {
		if (memmem(text, len, begins[i], 3))
			return true;
	}
	return false;
}

void reader_open(struct reader *r, const char *file, const char *text, size_t len,
                 enum reader_flags flags, struct doc_error *error)
{
	char *copy = NULL;
	json_error_t why;

	*error = (struct doc_error){ .file = file };
	/* Editors of Windows put a byte order mark there, and show no column for it. */
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		text += 3;
		len -= 3;
	}
	*r = (struct reader){ .text = text, .len = len, .error = error };
	r->nan = flags & READER_NAN;
	if (r->nan && may_hold_nan(text, len) && jsonpos_denan(text, len, &copy, &len) != SLO_OK) {
		reader_no_memory(r);
		return;
	}
	text = copy ? copy : text;
	r->root = json_loadb(text, len,
	                     (r->nan ? JSON_DECODE_INT_AS_REAL : 0u) |
	                         (flags & READER_UNIQUE ? JSON_REJECT_DUPLICATES : 0u),
	                     &why);
	if (!r->root)
		fail_syntax(r, text, len, &why);
	free(copy);
}

void reader_close(struct reader *r)
{
	json_decref(r->root);
	r->root = NULL;
}

/* Values */

bool reader_want_object(struct reader *r, const struct node *n)
{
	if (!r->failed && !json_is_object(n->value))
		reader_fail_type(r, n, "an object");
	return !r->failed;
}

bool reader_want_array(struct reader *r, const struct node *n)
{
	if (!r->failed && !json_is_array(n->value))
		reader_fail_type(r, n, "an array");
	return !r->failed;
}

bool reader_want_string(struct reader *r, const struct node *n, size_t max, const char **out)
{
	size_t len = json_string_length(n->value);

	if (r->failed)
		return false;
	if (!json_is_string(n->value))
		reader_fail_type(r, n, "a string");
	else if (len == 0)
		reader_fail(r, n, JSONPOS_VALUE, "is empty");
	else if (len > max)
		reader_fail(r, n, JSONPOS_VALUE, "has %zu bytes, at most %zu are allowed", len,
		            max);
	else
		*out = json_string_value(n->value);
	return !r->failed;
}

bool reader_want_number(struct reader *r, const struct node *n, double min, double max, double *out)
{
	double v = json_number_value(n->value);

	if (r->failed)
		return false;
	if (!json_is_number(n->value))
		reader_fail_type(r, n, "a number");
	else if (v >= min && v <= max)
		*out = v; /* jansson lets no non-finite number through */
	else if (isinf(max))
		reader_fail(r, n, JSONPOS_VALUE, "is %g, must be a finite number >= %g", v, min);
	else
		reader_fail(r, n, JSONPOS_VALUE, "is %g, must be a number from %g to %g", v, min,
		            max);
	return !r->failed;
}

bool reader_string(struct reader *r, const struct node *object, const char *key, size_t max,
                   const char **out)
{
	struct node n = node_member(object, key);

	return n.value && reader_want_string(r, &n, max, out);
}

bool reader_bool(struct reader *r, const struct node *object, const char *key, bool *out)
{
	struct node n = node_member(object, key);

	if (!n.value || r->failed)
		return false;
	if (!json_is_boolean(n.value)) {
		reader_fail_type(r, &n, "true or false");
		return false;
	}
	*out = json_is_true(n.value);
	return true;
}

bool reader_choice(struct reader *r, const struct node *object, const char *key,
                   const struct reader_choice *choices, size_t count, int *out)
{
	struct node n = node_member(object, key);
	char list[160] = "";
	const char *s = "";

	if (!n.value || !reader_want_string(r, &n, SIZE_MAX, &s))
		return false;
	for (size_t i = 0; i < count; i++) {
		size_t used = strlen(list);
		const char *between = i == 0 ? "" : i == count - 1 ? " or " : ", ";

		if (strcmp(choices[i].name, s) == 0) {
			*out = choices[i].value;
			return true;
		}
		snprintf(list + used, sizeof(list) - used, "%s%s", between, choices[i].name);
	}
	reader_fail(r, &n, JSONPOS_VALUE, "is \"%s\", must be %s", reader_quote(s).s, list);
	return false;
}

/* Keys */

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

static const char *name_at(struct reader_names names, size_t i)
{
	return *(const char *const *)(const void *)((const char *)names.first + i * names.stride);
}

/* Whether the key is that name with a unit, which stands in our values: e2e_ms. */
static bool is_with_unit(const char *key, const char *name)
{
	static const char *const units[] = { "_ms", "_s", "_sec", "_secs", "_seconds", "_us" };
	const size_t len = strlen(name);

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strncmp(key, name, len) == 0 && strcmp(key + len, units[i]) == 0)
			return true;
	return false;
}

const char *reader_suggest(const char *key, struct reader_names known)
{
	size_t len = strlen(key), best = (len + 2) / 3;
	const char *found = NULL;

	if (len > WORD_MAX)
		return NULL;
	for (size_t i = 0; i < known.count; i++)
		if (strcasecmp(key, name_at(known, i)) == 0)
			return name_at(known, i);
	for (size_t i = 0; i < known.count; i++) {
		const char *name = name_at(known, i);
		size_t name_len = strlen(name);
		size_t distance =
		    name_len <= WORD_MAX ? edit_distance(key, len, name, name_len) : SIZE_MAX;

		if (distance < best || (distance == best && !found)) {
			best = distance;
			found = name;
		}
	}
	for (size_t i = 0; i < known.count && !found; i++)
		if (is_with_unit(key, name_at(known, i)))
			found = name_at(known, i);
	return found;
}

void reader_only_keys(struct reader *r, const struct node *object, struct reader_names known)
{
	const char *key, *hint;
	json_t *value;

	json_object_foreach(object->value, key, value)
	{
		struct node n = node_member(object, key);
		size_t i = 0;

		while (i < known.count && strcmp(key, name_at(known, i)) != 0)
			i++;
		if (i < known.count)
			continue;
		hint = reader_suggest(key, known);
		if (hint)
			reader_fail(r, &n, JSONPOS_KEY, "unknown key (did you mean \"%s\"?)", hint);
		else
			reader_fail(r, &n, JSONPOS_KEY, "unknown key");
		return;
	}
}
