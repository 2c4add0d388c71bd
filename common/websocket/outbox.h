/* outbox: the frames that wait to be sent to one peer. Any thread puts them in, the connection's
 * owner takes them out.
 *
 * It is bounded. A peer that does not read what is pushed to it costs the server so many bytes, and
 * then its connection: to drop single frames would leave it with a stream that has holes. */
#ifndef ARCHBENCH_OUTBOX_H
#define ARCHBENCH_OUTBOX_H

#include "common/base/util.h"
#include "common/websocket/frame.h"

#include <pthread.h>
#include <stdbool.h>

struct outbox {
    pthread_mutex_t lock;        /* guards all below but `sent`, which is the owner's */
    struct frame **frame;        /* a ring of `room`, from `first` on; NULL while there is none */
    unsigned first, count, room; /* room: a power of two, or 0 */
    size_t bytes;                /* of all frames in it */
    bool overrun;                /* a frame had no room: it takes no more */
    size_t sent;                 /* bytes of the first frame that are out */
};

void outbox_init(struct outbox *);
/* Drop all that is in it. No other thread may use it any more. */
void outbox_free(struct outbox *);

/* Have the frame sent after those that wait, and hold it until then. False: `limit` bytes wait
 * already (a frame that is larger by itself has room in an empty outbox); the frame is not taken, nor
 * any after it. */
bool outbox_put(struct outbox *, struct frame *, size_t limit);

/* For the owner alone. What is to be sent next: what is left of the first frame. Unmoved until
 * outbox_sent(). Its len is 0 when there is none. */
struct span outbox_next(struct outbox *);
/* So many bytes of that are out. */
void outbox_sent(struct outbox *, size_t bytes);
/* Some of the first frame is out, and not all: nothing else may be sent before the rest. */
static inline bool outbox_is_begun(const struct outbox *outbox)
{
    return outbox->sent > 0;
}
bool outbox_is_empty(struct outbox *);
bool outbox_is_overrun(struct outbox *);

#endif
