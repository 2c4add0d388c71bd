/* work: the CPU work of the suite: a fixed number of units, never "until the clock says". */
#ifndef ARCHBENCH_WORK_H
#define ARCHBENCH_WORK_H

#include <stdint.h>

/* One unit of `hash`: SHA-256 over 1 KiB that begins with the digest of the unit before.
 * Chains `units` of them and folds the last digest and `digest` into the returned value, so that
 * the order of steps shows in the final digest. Thread-safe; no shared state. */
uint64_t work_hash(uint64_t digest, uint64_t units);

#endif
