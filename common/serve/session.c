#include "common/serve/session.h"
#include "common/serve/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

static void on_signal(int signal)
{
    (void)signal;
}

void session_hold_signal(void)
{
    sigset_t signals;
    sigaction(SESSION_SIGNAL, &(struct sigaction){.sa_handler = on_signal}, NULL);
    sigemptyset(&signals);
    sigaddset(&signals, SESSION_SIGNAL);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
}

/* Every sleep ends now and then, to see whether the peer has used up its time. */
static int64_t tick_ns(const struct service *service)
{
    int64_t ns = service->idle_timeout_ns < service->header_timeout_ns ? service->idle_timeout_ns
                                                                       : service->header_timeout_ns;
    if (service->request_timeout_ns && service->request_timeout_ns < ns)
        ns = service->request_timeout_ns;
    return ns;
}

static void set_patience(int fd, int64_t ns)
{
    struct timeval tick = {ns / NSEC_PER_SEC, ns % NSEC_PER_SEC / NSEC_PER_USEC};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof tick);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tick, sizeof tick);
}

void session_begin(struct session *session, int fd, struct service *service,
                   struct counter_slot *counters)
{
    session->fd = fd;
    session->is_channel = false;
    set_patience(fd, tick_ns(service));
    conn_init(&session->conn, service, counters);
    conn_keep(&session->conn, &session->exchange);
}

void session_end(struct session *session)
{
    serve_end(&session->conn, session->fd);
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

static void begin_channel(struct session *session)
{
    fcntl(session->fd, F_SETFL, O_NONBLOCK);
    pthread_sigmask(SIG_BLOCK, NULL, &session->asleep);
    sigdelset(&session->asleep, SESSION_SIGNAL);
    session->is_channel = true;
}

/* Of a WebSocket: send what was pushed, then sleep until the peer has something for us or takes something
 * from us, or a tick has passed. False: a signal has come. */
static bool await_channel(struct session *session)
{
    struct conn *conn = &session->conn;
    if (!session->is_channel)
        begin_channel(session);
    if (conn_push(conn, session->fd) == WANT_CLOSE)
        return true;
    int64_t ns = tick_ns(conn->service);
    struct timespec tick = {ns / NSEC_PER_SEC, ns % NSEC_PER_SEC};
    struct pollfd pollfd = {.fd = session->fd,
                            .events = conn->want == WANT_READ ? POLLIN : POLLOUT};
    if (conn_pushes(conn))
        pollfd.events |= POLLOUT;
    return ppoll(&pollfd, 1, &tick, &session->asleep) >= 0;
}

static void receive(struct session *session)
{
    ssize_t n = serve_recv(&session->conn, session->fd);
    if (has_moved(&session->conn, session->fd, n))
        conn_received(&session->conn, n);
}

static void transmit(struct session *session)
{
    ssize_t n = serve_send(&session->conn, session->fd);
    if (has_moved(&session->conn, session->fd, n))
        serve_sent(&session->conn, session->fd, n);
}

/* The job, or what is left of it after it had news. What was pushed goes out first: the thread may sleep
 * in the next step. False: it has news. */
static bool perform(struct session *session)
{
    struct job *job = session->conn.job;
    if (session->is_channel)
        conn_push(&session->conn, session->fd);
    unsigned async = job->topics ? WAIT_NEWS : WAIT_NONE;
    return (job->started ? job_resume(job, 0) : job_start(job, async)) == WAIT_NONE;
}

enum session_event session_run(struct session *session)
{
    struct conn *conn = &session->conn;
    for (;;) {
        if (conn->channel && conn->want != WANT_JOB && !await_channel(session))
            return SESSION_WOKEN;
        switch (conn->want) {
        case WANT_READ: receive(session); break;
        case WANT_JOB:
            if (!perform(session))
                return SESSION_NEWS;
            conn_job_done(conn);
            break;
        case WANT_WRITE: transmit(session); break;
        case WANT_CLOSE: return SESSION_OVER;
        }
    }
}

void serve_blocking(int fd, struct service *service, struct counter_slot *counters)
{
    struct session session;
    session_begin(&session, fd, service, counters);
    while (session_run(&session) != SESSION_OVER) {
    }
    session_end(&session);
}
