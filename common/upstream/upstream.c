#include "common/upstream/upstream.h"
#include "common/base/net.h"
#include "common/base/util.h"
#include "common/upstream/sql_connection.h"
#include "common/upstream/upstream_connection.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct upstream_counts upstream_counts = {
    .calls = COUNTER_upstream_calls,
    .waits = COUNTER_upstream_waits,
    .wait_us = COUNTER_upstream_wait_us,
    .busy_us = COUNTER_upstream_busy_us,
    .connects = COUNTER_upstream_connects,
    .failed = COUNTER_upstream_failed,
    .late = COUNTER_upstream_late,
};

static const struct upstream_counts database_counts = {
    .calls = COUNTER_database_calls,
    .waits = COUNTER_database_waits,
    .wait_us = COUNTER_database_wait_us,
    .busy_us = COUNTER_database_busy_us,
    .connects = COUNTER_database_connects,
    .failed = COUNTER_database_failed,
    .late = COUNTER_database_late,
};

/* --- the pool -------------------------------------------------------------------------------- */

void upstream_turns_init(struct upstream_turns *turns)
{
    *turns = (struct upstream_turns){.lock = PTHREAD_MUTEX_INITIALIZER, .grants_fd = -1};
    SLIST_INIT(&turns->discarded);
    TAILQ_INIT(&turns->granted);
}

static void init(struct upstream_pool *pool, struct upstream_turns *turns, int limit,
                 int64_t timeout_ns)
{
    *pool = (struct upstream_pool){.turns = turns, .limit = limit, .timeout_ns = timeout_ns};
    SLIST_INIT(&pool->idle);
    TAILQ_INIT(&pool->waiting);
}

void upstream_init(struct upstream_pool *pool, struct upstream_turns *turns, const char *where,
                   int limit, int64_t timeout_ns)
{
    char host[256];
    int port;

    init(pool, turns, limit, timeout_ns);
    pool->protocol = &resp_protocol;
    pool->counts = &upstream_counts;
    if (!net_split(where, host, sizeof host, &port))
        die("the upstream is written HOST:PORT, or [ADDRESS]:PORT with IPv6, not '%s'", where);
    if (!net_resolve(host, port, &pool->target.address))
        die("cannot resolve the upstream's host '%s'", host);
}

void upstream_init_database(struct upstream_pool *pool, struct upstream_turns *turns,
                            const struct sql_database *database, int limit, int64_t timeout_ns)
{
    init(pool, turns, limit, timeout_ns);
    pool->protocol = &sql_protocol;
    pool->counts = &database_counts;
    pool->target.database = database;
}

void upstream_init_stand_in(struct upstream_pool *pool, const struct upstream_pool *upstream,
                            int limit, int64_t timeout_ns)
{
    init(pool, upstream->turns, limit, timeout_ns);
    pool->protocol = upstream->protocol;
    pool->counts = &database_counts;
    pool->target = upstream->target;
}

static void close_all(struct pooled_connections *connections)
{
    struct pooled_connection *connection;
    while ((connection = SLIST_FIRST(connections))) {
        SLIST_REMOVE_HEAD(connections, link);
        connection->protocol->close(connection);
    }
}

/* The upstream sees the end at once. Where there is a loop, the loop closes: else a new socket might
 * get the number while the loop still has the old one among its descriptors. */
static void discard(struct upstream_pool *pool, struct pooled_connection *connection)
{
    struct upstream_turns *turns = pool->turns;
    pthread_mutex_lock(&turns->lock);
    shutdown(connection->fd, SHUT_RDWR);
    SLIST_INSERT_HEAD(&turns->discarded, connection, link);
    if (turns->grants_fd >= 0)
        eventfd_write(turns->grants_fd, 1);
    else
        close_all(&turns->discarded);
    pthread_mutex_unlock(&turns->lock);
}

void upstream_free(struct upstream_pool *pool)
{
    close_all(&pool->idle);
}

void upstream_turns_free(struct upstream_turns *turns)
{
    close_all(&turns->discarded);
    if (turns->grants_fd >= 0)
        close(turns->grants_fd);
}

/* Under the lock: the turn has come. */
static void grant(struct upstream_call *call, struct pooled_connection *connection)
{
    struct upstream_turns *turns = call->pool->turns;
    call->connection = connection;
    call->turn = TURN_COME;
    if (call->sleeper)
        pthread_cond_signal(call->sleeper);
    if (call->watched) {
        call->turn = TURN_LISTED;
        TAILQ_INSERT_TAIL(&turns->granted, call, link);
        eventfd_write(turns->grants_fd, 1);
    }
}

/* Under the lock: a connection, or if NULL the right to make one, is free again. */
static void pass_on(struct upstream_pool *pool, struct pooled_connection *connection)
{
    struct upstream_call *first = TAILQ_FIRST(&pool->waiting);
    if (first) {
        TAILQ_REMOVE(&pool->waiting, first, link);
        grant(first, connection);
    } else if (connection) {
        SLIST_INSERT_HEAD(&pool->idle, connection, link);
    } else {
        pool->open--;
    }
}

/* Take a turn, which comes at once if anything is free. */
static void queue_up(struct upstream_call *call)
{
    struct upstream_pool *pool = call->pool;
    pthread_mutex_lock(&pool->turns->lock);
    struct pooled_connection *connection = SLIST_FIRST(&pool->idle);
    if (connection) {
        SLIST_REMOVE_HEAD(&pool->idle, link);
        grant(call, connection);
    } else if (pool->open < pool->limit) {
        pool->open++;
        grant(call, NULL);
    } else {
        call->turn = TURN_WAITS;
        TAILQ_INSERT_TAIL(&pool->waiting, call, link);
        count_add(call->counters, pool->counts->waits, 1);
    }
    pthread_mutex_unlock(&pool->turns->lock);
}

/* Count the time since the last such moment of the call, or since it began. */
static void count_time(struct upstream_call *call, enum counter which)
{
    int64_t at_ns = now_ns();
    count_add(call->counters, which, (at_ns - call->since_ns) / NSEC_PER_USEC);
    call->since_ns = at_ns;
}

/* -EAGAIN: the turn has not come. */
static int take_turn(struct upstream_call *call)
{
    struct upstream_pool *pool = call->pool;
    pthread_mutex_lock(&pool->turns->lock);
    bool waits = call->turn == TURN_WAITS;
    if (call->turn == TURN_LISTED)
        TAILQ_REMOVE(&pool->turns->granted, call, link);
    if (!waits)
        call->turn = TURN_COME;
    pthread_mutex_unlock(&pool->turns->lock);
    return waits ? -EAGAIN : 0;
}

/* Leave before the turn was taken. */
static void leave_queue(struct upstream_call *call)
{
    struct upstream_pool *pool = call->pool;
    count_time(call, pool->counts->wait_us);
    pthread_mutex_lock(&pool->turns->lock);
    switch (call->turn) {
    case TURN_WAITS: TAILQ_REMOVE(&pool->waiting, call, link); break;
    case TURN_LISTED: TAILQ_REMOVE(&pool->turns->granted, call, link); /* fall through */
    case TURN_COME: pass_on(pool, call->connection); break;
    }
    pthread_mutex_unlock(&pool->turns->lock);
}

/* --- a call, step by step: each returns 0 to go on, -EAGAIN to wait, or the failure ----------- */

static void go_over(struct upstream_call *call, int result)
{
    call->state = UPSTREAM_OVER;
    call->result = result;
}

/* Give the connection back, or close it and give the right to make one back. */
static void let_go(struct upstream_call *call, bool sound)
{
    struct upstream_pool *pool = call->pool;
    struct pooled_connection *connection = call->connection;
    count_time(call, pool->counts->busy_us);
    if (connection && !sound) {
        discard(pool, connection); /* before another one may be made: the upstream counts too */
        connection = NULL;
    }
    pthread_mutex_lock(&pool->turns->lock);
    pass_on(pool, connection);
    pthread_mutex_unlock(&pool->turns->lock);
}

static int leave_turn(struct upstream_call *call)
{
    struct upstream_pool *pool = call->pool;
    const struct upstream_protocol *protocol = pool->protocol;
    int error = take_turn(call);
    if (error)
        return error;
    if (now_ns() >= call->deadline_ns)
        return -ETIMEDOUT;
    count_time(call, pool->counts->wait_us);
    call->state = UPSTREAM_SENDING;
    if (call->connection && protocol->is_stale(call->connection)) {
        discard(pool, call->connection);
        call->connection = NULL;
    }
    if (!call->connection) {
        call->state = UPSTREAM_CONNECTING;
        call->connection = protocol->open(&pool->target, &error);
    }
    if (!error)
        protocol->set_command(call->connection, &call->command);
    return error;
}

static int finish_connect(struct upstream_call *call)
{
    int error = call->pool->protocol->finish(call->connection);
    if (error)
        return error;
    count_add(call->counters, call->pool->counts->connects, 1);
    call->state = UPSTREAM_SENDING;
    return 0;
}

static int send_command(struct upstream_call *call)
{
    int error = call->pool->protocol->send(call->connection);
    if (!error)
        call->state = UPSTREAM_RECEIVING;
    return error;
}

static int receive_reply(struct upstream_call *call)
{
    struct upstream_answer answer = {0};
    int error = call->pool->protocol->receive(call->connection, &answer);
    if (!answer.complete)
        return error;
    let_go(call, answer.usable);
    if (call->pool->expects_followers && call->command.verb == UPSTREAM_PUBLISH && answer.is_zero)
        answer.error = -ENOLINK;
    if (answer.error)
        count_add(call->counters, call->pool->counts->failed, 1);
    go_over(call, answer.error);
    return 0;
}

static int step(struct upstream_call *call)
{
    switch (call->state) {
    case UPSTREAM_IN_TURN: return leave_turn(call);
    case UPSTREAM_CONNECTING: return finish_connect(call);
    case UPSTREAM_SENDING: return send_command(call);
    case UPSTREAM_RECEIVING: return receive_reply(call);
    case UPSTREAM_OVER: break;
    }
    return 0;
}

static void fail(struct upstream_call *call, int error)
{
    const struct upstream_counts *counts = call->pool->counts;
    upstream_abandon(call);
    call->result = error;
    count_add(call->counters, error == -ETIMEDOUT ? counts->late : counts->failed, 1);
}

/* --- what others call ------------------------------------------------------------------------ */

void upstream_begin(struct upstream_call *call, struct upstream_pool *pool,
                    struct counter_slot *counters, struct upstream_command command)
{
    int64_t at_ns = now_ns();
    *call = (struct upstream_call){.pool = pool,
                                   .counters = counters,
                                   .command = command,
                                   .since_ns = at_ns,
                                   .deadline_ns = at_ns + pool->timeout_ns};
    count_add(counters, pool->counts->calls, 1);
    queue_up(call);
}

/* A reply that is there is taken even after the deadline; nothing is waited for then. */
int upstream_advance(struct upstream_call *call)
{
    int error = 0;
    while (!error && call->state != UPSTREAM_OVER)
        error = step(call);
    if (error == -EAGAIN && now_ns() < call->deadline_ns)
        return -EAGAIN;
    if (error)
        fail(call, error == -EAGAIN ? -ETIMEDOUT : error);
    return call->result;
}

int upstream_fd(const struct upstream_call *call)
{
    return call->state == UPSTREAM_IN_TURN ? -1 : call->connection->fd;
}

short upstream_events(const struct upstream_call *call)
{
    return call->connection->events;
}

void upstream_abandon(struct upstream_call *call)
{
    if (call->state == UPSTREAM_OVER)
        return;
    if (call->state == UPSTREAM_IN_TURN)
        leave_queue(call);
    else
        let_go(call, false);
    go_over(call, -ECANCELED);
}

static struct timespec timespec_of(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / NSEC_PER_SEC, .tv_nsec = ns % NSEC_PER_SEC};
}

/* Asleep on a condition of its own, so that a grant wakes the thread it is for. */
static void sleep_in_turn(struct upstream_call *call)
{
    struct upstream_pool *pool = call->pool;
    struct timespec until = timespec_of(call->deadline_ns);
    pthread_condattr_t monotonic;
    pthread_cond_t turn;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&turn, &monotonic);
    pthread_mutex_lock(&pool->turns->lock);
    call->sleeper = &turn;
    while (call->turn == TURN_WAITS &&
           pthread_cond_timedwait(&turn, &pool->turns->lock, &until) != ETIMEDOUT) {
    }
    call->sleeper = NULL;
    pthread_mutex_unlock(&pool->turns->lock);
    pthread_cond_destroy(&turn);
    pthread_condattr_destroy(&monotonic);
}

static void sleep_until_ready(struct upstream_call *call)
{
    struct pollfd pollfd = {.fd = upstream_fd(call), .events = upstream_events(call)};
    int64_t left_ns = call->deadline_ns - now_ns();
    struct timespec timeout = timespec_of(left_ns > 0 ? left_ns : 0);
    ppoll(&pollfd, 1, &timeout, NULL);
}

int upstream_perform(struct upstream_call *call)
{
    int result;
    while ((result = upstream_advance(call)) == -EAGAIN) {
        if (upstream_fd(call) < 0)
            sleep_in_turn(call);
        else
            sleep_until_ready(call);
    }
    return result;
}

bool upstream_watch_turn(struct upstream_call *call)
{
    pthread_mutex_lock(&call->pool->turns->lock);
    call->watched = call->turn == TURN_WAITS;
    bool watched = call->watched;
    pthread_mutex_unlock(&call->pool->turns->lock);
    return watched;
}

void upstream_unwatch_turn(struct upstream_call *call)
{
    struct upstream_pool *pool = call->pool;
    pthread_mutex_lock(&pool->turns->lock);
    call->watched = false;
    if (call->turn == TURN_LISTED) {
        TAILQ_REMOVE(&pool->turns->granted, call, link);
        call->turn = TURN_COME;
    }
    pthread_mutex_unlock(&pool->turns->lock);
}

int upstream_grants_fd(struct upstream_turns *turns)
{
    pthread_mutex_lock(&turns->lock);
    if (turns->grants_fd < 0)
        turns->grants_fd = eventfd(0, EFD_CLOEXEC);
    int fd = turns->grants_fd;
    pthread_mutex_unlock(&turns->lock);
    if (fd < 0)
        die_errno("cannot make an eventfd");
    return fd;
}

struct upstream_call *upstream_next_granted(struct upstream_turns *turns)
{
    pthread_mutex_lock(&turns->lock);
    close_all(&turns->discarded);
    struct upstream_call *call = TAILQ_FIRST(&turns->granted);
    if (call) {
        TAILQ_REMOVE(&turns->granted, call, link);
        call->turn = TURN_COME;
    }
    pthread_mutex_unlock(&turns->lock);
    return call;
}

const char *upstream_reason(const struct upstream_pool *pool, int error)
{
    return pool->protocol->reason(error);
}
