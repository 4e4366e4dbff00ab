#include "record_private.h"

/* clang-format off */
#define AT(member)  offsetof(struct slo_event, member)
#define NOW         { RECORD_NOW, AT(now), false }
#define CREATED     { RECORD_BEFORE_NOW, AT(created), false }
#define ARRIVED     { RECORD_BEFORE_NOW, AT(arrived), false }
#define TEXT        { RECORD_TEXT, AT(text), false }
#define MODEL       { RECORD_U64, AT(model), false }
#define DEPLOYMENT  { RECORD_U64, AT(deployment), false }
#define SERVER      { RECORD_U64, AT(server), false }
#define STRATEGY    { RECORD_U32, AT(strategy), false }
#define VERDICT     { RECORD_U32, AT(verdict), false }
#define REASON      { RECORD_U32, AT(reason), false }
#define INPUT       { RECORD_I64, AT(input), false }
#define OUTPUT      { RECORD_I64, AT(output), false }
#define LOAD        { RECORD_U64, AT(load), false }
#define COUNT       { RECORD_I64, AT(count), false }
#define ORDER       { RECORD_U64, AT(order), false }
#define TURN        { RECORD_U64, AT(turn), false }
#define WAITED      { RECORD_I64, AT(waited), false }
#define LIST        { RECORD_LIST, AT(list), false }
#define OWN         { RECORD_I64, AT(own.e2e), false }, { RECORD_I64, AT(own.ttft), false }, \
                    { RECORD_I64, AT(own.tpot), false }
#define REALS       { RECORD_REAL, AT(real[0]), false }, { RECORD_REAL, AT(real[1]), false }, \
                    { RECORD_REAL, AT(real[2]), false }, { RECORD_REAL, AT(real[3]), false }
#define RATES       REALS, { RECORD_REAL, AT(real[4]), false }, { RECORD_REAL, AT(real[5]), false }
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
	[SLO_EVENT_MODEL_TURN] = { MODEL, ORDER, TURN, { RECORD_I64, AT(count), true } },
	[SLO_EVENT_SUBMIT] = { NOW, TEXT, MODEL, STRATEGY, INPUT, OUTPUT, CREATED, OWN,
	                       { RECORD_I64, AT(count), true },
	                       { RECORD_U64, AT(order), true } },
	[SLO_EVENT_LEASE] = { NOW, TEXT, MODEL, SERVER, LOAD, STRATEGY, INPUT, OUTPUT, CREATED,
	                      ARRIVED },
	[SLO_EVENT_TRIED] = { NOW, TEXT, { RECORD_I64, AT(waited), true } },
	[SLO_EVENT_ABANDON] = { NOW, TEXT },
	[SLO_EVENT_END] = { NOW, TEXT, COUNT, INPUT, OUTPUT },
	[SLO_EVENT_STEP] = { NOW },
	[SLO_EVENT_DECISION] = { ANSWER },
	[SLO_EVENT_LET_GO] = { ANSWER },
	[SLO_EVENT_PASS] = { NOW, TEXT, REASON, STRATEGY },
	[SLO_EVENT_PROMISE] = { MODEL, COUNT, REALS },
	[SLO_EVENT_SOURCE] = { MODEL, DEPLOYMENT, COUNT, ORDER, LOAD, RATES },
	[SLO_EVENT_SLOWER] = { MODEL, SERVER, { RECORD_REAL, AT(real[0]), false } },
	[SLO_EVENT_FOREIGN] = { NOW, TEXT, MODEL, SERVER, LOAD, STRATEGY, INPUT, OUTPUT, ARRIVED,
	                        ORDER },
	[SLO_EVENT_FOREIGN_END] = { NOW, TEXT, ORDER, COUNT, INPUT, OUTPUT },
	[SLO_EVENT_WITHHELD] = { SERVER, LOAD },
	[SLO_EVENT_STAKE] = { TEXT, ORDER, LOAD, COUNT, TURN, INPUT },
	[SLO_EVENT_READING] = { SERVER, COUNT },
	[SLO_EVENT_GUARD] = { MODEL, DEPLOYMENT, { RECORD_REAL, AT(real[0]), false } },
	[SLO_EVENT_OTHERS] = { COUNT, ORDER },
	[SLO_EVENT_FRESH] = { TEXT },
	[SLO_EVENT_HEARD] = { NOW, ARRIVED },
	[SLO_EVENT_FLOOR] = { MODEL, DEPLOYMENT, LOAD },
};
/* clang-format on */

_Static_assert(SLO_EVENT_FLOOR + 1 == SLO_EVENT_KINDS, "each kind has its members");

const struct record_member *record_members(enum slo_event_kind kind)
{
	return members[kind];
}
