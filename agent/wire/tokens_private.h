/* tokens_private.h - what the files that count tokens share. */
#ifndef SLO_WIRE_TOKENS_PRIVATE_H
#define SLO_WIRE_TOKENS_PRIVATE_H

#include <stdbool.h>

#include "wire/tokens.h"

#define TOKENS_LOOK_BACK 8 /* bytes that tell what the next one adds: 9 letters make a len9 */

/* For tests: as on a CPU that has no AVX2. */
extern bool tokens_without_avx2;

/* Whether tokens_feed_avx2() was compiled, for AVX2. */
extern const bool tokens_built_for_avx2;
/* Takes whole blocks of 32 bytes of ASCII, as far as they go; returns where it stopped. The
 * TOKENS_LOOK_BACK bytes before p are ASCII and were fed. Only on a CPU that has AVX2. */
const uint8_t *tokens_feed_avx2(struct tokens *t, const uint8_t *p, const uint8_t *end);

#endif
