/* haproxy_stat.h - what HAProxy answers on its runtime API to "show info", "show stat" and "show
 * servers state".
 *
 * Pure and incremental: bytes come in pieces of any size, items go out one by one. An answer is a
 * row of blocks, one for each command, and each ends with an empty line:
 *
 *     Pid: 1234                       "show info": lines "name: value"
 *     Uptime_sec: 12
 *                                     empty
 *     # pxname,svname,qcur,...        "show stat": CSV under a header that names the columns; how
 *     be,s1,0,0,3,...                 many there are (129 to 208) depends on the version
 *                                     empty
 *     No such proxy.                  a refusal
 *                                     empty
 *     1                               "show servers state": the version of its form
 *     # be_id be_name srv_id ...      a table again, with blanks between
 *     3 be 1 s1 10.0.0.11 ...
 *                                     empty
 *
 * Columns are found by name only; those that nobody asked for are skipped. */
#ifndef SLO_WIRE_HAPROXY_STAT_H
#define SLO_WIRE_HAPROXY_STAT_H

#include <stdbool.h>
#include <stdint.h>

#include "slo.h"
#include "slo_server_state.h"

/* Of one line, header included; the longest header (3.2) has 3,025 bytes. */
#define HAPROXY_LINE_MAX 16384

struct haproxy_server {
	struct slice backend, name;
	enum slo_server_state state;
	uint32_t sessions; /* scur: running there */
	uint32_t queued;   /* qcur: waiting in HAProxy for this server and no other */
};

/* Where a server listens; address "-": not at an IP address. */
struct haproxy_address {
	struct slice backend, name, address;
	uint32_t port;
};

enum haproxy_kind {
	HAPROXY_SERVER,  /* a row about a server */
	HAPROXY_ADDRESS, /* likewise, of "show servers state" */
	HAPROXY_PID,     /* of the process that answers */
	HAPROXY_UPTIME,  /* of it, in seconds */
	HAPROXY_TEXT,    /* any other line outside of a table */
};

struct haproxy_item {
	enum haproxy_kind kind;
	struct haproxy_server server;
	struct haproxy_address address;
	uint64_t number;   /* HAPROXY_PID, HAPROXY_UPTIME */
	struct slice text; /* HAPROXY_TEXT, without its newline */
};

/* The columns that are looked at. */
enum haproxy_column {
	HAPROXY_COL_PXNAME,
	HAPROXY_COL_SVNAME,
	HAPROXY_COL_QCUR,
	HAPROXY_COL_SCUR,
	HAPROXY_COL_STATUS,
	HAPROXY_COL_TYPE,
	HAPROXY_COLS,
};

/* Those of "show servers state". */
enum haproxy_address_column {
	HAPROXY_COL_BE_NAME,
	HAPROXY_COL_SRV_NAME,
	HAPROXY_COL_SRV_ADDR,
	HAPROXY_COL_SRV_PORT,
	HAPROXY_ADDRESS_COLS,
};

struct haproxy_stat {
	uint32_t at[HAPROXY_COLS]; /* where the table has that column, from 0 */
	uint32_t blocks;           /* that ended */
	uint32_t tables;           /* that began */
	bool in_table;
	bool of_addresses; /* the table is that of "show servers state" */
	bool quoted;       /* the line being read is inside of quotes */
	size_t len;        /* of it */
	uint8_t line[HAPROXY_LINE_MAX];
};

void haproxy_stat_init(struct haproxy_stat *p);

/* Takes bytes off *in until there is an item, whose slices are valid until the next call.
 * SLO_ESHORT: all bytes are taken. SLO_EPROTO: a table without a column that is needed, a row that
 * is too short, a number that is none. SLO_ETOOBIG: the line is too long. After these two the
 * answer is of no more use. */
MUSTCHECK slo_err haproxy_stat_next(struct haproxy_stat *p, struct slice *in,
                                    struct haproxy_item *out);

/* Whether what came is a whole answer to that many commands. */
bool haproxy_stat_complete(const struct haproxy_stat *p, uint32_t commands);

/* The value of the column "status": "UP", "UP 1/3" (going down) and "no check" are up, "DOWN",
 * "DOWN 1/2" (going up) and any other word down, "MAINT (via be/s1)" maint, "DRAIN (agent)" and
 * "NOLB", which a health check can answer, drain. */
enum slo_server_state haproxy_state_parse(struct slice status);

#endif
