#include "wire/profile_name.h"

#include <stdbool.h>
#include <string.h>

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

/* FNV-1a, 64 bits, and the length. */
uint64_t profile_text_hash(const char *text, size_t len)
{
	uint64_t h = UINT64_C(14695981039346656037) ^ len;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)text[i]) * UINT64_C(1099511628211);
	return h;
}
