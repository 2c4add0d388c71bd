#include "common/serve/serve.h"
#include "common/serve/channel.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static ssize_t outcome(ssize_t n)
{
    return n < 0 ? -errno : n;
}

ssize_t serve_recv(struct conn *conn, int fd)
{
    struct span in = conn_in(conn);
    return outcome(recv(fd, in.data, in.len, 0));
}

ssize_t serve_send(struct conn *conn, int fd)
{
    struct span out = conn_out(conn);
    return outcome(send(fd, out.data, out.len, MSG_NOSIGNAL));
}

void serve_sent(struct conn *conn, int fd, ssize_t n)
{
    conn_sent(conn, n);
    if (conn_lingers(conn))
        shutdown(fd, SHUT_WR);
}

bool serve_expire(struct conn *conn, int fd, int64_t at_ns)
{
    int unsent;
    if ((conn->want == WANT_WRITE || conn_pushes(conn)) && ioctl(fd, SIOCOUTQ, &unsent) == 0)
        conn_note_unsent(conn, unsent, at_ns);
    return conn_expire(conn, at_ns);
}

static bool would_block(ssize_t n)
{
    return n == -EAGAIN || n == -EINTR;
}

bool conn_receive(struct conn *conn, int fd)
{
    ssize_t n = serve_recv(conn, fd);
    if (would_block(n)) {
        conn_rest(conn);
        return false;
    }
    conn_received(conn, n);
    return true;
}

bool conn_send(struct conn *conn, int fd)
{
    ssize_t n = serve_send(conn, fd);
    if (would_block(n))
        return false;
    serve_sent(conn, fd, n);
    return true;
}

/* Frames that are sent for one peer before it is another's turn. */
enum { PUSHES_AT_ONCE = 64 };

enum want conn_push(struct conn *conn, int fd)
{
    if (conn_cut(conn))
        return conn->want;
    for (int i = 0; i < PUSHES_AT_ONCE && conn_pushes(conn); i++)
        if (!conn_send(conn, fd))
            break;
    return conn->want;
}

void serve_end(struct conn *conn, int fd)
{
    struct span word = conn_farewell(conn);
    if (word.len)
        send(fd, word.data, word.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    conn_end(conn);
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
