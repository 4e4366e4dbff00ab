/* words.h - one line of HAProxy's files, cut into words. */
#ifndef SLO_AGENT_CONF_HAPROXY_WORDS_H
#define SLO_AGENT_CONF_HAPROXY_WORDS_H

#include "conf/haproxy/hapconf.h"

#define HAP_LINE_MAX 16384 /* bytes of all words; what is longer is cut */

struct hap_words {
	size_t count;
	const char *word[HAPCONF_WORDS_MAX]; /* into text */
	char text[HAP_LINE_MAX];
};

/* Cuts the line [line, line + len), which has no NUL and no line end. */
void hap_words_split(struct hap_words *w, const char *line, size_t len, hap_env *env, void *user);

#endif
