/* record_private.h - which members each kind of event has, for both directions. */
#ifndef SLO_WIRE_FILE_RECORD_PRIVATE_H
#define SLO_WIRE_FILE_RECORD_PRIVATE_H

#include <stdbool.h>

#include "slo_event.h"

enum record_type {
	RECORD_END, /* of the list of members */
	RECORD_NOW,
	RECORD_BEFORE_NOW,
	RECORD_U32,
	RECORD_U64,
	RECORD_I64,
	RECORD_REAL,
	RECORD_TEXT,
	RECORD_LIST,
};

struct record_member {
	enum record_type type;
	size_t offset; /* into struct slo_event */
	bool added;    /* older recordings lack it, and what stands behind it; then it is 0 */
};

#define RECORD_MEMBERS_MAX 16

/* The members of that kind, in their order in the record, the last of type RECORD_END. */
const struct record_member *record_members(enum slo_event_kind kind);

#endif
