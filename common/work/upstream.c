#include "common/work/upstream.h"
#include "common/base/net.h"
#include "common/base/util.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RECEIVE_BYTES = 512 };

/* The pool's while it is idle, else that of one call. hiredis writes and reads the protocol; the
 * bytes are moved here. */
struct upstream_connection {
    int fd;
    char *command; /* hiredis's memory; NULL: none is under way */
    size_t len, sent;
    redisReader *reader;
    SLIST_ENTRY(upstream_connection) link;
};

/* --- the pool -------------------------------------------------------------------------------- */

void upstream_init(struct upstream_pool *pool, const char *where, int limit, int64_t timeout_ns)
{
    const char *colon = strrchr(where, ':');
    char host[256];
    long port;

    *pool = (struct upstream_pool){.limit = limit,
                                   .timeout_ns = timeout_ns,
                                   .lock = PTHREAD_MUTEX_INITIALIZER,
                                   .grants_fd = -1};
    SLIST_INIT(&pool->idle);
    SLIST_INIT(&pool->discarded);
    TAILQ_INIT(&pool->waiting);
    TAILQ_INIT(&pool->granted);
    size_t len = colon ? (size_t)(colon - where) : 0;
    if (!len || len >= sizeof host || !parse_integer(colon + 1, 1, 65535, &port))
        die("the upstream is written HOST:PORT, not '%s'", where);
    snprintf(host, sizeof host, "%.*s", (int)len, where);
    if (!net_resolve(host, (int)port, &pool->address))
        die("cannot resolve the upstream's host '%s'", host);
}

static void close_connection(struct upstream_connection *connection)
{
    close(connection->fd);
    redisFreeCommand(connection->command);
    redisReaderFree(connection->reader);
    free(connection);
}

static void close_all(struct upstream_connections *connections)
{
    struct upstream_connection *connection;
    while ((connection = SLIST_FIRST(connections))) {
        SLIST_REMOVE_HEAD(connections, link);
        close_connection(connection);
    }
}

/* The upstream sees the end at once. Where there is a loop, the loop closes: else a new socket might
 * get the number while the loop still has the old one among its descriptors. */
static void discard(struct upstream_pool *pool, struct upstream_connection *connection)
{
    pthread_mutex_lock(&pool->lock);
    shutdown(connection->fd, SHUT_RDWR);
    SLIST_INSERT_HEAD(&pool->discarded, connection, link);
    if (pool->grants_fd >= 0)
        eventfd_write(pool->grants_fd, 1);
    else
        close_all(&pool->discarded);
    pthread_mutex_unlock(&pool->lock);
}

void upstream_free(struct upstream_pool *pool)
{
    close_all(&pool->idle);
    close_all(&pool->discarded);
    if (pool->grants_fd >= 0)
        close(pool->grants_fd);
}

/* Under the lock: the turn has come. */
static void grant(struct upstream_call *call, struct upstream_connection *connection)
{
    struct upstream_pool *pool = call->pool;
    call->connection = connection;
    call->turn = TURN_COME;
    if (call->sleeper)
        pthread_cond_signal(call->sleeper);
    if (call->watched) {
        call->turn = TURN_LISTED;
        TAILQ_INSERT_TAIL(&pool->granted, call, link);
        eventfd_write(pool->grants_fd, 1);
    }
}

/* Under the lock: a connection, or if NULL the right to make one, is free again. */
static void pass_on(struct upstream_pool *pool, struct upstream_connection *connection)
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
    pthread_mutex_lock(&pool->lock);
    struct upstream_connection *connection = SLIST_FIRST(&pool->idle);
    if (connection) {
        SLIST_REMOVE_HEAD(&pool->idle, link);
        grant(call, connection);
    } else if (pool->open < pool->limit) {
        pool->open++;
        grant(call, NULL);
    } else {
        call->turn = TURN_WAITS;
        TAILQ_INSERT_TAIL(&pool->waiting, call, link);
        count_add(call->counters, COUNTER_upstream_waits, 1);
    }
    pthread_mutex_unlock(&pool->lock);
}

static void count_wait(const struct upstream_call *call)
{
    int64_t wait_ns = now_ns() - call->since_ns;
    count_add(call->counters, COUNTER_upstream_wait_us, wait_ns / NSEC_PER_USEC);
}

/* -EAGAIN: the turn has not come. */
static int take_turn(struct upstream_call *call)
{
    struct upstream_pool *pool = call->pool;
    pthread_mutex_lock(&pool->lock);
    bool waits = call->turn == TURN_WAITS;
    if (call->turn == TURN_LISTED)
        TAILQ_REMOVE(&pool->granted, call, link);
    if (!waits)
        call->turn = TURN_COME;
    pthread_mutex_unlock(&pool->lock);
    return waits ? -EAGAIN : 0;
}

/* Leave before the turn was taken. */
static void leave_queue(struct upstream_call *call)
{
    struct upstream_pool *pool = call->pool;
    count_wait(call);
    pthread_mutex_lock(&pool->lock);
    switch (call->turn) {
    case TURN_WAITS: TAILQ_REMOVE(&pool->waiting, call, link); break;
    case TURN_LISTED: TAILQ_REMOVE(&pool->granted, call, link); /* fall through */
    case TURN_COME: pass_on(pool, call->connection); break;
    }
    pthread_mutex_unlock(&pool->lock);
}

/* --- a connection ---------------------------------------------------------------------------- */

static int outcome(ssize_t n)
{
    if (n < 0)
        return errno == EINTR || errno == EWOULDBLOCK ? -EAGAIN : -errno;
    return (int)n;
}

/* Between two calls an upstream has nothing to say: what can be read is the end, or rubbish. To look
 * before a command is sent, and not to send it again when no reply comes, is what makes a second
 * attempt safe: nobody knows whether the first was carried out. */
static bool is_stale(const struct upstream_connection *connection)
{
    char byte;
    return outcome(recv(connection->fd, &byte, 1, MSG_PEEK)) != -EAGAIN;
}

/* Start to connect. NULL with -errno in *error. */
static struct upstream_connection *open_connection(const struct upstream_pool *pool, int *error)
{
    int fd = net_connect(&pool->address, NULL, 0);
    if (fd < 0) {
        *error = fd;
        return NULL;
    }
    struct upstream_connection *connection = must_calloc(1, sizeof *connection);
    connection->fd = fd;
    connection->reader = redisReaderCreate();
    if (!connection->reader)
        die("out of memory");
    return connection;
}

/* To wait for an element of a list that nobody fills keeps a Redis connection busy for as long as
 * one likes, and the server behind it idle. There, no time means for ever. */
static void set_command(struct upstream_connection *connection, int64_t duration_ns)
{
    double seconds = (double)duration_ns / (double)NSEC_PER_SEC;
    int len = duration_ns
                  ? redisFormatCommand(&connection->command, "BLPOP archbench:none %.9f", seconds)
                  : redisFormatCommand(&connection->command, "PING");
    if (len < 0)
        die("out of memory");
    connection->len = (size_t)len;
    connection->sent = 0;
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
    struct upstream_connection *connection = call->connection;
    if (connection && !sound) {
        discard(pool, connection); /* before another one may be made: the upstream counts too */
        connection = NULL;
    }
    pthread_mutex_lock(&pool->lock);
    pass_on(pool, connection);
    pthread_mutex_unlock(&pool->lock);
}

static int leave_turn(struct upstream_call *call)
{
    int error = take_turn(call);
    if (error)
        return error;
    if (now_ns() >= call->deadline_ns)
        return -ETIMEDOUT;
    count_wait(call);
    call->state = UPSTREAM_SENDING;
    if (call->connection && is_stale(call->connection)) {
        discard(call->pool, call->connection);
        call->connection = NULL;
    }
    if (!call->connection) {
        call->state = UPSTREAM_CONNECTING;
        call->connection = open_connection(call->pool, &error);
    }
    if (!error)
        set_command(call->connection, call->duration_ns);
    return error;
}

static int finish_connect(struct upstream_call *call)
{
    struct pollfd pollfd = {.fd = call->connection->fd, .events = POLLOUT};
    int error = 0;
    socklen_t len = sizeof error;
    if (poll(&pollfd, 1, 0) <= 0)
        return -EAGAIN;
    getsockopt(pollfd.fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error)
        return -error;
    count_add(call->counters, COUNTER_upstream_connects, 1);
    call->state = UPSTREAM_SENDING;
    return 0;
}

static int send_command(struct upstream_call *call)
{
    struct upstream_connection *connection = call->connection;
    int n = outcome(send(connection->fd, connection->command + connection->sent,
                         connection->len - connection->sent, MSG_NOSIGNAL));
    if (n < 0)
        return n;
    connection->sent += (size_t)n;
    if (connection->sent < connection->len)
        return 0;
    redisFreeCommand(connection->command);
    connection->command = NULL;
    call->state = UPSTREAM_RECEIVING;
    return 0;
}

/* A whole reply. After an error, too, the connection is as good as before; not so if more follows,
 * which belongs to nobody. */
static void take_reply(struct upstream_call *call, redisReply *reply)
{
    const redisReader *reader = call->connection->reader;
    bool refused = reply->type == REDIS_REPLY_ERROR;
    freeReplyObject(reply);
    let_go(call, reader->pos == reader->len);
    if (refused)
        count_add(call->counters, COUNTER_upstream_failed, 1);
    go_over(call, refused ? -EREMOTEIO : 0);
}

static int receive_reply(struct upstream_call *call)
{
    struct upstream_connection *connection = call->connection;
    char bytes[RECEIVE_BYTES];
    void *reply = NULL;
    int n = outcome(recv(connection->fd, bytes, sizeof bytes, 0));
    if (n < 0)
        return n;
    if (n == 0)
        return -ECONNRESET;
    if (redisReaderFeed(connection->reader, bytes, (size_t)n) != REDIS_OK ||
        redisReaderGetReply(connection->reader, &reply) != REDIS_OK)
        return -EPROTO;
    if (reply)
        take_reply(call, reply);
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
    bool late = error == -ETIMEDOUT;
    upstream_abandon(call);
    call->result = error;
    count_add(call->counters, late ? COUNTER_upstream_late : COUNTER_upstream_failed, 1);
}

/* --- what others call ------------------------------------------------------------------------ */

void upstream_begin(struct upstream_call *call, struct upstream_pool *pool,
                    struct counter_slot *counters, int64_t duration_ns)
{
    int64_t at_ns = now_ns();
    *call = (struct upstream_call){.pool = pool,
                                   .counters = counters,
                                   .duration_ns = duration_ns,
                                   .since_ns = at_ns,
                                   .deadline_ns = at_ns + pool->timeout_ns};
    count_add(counters, COUNTER_upstream_calls, 1);
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
    return call->state == UPSTREAM_RECEIVING ? POLLIN : POLLOUT;
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
    pthread_mutex_lock(&pool->lock);
    call->sleeper = &turn;
    while (call->turn == TURN_WAITS &&
           pthread_cond_timedwait(&turn, &pool->lock, &until) != ETIMEDOUT) {
    }
    call->sleeper = NULL;
    pthread_mutex_unlock(&pool->lock);
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
    pthread_mutex_lock(&call->pool->lock);
    call->watched = call->turn == TURN_WAITS;
    bool watched = call->watched;
    pthread_mutex_unlock(&call->pool->lock);
    return watched;
}

void upstream_unwatch_turn(struct upstream_call *call)
{
    struct upstream_pool *pool = call->pool;
    pthread_mutex_lock(&pool->lock);
    call->watched = false;
    if (call->turn == TURN_LISTED) {
        TAILQ_REMOVE(&pool->granted, call, link);
        call->turn = TURN_COME;
    }
    pthread_mutex_unlock(&pool->lock);
}

int upstream_grants_fd(struct upstream_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    if (pool->grants_fd < 0)
        pool->grants_fd = eventfd(0, EFD_CLOEXEC);
    int fd = pool->grants_fd;
    pthread_mutex_unlock(&pool->lock);
    if (fd < 0)
        die_errno("cannot make an eventfd");
    return fd;
}

struct upstream_call *upstream_next_granted(struct upstream_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    close_all(&pool->discarded);
    struct upstream_call *call = TAILQ_FIRST(&pool->granted);
    if (call) {
        TAILQ_REMOVE(&pool->granted, call, link);
        call->turn = TURN_COME;
    }
    pthread_mutex_unlock(&pool->lock);
    return call;
}

const char *upstream_reason(int error)
{
    switch (-error) {
    case ETIMEDOUT: return "the upstream did not answer in time";
    case EREMOTEIO: return "the upstream answered with an error";
    case EPROTO: return "the upstream's answer cannot be read";
    case ECONNRESET:
    case EPIPE: return "the upstream closed the connection";
    }
    return "the upstream cannot be reached";
}
