#include "common/serve/serve.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
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

static void sent(struct conn *conn, int fd, ssize_t n)
{
    conn_sent(conn, n);
    if (conn_lingers(conn))
        shutdown(fd, SHUT_WR);
}

/* A blocking call must return now and then, to see whether the peer has used up its time. */
static void set_patience(int fd, const struct service *service)
{
    int64_t ns = service->idle_timeout_ns < service->header_timeout_ns ? service->idle_timeout_ns
                                                                       : service->header_timeout_ns;
    if (service->request_timeout_ns && service->request_timeout_ns < ns)
        ns = service->request_timeout_ns;
    struct timeval tick = {ns / NSEC_PER_SEC, ns % NSEC_PER_SEC / NSEC_PER_USEC};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof tick);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tick, sizeof tick);
}

bool serve_expire(struct conn *conn, int fd, int64_t at_ns)
{
    int unsent;
    if (conn->want == WANT_WRITE && ioctl(fd, SIOCOUTQ, &unsent) == 0)
        conn_note_unsent(conn, unsent, at_ns);
    return conn_expire(conn, at_ns);
}

/* Has something happened that conn must hear of? Not if the call was interrupted, or silent for one
 * tick. Then the peer may have used up its time; so it may when bytes do come, if they are too late
 * for their request. */
static bool has_moved(struct conn *conn, int fd, ssize_t n)
{
    bool moved = n != -EINTR && n != -EAGAIN;
    if (n == -EAGAIN || (n > 0 && conn->want == WANT_READ && !conn_is_idle(conn)))
        moved = !serve_expire(conn, fd, now_coarse_ns()) && moved;
    return moved;
}

void serve_blocking(int fd, struct service *service, struct counter_slot *counters)
{
    struct exchange exchange;
    struct conn conn;
    ssize_t n;

    set_patience(fd, service);
    conn_init(&conn, service, counters);
    conn_keep(&conn, &exchange);
    for (;;) {
        switch (conn.want) {
        case WANT_READ:
            n = receive(&conn, fd);
            if (has_moved(&conn, fd, n))
                conn_received(&conn, n);
            break;
        case WANT_JOB:
            job_start(conn.job, WAIT_NONE);
            conn_job_done(&conn);
            break;
        case WANT_WRITE:
            n = transmit(&conn, fd);
            if (has_moved(&conn, fd, n))
                sent(&conn, fd, n);
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
    if (would_block(n)) {
        conn_rest(conn);
        return false;
    }
    conn_received(conn, n);
    return true;
}

bool conn_send(struct conn *conn, int fd)
{
    ssize_t n = transmit(conn, fd);
    if (would_block(n))
        return false;
    sent(conn, fd, n);
    return true;
}

enum want conn_pump(struct conn *conn, int fd, unsigned async)
{
    bool received = false;

    for (;;) {
        switch (conn->want) {
        case WANT_READ:
            if (received || !conn_receive(conn, fd))
                return WANT_READ;
            received = true;
            break;
        case WANT_JOB:
            if (!conn->job->started)
                job_start(conn->job, async);
            if (conn->job->pending)
                return WANT_JOB;
            conn_job_done(conn);
            break;
        case WANT_WRITE:
            if (!conn_send(conn, fd))
                return WANT_WRITE;
            break;
        case WANT_CLOSE: return WANT_CLOSE;
        }
    }
}
