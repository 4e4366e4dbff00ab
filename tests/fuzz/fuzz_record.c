/* A recording without its head, read and played. */
#include <stdlib.h>

#include "core/record/player.h"
#include "wire/file/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct record_reader *r = record_reader_new();
	struct player *p = player_new();
	struct sched_action act;
	struct slo_event e;
	size_t at = 0, used;
	const char *why;
	bool acted;

	while (r && p && at < size &&
	       record_next(r, (struct slice){ data + at, size - at }, &e, &used) == SLO_OK) {
		at += used;
		if (e.kind == SLO_EVENT_PASS)
			continue;
		if (player_apply(p, &e, &act, &acted, &why) != SLO_OK)
			break;
	}
	player_free(p);
	record_reader_free(r);
	return 0;
}
