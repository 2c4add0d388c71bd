/* owner: one thread that has all order books of a process. Others hand their operations over and sleep
 * until they are done: no lock guards a book, and each operation costs two switches of threads. */
#ifndef ARCHBENCH_OWNER_H
#define ARCHBENCH_OWNER_H

#include "common/work/book/market.h"

/* Start the owner of this market's books. It is of this process only, not of what is forked from it, and
 * ends with the process. Dies when there can be no thread. */
struct market_owner *owner_start(struct market *);

/* Have it perform one operation, and wait for that. */
struct market_result owner_perform(struct market_owner *, enum book_operation, uint64_t seed);

#endif
