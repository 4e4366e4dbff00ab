/* What the checks share. */
#ifndef SLO_AGENT_CONF_HAPROXY_CHECK_PRIVATE_H
#define SLO_AGENT_CONF_HAPROXY_CHECK_PRIVATE_H

#include "conf/haproxy/check.h"
#include "slice.h"

/* A frontend that asks the agent. What is not there is NULL. */
struct asking {
	const struct hap_section *frontend;
	const struct hap_line *filter;
	const char *engine;                /* "slo" of "filter spoe engine slo" */
	const struct hap_section *agent;   /* "spoe-agent" of this engine */
	const struct hap_section *message; /* "spoe-message slo-route" */
	const struct hap_section *spop;    /* the backend that the agent's use-backend names */
	const char *prefix;                /* of variables: txn.PREFIX.server; "": none is set */
};

struct checking {
	const struct config *conf;
	const struct hapconf *hap;
	struct hap_findings *out;
	const struct hap_section *global; /* NULL: none */
};

enum severity {
	WORSE, /* something gets worse */
	FATAL, /* requests are not routed, or lost */
};

/* at NULL: it is about no line. */
void tell(const struct checking *c, enum severity severity, const char *code,
          const struct hap_line *at, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* Values */

/* A time as HAProxy writes it, a bare number in milliseconds; -1: it is none. */
slo_nsec hap_time(const char *text);
/* That of "timeout NAME"; -1: none. *at: its line. */
slo_nsec hap_timeout(const struct hap_section *s, const char *name, const struct hap_line **at);
/* A number; -1: it is none. */
long hap_number(const char *text);
/* "35s", "1500ms" */
struct time_text {
	char text[32];
};
struct time_text time_text(slo_nsec t);

/* Whether what HAProxy connects or logs to is an address of ours. */
enum match {
	MATCH_NO,
	MATCH_PORT, /* the port is ours; whether the host is one of ours cannot be told */
	MATCH_YES,
};
enum match hap_address_is(const char *text, const struct listen_addr *a);
/* The best match among those of a listener; kind -1: of any kind. */
enum match hap_listener_has(const struct config_listen *l, const char *text, bool datagrams);
/* "127.0.0.1:9901, unix:/run/x" */
struct listen_text {
	char text[200];
};
struct listen_text listen_text(const struct config_listen *l);

/* Whether some line of the section, or of its defaults, contains text; it must start with `first`.
 */
bool hap_any(const struct hap_section *s, const char *first, const char *text);

/* The rule that makes HAProxy ask; NULL: there is none. */
const struct hap_line *asking_rule(const struct asking *a);

/* The rooms */
void check_asking(const struct checking *c, struct asking *a);
void check_rules(const struct checking *c, const struct asking *a);
void check_times(const struct checking *c, const struct asking *a);
void check_end_lines(const struct checking *c, const struct asking *a);
void check_log_format(const struct checking *c, const struct asking *a);
void check_fleet(const struct checking *c, const struct asking *a, size_t count);
void check_process(const struct checking *c, const struct asking *a, size_t count);

#endif
