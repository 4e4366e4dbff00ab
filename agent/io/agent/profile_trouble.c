#include "io/agent/profile_trouble.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/config.h"
#include "wire/profile_name.h"

struct profile_troubled {
	UT_hash_handle hh;
	char text[PROFILE_TROUBLES][PROFILE_TROUBLE_TEXT]; /* "": none */
	char key[];                                        /* of profile_name(), terminated */
};

/* NULL: nothing is wrong with it. */
static struct profile_troubled *find(const struct profile_troubles *t, const struct deployment *d,
                                     char key[CONFIG_PROFILE_NAME_SIZE])
{
	struct profile_troubled *p = NULL;

	if (profile_name(d->pool->name, d->name, key, CONFIG_PROFILE_NAME_SIZE) != SLO_OK)
		key[0] = '\0';
	HASH_FIND_STR(t->by_key, key, p);
	return p;
}

static struct profile_troubled *add(struct profile_troubles *t, const char *key)
{
	size_t len = strlen(key);
	struct profile_troubled *p = len > 0 ? calloc(1, sizeof(*p) + len + 1) : NULL;

	if (!p)
		return NULL;
	memcpy(p->key, key, len);
	HASH_ADD_KEYPTR(hh, t->by_key, p->key, len, p);
	if (p->hh.tbl)
		return p;
	free(p);
	return NULL;
}

void profile_trouble_set(struct profile_troubles *t, const struct deployment *d,
                         enum profile_trouble kind, const char *fmt, ...)
{
	char key[CONFIG_PROFILE_NAME_SIZE];
	struct profile_troubled *p = find(t, d, key);
	va_list ap;

	if (!p)
		p = add(t, key);
	if (!p)
		return;
	va_start(ap, fmt);
	vsnprintf(p->text[kind], sizeof(p->text[kind]), fmt, ap);
	va_end(ap);
}

static void clear(struct profile_troubles *t, struct profile_troubled *p, enum profile_trouble kind)
{
	p->text[kind][0] = '\0';
	for (int i = 0; i < PROFILE_TROUBLES; i++)
		if (p->text[i][0])
			return;
	HASH_DEL(t->by_key, p);
	free(p);
}

void profile_trouble_clear(struct profile_troubles *t, const struct deployment *d,
                           enum profile_trouble kind)
{
	char key[CONFIG_PROFILE_NAME_SIZE];
	struct profile_troubled *p = find(t, d, key);

	if (p)
		clear(t, p, kind);
}

void profile_trouble_clear_all(struct profile_troubles *t, enum profile_trouble kind)
{
	struct profile_troubled *p, *next;

	for (p = t->by_key; p; p = next) {
		next = p->hh.next;
		clear(t, p, kind);
	}
}

const char *profile_trouble_of(const struct profile_troubles *t, const struct deployment *d,
                               enum profile_trouble kind)
{
	char key[CONFIG_PROFILE_NAME_SIZE];
	const struct profile_troubled *p = t->by_key ? find(t, d, key) : NULL;

	return p && p->text[kind][0] ? p->text[kind] : NULL;
}

void profile_troubles_fini(struct profile_troubles *t)
{
	struct profile_troubled *p = t->by_key, *next;

	HASH_CLEAR(hh, t->by_key);
	for (; p; p = next) {
		next = p->hh.next;
		free(p);
	}
}
