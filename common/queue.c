#include "common/queue.h"
#include "common/util.h"

void queue_init(struct queue *queue, int limit, struct counter_slot *counters)
{
    *queue = (struct queue){.lock = PTHREAD_MUTEX_INITIALIZER,
                            .filled = PTHREAD_COND_INITIALIZER,
                            .left = PTHREAD_COND_INITIALIZER,
                            .limit = limit,
                            .counters = counters};
    STAILQ_INIT(&queue->items);
}

bool queue_put(struct queue *queue, struct queue_item *item)
{
    item->since_ns = now_ns();
    pthread_mutex_lock(&queue->lock);
    bool room = !queue->limit || queue->count < queue->limit;
    if (room) {
        STAILQ_INSERT_TAIL(&queue->items, item, link);
        queue->count++;
        if (queue->counters)
            count_add(queue->counters, COUNTER_queued, 1);
        pthread_cond_signal(&queue->filled);
    }
    pthread_mutex_unlock(&queue->lock);
    return room;
}

/* Under the lock: take the first item out and note how long it waited. */
static struct queue_item *pop(struct queue *queue)
{
    struct queue_item *item = STAILQ_FIRST(&queue->items);
    if (!item)
        return NULL;
    STAILQ_REMOVE_HEAD(&queue->items, link);
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
    while (!queue->leaving && STAILQ_EMPTY(&queue->items))
        pthread_cond_wait(&queue->filled, &queue->lock);
    if (!queue->leaving)
        item = pop(queue);
    else if (--queue->leaving == 0)
        pthread_cond_signal(&queue->left);
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

void queue_await_departures(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    while (queue->leaving)
        pthread_cond_wait(&queue->left, &queue->lock);
    pthread_mutex_unlock(&queue->lock);
}

int64_t queue_wait_ns(struct queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    struct queue_item *oldest = STAILQ_FIRST(&queue->items);
    int64_t longest_ns = queue->longest_wait_ns;
    if (oldest && now_ns() - oldest->since_ns > longest_ns)
        longest_ns = now_ns() - oldest->since_ns;
    queue->longest_wait_ns = 0;
    pthread_mutex_unlock(&queue->lock);
    return longest_ns;
}
