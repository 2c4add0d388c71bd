/* owner: one thread that has all order books. Other threads, and other processes, hand their operations over
 * and sleep until they are done: no lock guards a book, and each operation costs two switches.
 *
 * What they hand over is in shared memory: a slot for each operation that is under way, and a bit for each
 * slot with one that is to be done. No lock guards these either, so that a process may be killed at any
 * moment: what it had handed over is done, and its slot is found when slots are rare. The owner's process is
 * the parent of the others, which end with it. */
#ifndef ARCHBENCH_OWNER_H
#define ARCHBENCH_OWNER_H

#include "common/work/book/market.h"

enum { OWNER_SLOTS = 4096 }; /* operations under way at a time; beyond, they wait for one to end */

/* Start the owner of this market's books, as a thread of this process. It ends with the process; those forked
 * from it may hand operations over. Dies when there can be no thread. */
struct market_owner *owner_start(struct market *);

/* Have it perform one operation, and wait for that. */
struct market_result owner_perform(struct market_owner *, enum book_operation, uint64_t seed);

/* Wait until all is done that was handed over before, by clients that were killed meanwhile too. */
void owner_settle(struct market_owner *);

#endif
