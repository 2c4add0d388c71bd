/* counting: one point of access to the counters for all threads of a process, in three ways, so
 * that their price can be compared.
 *
 * COUNTING_TSS is the pattern Thread-Specific Storage. Whoever counts calls the same function on
 * the same object, and reaches a slot that no other thread writes: nothing is locked, and no cache
 * line moves between cores. The parts of the pattern, and where they are here:
 *   key factory   pthread_key_create(), once for a process;
 *   key           the result, in struct counting;
 *   object set    what the C library keeps for each thread under its keys;
 *   object        a slot, taken at a thread's first access and given back at its end;
 *   proxy         counting_add() and counting_slot(), which find the object by the key.
 * The other two have one object for all threads, which is what the pattern is there to avoid.
 *
 * The choice is here and not in count_add(): every server counts with that, and each would pay a
 * test per count for what three of them offer. An object with one owner needs no `lock`
 * prefix for an addition; that is what the pattern promises. Its slot lies in the shared area like
 * all others, so that sums and observers need not know of it. 10,000 connections may be as many
 * threads: so a thread that ends hands its slot on, and those beyond the number of slots share one
 * and add atomically. */
#ifndef ARCHBENCH_COUNTING_H
#define ARCHBENCH_COUNTING_H

#include "common/base/counters.h"

enum counting_mode {
    COUNTING_TSS,    /* a slot for each thread, added to without any protection */
    COUNTING_MUTEX,  /* one slot, guarded by a lock */
    COUNTING_ATOMIC, /* one slot, added to atomically: its cache line goes from core to core */
};

#define COUNTING_MODES "tss|mutex|atomic" /* the same as words, for an option */

struct counting;

/* The point of access to `file`. The caller owns it; it must outlive all threads that use it, and
 * serves this process only: not what is forked from it. Dies when there is no key to be had. */
struct counting *counting_new(struct counters_file *file, enum counting_mode);

/* Add on the calling thread. Exact in each mode. A counter that is added to here must not be added
 * to with count_add() on the same slot: neither owner nor lock would hold that one off. */
void counting_add(struct counting *, enum counter, int64_t n);

/* The slot that the calling thread reaches, for what is counted with count_add(). */
struct counter_slot *counting_slot(struct counting *);

#endif
