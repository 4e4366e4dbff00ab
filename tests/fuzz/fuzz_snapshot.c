/* The records of a snapshot, behind a checksum that is right. */
#include "snapshot_forge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice file = forge(1, data, size);
	struct snapshot_reader *r;
	struct snapshot_record rec;
	int64_t written;
	const char *why;

	if (!file.p)
		return 0;
	r = snapshot_open(file, &written, &why);
	while (r && snapshot_next(r, &rec) == SLO_OK)
		;
	snapshot_reader_free(r);
	free((void *)file.p);
	return 0;
}
