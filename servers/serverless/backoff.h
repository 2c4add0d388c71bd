/* backoff: how long to wait before a failed attempt is made again.
 *
 * Exponential backoff with full jitter: the pause is drawn from 0 to a bound that doubles with each
 * attempt. Otherwise all that failed at the same moment would come back at the same moment.
 * (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.) */
#ifndef ARCHBENCH_BACKOFF_H
#define ARCHBENCH_BACKOFF_H

#include <stdint.h>

#define BACKOFF_MAX_NS INT64_C(60000000000)

/* Nanoseconds to wait after `failed` attempts (1 or more): `base_ns` (0 to BACKOFF_MAX_NS) bounds
 * the first pause, twice that the second, and so on up to BACKOFF_MAX_NS. `draw` is a number drawn
 * uniformly from 0 to 2^32 - 1; it decides how far below the bound the pause lies. */
int64_t backoff_ns(int64_t base_ns, int failed, uint32_t draw);

#endif
