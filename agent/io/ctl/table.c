#include "io/ctl/table.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "clean.h"

void table_open(struct table *t, FILE *f, enum table_format format, bool list)
{
	*t = (struct table){ .f = f, .format = format, .list = list };
	if (format == TABLE_JSON && !list)
		fputc('[', f);
}

static void put_line(struct table *t, char *line, size_t len)
{
	while (len > 0 && line[len - 1] == ' ')
		len--;
	fwrite(line, 1, len, t->f);
	fputc('\n', t->f);
}

static void end_row(struct table *t)
{
	if (t->rows == 0)
		return;
	if (t->format == TABLE_JSON)
		fputc('}', t->f);
	if (t->format != TABLE_TEXT || t->list)
		return;
	if (t->rows == 1)
		put_line(t, t->head, t->head_len);
	put_line(t, t->line, t->line_len);
}

void table_row(struct table *t)
{
	end_row(t);
	if (t->format == TABLE_JSON)
		fputs(t->rows > 0 ? ",\n{" : "{", t->f);
	t->rows++;
	t->fields = t->head_len = t->line_len = 0;
}

void table_close(struct table *t)
{
	end_row(t);
	if (t->format != TABLE_JSON)
		return;
	if (t->list && t->rows == 0)
		fputs("{}", t->f);
	fputs(t->list ? "\n" : "]\n", t->f);
}

/* Texts */

static void append(char line[TABLE_LINE_MAX], size_t *len, const char *text, int width, bool right)
{
	int n = snprintf(line + *len, TABLE_LINE_MAX - *len, right ? "%*s " : "%-*s ", width, text);

	*len += n > 0 ? (size_t)n : 0;
	if (*len >= TABLE_LINE_MAX)
		*len = TABLE_LINE_MAX - 1;
}

static void text_cell(struct table *t, const char *name, int width, const char *value, bool right)
{
	int wide = (int)strlen(name) > width ? (int)strlen(name) : width;

	if (t->list) {
		fprintf(t->f, "%s: %s\n", name, value);
		return;
	}
	if (t->rows == 1)
		append(t->head, &t->head_len, name, wide, right);
	append(t->line, &t->line_len, *value ? value : "-", wide, right);
}

/* A value whose JSON is given. */
static void cell(struct table *t, const char *name, int width, const char *type, const char *text,
                 const char *json)
{
	switch (t->format) {
	case TABLE_TEXT:
		text_cell(t, name, width, text, *type != 's');
		break;
	case TABLE_JSON:
		fprintf(t->f, "%s\"%s\":%s", t->fields > 0 ? "," : "", name, json);
		break;
	case TABLE_TYPED:
		fprintf(t->f, "%zu.%s:%s:%s\n", t->rows - 1, name, type, text);
		break;
	}
	t->fields++;
}

void table_bytes(struct table *t, const char *name, int width, const char *value, size_t len)
{
	char text[TABLE_LINE_MAX], json[2 * TABLE_LINE_MAX + 2];
	size_t n = 0, k = 0;

	json[k++] = '"';
	for (; n < len && n < sizeof(text) - 1; n++) {
		char c = clean_char(value[n]);

		text[n] = c;
		if (c == '"' || c == '\\')
			json[k++] = '\\';
		json[k++] = c;
	}
	text[n] = '\0';
	json[k++] = '"';
	json[k] = '\0';
	cell(t, name, width, "str", text, json);
}

void table_str(struct table *t, const char *name, int width, const char *value)
{
	table_bytes(t, name, width, value, strlen(value));
}

void table_int(struct table *t, const char *name, int width, int64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, value);
	cell(t, name, width, "int", text, text);
}

void table_real(struct table *t, const char *name, int width, double value)
{
	bool people = t->format == TABLE_TEXT;
	char text[32];

	snprintf(text, sizeof(text), people ? "%.4g" : "%.9g", value);
	if (!isfinite(value))
		cell(t, name, width, "real", people ? "-" : "", "null");
	else
		cell(t, name, width, "real", text, text);
}

void table_bool(struct table *t, const char *name, int width, bool value)
{
	const char *text = t->format == TABLE_TEXT ? value ? "yes" : "no"
	                   : value                 ? "true"
	                                           : "false";

	cell(t, name, width, "bool", text, text);
}
