/* endline.h - the line HAProxy writes when a stream ends, and its notices on the same log.
 *   <133>Nov 23 12:00:00 lb haproxy[7]: slo1 id=... be=b srv=s1 st=200 tr=12 ta=512 bytes=4711 ...
 *   3 events dropped                         the ring overflowed
 *   Server be/s2 is DOWN, reason: ...        a backend's `log`
 * What stands first on a line decides: behind the token slo1 everything is key=value, and in the
 * reason of a server message, which the server may have written itself, slo1 is only text. */
#ifndef SLO_WIRE_ENDLINE_H
#define SLO_WIRE_ENDLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slo.h"
#include "slo_server_state.h"

#define ENDLINE_ID_MAX 255

enum endline_kind {
	ENDLINE_END,        /* a stream ended */
	ENDLINE_DROPPED,    /* HAProxy dropped `dropped` lines */
	ENDLINE_SERVER,     /* be/srv is now in `state` */
	ENDLINE_STOPPED,    /* a process that serves `be` stops, after a reload as a rule */
	ENDLINE_OTHER,      /* anything else */
	ENDLINE_NO_REQUEST, /* the end of what never became a request, so it has no id */
};

/* Slices borrow from the line; p NULL = absent. Numbers are -1 when absent, negative or not a
 * decimal number of 63 bits. */
struct endline {
	enum endline_kind kind;
	struct slice id;  /* 1..ENDLINE_ID_MAX bytes on ENDLINE_END */
	struct slice be;  /* on ENDLINE_END, ENDLINE_SERVER and ENDLINE_STOPPED */
	struct slice srv; /* on the first two; absent also when HAProxy says <NOSRV> or the like */
	struct slice ts;
	struct slice key; /* the secret of events.secret */
	int64_t st;
	int64_t tr_ms;
	int64_t ta_ms;
	int64_t bytes;
	int64_t in;       /* tokens */
	int64_t out;      /* tokens */
	int64_t cached;   /* of `in`, tokens that the server had in its cache */
	int64_t event;    /* bytes of the first event of a stream, without its end and a role */
	int64_t tf_ms;    /* from the dispatch to the first byte of the answer's body */
	int64_t err;      /* SPOE's error of the question; 0 or absent: it was answered */
	int64_t ptime_ms; /* that the agent took, as HAProxy saw it */
	struct slice rc;  /* retries; "+" before the number: another server was tried */
	struct slice enc; /* content-encoding of the answer */
	bool no_server;   /* HAProxy says so; else an absent srv is not told */
	uint64_t dropped;
	enum slo_server_state state; /* ENDLINE_SERVER: up, down, maint or drain */
	/* Down because nobody listens there: its process has ended, or ends. `idle`: and HAProxy
	 * has nothing open there any more. */
	bool refused, idle;
};

/* One line or datagram, with or without its line end. Fields that the kind does not have are
 * absent. Of duplicate keys the first counts. SLO_EPROTO: there is slo1, but no valid id. */
MUSTCHECK slo_err endline_parse(const uint8_t *line, size_t len, struct endline *out);

#endif
