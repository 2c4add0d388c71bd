/* feed: messages that want no reply, and come faster than each could have a send of its own. See engine.h.
 *
 * Those of a pool that are due in the same round go out together. A class may let them wait for each other longer
 * (its key gather): then the first one says when all that are due by then are sent, and there is no timer for each.
 * They are taken off the schedule ahead of time, so that what comes between them is not kept back. A batch that
 * gathers may go out a little before its time, so that nobody has to spin for it: a sleeper is woken late.
 *
 * A connection writes one batch at a time. While the sockets of a pool are full, its messages wait in the backlog
 * as requests do. */
#include "loadgen/worker/engine.h"

#include <stdlib.h>
#include <string.h>

/* Of sending, before the rest of the worker has its turn. */
static const int64_t TURN_NS = 100 * NSEC_PER_USEC;

static struct connections *pool_of_class(struct client *c, int class)
{
    return &c->pools[c->plan->class[class].pool];
}

bool feed_gathers(struct client *c, const struct arrival *arrival, int64_t due_ns)
{
    const struct plan_class *class = &c->plan->class[arrival->class];
    struct connections *pool = pool_of_class(c, arrival->class);

    if (!class->one_way || arrival->intended_ns == INT64_MAX)
        return false;
    int64_t flush_ns = arrival->intended_ns + class->gather_ns;
    if (pool->gathered.length == 0) {
        pool->flush_ns = flush_ns;
        pool->gathers = class->gather_ns > 0;
    } else if (arrival->intended_ns > pool->flush_ns && arrival->intended_ns > due_ns) {
        return false;
    } else if (flush_ns < pool->flush_ns) {
        pool->flush_ns = flush_ns;
    }
    backlog_push(&pool->gathered, *arrival);
    return true;
}

/* When the worker is to wake up for it. */
static int64_t wake_ns(const struct client *c, const struct connections *pool)
{
    return pool->gathers ? pool->flush_ns - c->plan->spin_ns : pool->flush_ns;
}

/* It has been waited for long enough, and its first message is due. */
static bool is_due(const struct client *c, const struct connections *pool)
{
    return pool->gathered.length > 0 && c->now_ns >= wake_ns(c, pool) &&
           c->now_ns < c->schedule->end_ns &&
           backlog_first(&pool->gathered)->intended_ns <= c->now_ns;
}

int64_t feed_next_ns(const struct client *c, bool gathers)
{
    int64_t next_ns = INT64_MAX;

    for (int i = 0; i < c->plan->pool_count && c->has_feeds; i++) {
        const struct connections *pool = &c->pools[i];

        if (pool->gathered.length > 0 && pool->gathers == gathers && wake_ns(c, pool) < next_ns)
            next_ns = wake_ns(c, pool);
    }
    return next_ns;
}

/* It is due, and in the denominator from now on. */
static void count_arrival(struct client *c, const struct arrival *arrival)
{
    c->retries.requests++;
    tally_arrival(&c->tally, arrival);
}

/* Take what is due of what is gathered. The rest was taken ahead of time, and begins to gather anew. */
static bool take_gathered(struct client *c, struct connections *pool, struct arrival *arrival)
{
    const struct arrival *first = backlog_first(&pool->gathered);

    if (!first || first->intended_ns > c->now_ns)
        return false;
    backlog_pop(&pool->gathered, arrival);
    count_arrival(c, arrival);
    first = backlog_first(&pool->gathered);
    if (first && first->intended_ns > c->now_ns)
        pool->flush_ns = first->intended_ns + c->plan->class[first->class].gather_ns;
    return true;
}

/* Fill the batch of the connection from either queue of its pool. */
static void fill_batch(struct client *c, struct connection *conn, bool gathered)
{
    struct connections *pool = pool_of(c, conn);
    struct messenger *m = conn->messenger;
    const struct backlog *queue = gathered ? &pool->gathered : &pool->backlog;
    const struct arrival *first;
    struct arrival taken;

    batch_begin(m->batch);
    m->out_len = 0;
    while ((first = backlog_first(queue)) && c->plan->class[first->class].one_way &&
           first->intended_ns <= c->now_ns && batch_add(m->batch, m->out, &m->out_len, first)) {
        if (gathered)
            take_gathered(c, pool, &taken);
        else
            exchange_unqueue(c, pool, &taken);
    }
}

/* Since when each could have been sent: it was due, its batch was, and the connection was free. */
static void count_lags(struct client *c, struct batch *batch, int64_t could_ns)
{
    for (int i = 0; i < batch->count; i++) {
        struct batch_message *message = &batch->message[i];
        const struct arrival *arrival = &message->arrival;
        int64_t since_ns = arrival->intended_ns > could_ns ? arrival->intended_ns : could_ns;

        if (arrival->attempt == 0 && c->now_ns > since_ns)
            message->lag_ns = c->now_ns - since_ns;
        message->echo_ns = echo_of(&c->echo, c->now_ns, message->lag_ns);
        tally_sent(&c->tally, arrival, message->lag_ns);
    }
}

/* A connection that takes all at once was free all the time: what is sent on it next is late from when it was due. */
static void send_batch(struct client *c, struct connection *conn, bool gathered)
{
    int64_t free_ns = conn->since_ns, flush_ns = pool_of(c, conn)->flush_ns;
    struct batch *batch = conn->messenger->batch;

    fill_batch(c, conn, gathered);
    tick(c);
    count_lags(c, batch, gathered && flush_ns > free_ns ? flush_ns : free_ns);
    conn->arrival = batch->message[0].arrival;
    conn->sent = 0;
    set_state(c, conn, STATE_BUSY);
    if (!exchange_send(c, conn))
        return;
    feed_sent(c, conn);
    if (conn->state == STATE_IDLE)
        conn->since_ns = free_ns;
}

void feed_send(struct client *c, struct connection *conn)
{
    send_batch(c, conn, false);
}

void feed_sent(struct client *c, struct connection *conn)
{
    struct messenger *m = conn->messenger;
    const struct batch_message *message;

    tick(c);
    while ((message = batch_written(m->batch, conn->sent))) {
        tally_good(&c->tally, &message->arrival,
                   &(struct exchange){.sent_ns = conn->since_ns,
                                      .came_ns = c->now_ns,
                                      .read_ns = c->now_ns,
                                      .lag_ns = message->lag_ns,
                                      .echo_ns = message->echo_ns});
        m->batch->form[message->arrival.class].unread +=
            tally_in_window(&c->tally, message->arrival.intended_ns);
        conn->replies++;
    }
    m->unconfirmed = true;
    m->pinged = false;
    if (!is_sent(c, conn))
        return;
    c->stats->used += !conn->used;
    conn->used = true;
    batch_begin(m->batch);
    set_state(c, conn, STATE_IDLE);
}

bool feed_failed(struct client *c, struct connection *conn, enum outcome error)
{
    struct batch *batch = conn->messenger ? conn->messenger->batch : NULL;
    const struct batch_message *message;

    if (!batch || batch->count == 0)
        return false;
    connection_drop(c, conn);
    while ((message = batch_unwritten(batch)))
        exchange_attempt_failed(c, &message->arrival, error, false);
    return true;
}

bool feed_abandon(struct client *c, struct connection *conn)
{
    struct batch *batch = conn->messenger ? conn->messenger->batch : NULL;
    const struct batch_message *message;

    if (!batch || batch->count == 0)
        return false;
    while ((message = batch_unwritten(batch))) {
        tally_attempt_failed(&c->tally, &message->arrival, ERROR_unanswered);
        tally_failure(&c->tally, &message->arrival, ERROR_unanswered, false);
    }
    return true;
}

/* Those that are due wait for a connection that can be written. */
static void queue_gathered(struct client *c, struct connections *pool)
{
    struct arrival arrival;

    while (take_gathered(c, pool, &arrival))
        exchange_queue(c, pool, arrival);
}

/* One batch, or what it takes to see that there is none. */
static bool step(struct client *c, struct connections *pool)
{
    struct connection *conn = pool->idle.oldest;
    bool due = is_due(c, pool);

    if (conn && pool->backlog.length > 0)
        exchange_dequeue(c, conn);
    else if (conn && due)
        send_batch(c, conn, true);
    else if (due)
        queue_gathered(c, pool);
    else
        return false;
    return conn != NULL;
}

void feed_round(struct client *c)
{
    int64_t begin_ns = c->now_ns;

    c->feed_more = false;
    for (int i = 0; i < c->plan->pool_count; i++) {
        while (c->pools[i].feeds && step(c, &c->pools[i])) {
            c->feed_more = c->now_ns - begin_ns > TURN_NS;
            if (c->feed_more)
                return;
        }
    }
}

void feed_end(struct client *c)
{
    struct arrival arrival;

    for (int i = 0; i < c->plan->pool_count; i++) {
        struct connections *pool = &c->pools[i];

        while (backlog_pop(&pool->gathered, &arrival)) {
            if (arrival.intended_ns >= c->schedule->end_ns)
                continue; /* taken ahead of time, and the window ended early */
            count_arrival(c, &arrival);
            exchange_queue(c, pool, arrival);
        }
    }
}

void feed_confirmed(struct client *c, struct connection *conn)
{
    struct batch *batch = conn->messenger->batch;

    for (int i = 0; i < c->plan->class_count && batch; i++) {
        c->stats->class[i].confirmed += batch->form[i].unread;
        batch->form[i].unread = 0;
    }
}

void feed_lost(struct connection *conn)
{
    struct batch *batch = conn->messenger->batch;

    for (int i = 0; i < WORKLOAD_CLASSES && batch; i++)
        batch->form[i].unread = 0;
}
