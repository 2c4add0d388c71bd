#include "common/serve/serve.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/time.h>

static ssize_t outcome(ssize_t n)
{
    return n < 0 ? -errno : n;
}

static ssize_t receive(struct conn *conn, int fd)
{
    struct span in = conn_in(conn);
    return outcome(recv(fd, in.data, in.len, 0));
}

static ssize_t transmit(struct conn *conn, int fd)
{
    struct span out = conn_out(conn);
    return outcome(send(fd, out.data, out.len, MSG_NOSIGNAL));
}

/* A blocking call must return now and then, to see whether the peer has used up its time. */
static void set_patience(int fd, const struct service *service)
{
    int64_t ns = service->idle_timeout_ns < service->header_timeout_ns ? service->idle_timeout_ns
                                                                       : service->header_timeout_ns;
    struct timeval tick = {ns / NSEC_PER_SEC, ns % NSEC_PER_SEC / NSEC_PER_USEC};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof tick);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tick, sizeof tick);
}

/* Interrupted, or silent for one tick: neither is an end unless the time is used up. */
static bool goes_on(struct conn *conn, ssize_t n)
{
    return n == -EINTR || (n == -EAGAIN && !conn_expired(conn, now_coarse_ns()));
}

/* Bytes keep coming, yet the request does not become complete in its time. */
static bool is_dripping(struct conn *conn)
{
    return !conn_is_idle(conn) && conn_expired(conn, now_coarse_ns());
}

void serve_blocking(int fd, struct service *service, struct counter_slot *counters)
{
    struct conn conn;
    ssize_t n;

    set_patience(fd, service);
    conn_init(&conn, service, counters);
    for (;;) {
        switch (conn.want) {
        case WANT_SHUTDOWN: shutdown(fd, SHUT_WR); /* fall through */
        case WANT_READ:
            n = receive(&conn, fd);
            if (n > 0 && is_dripping(&conn))
                n = -ETIMEDOUT;
            if (!goes_on(&conn, n))
                conn_received(&conn, n);
            break;
        case WANT_JOB:
            job_start(&conn.job, WAIT_NONE);
            conn_job_done(&conn);
            break;
        case WANT_WRITE:
            n = transmit(&conn, fd);
            if (!goes_on(&conn, n))
                conn_sent(&conn, n);
            break;
        case WANT_CLOSE: conn_end(&conn); return;
        }
    }
}

static bool would_block(ssize_t n)
{
    return n == -EAGAIN || n == -EINTR;
}

bool conn_receive(struct conn *conn, int fd)
{
    ssize_t n = receive(conn, fd);
    if (would_block(n))
        return false;
    conn_received(conn, n);
    return true;
}

bool conn_send(struct conn *conn, int fd)
{
    ssize_t n = transmit(conn, fd);
    if (would_block(n))
        return false;
    conn_sent(conn, n);
    return true;
}

enum want conn_pump(struct conn *conn, int fd, unsigned async)
{
    bool received = false;

    for (;;) {
        switch (conn->want) {
        case WANT_SHUTDOWN: shutdown(fd, SHUT_WR); /* fall through */
        case WANT_READ:
            if (received || !conn_receive(conn, fd))
                return conn->want = WANT_READ;
            received = true;
            break;
        case WANT_JOB:
            if (!conn->job.started)
                job_start(&conn->job, async);
            if (conn->job.pending)
                return WANT_JOB;
            conn_job_done(conn);
            break;
        case WANT_WRITE:
            if (!conn_send(conn, fd))
                return WANT_WRITE;
            break;
        case WANT_CLOSE: conn_end(conn); return WANT_CLOSE;
        }
    }
}
