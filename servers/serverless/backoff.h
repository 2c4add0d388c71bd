/* backoff: how long to wait before a failed attempt is made again.
 *
 * Exponential with full jitter: anything from 0 to a bound that doubles with each attempt. All that
 * failed at the same moment would otherwise come back at the same moment. (M. Brooker, "Exponential
 * Backoff And Jitter", AWS Architecture Blog, 2015.) */
#ifndef ARCHBENCH_BACKOFF_H
#define ARCHBENCH_BACKOFF_H

#include <stdint.h>

#define BACKOFF_MAX_NS INT64_C(60000000000)

/* Nanoseconds to wait after `failed` attempts (1 or more): `base_ns` (0 to BACKOFF_MAX_NS) bounds
 * the first pause, twice that the second, and so on up to BACKOFF_MAX_NS. `draw` is a number drawn
 * uniformly from all of 32 bits; it decides where below the bound. */
int64_t backoff_ns(int64_t base_ns, int failed, uint32_t draw);

#endif
