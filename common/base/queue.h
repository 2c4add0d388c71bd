/* queue: a bounded queue between threads, first in first out or by rank, whose waiting can be seen.
 *
 * Half-Sync/Half-Async calls it the queueing layer: one side never blocks on it (put, poll), the
 * other sleeps on it (take). Items are embedded in what is queued; whoever took an item owns it. */
#ifndef ARCHBENCH_QUEUE_H
#define ARCHBENCH_QUEUE_H

#include "common/base/counters.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/queue.h>

struct queue_item {
    TAILQ_ENTRY(queue_item) link;
    int64_t rank;     /* lower ones are taken first, equal ones in the order they came */
    int64_t since_ns; /* when it was put */
};

struct queue {
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t filled;
    TAILQ_HEAD(queue_items, queue_item) items; /* in the order in which they will be taken */
    int count, limit;
    int leaving;                   /* takers that are asked to go */
    int64_t longest_wait_ns;       /* of the items taken since queue_wait_ns() last asked */
    struct counter_slot *counters; /* may be NULL: not counted */
};

/* Up to `limit` items; 0: no limit. */
void queue_init(struct queue *, int limit, struct counter_slot *counters);

/* False, and nothing is done, when it is full. Never sleeps beyond the lock. */
bool queue_put(struct queue *, struct queue_item *);
/* The same, before all items of a higher rank; queue_put is rank 0. Its place is searched from the
 * end: up to as many steps as items wait. */
bool queue_put_ranked(struct queue *, struct queue_item *, int64_t rank);
/* The first item, waiting for one; NULL when this taker is to leave, see queue_dismiss(). */
struct queue_item *queue_take(struct queue *);
/* The first item, or NULL at once. */
struct queue_item *queue_poll(struct queue *);

/* Ask so many takers to leave. One that is busy does so when it comes to take again. Items are left
 * to the others. */
void queue_dismiss(struct queue *, int takers);

/* The longest wait in nanoseconds since the last call, of items taken or of the first that
 * waits now: the measure by which workers are added or let go. */
int64_t queue_wait_ns(struct queue *);

#endif
