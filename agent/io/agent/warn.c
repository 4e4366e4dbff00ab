#include "io/agent/warn.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "clean.h"
#include "io/agent/agent.h"

/* The names as they stand in the list. */
struct warn_key {
	char code[WARN_CODE_MAX + 1], subject[WARN_SUBJECT_MAX + 1];
};

static struct warn_key key_of(const char *code, const char *subject)
{
	struct warn_key k = { .code = "" };

	clean_copy(k.code, sizeof(k.code), slice_of(code));
	clean_copy(k.subject, sizeof(k.subject), slice_of(subject ? subject : ""));
	return k;
}

/* Its index, or w->count. */
static size_t index_of(const struct warnings *w, const struct warn_key *k)
{
	size_t i = 0;

	while (i < w->count && (strcmp(w->warning[i].code, k->code) != 0 ||
	                        strcmp(w->warning[i].subject, k->subject) != 0))
		i++;
	return i;
}

const struct warning *warn_find(const struct warnings *w, const char *code, const char *subject)
{
	struct warn_key k = key_of(code, subject);
	size_t i = index_of(w, &k);

	return i < w->count ? &w->warning[i] : NULL;
}

static struct warning *add(struct agent *a, slo_nsec now, const struct warn_key *k)
{
	struct warnings *w = &a->warnings;
	struct warning *new;

	if (w->count == WARNINGS_MAX) {
		w->left_out++;
		return NULL;
	}
	new = &w->warning[w->count++];
	*new = (struct warning){ .since = now };
	memcpy(new->code, k->code, sizeof(k->code));
	memcpy(new->subject, k->subject, sizeof(k->subject));
	return new;
}

bool warn_set(struct agent *a, slo_nsec now, const char *code, const char *subject, const char *fmt,
              ...)
{
	struct warn_key k = key_of(code, subject);
	size_t i = index_of(&a->warnings, &k);
	bool fresh = i == a->warnings.count;
	struct warning *w = fresh ? add(a, now, &k) : &a->warnings.warning[i];
	char text[WARN_TEXT_MAX + 1];
	va_list ap;

	if (!w)
		return false;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	clean_copy(w->text, sizeof(w->text), slice_of(text));
	w->last = now;
	w->times++;
	if (fresh)
		log_limited(a->log, now, LOG_CAUSE_WARNING, LOG_WARNING, "%s: %s", w->code,
		            w->text);
	return fresh;
}

static void take_out(struct agent *a, slo_nsec now, size_t i)
{
	struct warnings *w = &a->warnings;

	if (!w->stops)
		log_limited(a->log, now, LOG_CAUSE_WARNING_OVER, LOG_NOTICE,
		            "%s: this warning is over%s%s, after %" PRId64 " s", w->warning[i].code,
		            w->warning[i].subject[0] ? " for " : "", w->warning[i].subject,
		            (now - w->warning[i].since) / SLO_NSEC_PER_SEC);
	w->count--;
	memmove(&w->warning[i], &w->warning[i + 1], (w->count - i) * sizeof(w->warning[0]));
}

bool warn_clear(struct agent *a, slo_nsec now, const char *code, const char *subject)
{
	struct warn_key k = key_of(code, subject);
	size_t i = index_of(&a->warnings, &k);

	if (i == a->warnings.count)
		return false;
	take_out(a, now, i);
	return true;
}

void warn_clear_older(struct agent *a, slo_nsec now, const char *code, slo_nsec since)
{
	struct warn_key k = key_of(code, NULL);

	for (size_t i = a->warnings.count; i-- > 0;)
		if (strcmp(a->warnings.warning[i].code, k.code) == 0 &&
		    a->warnings.warning[i].last < since)
			take_out(a, now, i);
}

void warn_clear_all(struct agent *a, slo_nsec now, const char *code)
{
	warn_clear_older(a, now, code, SLO_NEVER);
}
