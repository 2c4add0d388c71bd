#include "common/websocket/outbox.h"

#include <stdlib.h>
#include <string.h>

enum { ROOM_FIRST = 4, ROOM_KEPT = 64 };

void outbox_init(struct outbox *outbox)
{
    *outbox = (struct outbox){.lock = PTHREAD_MUTEX_INITIALIZER};
}

static struct frame **at(const struct outbox *outbox, unsigned i)
{
    return &outbox->frame[(outbox->first + i) & (outbox->room - 1)];
}

void outbox_free(struct outbox *outbox)
{
    for (unsigned i = 0; i < outbox->count; i++)
        frame_drop(*at(outbox, i));
    free(outbox->frame);
    pthread_mutex_destroy(&outbox->lock);
}

/* Under the lock: as many places again, or the first ones. */
static void grow(struct outbox *outbox)
{
    unsigned room = outbox->room ? 2 * outbox->room : ROOM_FIRST;
    struct frame **frame = must_calloc(room, sizeof *frame);
    for (unsigned i = 0; i < outbox->count; i++)
        frame[i] = *at(outbox, i);
    free(outbox->frame);
    outbox->frame = frame;
    outbox->first = 0;
    outbox->room = room;
}

bool outbox_put(struct outbox *outbox, struct frame *frame, size_t limit)
{
    pthread_mutex_lock(&outbox->lock);
    if (outbox->count && outbox->bytes + frame->len > limit)
        outbox->overrun = true;
    bool room = !outbox->overrun;
    if (room) {
        if (outbox->count == outbox->room)
            grow(outbox);
        *at(outbox, outbox->count++) = frame_hold(frame);
        outbox->bytes += frame->len;
    }
    pthread_mutex_unlock(&outbox->lock);
    return room;
}

struct span outbox_next(struct outbox *outbox)
{
    struct span next = {NULL, 0};
    pthread_mutex_lock(&outbox->lock);
    if (outbox->count) {
        struct frame *first = *at(outbox, 0);
        next = (struct span){first->bytes + outbox->sent, first->len - outbox->sent};
    }
    pthread_mutex_unlock(&outbox->lock);
    return next;
}

/* Under the lock. What a peak took is returned when it is over. */
static struct frame *take_first(struct outbox *outbox)
{
    struct frame *first = *at(outbox, 0);
    outbox->first = (outbox->first + 1) & (outbox->room - 1);
    outbox->bytes -= first->len;
    if (--outbox->count == 0 && outbox->room > ROOM_KEPT) {
        free(outbox->frame);
        outbox->frame = NULL;
        outbox->first = outbox->room = 0;
    }
    return first;
}

void outbox_sent(struct outbox *outbox, size_t bytes)
{
    struct frame *done = NULL;
    pthread_mutex_lock(&outbox->lock);
    outbox->sent += bytes;
    if (outbox->sent == (*at(outbox, 0))->len) {
        done = take_first(outbox);
        outbox->sent = 0;
    }
    pthread_mutex_unlock(&outbox->lock);
    if (done)
        frame_drop(done);
}

bool outbox_is_empty(struct outbox *outbox)
{
    pthread_mutex_lock(&outbox->lock);
    bool empty = outbox->count == 0;
    pthread_mutex_unlock(&outbox->lock);
    return empty;
}

bool outbox_is_overrun(struct outbox *outbox)
{
    pthread_mutex_lock(&outbox->lock);
    bool overrun = outbox->overrun;
    pthread_mutex_unlock(&outbox->lock);
    return overrun;
}
