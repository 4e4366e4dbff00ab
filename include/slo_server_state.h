/* slo_server_state.h - what HAProxy says of a server: the one list for its notices, its runtime API
 * and the roster. */
#ifndef SLO_SERVER_STATE_H
#define SLO_SERVER_STATE_H

/* From the best to the worst: where processes disagree, the smaller counts. X(NAME, text): the text
 * stands in /metrics, /state.json and the log, the number in snapshots. */
#define SLO_SERVER_STATE_LIST(X)                                                              \
	X(UP, "up")         /* may get requests */                                            \
	X(DOWN, "down")     /* its health check fails, or HAProxy uses a word unknown here */ \
	X(MAINT, "maint")   /* taken out by an operator or a resolver */                      \
	X(DRAIN, "drain")   /* serves what it has, wants no more; also NOLB */                \
	X(ABSENT, "absent") /* views name its backend, but not it */                          \
	X(UNTOLD, "untold") /* no word of it so far */

enum slo_server_state {
#define SLO_SERVER_STATE_MEMBER(name, text) SLO_SERVER_##name,
	SLO_SERVER_STATE_LIST(SLO_SERVER_STATE_MEMBER)
#undef SLO_SERVER_STATE_MEMBER
	    SLO_SERVER_STATES, /* how many there are */
};

#endif
