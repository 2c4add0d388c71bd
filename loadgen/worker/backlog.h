/* backlog: arrivals that wait for a connection, first come first served, as many as it takes. */
#ifndef ARCHBENCH_BACKLOG_H
#define ARCHBENCH_BACKLOG_H

#include "loadgen/plan/arrivals.h"

#include <stdbool.h>
#include <stddef.h>

/* A ring that doubles when it is full. Zeroed memory is an empty one. */
struct backlog {
    struct arrival *ring; /* owned; `room` entries, a power of two, or NULL */
    size_t room, head, length;
};

void backlog_push(struct backlog *, struct arrival);
/* Take the one that waits longest. Returns false when none waits. */
bool backlog_pop(struct backlog *, struct arrival *);
/* The one that waits longest, until the backlog changes; NULL when none waits. */
static inline const struct arrival *backlog_first(const struct backlog *b)
{
    return b->length > 0 ? &b->ring[b->head] : NULL;
}
void backlog_free(struct backlog *);

#endif
