/* receive: replies come in, and what follows from them. See engine.h. */
#include "loadgen/worker/engine.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

static enum outcome judge_reply(const struct client *c, const struct connection *conn)
{
    const struct plan_class *class = class_of(c, conn);

    switch (conn->reply.status / 100) {
    case 2:
    case 3:
        if (class->has_digest && !reply_has_digest(&conn->reply, class->digest))
            return ERROR_digest;
        return OUTCOME_GOOD;
    case 4: return ERROR_status_4xx;
    case 5: return ERROR_status_5xx;
    default: return ERROR_malformed;
    }
}

/* A reply that came before the request was written whole leaves a connection on which the rest
 * would be taken for the next request. */
static bool can_go_on(const struct client *c, const struct connection *conn)
{
    return conn->reply.keep_alive && !conn->peer_closed && is_sent(c, conn);
}

/* After a 503 a user pauses, and up to half of it more: those refused together are not to come
 * together again. */
static void user_pauses(struct client *c, struct connection *conn)
{
    double pause_ns = (double)c->plan->workload.retry_after_ns * (1 + random_unit(&c->random) / 2);

    if (is_closed_loop(c) && pause_ns > 0) {
        conn->thinks_until_ns = c->now_ns + (int64_t)pause_ns;
        tally_paused(&c->tally, c->now_ns, conn->thinks_until_ns);
    }
}

void receive_complete(struct client *c, struct connection *conn)
{
    struct arrival arrival = conn->arrival;
    enum outcome outcome = judge_reply(c, conn);

    tally_status(&c->tally, &arrival, conn->reply.status);
    if (outcome == OUTCOME_GOOD)
        tally_good(&c->tally, &arrival,
                   &(struct exchange){.sent_ns = conn->since_ns,
                                      .came_ns = c->came_ns,
                                      .read_ns = c->now_ns,
                                      .lag_ns = conn->lag_ns,
                                      .echo_ns = conn->echo_ns});
    else if (!exchange_attempt_failed(c, &arrival, outcome, true) && conn->reply.status == 503)
        user_pauses(c, conn);
    c->stats->used += !conn->used;
    conn->used = true;
    conn->replies++;
    if (!can_go_on(c, conn))
        connection_drop(c, conn);
    else if (c->plan->workload.churn > 0 && conn->replies >= (uint32_t)c->plan->workload.churn)
        connection_renew(c, conn);
    else
        exchange_next(c, conn);
}

static void received(struct client *c, struct connection *conn, size_t len)
{
    if (conn->messenger) {
        websocket_received(c, conn, len);
        return;
    }
    if (conn->state != STATE_BUSY) {
        connection_drop(c, conn); /* nobody asked, e.g. "408 Request Timeout" before a close */
        return;
    }
    switch (reply_feed(&conn->reply, c->buffer, len)) {
    case REPLY_MORE: break;
    case REPLY_DONE: receive_complete(c, conn); break;
    case REPLY_BAD: exchange_failed(c, conn, ERROR_malformed); break;
    }
}

/* The stream ended: with an error, or because the peer closed it. */
static void stream_ended(struct client *c, struct connection *conn, int error)
{
    if (conn->state == STATE_CONNECTING)
        connect_failed(c, conn, error ? error : ECONNRESET);
    else if (conn->state != STATE_BUSY)
        connection_drop(c, conn);
    else if (error)
        exchange_failed(c, conn, ERROR_reset);
    else if (conn->messenger)
        exchange_failed(c, conn, ERROR_closed);
    else if (reply_end(&conn->reply) == REPLY_DONE)
        receive_complete(c, conn);
    else
        exchange_failed(c, conn, reply_begun(&conn->reply) ? ERROR_cut : ERROR_closed);
}

/* How long ago that was, on the clock of the kernel's stamps. */
static int64_t age_ns(const struct timespec *stamp)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (now.tv_sec - stamp->tv_sec) * NSEC_PER_SEC + now.tv_nsec - stamp->tv_nsec;
}

/* When the bytes came, as the kernel says in a control message; now, when it says nothing or what
 * cannot be: the clock may have been set. */
static int64_t arrival_ns(const struct client *c, const struct connection *conn,
                          struct msghdr *message)
{
    for (struct cmsghdr *h = CMSG_FIRSTHDR(message); h; h = CMSG_NXTHDR(message, h)) {
        if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SO_TIMESTAMPING) {
            struct scm_timestamping stamps;
            memcpy(&stamps, CMSG_DATA(h), sizeof stamps);
            int64_t came_ns = c->now_ns - age_ns(&stamps.ts[0]);
            return came_ns > conn->since_ns && came_ns < c->now_ns ? came_ns : c->now_ns;
        }
    }
    return c->now_ns;
}

ssize_t receive_some(struct client *c, struct connection *conn, size_t max)
{
    char control[CMSG_SPACE(sizeof(struct scm_timestamping))];
    struct iovec room = {c->buffer, max};
    struct msghdr message = {.msg_iov = &room,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    ssize_t n = recvmsg(conn->fd, &message, 0);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return n;
    tick(c);
    c->came_ns = n > 0 ? arrival_ns(c, conn, &message) : c->now_ns;
    if (n > 0) {
        received(c, conn, (size_t)n);
    } else {
        conn->peer_closed = true;
        stream_ended(c, conn, n < 0 ? errno : 0);
    }
    return n;
}

/* A peer that sends faster than we parse must not keep us from the others and from the clock. */
void receive_all(struct client *c, struct connection *conn)
{
    uint32_t generation = conn->generation;
    int rounds = 0;
    ssize_t n;

    do {
        if (rounds++ == RECEIVE_ROUNDS) {
            connection_watch(c, conn);
            return;
        }
        n = receive_some(c, conn, RECEIVE_BUFFER);
    } while (n >= 0 && (n == RECEIVE_BUFFER || conn->peer_closed) && conn->fd >= 0 &&
             conn->generation == generation);
}
