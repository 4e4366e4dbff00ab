/* The address of a Redis server. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "conf/redis_url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[REDIS_URL_TEXT_MAX];
	const char *why = NULL;
	struct redis_sentinels sentinels;
	struct redis_url u, again;

	if (redis_url_parse_sentinels((const char *)data, size, &u, &sentinels, &why) == SLO_OK &&
	    (sentinels.count > REDIS_SENTINELS_MAX ||
	     (sentinels.count > 0) != (u.host[0] == '\0' && u.kind != REDIS_URL_UNIX)))
		abort();
	why = NULL;
	if (redis_url_parse((const char *)data, size, &u, &why) != SLO_OK) {
		if (!why)
			abort();
		return 0;
	}
	redis_url_print(&u, text);
	/* A path may need its %XX; the rest must come back as it was. */
	if (u.kind == REDIS_URL_UNIX)
		return 0;
	if (redis_url_parse(text, strlen(text), &again, &why) != SLO_OK || again.db != u.db ||
	    again.port != u.port || strcmp(again.host, u.host) != 0 || again.password[0])
		abort();
	return 0;
}
