/* news_ring: what one process publishes, for all others that were forked from the same parent: a ring
 * in memory that they share.
 *
 * Each news is written once; every reader goes through the ring at its own pace. A reader that is
 * slower than the ring is long has lost what was written over, and learns how much that was: a ring
 * that waited for its slowest reader would let one process hold up all. The lock is robust
 * (pthread_mutexattr_setrobust): a process that is killed while it holds it leaves the ring as it was
 * before its last news.
 *
 * The ring wakes nobody. It keeps who listens, and how that one is to be woken is for the architecture. */
#ifndef ARCHBENCH_NEWS_RING_H
#define ARCHBENCH_NEWS_RING_H

#include "common/news/topics.h"

#include <sys/types.h>

enum { NEWS_RING_BYTES = 4 << 20 };

struct news_ring;
struct counter_slot;

/* One process's place in the ring, in which it skips what it has put itself. */
struct news_reader {
    struct news_ring *ring;
    uint64_t at;     /* of the next news, counted in bytes since the first */
    uint32_t number; /* of the next news, if none is lost */
    pid_t process;
    struct topic_set interest;
};

/* In shared memory, for all processes that are forked from here on; `listeners`: how many of them may
 * listen at a time. Dies when it cannot. */
struct news_ring *news_ring_new(int listeners);

/* Write a news of this process. False: it is larger than a quarter of the ring, and not written. */
bool news_ring_put(struct news_ring *, const struct publication *);

/* Begin to read: what is put from here on. `interest`: news of other topics are passed over; NULL: of none. */
void news_reader_init(struct news_reader *, struct news_ring *, const struct topic_set *interest);
/* The next news, of which the caller then holds the frame; false: there is none yet. *lost grows by the
 * number of news that were written over before they were read. */
bool news_reader_next(struct news_reader *, struct publication *, int64_t *lost);
/* Push all news there is to the subscribers of this process, whom topics_next() then gives. Counts what was pushed
 * and lost. */
void news_reader_deliver(struct news_reader *, struct topics *, struct counter_slot *);

/* Have this process listed among those that listen to these topics, which others are to wake when they have
 * put news of them; again when they change. It has a reader already, and looks into the ring once more before it
 * sleeps. False: no place is left. */
bool news_ring_listen(struct news_ring *, const struct topic_set *);
/* ... no longer. Its parent may say so for one that was killed. */
void news_ring_leave(struct news_ring *, pid_t process);
/* The next process listed that may listen to the topic, from place *next on, which is moved on; 0: there is no other. */
pid_t news_ring_listener(const struct news_ring *, const char *topic, int *next);

#endif
