/* backlog: see backlog.h. */
#include "loadgen/worker/backlog.h"
#include "common/base/util.h"

#include <stdlib.h>

static void grow(struct backlog *b)
{
    size_t room = b->room ? 2 * b->room : 1024;
    struct arrival *ring = must_calloc(room, sizeof *ring);

    for (size_t i = 0; i < b->length; i++)
        ring[i] = b->ring[(b->head + i) & (b->room - 1)];
    free(b->ring);
    b->ring = ring;
    b->room = room;
    b->head = 0;
}

void backlog_push(struct backlog *b, struct arrival arrival)
{
    if (b->length == b->room)
        grow(b);
    b->ring[(b->head + b->length++) & (b->room - 1)] = arrival;
}

bool backlog_pop(struct backlog *b, struct arrival *arrival)
{
    if (b->length == 0)
        return false;
    *arrival = b->ring[b->head];
    b->head = (b->head + 1) & (b->room - 1);
    b->length--;
    return true;
}

void backlog_free(struct backlog *b)
{
    free(b->ring);
    *b = (struct backlog){0};
}
