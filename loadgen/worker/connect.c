/* connect: connections are made, lost and made anew. See engine.h. */
#include "common/base/net.h"
#include "loadgen/worker/engine.h"

#include <errno.h>
#include <linux/net_tstamp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONNECTS_AT_ONCE = 8, /* while requests are due */
    SLOW_BUFFER = 4096,   /* of the socket of a slow reader: the server is to feel it */
};

void connection_watch(struct client *c, struct connection *conn)
{
    uint64_t index = (uint64_t)(conn - c->connections);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.u64 = (uint64_t)conn->generation << 32 | index};

    if (epoll_ctl(c->epoll, conn->state == STATE_CONNECTING ? EPOLL_CTL_ADD : EPOLL_CTL_MOD,
                  conn->fd, &event))
        die_errno("cannot watch a connection");
}

static void connection_close(struct client *c, struct connection *conn, enum connection_state next)
{
    if (conn->fd >= 0)
        close(conn->fd);
    conn->fd = -1;
    timers_remove(&c->timers, &conn->timer);
    set_state(c, conn, next);
}

void connection_drop(struct client *c, struct connection *conn)
{
    c->stats->idle_lost += pool_of(c, conn)->unused;
    connection_close(c, conn, conn->replies > 0 ? STATE_WAITING : STATE_PAUSED);
}

void connection_renew(struct client *c, struct connection *conn)
{
    c->stats->churned += c->begun && !c->ended;
    conn->churned = true;
    connection_close(c, conn, STATE_WAITING);
}

void connection_end(struct connection *conn)
{
    struct linger at_once = {.l_onoff = 1};
    if (conn->fd < 0)
        return;
    setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(conn->fd);
    conn->fd = -1;
}

void connect_failed(struct client *c, struct connection *conn, int error)
{
    c->stats->connect_errno = error;
    connection_close(c, conn, STATE_PAUSED);
    exchange_lost_connection(c, conn);
}

/* Have the kernel say when bytes came. Where it cannot, they came when they are read. In a closed
 * loop without pauses the generator's pace is part of the load, and speed is what counts: a stamp
 * for each packet costs some hundredths of a trivial request, at both ends. */
static void ask_for_stamps(const struct client *c, int fd)
{
    int what = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;

    if (!is_closed_loop(c) || c->plan->workload.think.mean_ns > 0)
        setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &what, sizeof what);
}

static void connection_start(struct client *c, struct connection *conn)
{
    const struct plan *plan = c->plan;
    int fd;

    tick(c);
    fd = net_connect(&plan->target[conn->target].address,
                     plan->source_count ? &plan->source[conn->source] : NULL,
                     pool_of(c, conn)->slow ? SLOW_BUFFER : 0);
    conn->replies = 0;
    conn->churned = conn->peer_closed = false;
    if (conn->messenger)
        conn->messenger->begun = conn->messenger->ready = false;
    conn->generation++;
    if (fd < 0) {
        connect_failed(c, conn, -fd);
        return;
    }
    conn->fd = fd;
    ask_for_stamps(c, fd);
    set_state(c, conn, STATE_CONNECTING);
    connection_watch(c, conn);
}

/* The ramp holds for the first connections; later ones replace one that stood before. */
static bool may_connect(struct client *c)
{
    if (c->list[STATE_CONNECTING].length >= CONNECTING_MAX)
        return false;
    if (c->ramp_gap_ns == 0 || c->phase != PHASE_CONNECT)
        return true;
    if (c->now_ns < c->next_connect_ns)
        return false;
    c->next_connect_ns += c->ramp_gap_ns;
    return true;
}

/* Once requests are due, a few at a time: each takes some microseconds, and requests must not wait
 * for a storm of them. */
void connect_missing(struct client *c)
{
    int rounds = c->phase == PHASE_CONNECT ? CONNECTING_MAX : CONNECTS_AT_ONCE;
    struct connection *conn;

    while ((conn = c->list[STATE_PAUSED].oldest) &&
           conn->since_ns + RECONNECT_PAUSE_NS <= c->now_ns)
        set_state(c, conn, STATE_WAITING);
    while ((conn = c->list[STATE_WAITING].oldest) && rounds-- > 0 && may_connect(c)) {
        c->stats->reconnects += c->begun && !c->ended && !conn->churned;
        connection_start(c, conn);
    }
}

void connect_complete(struct client *c, struct connection *conn)
{
    hist_add(&c->stats->connect, c->now_ns - conn->since_ns);
    c->connected_ns = c->now_ns;
    exchange_next(c, conn);
}

void connect_event(struct client *c, struct connection *conn, uint32_t events)
{
    int error = 0;
    socklen_t len = sizeof error;

    if (events & (EPOLLERR | EPOLLHUP))
        getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error) {
        connect_failed(c, conn, error);
    } else if (conn->messenger && conn->messenger->begun) {
        conn->peer_closed |= (events & (EPOLLRDHUP | EPOLLHUP)) != 0;
        receive_all(c, conn);
    } else if (events & EPOLLOUT) {
        tick(c);
        if (conn->messenger)
            websocket_connected(c, conn);
        else
            connect_complete(c, conn);
    }
}

void connect_expire(struct client *c)
{
    struct connection *conn;

    while ((conn = c->list[STATE_CONNECTING].oldest) &&
           conn->since_ns + c->plan->timeout_ns <= c->now_ns)
        connect_failed(c, conn, ETIMEDOUT);
}
