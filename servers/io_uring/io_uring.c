/* io_uring: one thread, one ring; operations are started, and their completions are the events.
 *
 * Who blocks:  nothing waits for a peer, a timer or the disk; but a computation happens on the
 *              ring's thread and stops every connection until it is over.
 * Strength:    one system call starts and collects a whole batch of operations; what is never
 *              "ready", such as a disk read, completes like everything else.
 * Weakness:    the memory that an operation works on must stay until it completes, even if it is
 *              cancelled; receive buffers are given to the kernel in advance; one core.
 * Try it:      build/servers/io_uring --port 8080 &
 *              timeout 5 strace -c -p $! & build/loadgen -c 64 -d 4s http://127.0.0.1:8080/
 *              then compare with the calls of build/servers/event.
 *
 * Parts:       submissions.h has one function for each operation; buffers.h has the receive buffers,
 *              and the life of one step by step; ring.h has the structs and the tags of operations.
 *
 * Name:    io_uring
 * Ids:     A6
 * Family:  asynchronous
 * Look:    #332288 P
 * Read:    await_job, disk=start_disk, connections=on_accept, requests=complete
 * Blocks:  compute
 * Tasks:   0
 * Push:    a send on the ring
 * Book:    owned by the only thread
 * Compute: 1
 * Link:    -luring
 */
#include "common/serve/channel.h"
#include "common/serve/serve.h"
#include "servers/io_uring/submissions.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

/* --- one operation for each want ------------------------------------------------------------- */

/* Give conn, which wants to read, what has come. False: nothing has. */
static bool take_input(struct ring *ring, struct ring_peer *peer)
{
    if (!STAILQ_EMPTY(&peer->input)) {
        struct span in = conn_in(&peer->conn);
        size_t len = input_take(&peer->input, &ring->buffers, in);
        conn_received(&peer->conn, (ssize_t)len);
        return true;
    }
    if (peer->ended)
        conn_received(&peer->conn, 0);
    return peer->ended;
}

/* Wait until an upstream call can go on: on its descriptor, or, while it has none, for its turn,
 * which on_grants() learns. Both end at its deadline. False: its turn has come already. */
static bool await_call(struct ring *ring, struct ring_peer *peer)
{
    struct job *job = peer->conn.job;
    int fd = job_wait_fd(job);
    if (fd >= 0)
        start_call(ring, peer, fd);
    else if (job_watch_turn(job))
        start_timer(ring, peer, job_deadline_ns(job));
    else
        return false;
    return true;
}

/* Start what the job waits for. False: all its steps are done. */
static bool await_job(struct ring *ring, struct ring_peer *peer)
{
    struct job *job = peer->conn.job;
    if (!job->started)
        job_start(job, WAIT_TIMER | WAIT_UPSTREAM | WAIT_COMPUTE | WAIT_DISK);
    for (;;) {
        switch (job->pending) {
        case WAIT_TIMER: start_timer(ring, peer, now_ns() + job_delay_ns(job)); return true;
        case WAIT_UPSTREAM:
            if (await_call(ring, peer))
                return true;
            job_resume(job, 0);
            break;
        case WAIT_COMPUTE:
            io_uring_submit(&ring->uring); /* what is ready must not wait for the computation */
            job_block(job);
            job_resume(job, 0);
            break;
        case WAIT_DISK: start_disk(ring, peer); return true;
        case WAIT_NEWS: /* not asked for in job_start() */
        case WAIT_BOOK:
        case WAIT_DELEGATE:
        case WAIT_NONE: return false;
        }
    }
}

/* Close, but not before everything in flight has completed: the kernel may still use our memory.
 * Called again with each completion. */
static void leave(struct ring *ring, struct ring_peer *peer)
{
    if (!peer->in_flight) {
        serve_end(&peer->conn, peer->fd);
        start_close(ring, peer);
    } else if (!peer->cancelling) {
        cancel_all(ring, peer);
        peer->cancelling = true;
    }
}

/* Start to send what was pushed to it; one send at a time. */
static void push(struct ring *ring, struct ring_peer *peer)
{
    if (!peer->sending && conn_pushes(&peer->conn))
        start_send(ring, peer);
}

/* Go on with a peer until it needs something, and start the operation that brings it. */
static void go_on(struct ring *ring, struct ring_peer *peer)
{
    for (;;) {
        switch (peer->conn.want) {
        case WANT_READ:
            if (take_input(ring, peer))
                break;
            if (!peer->receiving)
                start_receive(ring, peer);
            push(ring, peer);
            return;
        case WANT_JOB:
            if (await_job(ring, peer)) {
                push(ring, peer);
                return;
            }
            conn_job_done(&peer->conn);
            break;
        case WANT_WRITE:
            if (!peer->sending) /* else a push goes out, and this after it */
                start_send(ring, peer);
            return;
        case WANT_CLOSE: leave(ring, peer); return;
        }
    }
}

/* --- one call for each completion ------------------------------------------------------------ */

static void welcome(struct ring *ring, int fd)
{
    struct ring_peer *peer = must_calloc(1, sizeof *peer);
    peer->fd = fd;
    STAILQ_INIT(&peer->input);
    conn_init(&peer->conn, &ring->server->service, ring->server->counters);
    LIST_INSERT_HEAD(&ring->peers, peer, all);
    go_on(ring, peer);
}

/* Serve the peers that are connected already, and none after them. */
static void stop_listening(struct ring *ring)
{
    int fd;
    fcntl(ring->server->listener, F_SETFL, O_NONBLOCK);
    while ((fd = server_accept_ready(ring->server)) >= 0)
        welcome(ring, fd);
    close(ring->server->listener);
    ring->listening = false;
}

/* The accept has ended with `result`. Without a free descriptor it fails at once, even if no peer
 * waits: so first wait until there is one to turn away. */
static void listen_again(struct ring *ring, int result)
{
    if (ring->server->service.draining) {
        stop_listening(ring);
    } else if (result < 0) {
        start_backlog(ring);
    } else {
        start_accept(ring);
    }
}

static void on_accept(struct ring *ring, const struct io_uring_cqe *cqe)
{
    if (cqe->res >= 0)
        welcome(ring, cqe->res);
    if (!(cqe->flags & IORING_CQE_F_MORE))
        listen_again(ring, cqe->res);
}

static void on_backlog(struct ring *ring, int result)
{
    struct server *server = ring->server;
    int fd = result < 0 ? result : net_accept(server->listener, 0, &server->reserve);
    if (fd >= 0)
        welcome(ring, fd);
    else if (fd == -EMFILE)
        count_add(server->counters, COUNTER_refused, 1);
    listen_again(ring, 0);
}

/* Accept no more peers. The next sweep, which comes soon, sends idle peers away; the others leave
 * after their reply. */
static void on_signal(struct ring *ring)
{
    ring->server->service.draining = true;
    hasten_sweep(ring);
    stop_accept(ring);
}

/* Look at all peers now and then, instead of a timer for each: patience needs no precision. When
 * the server drains, an idle peer leaves as soon as its receive has ended: a request may just have
 * come. */
static void on_sweep(struct ring *ring)
{
    int64_t at_ns = now_coarse_ns();
    struct ring_peer *peer;
    LIST_FOREACH (peer, &ring->peers, all) {
        if (peer->conn.want == WANT_CLOSE)
            continue;
        if (serve_expire(&peer->conn, peer->fd, at_ns)) {
            leave(ring, peer); /* what still completes is late */
        } else if (ring->server->service.draining && conn_is_idle(&peer->conn)) {
            stop_receive(ring, peer);
        }
    }
    start_sweep(ring);
}

/* A buffer of input has come. Input must not grow without bound: if one buffer waits already, the
 * receive is cancelled until both are used up, and TCP slows the peer down. */
static void keep_input(struct ring *ring, struct ring_peer *peer, const struct io_uring_cqe *cqe)
{
    if (!STAILQ_EMPTY(&peer->input))
        stop_receive(ring, peer);
    input_keep(&peer->input, buffers_received(&ring->buffers, cqe));
}

/* If other peers hold all buffers, a receive ends with ENOBUFS. The next one of that peer needs no
 * buffer, so that no peer waits for ever. */
static void on_receive(struct ring *ring, struct ring_peer *peer, const struct io_uring_cqe *cqe)
{
    bool wanted = peer->conn.want == WANT_READ; /* if not, the input has to wait */
    bool leaves = ring->server->service.draining && conn_is_idle(&peer->conn);
    peer->receiving = cqe->flags & IORING_CQE_F_MORE;
    if (cqe->flags & IORING_CQE_F_BUFFER)
        keep_input(ring, peer, cqe);
    else if (cqe->res > 0)
        conn_received(&peer->conn, cqe->res);
    else if (cqe->res == -ENOBUFS)
        peer->starved = true;
    else if (cqe->res != -ECANCELED || leaves)
        peer->ended = true;
    if (wanted)
        go_on(ring, peer);
}

static void on_send(struct ring *ring, struct ring_peer *peer, int result)
{
    bool computes = peer->conn.want == WANT_JOB && peer->conn.job->started;
    peer->sending = false;
    conn_sent(&peer->conn, result); /* if it was short, conn wants to write the rest */
    if (conn_lingers(&peer->conn))
        start_shutdown(ring, peer);
    if (computes) /* that was a push, and the job goes on by itself */
        push(ring, peer);
    else
        go_on(ring, peer);
}

/* The turns of some calls have come. Each of these calls waits on a timer for its deadline. Its job
 * goes on when that timer completes: cancelled here, or expired just before. */
static void on_grants(struct ring *ring)
{
    struct upstream_call *call;
    while ((call = upstream_next_granted(&ring->server->service.calls.turns)))
        stop_timer(ring, container_of(conn_of_job(job_of_call(call)), struct ring_peer, conn));
    start_grants(ring);
}

/* Into the outboxes; push_news() finds those that have news. */
static void on_feed(struct ring *ring)
{
    feed_deliver(ring->feed, ring->server->service.topics);
    start_feed(ring);
}

/* A timer has expired, or the descriptor of a call is ready. */
static void on_due(struct ring *ring, struct ring_peer *peer)
{
    job_resume(peer->conn.job, 0);
    go_on(ring, peer);
}

static void on_disk(struct ring *ring, struct ring_peer *peer, int result)
{
    job_resume(peer->conn.job, result);
    go_on(ring, peer);
}

/* The peer is leaving, and this operation was still in flight. */
static void on_late(struct ring *ring, struct ring_peer *peer, const struct io_uring_cqe *cqe)
{
    if (cqe->flags & IORING_CQE_F_BUFFER)
        buffers_offer(&ring->buffers, buffers_received(&ring->buffers, cqe));
    leave(ring, peer);
}

static void on_close(struct ring *ring, struct ring_peer *peer)
{
    input_release(&peer->input, &ring->buffers);
    LIST_REMOVE(peer, all);
    free(peer);
}

static void complete(struct ring *ring, const struct io_uring_cqe *cqe)
{
    struct ring_peer *peer = ring_peer_of(cqe);
    enum op op = ring_op(cqe);

    if (peer && !(cqe->flags & IORING_CQE_F_MORE))
        peer->in_flight--;
    if (op == OP_CANCEL)
        peer->cancelling = false;
    if (peer && peer->conn.want == WANT_CLOSE && op != OP_CLOSE) {
        on_late(ring, peer, cqe);
        return;
    }
    switch (op) {
    case OP_ACCEPT: on_accept(ring, cqe); break;
    case OP_BACKLOG: on_backlog(ring, cqe->res); break;
    case OP_SIGNAL: on_signal(ring); break;
    case OP_SWEEP: on_sweep(ring); break;
    case OP_GRANTS: on_grants(ring); break;
    case OP_FEED: on_feed(ring); break;
    case OP_RECEIVE: on_receive(ring, peer, cqe); break;
    case OP_SEND: on_send(ring, peer, cqe->res); break;
    case OP_TIMER:
    case OP_CALL: on_due(ring, peer); break;
    case OP_DISK: on_disk(ring, peer, cqe->res); break;
    case OP_CLOSE: on_close(ring, peer); break;
    case OP_CANCEL:
    case OP_IGNORED: break;
    }
}

/* What the last completions have published goes out, to peers that want to read or wait for their job. */
static void push_news(struct ring *ring)
{
    struct conn *conn;
    while ((conn = conn_next_with_news(&ring->server->service))) {
        struct ring_peer *peer = container_of(conn, struct ring_peer, conn);
        if (conn->want == WANT_CLOSE)
            continue; /* it leaves already */
        conn_cut(conn);
        if (conn->want == WANT_CLOSE)
            leave(ring, peer);
        else
            push(ring, peer);
    }
}

static void run(struct ring *ring)
{
    while (ring->listening || !LIST_EMPTY(&ring->peers)) {
        struct io_uring_cqe *cqe;
        unsigned head, seen = 0;
        io_uring_submit_and_wait(&ring->uring, 1); /* if interrupted, the next round repeats it */
        io_uring_for_each_cqe(&ring->uring, head, cqe)
        {
            complete(ring, cqe);
            seen++;
        }
        io_uring_cq_advance(&ring->uring, seen);
        push_news(ring);
    }
}

/* What is in flight before the first peer has come. */
static void begin(struct ring *ring)
{
    /* Accepted sockets inherit it, which spares a call for each. */
    setsockopt(ring->server->listener, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    start_signal(ring);
    start_accept(ring);
    start_sweep(ring);
    start_grants(ring);
    ring->feed = server_feed(ring->server);
    if (ring->feed)
        start_feed(ring);
}

int main(int argc, char **argv)
{
    int buffers = 1024;
    const struct option_row knobs[] = {
        {"buffers", 0, OPTION_INT, &buffers, "N", "receive buffers of 2 KiB: a power of two", 1,
         32768},
        {0},
    };
    struct server server;
    struct ring ring;

    server_setup(&server, argc, argv, knobs);
    if (buffers & (buffers - 1))
        die("--buffers must be a power of two");
    server_books(&server, MARKET_ALONE);
    server_push(&server);
    ring_init(&ring, &server, buffers);
    begin(&ring);
    server_ready(&server);
    run(&ring);
    ring_free(&ring);
    if (ring.feed)
        feed_free(ring.feed);
    return server_finish(&server);
}
