/* work: the CPU work of the suite: a fixed number of units, never "until the clock says".
 *
 * cpu=hash:5ms is 5 x units_per_ms units, wherever and however long that takes; a wait within it,
 * such as for a core, does not make the work less.
 *
 * The hash is libnettle's, whose functions are pure. libcrypto, the first choice, registers every
 * thread that uses it in a list under one lock, so that each computation of each thread passed a
 * lock that belongs to no architecture: of the 512 threads of `threads` at mix_map/512x30, 317 were
 * queued up there. The two are equally fast. */
#ifndef ARCHBENCH_WORK_H
#define ARCHBENCH_WORK_H

#include <stdint.h>

enum work_kind {
    WORK_HASH,  /* SHA-256 over 1 KiB: registers and little else */
    WORK_INFER, /* a pass through a small neural network, 32-32-16: multiply and add */
    WORK_IMAGE, /* a blur over a picture of 64 x 64: streams through the first cache */
    WORK_JSON,  /* parse a text of a few hundred bytes and add up what it says: allocation and
                   branches, and a lock inside the allocator when threads share one */
    WORK_RISK,  /* Monte Carlo: a path of a price over 32 days, and what an option on it pays:
                   multiply and shift, each step after the one before */
    WORK_KINDS
};

/* "hash", ... as in cpu=hash:5ms. */
const char *work_name(enum work_kind);

/* Do `units` of work, each of which begins with the result of the one before. `digest` goes in and
 * the last result comes out, so that the order of steps shows in the final digest. The result is
 * the same on every machine. Thread-safe; no shared state. At most 10 KiB of stack. */
uint64_t work_perform(enum work_kind, uint64_t digest, uint64_t units);

#endif
