/* exchange: a request goes out on a connection and its reply comes in. See engine.h.
 *
 * A reply that completes is counted and the next request goes out at once, in the same breath: two
 * system calls for a request (recv, send) plus a share of one epoll_pwait2. Edges are not lost
 * because a recv that returned less than it could have has emptied the socket, and a peer that has
 * closed (EPOLLRDHUP) is read until the end. */
#include "loadgen/plan/moment.h"
#include "loadgen/worker/engine.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static const int64_t SLOW_STEP_NS = 10 * NSEC_PER_MSEC; /* a slow client moves this often */

/* Arrivals that wait. */
void exchange_queue(struct client *c, struct connections *pool, struct arrival arrival)
{
    if (c->backlogged++ == 0)
        c->backlog_since_ns = c->now_ns;
    backlog_push(&pool->backlog, arrival);
    if (tally_in_window(&c->tally, arrival.intended_ns) && c->backlogged > c->stats->backlog_max)
        c->stats->backlog_max = c->backlogged;
}

bool exchange_unqueue(struct client *c, struct connections *pool, struct arrival *arrival)
{
    if (!backlog_pop(&pool->backlog, arrival))
        return false;
    if (--c->backlogged == 0)
        tally_waited(&c->tally, c->backlog_since_ns, c->now_ns);
    return true;
}

/* In a closed loop the connection's user makes the next request. */
static struct arrival make_arrival(struct client *c, const struct connections *pool, int64_t due_ns)
{
    struct arrival arrival = {due_ns, mix_draw(&pool->mix, &c->random), 0};

    c->retries.requests++;
    tally_arrival(&c->tally, &arrival);
    return arrival;
}

bool exchange_attempt_failed(struct client *c, const struct arrival *arrival, enum outcome error,
                             bool answered)
{
    enum retry_answer answer = retries_ask(&c->retries, arrival, error, c->now_ns);

    tally_attempt_failed(&c->tally, arrival, error);
    if (answer == RETRY_DENIED)
        tally_denied(&c->tally, arrival);
    if (answer == RETRY_GRANTED)
        c->pools[c->plan->class[arrival->class].pool].retrying++;
    else
        tally_failure(&c->tally, arrival, error, answered);
    return answer == RETRY_GRANTED;
}

/* Sending. */

void exchange_failed(struct client *c, struct connection *conn, enum outcome error)
{
    struct arrival arrival = conn->arrival;

    if (feed_failed(c, conn, error))
        return;
    websocket_lost(c, conn);
    connection_drop(c, conn);
    exchange_attempt_failed(c, &arrival, error, false);
}

/* The bytes are those of all connections: another one has perhaps written a moment of its own. */
static void write_moment(const struct client *c, const struct connection *conn)
{
    const struct request *request = request_of(c, conn);

    if (request->time_at > 0 && !conn->messenger)
        moment_write(request->bytes + request->time_at, conn->arrival.intended_ns);
}

/* Write up to `max` bytes of what is left of the request. What does not fit waits for the next
 * EPOLLOUT edge. Returns false when that ended the connection. */
static bool send_some(struct client *c, struct connection *conn, size_t max)
{
    struct span out = out_of(c, conn);
    size_t rest = out.len - conn->sent;

    write_moment(c, conn);
    ssize_t n = send(conn->fd, out.data + conn->sent, rest < max ? rest : max, MSG_NOSIGNAL);

    if (n >= 0) {
        conn->sent += (uint32_t)n;
    } else if (errno != EAGAIN && errno != EINTR) {
        exchange_failed(c, conn, ERROR_reset);
        return false;
    }
    return true;
}

bool exchange_send(struct client *c, struct connection *conn)
{
    return send_some(c, conn, SIZE_MAX);
}

/* How much a slow client moves at one time, and how long it then waits. */
static size_t slow_bytes(double rate)
{
    double bytes = rate * (double)SLOW_STEP_NS / 1e9;

    return bytes > 1 ? (size_t)bytes : 1;
}

static void slow_wait(struct client *c, struct connection *conn, double rate)
{
    double gap_s = (double)slow_bytes(rate) / rate;

    timers_add(&c->timers, &conn->timer, c->now_ns + (int64_t)(gap_s * 1e9));
}

/* Send `arrival` on an idle or just freed connection. c->now_ns must be fresh: it is the send
 * time. */
static void start_request(struct client *c, struct connection *conn, struct arrival arrival)
{
    const struct plan_class *class = &c->plan->class[arrival.class];
    int64_t could_ns = arrival.intended_ns > conn->since_ns ? arrival.intended_ns : conn->since_ns;

    conn->arrival = arrival;
    conn->sent = 0;
    conn->lag_ns = arrival.attempt == 0 ? c->now_ns - could_ns : 0;
    conn->echo_ns = echo_of(&c->echo, c->now_ns, conn->lag_ns);
    tally_sent(&c->tally, &arrival, conn->lag_ns);
    reply_begin(&conn->reply, &c->kind[arrival.class]);
    set_state(c, conn, STATE_BUSY);
    if (conn->messenger)
        websocket_compose(c, conn);
    if (class->send_rate > 0)
        slow_wait(c, conn, class->send_rate);
    else if (send_some(c, conn, SIZE_MAX) && class->receive_rate > 0)
        slow_wait(c, conn, class->receive_rate);
}

/* A user's next request, unless the run is over. */
static void user_sends(struct client *c, struct connection *conn, int64_t due_ns)
{
    if (c->phase == PHASE_RUN && due_ns < c->schedule->end_ns)
        start_request(c, conn, make_arrival(c, pool_of(c, conn), due_ns));
}

/* The first of pauses that are all alike is cut at random, or all users would for ever send in the
 * same moment. */
static double think_units(struct client *c, const struct connection *conn)
{
    if (!c->plan->workload.think.fixed)
        return random_exponential(&c->random);
    return conn->used ? 1 : random_unit(&c->random);
}

/* A user does not notice that his connection is lost and made anew while he thinks. */
static void user_thinks(struct client *c, struct connection *conn)
{
    double mean_ns = (double)c->plan->workload.think.mean_ns;

    if (conn->thinks_until_ns == 0)
        conn->thinks_until_ns = c->now_ns + (int64_t)(think_units(c, conn) * mean_ns);
    set_state(c, conn, STATE_THINKING);
    timers_add(&c->timers, &conn->timer,
               conn->thinks_until_ns > c->now_ns ? conn->thinks_until_ns : c->now_ns);
}

/* `free_ns`: since when he could have sent, for the connection may have come back later. */
static void user_is_done_thinking(struct client *c, struct connection *conn, int64_t free_ns)
{
    int64_t due_ns = conn->thinks_until_ns;

    conn->thinks_until_ns = 0;
    set_state(c, conn, STATE_IDLE);
    conn->since_ns = free_ns;
    user_sends(c, conn, due_ns);
}

bool exchange_dequeue(struct client *c, struct connection *conn)
{
    struct connections *pool = pool_of(c, conn);
    const struct arrival *first = backlog_first(&pool->backlog);
    struct arrival arrival;

    if (first && c->plan->class[first->class].one_way)
        feed_send(c, conn);
    else if (first && exchange_unqueue(c, pool, &arrival))
        start_request(c, conn, arrival);
    return first != NULL;
}

/* In a closed loop a connection may have to wait for the second attempt of a request whose first
 * failed: its user has not had the reply. */
void exchange_next(struct client *c, struct connection *conn)
{
    struct connections *pool = pool_of(c, conn);
    bool owed = pool->retrying > pool->idle.length;

    set_state(c, conn, STATE_IDLE);
    if (exchange_dequeue(c, conn))
        return;
    if (!is_closed_loop(c) || owed || pool->unused || c->phase != PHASE_RUN)
        return;
    else if (c->plan->workload.think.mean_ns > 0 || conn->thinks_until_ns > 0)
        user_thinks(c, conn);
    else
        user_sends(c, conn, c->now_ns);
}

/* Which idle connection of the pool sends next: the one that has idled longest; NULL: there is none. People in rooms
 * speak at random: when a process of the server has died, its clients come back in a bunch to whichever process
 * has time for them, and in the order of their return that process alone would hear all that they say. */
static struct connection *next_sender(struct client *c, int pool)
{
    enum { TRIES = 16 };
    bool random = c->plan->pool[pool].rooms > 0;

    for (int i = 0; random && i < TRIES; i++) {
        struct connection *conn = &c->connections[random_next(&c->random) % (uint64_t)c->count];

        if (conn->pool == pool && conn->state == STATE_IDLE)
            return conn;
    }
    return c->pools[pool].idle.oldest;
}

void exchange_admit(struct client *c, struct arrival arrival)
{
    int number = c->plan->class[arrival.class].pool;
    struct connections *pool = &c->pools[number];

    if (pool->idle.oldest && !c->plan->class[arrival.class].one_way)
        start_request(c, next_sender(c, number), arrival);
    else
        exchange_queue(c, pool, arrival);
}

/* In an open loop that costs the arrival that waited for the connection; in a closed loop the
 * request that it would have sent. */
void exchange_lost_connection(struct client *c, struct connection *conn)
{
    struct connections *pool = pool_of(c, conn);
    struct arrival arrival;

    if (c->phase < PHASE_RUN || pool->unused)
        return;
    if (!exchange_unqueue(c, pool, &arrival)) {
        if (!is_closed_loop(c) || c->phase != PHASE_RUN || pool->retrying > 0)
            return;
        arrival = make_arrival(c, pool, c->now_ns);
    }
    exchange_attempt_failed(c, &arrival, ERROR_connect, false);
}

/* Whether the timer, and not the socket, says when to go on. */
static bool reads_slowly(const struct client *c, const struct connection *conn)
{
    return conn->state == STATE_BUSY && class_of(c, conn)->receive_rate > 0;
}

static bool writes_slowly(const struct client *c, const struct connection *conn)
{
    return class_of(c, conn)->send_rate > 0;
}

/* The socket has room again. What waits for a connection that carries messages goes out in its round. */
static void go_on_sending(struct client *c, struct connection *conn)
{
    if (exchange_send(c, conn) && class_of(c, conn)->one_way)
        feed_sent(c, conn);
}

void exchange_event(struct client *c, struct connection *conn, uint32_t events)
{
    conn->peer_closed |= (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    if (conn->state == STATE_BUSY && events & EPOLLOUT && !is_sent(c, conn) &&
        !writes_slowly(c, conn))
        go_on_sending(c, conn);
    if (conn->fd >= 0 && (events & EPOLLIN || conn->peer_closed) && !reads_slowly(c, conn) &&
        !websocket_is_deaf(c, conn))
        receive_all(c, conn);
}

/* What is due. */

/* A slow client moves a little and waits again, unless that was the end of its request. */
static void slow_step(struct client *c, struct connection *conn)
{
    const struct plan_class *class = class_of(c, conn);
    bool writing = class->send_rate > 0 && !is_sent(c, conn);
    double rate = writing ? class->send_rate : class->receive_rate;
    uint32_t generation = conn->generation, replies = conn->replies;

    if (writing)
        send_some(c, conn, slow_bytes(rate));
    else
        receive_some(c, conn, slow_bytes(rate));
    if (conn->fd < 0 || conn->generation != generation || conn->replies != replies)
        return;
    writing = class->send_rate > 0 && !is_sent(c, conn);
    rate = writing ? class->send_rate : class->receive_rate;
    if (rate > 0)
        slow_wait(c, conn, rate);
}

/* Those that become due meanwhile wait for the next round: with many slow clients there is always
 * one. */
void exchange_timers(struct client *c)
{
    int64_t due_ns = c->now_ns;
    struct timer *timer;

    while ((timer = timers_expire(&c->timers, due_ns))) {
        struct connection *conn = (struct connection *)timer;

        tick(c);
        if (conn->state == STATE_BUSY)
            slow_step(c, conn);
        else
            user_is_done_thinking(c, conn, timer->deadline_ns);
    }
}

void exchange_expire(struct client *c)
{
    struct connection *conn;

    while ((conn = c->list[STATE_BUSY].oldest) && conn->since_ns + c->plan->timeout_ns <= c->now_ns)
        exchange_failed(c, conn, ERROR_timeout);
}

void exchange_abandon(struct client *c)
{
    struct arrival arrival;
    enum outcome error;

    for (int i = 0; i < c->plan->pool_count; i++) {
        while (exchange_unqueue(c, &c->pools[i], &arrival))
            tally_failure(&c->tally, &arrival, ERROR_unsent, false);
    }
    while (retries_abandon(&c->retries, &arrival, &error))
        tally_failure(&c->tally, &arrival, error, false);
    for (struct connection *conn = c->list[STATE_BUSY].oldest; conn; conn = conn->newer) {
        if (feed_abandon(c, conn))
            continue;
        tally_attempt_failed(&c->tally, &conn->arrival, ERROR_unanswered);
        tally_failure(&c->tally, &conn->arrival, ERROR_unanswered, false);
    }
}
