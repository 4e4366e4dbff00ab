#include "io/agent/profile_notes.h"

#include <stdlib.h>
#include <string.h>

#include "conf/config.h"
#include "wire/profile_name.h"

static void forget(struct profile_notes *n, struct profile_note *note)
{
	HASH_DEL(n->by_key, note);
	free(note->findings);
	free(note);
}

static struct profile_note *note_of(const struct profile_notes *n, const char *model,
                                    const char *deployment, char key[CONFIG_PROFILE_NAME_SIZE])
{
	struct profile_note *note = NULL;

	if (profile_name(model, deployment, key, CONFIG_PROFILE_NAME_SIZE) != SLO_OK)
		key[0] = '\0';
	HASH_FIND_STR(n->by_key, key, note);
	return note;
}

static bool same(const struct profile_note *note, const struct profile_finding *findings,
                 size_t count)
{
	if (note->count != count)
		return false;
	for (size_t i = 0; i < count; i++)
		if (strcmp(note->findings[i].text, findings[i].text) != 0)
			return false;
	return true;
}

static void keep(struct profile_notes *n, const char *key, const struct profile_finding *findings,
                 size_t count)
{
	size_t len = strlen(key);
	struct profile_note *note = calloc(1, sizeof(*note) + len + 1);

	if (!note)
		return;
	note->findings = calloc(count, sizeof(*findings));
	if (note->findings) {
		memcpy(note->findings, findings, count * sizeof(*findings));
		note->count = count;
		memcpy(note->key, key, len);
		HASH_ADD_KEYPTR(hh, n->by_key, note->key, len, note);
		if (note->hh.tbl)
			return;
	}
	free(note->findings);
	free(note);
}

bool profile_notes_set(struct profile_notes *n, const char *model, const char *deployment,
                       const struct profile_finding *findings, size_t count)
{
	char key[CONFIG_PROFILE_NAME_SIZE];
	struct profile_note *note = note_of(n, model, deployment, key);

	if (note && same(note, findings, count))
		return false;
	if (note)
		forget(n, note);
	if (count > 0 && key[0])
		keep(n, key, findings, count);
	return count > 0;
}

const struct profile_note *profile_notes_find(const struct profile_notes *n, const char *model,
                                              const char *deployment)
{
	char key[CONFIG_PROFILE_NAME_SIZE];

	return note_of(n, model, deployment, key);
}

void profile_notes_fini(struct profile_notes *n)
{
	struct profile_note *note = n->by_key, *next;

	HASH_CLEAR(hh, n->by_key);
	for (; note; note = next) {
		next = note->hh.next;
		free(note->findings);
		free(note);
	}
}
