/* A profile is read member by member, in the order of the checks that they need: the axes first,
 * for the tables must have their shape. */
#include "wire/profdoc.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "wire/json/reader.h"

/* The member `name`, in any case; null counts as absent. */
static struct node member(const struct node *object, const char *name)
{
	return node_not_null(node_member_any_case(object, name));
}

/* One that is too large, which was just said. */
static void too_big(struct reader *r)
{
	r->code = SLO_ETOOBIG;
}

#define MEMBERS_MAX 1024          /* of all objects of a profile; they have some twenty */
#define CREATED_MAX 253402300799. /* the last second of the year 9999 */

/* Absent leaves *out as it is. */
static void read_amount(struct reader *r, const struct node *object, const char *name, double *out)
{
	struct node n = member(object, name);

	if (n.value)
		(void)reader_want_number(r, &n, 0, INFINITY, out);
}

/* A later one would keep all others away for ever. Milliseconds are seen by this, too. */
static void read_created(struct reader *r, const struct node *root, struct slo_profile_doc *doc)
{
	struct node n = member(root, "created");

	read_amount(r, root, "created", &doc->created);
	if (!r->failed && doc->created > CREATED_MAX)
		reader_fail(r, &n, JSONPOS_VALUE, "is %g, must be a Unix time in seconds",
		            doc->created);
}

static bool want_array(struct reader *r, const struct node *n, const char *what)
{
	if (!r->failed && !json_is_array(n->value))
		reader_fail_type(r, n, what);
	return !r->failed;
}

static void read_index(struct reader *r, const struct node *n, double before, double *out)
{
	double v = json_number_value(n->value);

	if (!json_is_number(n->value))
		reader_fail_type(r, n, "a number");
	else if (!(v > 0))
		reader_fail(r, n, JSONPOS_VALUE, "is %g, must be > 0", v);
	else if (!(v > before))
		reader_fail(r, n, JSONPOS_VALUE,
		            "is %g, must be greater than the index before it, %g", v, before);
	*out = v;
}

static void read_axis(struct reader *r, const struct node *n, double **out, size_t *count)
{
	size_t size = json_array_size(n->value);

	if (!want_array(r, n, "an array of numbers"))
		return;
	if (size == 0) {
		reader_fail(r, n, JSONPOS_VALUE, "is empty, must have at least one index");
		return;
	}
	if (size > PROFILE_AXIS_MAX) {
		reader_fail(r, n, JSONPOS_VALUE, "has %zu indexes, at most %d are allowed", size,
		            PROFILE_AXIS_MAX);
		too_big(r);
		return;
	}
	/* The document owns it from here on, whatever comes. */
	*out = calloc(size, sizeof(**out));
	if (!*out) {
		reader_no_memory(r);
		return;
	}
	for (size_t i = 0; i < size && !r->failed; i++) {
		struct node e = node_element(n, i);

		read_index(r, &e, i > 0 ? (*out)[i - 1] : 0, &(*out)[i]);
	}
	*count = size;
}

static void read_indexes(struct reader *r, const struct node *root, struct slo_profile_doc *doc)
{
	struct node n = member(root, "indexes");
	struct node output, input;

	if (!want_array(r, &n, "an array of two axes"))
		return;
	if (json_array_size(n.value) != 2) {
		reader_fail(r, &n, JSONPOS_VALUE, "has %zu axes, must have 2 (output, input)",
		            json_array_size(n.value));
		return;
	}
	output = node_element(&n, 0);
	input = node_element(&n, 1);
	read_axis(r, &output, &doc->output_axis, &doc->rows);
	read_axis(r, &input, &doc->input_axis, &doc->cols);
	if (!r->failed && doc->rows * doc->cols > PROFILE_CELLS_MAX) {
		reader_fail(r, &n, JSONPOS_VALUE, "has %zu by %zu cells, at most %d are allowed",
		            doc->rows, doc->cols, PROFILE_CELLS_MAX);
		too_big(r);
	}
}

/* What cells without a number are, and the least that one with a number may be. */
struct cell_rule {
	double no_data, least;
};

static void read_row(struct reader *r, const struct node *row, struct cell_rule rule,
                     struct slo_profile_doc *doc, double *cells)
{
	if (!want_array(r, row, "an array of numbers"))
		return;
	if (json_array_size(row->value) != doc->cols)
		reader_fail(r, row, JSONPOS_VALUE, "has %zu columns, must have %zu like indexes[1]",
		            json_array_size(row->value), doc->cols);
	for (size_t c = 0; c < doc->cols && !r->failed; c++) {
		struct node cell = node_element(row, c);

		cells[c] = NAN;
		if (!json_is_null(cell.value))
			(void)reader_want_number(r, &cell, rule.least, INFINITY, &cells[c]);
		if (!(cells[c] >= 0)) {
			cells[c] = rule.no_data;
			doc->no_data++;
		}
	}
}

/* Absent leaves *out NULL. */
static void read_table(struct reader *r, const struct node *root, const char *name,
                       struct cell_rule rule, struct slo_profile_doc *doc, double **out)
{
	struct node n = member(root, name);

	if (!n.value || !want_array(r, &n, "an array of rows"))
		return;
	if (json_array_size(n.value) != doc->rows) {
		reader_fail(r, &n, JSONPOS_VALUE, "has %zu rows, must have %zu like indexes[0]",
		            json_array_size(n.value), doc->rows);
		return;
	}
	assert(doc->rows > 0 && doc->cols > 0); /* read_axis() */
	*out = calloc(doc->rows * doc->cols, sizeof(**out));
	if (!*out)
		reader_no_memory(r);
	for (size_t i = 0; i < doc->rows && !r->failed; i++) {
		struct node row = node_element(&n, i);

		read_row(r, &row, rule, doc, *out + i * doc->cols);
	}
}

/* A request's load is 1 / tputs / e2e: a cell that can be used needs both. */
static void check_latencies(struct reader *r, const struct node *root,
                            const struct slo_profile_doc *doc)
{
	struct node e2e = member(root, "e2e");

	for (size_t i = 0; !r->failed && doc->e2e && i < doc->rows * doc->cols; i++) {
		struct node row = node_element(&e2e, i / doc->cols);
		struct node cell = node_element(&row, i % doc->cols);

		if (doc->tputs[i] > 0 && doc->e2e[i] <= 0)
			reader_fail(r, &cell, JSONPOS_VALUE, "is 0, must be > 0 where tputs is");
	}
}

static void read_tables(struct reader *r, const struct node *root, struct slo_profile_doc *doc)
{
	struct node tputs = member(root, "tputs");

	if (!tputs.value)
		reader_fail_type(r, &tputs, "");
	read_table(r, root, "tputs", (struct cell_rule){ 0, 0 }, doc, &doc->tputs);
	read_table(r, root, "e2e", (struct cell_rule){ NAN, 0 }, doc, &doc->e2e);
	read_table(r, root, "ttft", (struct cell_rule){ NAN, 0 }, doc, &doc->ttft);
	/* Benchmarks write less than 0 where they could not measure it, and no rank uses it. */
	read_table(r, root, "tpot", (struct cell_rule){ NAN, -INFINITY }, doc, &doc->tpot);
	check_latencies(r, root, doc);
}

static void note_stray(struct slo_profile_doc *doc, const char *key, const char *meant)
{
	struct reader_quote quote = reader_quote(key);

	_Static_assert(sizeof(quote.s) == sizeof(doc->stray), "a quote is copied whole");
	if (doc->stray[0] != '\0')
		return;
	memcpy(doc->stray, quote.s, sizeof(quote.s));
	doc->stray_meant = meant;
}

/* Unknown names are ignored, but one of them may be why there is no target. */
static void look_for_strays(const struct node *object, const char *const *names, size_t count,
                            bool all, struct slo_profile_doc *doc)
{
	struct reader_names known = { names, count, sizeof(*names) };
	const char *key, *meant;
	json_t *value;

	json_object_foreach(object->value, key, value)
	{
		size_t i = 0;

		while (i < count && strcasecmp(key, names[i]) != 0)
			i++;
		meant = reader_suggest(key, known);
		if (i == count && (all || meant))
			note_stray(doc, key, meant);
	}
}

static void read_slos(struct reader *r, const struct node *root, struct slo_profile_doc *doc)
{
	static const char *const section[] = { "slos" };
	static const char *const targets[] = { "e2e",  "ttft", "tpot",      "tpat",
		                               "tput", "tt",   "percentile" };
	struct node slos = member(root, "slos"), percentile;
	double unused = 0;

	doc->percentile = NAN;
	if (!slos.value)
		look_for_strays(root, section, 1, false, doc);
	if (!slos.value || !reader_want_object(r, &slos))
		return;
	look_for_strays(&slos, targets, sizeof(targets) / sizeof(targets[0]), true, doc);
	read_amount(r, &slos, "e2e", &doc->slo_e2e);
	read_amount(r, &slos, "ttft", &doc->slo_ttft);
	read_amount(r, &slos, "tpot", &doc->slo_tpot);
	read_amount(r, &slos, "tpat", &doc->slo_tpat);
	read_amount(r, &slos, "tput", &unused);
	read_amount(r, &slos, "tt", &unused);
	percentile = member(&slos, "percentile");
	if (percentile.value)
		(void)reader_want_number(r, &percentile, -INFINITY, INFINITY, &doc->percentile);
}

static void read_gpu(struct reader *r, const struct node *root, struct slo_profile_doc *doc)
{
	struct node n = member(root, "gpu");
	size_t len, room = sizeof(doc->gpu) - 1;
	const char *name;

	if (!n.value)
		return;
	if (!json_is_string(n.value)) {
		reader_fail_type(r, &n, "a string");
		return;
	}
	name = json_string_value(n.value);
	len = json_string_length(n.value);
	if (len > room) {
		/* Not through the middle of a character. */
		for (len = room; len > 0 && ((unsigned char)name[len] & 0xc0) == 0x80;)
			len--;
	}
	memcpy(doc->gpu, name, len);
}

struct slo_profile_doc *profdoc_read(struct reader *r, const struct node *root)
{
	struct slo_profile_doc *doc;

	if (!reader_want_object(r, root))
		return NULL;
	doc = calloc(1, sizeof(*doc));
	if (!doc) {
		reader_no_memory(r);
		return NULL;
	}
	read_gpu(r, root, doc);
	read_amount(r, root, "cost", &doc->cost);
	read_created(r, root, doc);
	read_indexes(r, root, doc);
	read_tables(r, root, doc);
	read_slos(r, root, doc);
	if (!r->failed)
		return doc;
	profdoc_free(doc);
	return NULL;
}

/* How often the byte stands in the text. */
static size_t count_of(const char *text, size_t len, int byte)
{
	const char *p = text, *end = text + len;
	size_t n = 0;

	while ((p = memchr(p, byte, (size_t)(end - p)))) {
		n++;
		p++;
	}
	return n;
}

/* A text has as many values as commas, and members as colons, or fewer. More than a profile has are
 * not worth the time that jansson takes for them: a megabyte of keys took 72 ms. */
static bool is_bloated(const char *text, size_t len)
{
	return count_of(text, len, ',') >
	           4 * PROFILE_CELLS_MAX + 2 * PROFILE_AXIS_MAX + MEMBERS_MAX ||
	       count_of(text, len, ':') > MEMBERS_MAX;
}

slo_err profdoc_parse(const char *text, size_t len, struct slo_profile_doc **out,
                      struct doc_error *err)
{
	struct slo_profile_doc *doc;
	struct reader r;
	struct node root;

	if (len > PROFDOC_TEXT_MAX) {
		*err = (struct doc_error){ .message = "is longer than 1 MiB" };
		return SLO_ETOOBIG;
	}
	if (is_bloated(text, len)) {
		*err = (struct doc_error){ .message = "has more values than any profile" };
		return SLO_ETOOBIG;
	}
	reader_open(&r, NULL, text, len, READER_NAN, err);
	root = reader_root(&r);
	doc = profdoc_read(&r, &root);
	reader_close(&r);
	if (doc)
		*out = doc;
	return r.code;
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
