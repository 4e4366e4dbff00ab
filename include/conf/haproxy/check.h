/* check.h - compares HAProxy's files with the agent's configuration: what will not work, before it
 * does not. Each finding says what is wrong, what follows, and what to do. */
#ifndef SLO_CONF_HAPROXY_CHECK_H
#define SLO_CONF_HAPROXY_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/config.h"
#include "conf/haproxy/hapconf.h"

#define HAP_FINDING_TEXT 768 /* bytes, with the terminator */

struct hap_finding {
	const char *code; /* never changes, and is the one of the same trouble at run time */
	const char *file; /* of the hapconf */
	size_t line;      /* 0: it is about no line */
	bool fatal;       /* requests are not routed, or lost; otherwise something gets worse */
	char text[HAP_FINDING_TEXT];
};

struct hap_findings {
	struct hap_finding *list; /* [count], in the order of the checks */
	size_t count, cap;
	bool out_of_memory; /* some are missing */
};

/* Both must live as long as the findings are used. */
void hap_check(const struct config *conf, const struct hapconf *hap, struct hap_findings *out);
void hap_findings_free(struct hap_findings *f);

/* The files that HAProxy's files name for an engine of ours: "filter spoe ... config FILE". Calls
 * found() with each and the file that names it. */
void hap_spoe_files(const struct hapconf *hap,
                    void (*found)(void *user, const char *named_by, const char *path), void *user);

#endif
