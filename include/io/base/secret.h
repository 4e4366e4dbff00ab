/* secret.h - whether who speaks knows the secret of a listener. */
#ifndef SLO_IO_BASE_SECRET_H
#define SLO_IO_BASE_SECRET_H

#include <stdbool.h>
#include <string.h>

#include "slo.h"

/* `wanted` NULL: none is asked for. The time tells nothing of how many bytes are right. */
static inline bool secret_is_told(const char *wanted, struct slice told)
{
	unsigned differs = 0;
	size_t len;

	if (!wanted)
		return true;
	len = strlen(wanted);
	if (told.len != len)
		return false;
	for (size_t i = 0; i < len; i++)
		differs |= (unsigned)(told.p[i] ^ (uint8_t)wanted[i]);
	return differs == 0;
}

#endif
