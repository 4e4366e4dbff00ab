/* tokens_private.h - what the files that count tokens share. */
#ifndef SLO_WIRE_TOKENS_PRIVATE_H
#define SLO_WIRE_TOKENS_PRIVATE_H

#include <stdbool.h>

#include "wire/tokens.h"

#define TOKENS_LOOK_BACK 8 /* bytes that tell what the next one adds: 9 letters make a len9 */

/* For tests: as on a CPU that has no wider vectors. */
extern bool tokens_narrow;

/* Whether tokens_feed_wide() was compiled, for AVX2. */
extern const bool tokens_wide;
/* Takes whole blocks of 32 bytes of ASCII, as far as they go; returns where it stopped. The
 * TOKENS_LOOK_BACK bytes before p are ASCII and were fed. Only on a CPU that has AVX2. */
const uint8_t *tokens_feed_wide(struct tokens *t, const uint8_t *p, const uint8_t *end);

#endif
