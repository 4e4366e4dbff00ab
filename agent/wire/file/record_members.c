#include "record_private.h"

/* clang-format off */
#define AT(member)  offsetof(struct slo_event, member)
#define NOW         { RECORD_NOW, AT(now) }
#define CREATED     { RECORD_BEFORE_NOW, AT(created) }
#define ARRIVED     { RECORD_BEFORE_NOW, AT(arrived) }
#define TEXT        { RECORD_TEXT, AT(text) }
#define MODEL       { RECORD_U64, AT(model) }
#define DEPLOYMENT  { RECORD_U64, AT(deployment) }
#define SERVER      { RECORD_U64, AT(server) }
#define STRATEGY    { RECORD_U32, AT(strategy) }
#define VERDICT     { RECORD_U32, AT(verdict) }
#define REASON      { RECORD_U32, AT(reason) }
#define INPUT       { RECORD_I64, AT(input) }
#define OUTPUT      { RECORD_I64, AT(output) }
#define LOAD        { RECORD_U64, AT(load) }
#define COUNT       { RECORD_I64, AT(count) }
#define ORDER       { RECORD_U64, AT(order) }
#define TURN        { RECORD_U64, AT(turn) }
#define WAITED      { RECORD_I64, AT(waited) }
#define LIST        { RECORD_LIST, AT(list) }
#define OWN         { RECORD_I64, AT(own.e2e) }, { RECORD_I64, AT(own.ttft) }, \
                    { RECORD_I64, AT(own.tpot) }
#define REALS       { RECORD_REAL, AT(real[0]) }, { RECORD_REAL, AT(real[1]) }, \
                    { RECORD_REAL, AT(real[2]) }, { RECORD_REAL, AT(real[3]) }
#define RATES       REALS, { RECORD_REAL, AT(real[4]) }, { RECORD_REAL, AT(real[5]) }
#define ANSWER      NOW, TEXT, VERDICT, REASON, STRATEGY, SERVER, LOAD, WAITED

static const struct record_member members[SLO_EVENT_KINDS][RECORD_MEMBERS_MAX] = {
	[SLO_EVENT_START] = { NOW, LOAD, COUNT },
	[SLO_EVENT_QUIET] = { NOW },
	[SLO_EVENT_CONFIG] = { LIST },
	[SLO_EVENT_MODEL] = { MODEL, TEXT },
	[SLO_EVENT_MODEL_GONE] = { MODEL },
	[SLO_EVENT_DEPLOYMENT] = { MODEL, TEXT },
	[SLO_EVENT_DEPLOYMENT_GONE] = { MODEL, DEPLOYMENT },
	[SLO_EVENT_ORDER] = { MODEL, LIST },
	[SLO_EVENT_SERVER] = { SERVER, TEXT },
	[SLO_EVENT_SEAT] = { MODEL, DEPLOYMENT, SERVER, ORDER },
	[SLO_EVENT_SEAT_MOVED] = { MODEL, DEPLOYMENT, SERVER },
	[SLO_EVENT_SEAT_GONE] = { MODEL, SERVER },
	[SLO_EVENT_USABLE] = { SERVER, COUNT },
	[SLO_EVENT_PROFILE] = { MODEL, DEPLOYMENT, ORDER, COUNT, REALS, LIST },
	[SLO_EVENT_PROFILE_GONE] = { MODEL, DEPLOYMENT },
	[SLO_EVENT_SURPLUS] = { SERVER, COUNT, LOAD },
	[SLO_EVENT_SEAT_TURN] = { MODEL, SERVER, ORDER, TURN, COUNT },
	[SLO_EVENT_MODEL_TURN] = { MODEL, ORDER, TURN },
	[SLO_EVENT_SUBMIT] = { NOW, TEXT, MODEL, STRATEGY, INPUT, OUTPUT, CREATED, OWN },
	[SLO_EVENT_LEASE] = { NOW, TEXT, MODEL, SERVER, LOAD, STRATEGY, INPUT, OUTPUT, CREATED,
	                      ARRIVED },
	[SLO_EVENT_TRIED] = { NOW, TEXT },
	[SLO_EVENT_ABANDON] = { NOW, TEXT },
	[SLO_EVENT_END] = { NOW, TEXT, COUNT, INPUT, OUTPUT },
	[SLO_EVENT_STEP] = { NOW },
	[SLO_EVENT_DECISION] = { ANSWER },
	[SLO_EVENT_LET_GO] = { ANSWER },
	[SLO_EVENT_PASS] = { NOW, TEXT, REASON, STRATEGY },
	[SLO_EVENT_PROMISE] = { MODEL, COUNT, REALS },
	[SLO_EVENT_SOURCE] = { MODEL, DEPLOYMENT, COUNT, ORDER, LOAD, RATES },
	[SLO_EVENT_SLOWER] = { MODEL, SERVER, { RECORD_REAL, AT(real[0]) } },
	[SLO_EVENT_FOREIGN] = { NOW, TEXT, MODEL, SERVER, LOAD, STRATEGY, INPUT, OUTPUT, ARRIVED,
	                        ORDER },
	[SLO_EVENT_FOREIGN_END] = { NOW, TEXT, ORDER, COUNT, INPUT, OUTPUT },
	[SLO_EVENT_WITHHELD] = { SERVER, LOAD },
	[SLO_EVENT_STAKE] = { TEXT, ORDER, LOAD, COUNT, TURN, INPUT },
	[SLO_EVENT_READING] = { SERVER, COUNT },
};
/* clang-format on */

_Static_assert(SLO_EVENT_READING + 1 == SLO_EVENT_KINDS, "each kind has its members");

const struct record_member *record_members(enum slo_event_kind kind)
{
	return members[kind];
}
