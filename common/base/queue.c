#include "common/base/queue.h"
#include "common/base/util.h"

void queue_init(struct queue *queue, int limit, struct counter_slot *counters)
{
    *queue = (struct queue){.lock = PTHREAD_MUTEX_INITIALIZER,
                            .filled = PTHREAD_COND_INITIALIZER,
                            .limit = limit,
                            .counters = counters};
    TAILQ_INIT(&queue->items);
}

/* Under the lock: behind all that rank no higher. */
static void insert(struct queue *queue, struct queue_item *item)
{
    struct queue_item *before = TAILQ_LAST(&queue->items, queue_items);
    while (before && before->rank > item->rank)
        before = TAILQ_PREV(before, queue_items, link);
    if (before)
        TAILQ_INSERT_AFTER(&queue->items, before, item, link);
    else
        TAILQ_INSERT_HEAD(&queue->items, item, link);
}

bool queue_put(struct queue *queue, struct queue_item *item)
{
    return queue_put_ranked(queue, item, 0);
}

bool queue_put_ranked(struct queue *queue, struct queue_item *item, int64_t rank)
{
    item->rank = rank;
    item->since_ns = now_ns();
    pthread_mutex_lock(&queue->lock);
    bool room = !queue->limit || queue->count < queue->limit;
    if (room) {
        insert(queue, item);
        queue->count++;
        if (queue->counters)
            count_add(queue->counters, COUNTER_queued, 1);
    }
    pthread_mutex_unlock(&queue->lock);
    if (room)
        pthread_cond_signal(&queue->filled); /* whoever wakes on this core finds the lock free */
    return room;
}

/* Under the lock: take the first item out and note how long it waited. */
static struct queue_item *pop(struct queue *queue)
{
    struct queue_item *item = TAILQ_FIRST(&queue->items);
    if (!item)
        return NULL;
    TAILQ_REMOVE(&queue->items, item, link);
    queue->count--;
    int64_t wait_ns = now_ns() - item->since_ns;
    if (wait_ns > queue->longest_wait_ns)
        queue->longest_wait_ns = wait_ns;
    if (queue->counters) {
        count_add(queue->counters, COUNTER_queued, -1);
        count_add(queue->counters, COUNTER_dequeued, 1);
        count_add(queue->counters, COUNTER_queue_wait_us, wait_ns / NSEC_PER_USEC);
    }
    return item;
}

struct queue_item *queue_take(struct queue *queue)
{
    struct queue_item *item = NULL;
    pthread_mutex_lock(&queue->lock);
    while (!queue->leaving && TAILQ_EMPTY(&queue->items))
        pthread_cond_wait(&queue->filled, &queue->lock);
    if (!queue->leaving)
        item = pop(queue);
    else
        queue->leaving--;
    pthread_mutex_unlock(&queue->lock);
    return item;
}

struct queue_item *queue_poll(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    struct queue_item *item = pop(queue);
    pthread_mutex_unlock(&queue->lock);
    return item;
}

void queue_dismiss(struct queue *queue, int takers)
{
    pthread_mutex_lock(&queue->lock);
    queue->leaving += takers;
    pthread_cond_broadcast(&queue->filled);
    pthread_mutex_unlock(&queue->lock);
}

int64_t queue_wait_ns(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    struct queue_item *first = TAILQ_FIRST(&queue->items);
    int64_t longest_ns = queue->longest_wait_ns;
    if (first && now_ns() - first->since_ns > longest_ns)
        longest_ns = now_ns() - first->since_ns;
    queue->longest_wait_ns = 0;
    pthread_mutex_unlock(&queue->lock);
    return longest_ns;
}
