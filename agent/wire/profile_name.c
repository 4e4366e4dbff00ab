#include "wire/profile_name.h"

#include <stdbool.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

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

slo_err profile_name(const char *model, const char *deployment, char *out, size_t cap)
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

uint64_t profile_text_hash(const char *text, size_t len)
{
	return XXH3_64bits(text, len);
}
