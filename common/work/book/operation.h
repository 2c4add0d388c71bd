/* operation: what is done to an order book, as a step writes it. */
#ifndef ARCHBENCH_OPERATION_H
#define ARCHBENCH_OPERATION_H

#include "common/work/book/book.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Read "trade" or "trade:SEED", a decimal number up to 64 bits; *seed is 0 without one. False: it is neither. */
bool book_operation_parse(const char *text, size_t len, enum book_operation *, uint64_t *seed);
/* The other way, without a seed that is 0. As snprintf. */
int book_operation_format(enum book_operation, uint64_t seed, char *text, size_t size);

#endif
