/* table.h - rows of named values, for people, as JSON or typed lines.
 *
 *   TABLE_TEXT    a line of names, then a line for each row, in columns. A single row (a list)
 *                 is written as "name: value" lines
 *   TABLE_JSON    an array of objects; a list is one object
 *   TABLE_TYPED   ROW.NAME:TYPE:VALUE, a line for each value; TYPE is str, int, real or bool
 *
 * Values of strings may come from outside: what is not printable ASCII is '?'. */
#ifndef SLO_IO_CTL_TABLE_H
#define SLO_IO_CTL_TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum table_format { TABLE_TEXT, TABLE_JSON, TABLE_TYPED };

#define TABLE_LINE_MAX 2048 /* bytes of a row of text; longer ones are cut */

struct table {
	FILE *f;
	enum table_format format;
	bool list;
	size_t rows, fields; /* rows so far; fields of this one */
	char head[TABLE_LINE_MAX], line[TABLE_LINE_MAX];
	size_t head_len, line_len;
};

void table_open(struct table *t, FILE *f, enum table_format format, bool list);
void table_row(struct table *t); /* the next row begins */
void table_close(struct table *t);

/* width: of the column, in bytes of text; a wider value pushes the rest of its line aside. */
void table_str(struct table *t, const char *name, int width, const char *value);
void table_bytes(struct table *t, const char *name, int width, const char *value, size_t len);
void table_int(struct table *t, const char *name, int width, int64_t value);
/* NAN: not known; "-" in text, null in JSON. */
void table_real(struct table *t, const char *name, int width, double value);
void table_bool(struct table *t, const char *name, int width, bool value);

#endif
