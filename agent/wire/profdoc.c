#include "wire/profdoc.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "wire/json/jsonpos.h"

#define DEPTH_MAX 3 /* tputs, row, cell */

struct reader {
	const char *text; /* the original, NaN and all: errors point into it */
	size_t len;
	json_t *root;
	struct slo_profile_doc *doc;
	struct doc_error *err;
};

/* A value and the way to it; value is NULL when there is none. */
struct node {
	json_t *value;
	struct jsonpos_step path[DEPTH_MAX];
	size_t depth;
};

static struct node root_node(const struct reader *r)
{
	return (struct node){ .value = r->root };
}

static struct node element(const struct node *array, size_t index)
{
	struct node n = *array;

	n.value = json_array_get(array->value, index);
	n.path[n.depth++] = (struct jsonpos_step){ .key = NULL, .index = index };
	return n;
}

/* The member `name`, in any case; null counts as absent. */
static struct node member(const struct node *object, const char *name)
{
	struct node n = *object;
	const char *key;
	json_t *value;

	n.value = NULL;
	n.path[n.depth++] = (struct jsonpos_step){ .key = name };
	json_object_foreach(object->value, key, value)
	{
		if (strcasecmp(key, name) == 0) {
			n.value = json_is_null(value) ? NULL : value;
			n.path[n.depth - 1].key = key;
		}
	}
	return n;
}

static void print_field(const struct node *n, char *out, size_t cap)
{
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < n->depth; i++) {
		const struct jsonpos_step *s = &n->path[i];
		int k = s->key ? snprintf(out + used, cap - used, "%s%s", i > 0 ? "." : "", s->key)
		               : snprintf(out + used, cap - used, "[%zu]", s->index);

		if (k < 0 || (size_t)k >= cap - used)
			return;
		used += (size_t)k;
	}
}

__attribute__((format(printf, 4, 5))) static slo_err
refuse(const struct reader *r, slo_err code, const struct node *n, const char *format, ...)
{
	struct doc_error *err = r->err;
	struct jsonpos pos;
	size_t offset = 0;
	va_list args;

	va_start(args, format);
	vsnprintf(err->message, sizeof(err->message), format, args);
	va_end(args);
	print_field(n, err->field, sizeof(err->field));
	/* What is missing is missed where its object begins. */
	if (!jsonpos_find(r->text, r->len, n->path, n->depth, JSONPOS_VALUE, &offset) &&
	    n->depth > 0 &&
	    !jsonpos_find(r->text, r->len, n->path, n->depth - 1, JSONPOS_VALUE, &offset))
		offset = 0;
	pos = jsonpos_at(r->text, r->len, offset);
	err->line = pos.line;
	err->column = pos.column;
	return code;
}

static slo_err refuse_whole(struct doc_error *err, slo_err code, const char *message)
{
	*err = (struct doc_error){ 0 };
	snprintf(err->message, sizeof(err->message), "%s", message);
	return code;
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
	case JSON_REAL:
		return "a number";
	case JSON_NULL:
		return "null (or NaN, Infinity)";
	default:
		return "a boolean";
	}
}

static slo_err refuse_type(const struct reader *r, const struct node *n, const char *wanted)
{
	return refuse(r, SLO_EINVAL, n, "is %s, must be %s", type_name(n->value), wanted);
}

/* jansson lets no non-finite number through. */
static slo_err read_amount(const struct reader *r, const struct node *n, double *out)
{
	double v;

	if (!json_is_number(n->value))
		return refuse_type(r, n, "a number");
	v = json_number_value(n->value);
	if (!(v >= 0))
		return refuse(r, SLO_EINVAL, n, "is %g, must be a finite number >= 0", v);
	*out = v;
	return SLO_OK;
}

/* Absent leaves *out at 0. */
static slo_err read_member(const struct reader *r, const struct node *object, const char *name,
                           double *out)
{
	struct node n = member(object, name);

	return n.value ? read_amount(r, &n, out) : SLO_OK;
}

static slo_err read_axis(const struct reader *r, const struct node *n, double **out, size_t *count)
{
	size_t size = json_array_size(n->value);
	double *axis;

	if (!json_is_array(n->value))
		return refuse_type(r, n, "an array of numbers");
	if (size == 0)
		return refuse(r, SLO_EINVAL, n, "is empty, must have at least one index");
	if (size > PROFDOC_AXIS_MAX)
		return refuse(r, SLO_ETOOBIG, n, "has %zu indexes, at most %d are allowed", size,
		              PROFDOC_AXIS_MAX);
	/* The document owns it from here on, whatever comes. */
	axis = *out = calloc(size, sizeof(*axis));
	if (!axis)
		return refuse_whole(r->err, SLO_ENOMEM, "out of memory");
	for (size_t i = 0; i < size; i++) {
		struct node e = element(n, i);

		if (!json_is_number(e.value))
			return refuse_type(r, &e, "a number");
		axis[i] = json_number_value(e.value);
		if (!(axis[i] > 0))
			return refuse(r, SLO_EINVAL, &e, "is %g, must be > 0", axis[i]);
		if (i > 0 && !(axis[i] > axis[i - 1]))
			return refuse(r, SLO_EINVAL, &e,
			              "is %g, must be greater than the index before it, %g",
			              axis[i], axis[i - 1]);
	}
	*count = size;
	return SLO_OK;
}

static slo_err read_indexes(const struct reader *r)
{
	struct node root = root_node(r);
	struct node n = member(&root, "indexes");
	struct node output, input;
	slo_err rc;

	if (!n.value)
		return refuse(r, SLO_EINVAL, &n, "is missing");
	if (!json_is_array(n.value))
		return refuse_type(r, &n, "an array of two axes");
	if (json_array_size(n.value) != 2)
		return refuse(r, SLO_EINVAL, &n, "has %zu axes, must have 2 (output, input)",
		              json_array_size(n.value));
	output = element(&n, 0);
	input = element(&n, 1);
	rc = read_axis(r, &output, &r->doc->output_axis, &r->doc->rows);
	if (rc != SLO_OK)
		return rc;
	return read_axis(r, &input, &r->doc->input_axis, &r->doc->cols);
}

static slo_err read_row(const struct reader *r, const struct node *row, double no_data,
                        double *cells)
{
	size_t cols = r->doc->cols;

	if (!json_is_array(row->value))
		return refuse_type(r, row, "an array of numbers");
	if (json_array_size(row->value) != cols)
		return refuse(r, SLO_EINVAL, row, "has %zu columns, must have %zu like indexes[1]",
		              json_array_size(row->value), cols);
	for (size_t c = 0; c < cols; c++) {
		struct node cell = element(row, c);
		slo_err rc;

		if (json_is_null(cell.value)) {
			cells[c] = no_data;
			r->doc->no_data++;
			continue;
		}
		rc = read_amount(r, &cell, &cells[c]);
		if (rc != SLO_OK)
			return rc;
	}
	return SLO_OK;
}

/* Absent leaves *out NULL. `no_data` stands for cells without a number. */
static slo_err read_table(const struct reader *r, const char *name, double no_data, double **out)
{
	struct node root = root_node(r);
	struct node n = member(&root, name);
	size_t rows = r->doc->rows, cols = r->doc->cols;

	if (!n.value)
		return SLO_OK;
	if (!json_is_array(n.value))
		return refuse_type(r, &n, "an array of rows");
	if (json_array_size(n.value) != rows)
		return refuse(r, SLO_EINVAL, &n, "has %zu rows, must have %zu like indexes[0]",
		              json_array_size(n.value), rows);
	*out = calloc(rows * cols, sizeof(**out));
	if (!*out)
		return refuse_whole(r->err, SLO_ENOMEM, "out of memory");
	for (size_t i = 0; i < rows; i++) {
		struct node row = element(&n, i);
		slo_err rc = read_row(r, &row, no_data, *out + i * cols);

		if (rc != SLO_OK)
			return rc;
	}
	return SLO_OK;
}

/* A request's load is 1 / tputs / e2e: a cell that can be used needs both. */
static slo_err check_latencies(const struct reader *r)
{
	const struct slo_profile_doc *doc = r->doc;
	struct node root = root_node(r);
	struct node e2e = member(&root, "e2e");

	for (size_t i = 0; doc->e2e && i < doc->rows * doc->cols; i++) {
		if (doc->tputs[i] > 0 && doc->e2e[i] <= 0) {
			struct node row = element(&e2e, i / doc->cols);
			struct node cell = element(&row, i % doc->cols);

			return refuse(r, SLO_EINVAL, &cell, "is 0, must be > 0 where tputs is");
		}
	}
	return SLO_OK;
}

static slo_err read_tables(const struct reader *r)
{
	struct node root = root_node(r);
	struct node tputs = member(&root, "tputs");
	slo_err rc;

	if (!tputs.value)
		return refuse(r, SLO_EINVAL, &tputs, "is missing");
	rc = read_table(r, "tputs", 0, &r->doc->tputs);
	if (rc == SLO_OK)
		rc = read_table(r, "e2e", NAN, &r->doc->e2e);
	if (rc == SLO_OK)
		rc = read_table(r, "ttft", NAN, &r->doc->ttft);
	if (rc == SLO_OK)
		rc = read_table(r, "tpot", NAN, &r->doc->tpot);
	return rc == SLO_OK ? check_latencies(r) : rc;
}

static slo_err read_slos(const struct reader *r)
{
	struct slo_profile_doc *doc = r->doc;
	double unused = 0;
	const struct {
		const char *name;
		double *out;
	} targets[] = {
		{ "e2e", &doc->slo_e2e },   { "ttft", &doc->slo_ttft }, { "tpot", &doc->slo_tpot },
		{ "tpat", &doc->slo_tpat }, { "tput", &unused },        { "tt", &unused },
	};
	struct node root = root_node(r);
	struct node slos = member(&root, "slos");
	struct node percentile;

	if (!slos.value)
		return SLO_OK;
	if (!json_is_object(slos.value))
		return refuse_type(r, &slos, "an object");
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		slo_err rc = read_member(r, &slos, targets[i].name, targets[i].out);

		if (rc != SLO_OK)
			return rc;
	}
	percentile = member(&slos, "percentile");
	if (percentile.value && !json_is_number(percentile.value))
		return refuse_type(r, &percentile, "a number");
	return SLO_OK;
}

static slo_err read_gpu(const struct reader *r)
{
	struct node root = root_node(r);
	struct node n = member(&root, "gpu");
	size_t len, room = sizeof(r->doc->gpu) - 1;
	const char *name;

	if (!n.value)
		return SLO_OK;
	if (!json_is_string(n.value))
		return refuse_type(r, &n, "a string");
	name = json_string_value(n.value);
	len = json_string_length(n.value);
	if (len > room) {
		/* Not through the middle of a character. */
		for (len = room; len > 0 && ((unsigned char)name[len] & 0xc0) == 0x80;)
			len--;
	}
	memcpy(r->doc->gpu, name, len);
	return SLO_OK;
}

static slo_err read_profile(const struct reader *r)
{
	struct node root = root_node(r);
	slo_err rc;

	if (!json_is_object(root.value))
		return refuse_type(r, &root, "an object");
	rc = read_gpu(r);
	if (rc == SLO_OK)
		rc = read_member(r, &root, "cost", &r->doc->cost);
	if (rc == SLO_OK)
		rc = read_member(r, &root, "created", &r->doc->created);
	if (rc == SLO_OK)
		rc = read_indexes(r);
	if (rc == SLO_OK)
		rc = read_tables(r);
	return rc == SLO_OK ? read_slos(r) : rc;
}

/* What jansson quotes may hold any byte. */
static void make_printable(char *s)
{
	for (; *s != '\0'; s++) {
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
	}
}

static slo_err load(const char *text, size_t len, json_t **out, struct doc_error *err)
{
	json_error_t json_err;
	struct jsonpos pos;
	size_t copy_len, offset;
	char *copy;

	if (jsonpos_denan(text, len, &copy, &copy_len) != SLO_OK)
		return refuse_whole(err, SLO_ENOMEM, "out of memory");
	*out = json_loadb(copy, copy_len, JSON_DECODE_INT_AS_REAL, &json_err);
	if (*out) {
		free(copy);
		return SLO_OK;
	}
	offset = jsonpos_syntax_error(copy, copy_len, &json_err);
	free(copy);
	/* Without memory jansson often says nothing at all. */
	if (json_err.text[0] == '\0' || json_error_code(&json_err) == json_error_out_of_memory)
		return refuse_whole(err, SLO_ENOMEM, "out of memory");
	(void)refuse_whole(err, SLO_EPROTO, json_err.text);
	make_printable(err->message);
	pos = jsonpos_at(text, len, jsonpos_original(text, len, offset));
	err->line = pos.line;
	err->column = pos.column;
	return SLO_EPROTO;
}

slo_err profdoc_parse(const char *text, size_t len, struct slo_profile_doc **out,
                      struct doc_error *err)
{
	struct reader r = { .text = text, .len = len, .err = err };
	slo_err rc;

	if (len > PROFDOC_TEXT_MAX)
		return refuse_whole(err, SLO_ETOOBIG, "is longer than 1 MiB");
	rc = load(text, len, &r.root, err);
	if (rc != SLO_OK)
		return rc;
	r.doc = calloc(1, sizeof(*r.doc));
	if (r.doc)
		rc = read_profile(&r);
	else
		rc = refuse_whole(err, SLO_ENOMEM, "out of memory");
	json_decref(r.root);
	if (rc != SLO_OK) {
		profdoc_free(r.doc);
		return rc;
	}
	*out = r.doc;
	return SLO_OK;
}

void profdoc_free(struct slo_profile_doc *doc)
{
	if (!doc)
		return;
	free(doc->output_axis);
	free(doc->input_axis);
	free(doc->tputs);
	free(doc->e2e);
	free(doc->ttft);
	free(doc->tpot);
	free(doc);
}

/* Appends `s` to what is in out, '/' as %2F; false: no room for it and the terminator. */
static bool append_name(char *out, size_t cap, size_t *used, const char *s)
{
	for (; *s != '\0'; s++) {
		const char *piece = *s == '/' ? "%2F" : s;
		size_t n = *s == '/' ? 3 : 1;

		if (n >= cap - *used)
			return false;
		memcpy(out + *used, piece, n);
		*used += n;
	}
	return true;
}

slo_err profdoc_key(const char *model, const char *deployment, char *out, size_t cap)
{
	static const char suffix[] = ".json";
	size_t used = 0;

	if (model[0] == '\0' || deployment[0] == '\0' || strcmp(model, ".") == 0 ||
	    strcmp(model, "..") == 0)
		return SLO_EINVAL;
	if (cap == 0 || !append_name(out, cap, &used, model) || cap - used < 2)
		return SLO_ETOOBIG;
	out[used++] = '/';
	if (!append_name(out, cap, &used, deployment) || cap - used < sizeof(suffix))
		return SLO_ETOOBIG;
	memcpy(out + used, suffix, sizeof(suffix));
	return SLO_OK;
}

/* FNV-1a, 64 bits, and the length. */
uint64_t profdoc_hash(const char *text, size_t len)
{
	uint64_t h = UINT64_C(14695981039346656037) ^ len;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)text[i]) * UINT64_C(1099511628211);
	return h;
}
