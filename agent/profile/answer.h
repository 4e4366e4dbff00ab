/* answer.h - what an LLM server answered to a completion, from the bytes of its HTTP response.
 * Pure.
 */
#ifndef SLO_PROFILE_ANSWER_H
#define SLO_PROFILE_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

#include "slo.h"

struct answer {
	int status;           /* HTTP's; 0: that was no HTTP */
	double input, output; /* tokens that the server counted; 0: it told none */
	char error[200];      /* of a status that is not 200: the begin of what it said */
};

/* Whether nothing more can come, though the server keeps the connection. */
bool answer_is_whole(const char *raw, size_t len);
/* Whether some of the answer itself has come, behind the headers. */
bool answer_has_begun(const char *raw, size_t len);
/* SLO_ENOMEM. A response that makes no sense has status 0 or no tokens. */
MUSTCHECK slo_err answer_read(const char *raw, size_t len, struct answer *out);

#endif
