#include "io/agent/labels.h"

#include <stdlib.h>
#include <string.h>

struct label *label_of(void **owner, const char *name)
{
	struct label *l = *owner;
	size_t len;

	if (l)
		return l;
	len = strlen(name);
	l = calloc(1, sizeof(*l) + len + 1);
	if (!l)
		return NULL;
	memcpy(l->name, name, len + 1);
	*owner = l;
	return l;
}

void label_retire(struct labels *l, void **owner, uint64_t next)
{
	struct label *label = *owner;

	if (!label)
		return;
	*owner = NULL;
	label->retired = next;
	SLIST_INSERT_HEAD(&l->retired, label, link);
}

void labels_sweep(struct labels *l, uint64_t oldest)
{
	struct label **at = &SLIST_FIRST(&l->retired), *label;

	while ((label = *at)) {
		if (label->retired > oldest) {
			at = &SLIST_NEXT(label, link);
			continue;
		}
		*at = SLIST_NEXT(label, link);
		free(label);
	}
}
