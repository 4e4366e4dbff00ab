/* A line of the control socket: its commands and words, conditions on decisions, and what is shown
 * of such bytes in each format. */
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/ctl/ctl_words.h"
#include "io/ctl/table.h"
#include "io/http/decision_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
	if (!condition)
		abort();
}

static void show(enum table_format format, bool list, const struct ctl_words *w)
{
	static struct table t;
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	json_error_t error;
	json_t *value;

	must(f != NULL);
	table_open(&t, f, format, list);
	table_row(&t);
	for (size_t i = 0; i < w->count; i++)
		table_str(&t, "word", (int)i, w->word[i]);
	table_int(&t, "words", 3, (int64_t)w->count);
	table_real(&t, "share", 3, 1.0 / (double)(w->count + 1));
	table_close(&t);
	must(fclose(f) == 0);
	value = format == TABLE_JSON ? json_loads(text, 0, &error) : NULL;
	must(format != TABLE_JSON || value);
	must(list || format != TABLE_TEXT || len <= 2 * (TABLE_LINE_MAX + 1));
	json_decref(value);
	free(text);
}

static void ask(const struct ctl_words *w)
{
	struct decision_query q;

	decision_query_init(&q);
	for (size_t i = 0; i < w->count; i++) {
		char *equals = strchr(w->word[i], '=');
		const char *why;

		if (equals) {
			*equals = '\0';
			(void)decision_query_set(&q, w->word[i], equals + 1, &why);
			*equals = '=';
		}
	}
	must(q.limit >= 1 && q.limit <= DECISION_LIMIT_MAX);
	must(q.reason < SLO_REASONS && q.state < DECISION_STATES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t len = size < CTL_LINE_MAX ? size : CTL_LINE_MAX, at = 0, before = 0;
	char *line = malloc(len + 1); /* as long as it may be: ASan watches its end */
	enum ctl_taken taken;
	struct ctl_words w;

	must(line != NULL);
	memcpy(line, data, len);
	while ((taken = ctl_words_take(line, len, &at, &w)) != CTL_DONE) {
		must(at > before && at <= len && w.count <= CTL_WORDS_MAX);
		before = at;
		if (taken != CTL_TAKEN)
			continue;
		for (size_t i = 0; i < w.count; i++)
			must(w.word[i] >= line && w.word[i] + strlen(w.word[i]) <= line + at);
		ask(&w);
		show(TABLE_TEXT, false, &w);
		show(TABLE_JSON, false, &w);
		show(TABLE_JSON, true, &w);
		show(TABLE_TYPED, false, &w);
	}
	free(line);
	return 0;
}
