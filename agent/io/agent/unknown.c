#include "io/agent/unknown.h"

#include <string.h>

static void print_name(struct slice name, char out[UNKNOWN_NAME_MAX + 1])
{
	size_t len = name.len < UNKNOWN_NAME_MAX ? name.len : UNKNOWN_NAME_MAX;

	memset(out, '?', len);
	for (size_t i = 0; i < len; i++) {
		if (name.p[i] > ' ' && name.p[i] < 0x7f)
			out[i] = (char)name.p[i];
	}
	out[len] = '\0';
}

static struct unknown_model *rarest(struct unknown_models *u)
{
	struct unknown_model *least = &u->model[0];

	if (u->count < UNKNOWN_MODELS_MAX)
		return &u->model[u->count++];
	for (size_t i = 1; i < u->count; i++) {
		if (u->model[i].requests < least->requests)
			least = &u->model[i];
	}
	return least;
}

bool unknown_models_add(struct unknown_models *u, struct slice name,
                        const struct unknown_model **out)
{
	char printed[UNKNOWN_NAME_MAX + 1];
	struct unknown_model *m;
	bool fresh = true;

	print_name(name, printed);
	for (size_t i = 0; i < u->count && fresh; i++) {
		m = &u->model[i];
		fresh = strcmp(m->name, printed) != 0;
	}
	if (fresh) {
		m = rarest(u);
		memcpy(m->name, printed, sizeof(printed));
	}
	m->requests++;
	*out = m;
	return fresh;
}
