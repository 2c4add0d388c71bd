/* io_uring: one thread, one ring; operations are started, and their completions are the events.
 *
 * Who blocks:  nobody waits for a peer or a timer; but a computation happens on the ring's thread
 *              and stops every connection until it is over.
 * Strength:    one system call starts and collects a whole batch of operations; what is never
 *              "ready", such as a disk read, completes like everything else.
 * Weakness:    what an operation works on must stay until it completes, even if it is cancelled;
 *              receive buffers are given away in advance; one core.
 * Try it:      build/servers/io_uring --port 8080 &
 *              timeout 5 strace -c -p $! & build/loadgen -c 64 -d 4s http://127.0.0.1:8080/
 *              then compare with the calls of build/servers/event.
 *
 * Name:    io_uring
 * Ids:     A6
 * Family:  completion-driven
 * Blocks:  compute
 * Tasks:   0
 * Compute: 1
 * Link:    -luring
 */
#include "common/serve/server.h"

#include <errno.h>
#include <liburing.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* A short queue of submissions stays in the cache; when it is full, one more call empties it. */
enum { SUBMISSIONS = 256, COMPLETIONS = 4096, BUFFER_GROUP = 0, BUFFER_BYTES = CONN_IN_BYTES };

/* What completes: operations of the ring, then those of a peer. */
enum op {
    OP_NOTE, /* or of a peer: nothing follows from it */
    OP_ACCEPT,
    OP_BACKLOG,
    OP_SIGNAL,
    OP_SWEEP,
    OP_GRANTS,
    OP_RECEIVE,
    OP_SEND,
    OP_TIMER,
    OP_CALL,
    OP_DISK,
    OP_CANCEL,
    OP_CLOSE,
};
enum { OP_MASK = 15 }; /* allocated addresses are multiples of 16: room for an op */

/* The life of a receive buffer:
 * 1. offer() puts it into the buffer ring: it is the kernel's.
 * 2. Bytes come for some peer; its receive takes the buffer, and the completion names it.
 * 3. keep() appends it to that peer's input: the peer's. There it waits until conn wants to read.
 * 4. take_input() copies as much as conn_in() has room for; after the last byte: offer().
 * Input cannot grow without bound. If a second buffer has to wait, the peer's receive is cancelled
 * until both are used up, and TCP slows the peer down. If others hold all buffers, a receive ends
 * with ENOBUFS; the next one of that peer goes straight into conn_in(), so nobody starves. */
struct buffer {
    STAILQ_ENTRY(buffer) link;
    size_t begin, end; /* received and not yet taken */
    char data[BUFFER_BYTES];
};

/* Freed when its close completes, which is started when nothing else is in flight. */
struct ring_peer {
    struct conn conn;
    int fd;
    unsigned in_flight; /* operations that have not completed, among them perhaps ... */
    bool receiving;     /* ... a receive */
    bool cancelling;    /* ... a cancel of all the others, as the peer leaves */
    bool starved;       /* the last receive found no buffer */
    bool ended;         /* nothing follows the input */
    STAILQ_HEAD(input, buffer) input;
    struct __kernel_timespec due;
    LIST_ENTRY(ring_peer) all;
};

struct ring {
    struct io_uring uring;
    struct server *server;
    bool listening; /* OP_ACCEPT or OP_BACKLOG is in flight */
    int signals;
    struct signalfd_siginfo signal;
    uint64_t grants; /* since the last look, of turns to call the upstream */
    struct __kernel_timespec sweep_period;
    int buffers; /* a power of two */
    struct buffer *buffer;
    struct io_uring_buf_ring *offered;
    LIST_HEAD(peers, ring_peer) peers;
};

/* --- operations ------------------------------------------------------------------------------ */

static uint64_t tag_of(struct ring_peer *peer, enum op op)
{
    return (uintptr_t)peer | op;
}

/* The next submission, tagged with what its completion will be. No peer: the ring's own.
 * (liburing's prep functions leave the tag alone.) */
static struct io_uring_sqe *start(struct ring *ring, struct ring_peer *peer, enum op op)
{
    struct io_uring_sqe *sqe;
    while (!(sqe = io_uring_get_sqe(&ring->uring)))
        io_uring_submit(&ring->uring); /* the queue is full */
    io_uring_sqe_set_data64(sqe, tag_of(peer, op));
    if (peer)
        peer->in_flight++;
    return sqe;
}

/* Stays armed and completes with every newcomer. Sockets remain blocking: on others an operation
 * would not wait but complete with EAGAIN. */
static void start_accept(struct ring *ring)
{
    struct io_uring_sqe *sqe = start(ring, NULL, OP_ACCEPT);
    io_uring_prep_multishot_accept(sqe, ring->server->listener, NULL, NULL, SOCK_CLOEXEC);
}

static void set_sweep_period(struct ring *ring)
{
    int64_t period_ns = conn_sweep_period_ns(&ring->server->service);
    ring->sweep_period = (struct __kernel_timespec){.tv_sec = period_ns / NSEC_PER_SEC,
                                                    .tv_nsec = period_ns % NSEC_PER_SEC};
}

static void start_sweep(struct ring *ring)
{
    io_uring_prep_timeout(start(ring, NULL, OP_SWEEP), &ring->sweep_period, 0, 0);
}

/* Stays armed and completes with every buffer, until a completion comes without F_MORE. */
static void start_receive(struct ring *ring, struct ring_peer *peer)
{
    struct io_uring_sqe *sqe = start(ring, peer, OP_RECEIVE);
    if (peer->starved) {
        struct span in = conn_in(&peer->conn);
        io_uring_prep_recv(sqe, peer->fd, in.data, in.len, 0);
    } else {
        io_uring_prep_recv_multishot(sqe, peer->fd, NULL, 0, 0);
        sqe->flags |= IOSQE_BUFFER_SELECT;
        sqe->buf_group = BUFFER_GROUP;
    }
    peer->starved = false;
    peer->receiving = true;
}

/* What is cancelled completes all the same, with ECANCELED or with what it had achieved. */
static void stop_receive(struct ring *ring, struct ring_peer *peer)
{
    io_uring_prep_cancel64(start(ring, NULL, OP_NOTE), tag_of(peer, OP_RECEIVE), 0);
}

static void start_send(struct ring *ring, struct ring_peer *peer)
{
    struct span out = conn_out(&peer->conn);
    io_uring_prep_send(start(ring, peer, OP_SEND), peer->fd, out.data, out.len, MSG_NOSIGNAL);
}

static void set_due(struct ring_peer *peer, int64_t due_ns)
{
    peer->due = (struct __kernel_timespec){due_ns / NSEC_PER_SEC, due_ns % NSEC_PER_SEC};
}

/* Until a point in time: the submission itself may wait for the end of the batch. */
static void start_timer(struct ring *ring, struct ring_peer *peer, int64_t due_ns)
{
    set_due(peer, due_ns);
    io_uring_prep_timeout(start(ring, peer, OP_TIMER), &peer->due, 0, IORING_TIMEOUT_ABS);
}

static void start_grants(struct ring *ring)
{
    int fd = upstream_grants_fd(&ring->server->service.upstream);
    io_uring_prep_read(start(ring, NULL, OP_GRANTS), fd, &ring->grants, sizeof ring->grants, 0);
}

/* Until the descriptor of the call is ready. The deadline is linked to it and cancels it; the pool
 * closes the descriptor only in job_resume(), when this has completed. */
static void start_call(struct ring *ring, struct ring_peer *peer, int fd)
{
    const struct job *job = &peer->conn.job;
    if (io_uring_sq_space_left(&ring->uring) < 2)
        io_uring_submit(&ring->uring); /* a link does not reach into the next batch */
    struct io_uring_sqe *sqe = start(ring, peer, OP_CALL);
    io_uring_prep_poll_add(sqe, fd, (unsigned)job_wait_events(job));
    sqe->flags |= IOSQE_IO_LINK;
    set_due(peer, job_deadline_ns(job));
    io_uring_prep_link_timeout(start(ring, peer, OP_NOTE), &peer->due, IORING_TIMEOUT_ABS);
}

/* Until a call can go on: without a descriptor, until its turn has come, which on_grants() learns,
 * or the deadline. False: it has come. */
static bool start_call_wait(struct ring *ring, struct ring_peer *peer)
{
    struct job *job = &peer->conn.job;
    int fd = job_wait_fd(job);
    if (fd >= 0)
        start_call(ring, peer, fd);
    else if (job_watch_turn(job))
        start_timer(ring, peer, job_deadline_ns(job));
    else
        return false;
    return true;
}

/* The job keeps the buffer until on_disk(). */
static void start_disk(struct ring *ring, struct ring_peer *peer)
{
    const struct disk_read *read = job_read(&peer->conn.job);
    io_uring_prep_read(start(ring, peer, OP_DISK), read->fd, read->buffer, (unsigned)read->len,
                       (uint64_t)read->offset);
}

/* Close, but not before everything in flight has completed. Called again with each completion. */
static void leave(struct ring *ring, struct ring_peer *peer)
{
    if (!peer->in_flight) {
        conn_end(&peer->conn);
        io_uring_prep_close(start(ring, peer, OP_CLOSE), peer->fd);
    } else if (!peer->cancelling) {
        io_uring_prep_cancel_fd(start(ring, peer, OP_CANCEL), peer->fd, IORING_ASYNC_CANCEL_ALL);
        peer->cancelling = true;
    }
}

/* --- input ----------------------------------------------------------------------------------- */

static void offer(struct ring *ring, struct buffer *buffer)
{
    unsigned short id = (unsigned short)(buffer - ring->buffer);
    io_uring_buf_ring_add(ring->offered, buffer->data, BUFFER_BYTES, id, ring->buffers - 1, 0);
    io_uring_buf_ring_advance(ring->offered, 1);
}

static struct buffer *buffer_of(struct ring *ring, const struct io_uring_cqe *cqe)
{
    return &ring->buffer[cqe->flags >> IORING_CQE_BUFFER_SHIFT];
}

/* An empty one is the end of the stream on some kernels; conn knows it by its length of 0. */
static void keep(struct ring *ring, struct ring_peer *peer, const struct io_uring_cqe *cqe)
{
    struct buffer *buffer = buffer_of(ring, cqe);
    if (!STAILQ_EMPTY(&peer->input))
        stop_receive(ring, peer);
    buffer->begin = 0;
    buffer->end = (size_t)cqe->res;
    STAILQ_INSERT_TAIL(&peer->input, buffer, link);
}

static void release_first(struct ring *ring, struct ring_peer *peer)
{
    struct buffer *buffer = STAILQ_FIRST(&peer->input);
    STAILQ_REMOVE_HEAD(&peer->input, link);
    offer(ring, buffer);
}

/* Give conn, which wants to read, what waits. False: nothing does. */
static bool take_input(struct ring *ring, struct ring_peer *peer)
{
    struct buffer *buffer = STAILQ_FIRST(&peer->input);
    if (!buffer) {
        if (peer->ended)
            conn_received(&peer->conn, 0);
        return peer->ended;
    }
    struct span in = conn_in(&peer->conn);
    size_t held = buffer->end - buffer->begin, len = held < in.len ? held : in.len;
    memcpy(in.data, buffer->data + buffer->begin, len);
    buffer->begin += len;
    if (len == held)
        release_first(ring, peer);
    conn_received(&peer->conn, (ssize_t)len);
    return true;
}

/* --- one operation for each want ------------------------------------------------------------- */

/* Start what the job waits for. False: its steps are done. */
static bool start_wait(struct ring *ring, struct ring_peer *peer)
{
    struct job *job = &peer->conn.job;
    if (!job->started)
        job_start(job, WAIT_TIMER | WAIT_UPSTREAM | WAIT_COMPUTE | WAIT_DISK);
    for (;;) {
        switch (job->pending) {
        case WAIT_TIMER: start_timer(ring, peer, now_ns() + job_delay_ns(job)); return true;
        case WAIT_UPSTREAM:
            if (start_call_wait(ring, peer))
                return true;
            job_resume(job, 0);
            break;
        case WAIT_COMPUTE:
            io_uring_submit(&ring->uring); /* replies that are ready must not wait for it */
            job_block(job);
            job_resume(job, 0);
            break;
        case WAIT_DISK: start_disk(ring, peer); return true;
        case WAIT_DELEGATE: /* not asked for in job_start() */
        case WAIT_NONE: return false;
        }
    }
}

/* Go on with a peer until it needs something, and start the operation that brings it. */
static void go_on(struct ring *ring, struct ring_peer *peer)
{
    for (;;) {
        switch (peer->conn.want) {
        case WANT_SHUTDOWN:
            io_uring_prep_shutdown(start(ring, peer, OP_NOTE), peer->fd, SHUT_WR);
            peer->conn.want = WANT_READ; /* fall through */
        case WANT_READ:
            if (take_input(ring, peer))
                break;
            if (!peer->receiving)
                start_receive(ring, peer);
            return;
        case WANT_JOB:
            if (start_wait(ring, peer))
                return;
            conn_job_done(&peer->conn);
            break;
        case WANT_WRITE: start_send(ring, peer); return;
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

/* The accept has ended with `result`. Without a free descriptor it fails even when nobody waits:
 * so first wait for somebody to turn away. */
static void listen_again(struct ring *ring, int result)
{
    if (ring->server->service.draining) {
        close(ring->server->listener);
        ring->listening = false;
    } else if (result < 0) {
        io_uring_prep_poll_add(start(ring, NULL, OP_BACKLOG), ring->server->listener, POLLIN);
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

/* Nobody new. The sweep, hastened, sends away who is idle; the others leave after their reply. */
static void on_signal(struct ring *ring)
{
    ring->server->service.draining = true;
    set_sweep_period(ring);
    io_uring_prep_timeout_update(start(ring, NULL, OP_NOTE), &ring->sweep_period,
                                 tag_of(NULL, OP_SWEEP), 0);
    io_uring_prep_cancel_fd(start(ring, NULL, OP_NOTE), ring->server->listener,
                            IORING_ASYNC_CANCEL_ALL);
}

/* A coarse look at all peers instead of a timer for each: patience needs no precision. An idle peer
 * of a draining server leaves when its receive has ended, for a request may just have come. */
static void on_sweep(struct ring *ring)
{
    int64_t at_ns = now_coarse_ns();
    struct ring_peer *peer;
    LIST_FOREACH (peer, &ring->peers, all) {
        if (peer->conn.want == WANT_CLOSE)
            continue;
        if (conn_expired(&peer->conn, at_ns)) {
            peer->conn.want = WANT_CLOSE; /* whatever completes still is late */
            leave(ring, peer);
        } else if (ring->server->service.draining && conn_is_idle(&peer->conn)) {
            stop_receive(ring, peer);
        }
    }
    start_sweep(ring);
}

static void on_receive(struct ring *ring, struct ring_peer *peer, const struct io_uring_cqe *cqe)
{
    bool wanted = peer->conn.want == WANT_READ; /* else conn is at work, and input has to wait */
    bool leaves = ring->server->service.draining && conn_is_idle(&peer->conn);
    peer->receiving = cqe->flags & IORING_CQE_F_MORE;
    if (cqe->flags & IORING_CQE_F_BUFFER)
        keep(ring, peer, cqe);
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
    conn_sent(&peer->conn, result); /* a short one leaves a WANT_WRITE for the rest */
    go_on(ring, peer);
}

/* The turns of some calls have come. Each waits on a timer for its deadline: the job goes on when
 * that has completed, cancelled here or expired just before. */
static void on_grants(struct ring *ring)
{
    struct upstream_call *call;
    while ((call = upstream_next_granted(&ring->server->service.upstream))) {
        char *job = (char *)job_of_call(call);
        struct ring_peer *peer = (struct ring_peer *)(job - offsetof(struct ring_peer, conn.job));
        io_uring_prep_timeout_remove(start(ring, NULL, OP_NOTE), tag_of(peer, OP_TIMER), 0);
    }
    start_grants(ring);
}

/* Time is up, or a descriptor is ready. */
static void on_due(struct ring *ring, struct ring_peer *peer)
{
    job_resume(&peer->conn.job, 0);
    go_on(ring, peer);
}

static void on_disk(struct ring *ring, struct ring_peer *peer, int result)
{
    job_resume(&peer->conn.job, result);
    go_on(ring, peer);
}

/* The peer is leaving, and this was still in flight. */
static void on_late(struct ring *ring, struct ring_peer *peer, const struct io_uring_cqe *cqe)
{
    if (cqe->flags & IORING_CQE_F_BUFFER)
        offer(ring, buffer_of(ring, cqe));
    leave(ring, peer);
}

static void on_close(struct ring *ring, struct ring_peer *peer)
{
    while (!STAILQ_EMPTY(&peer->input))
        release_first(ring, peer);
    LIST_REMOVE(peer, all);
    free(peer);
}

static void complete(struct ring *ring, const struct io_uring_cqe *cqe)
{
    enum op op = (enum op)(cqe->user_data & OP_MASK);
    struct ring_peer *peer = (struct ring_peer *)(uintptr_t)(cqe->user_data & ~(uint64_t)OP_MASK);

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
    case OP_RECEIVE: on_receive(ring, peer, cqe); break;
    case OP_SEND: on_send(ring, peer, cqe->res); break;
    case OP_TIMER:
    case OP_CALL: on_due(ring, peer); break;
    case OP_DISK: on_disk(ring, peer, cqe->res); break;
    case OP_CLOSE: on_close(ring, peer); break;
    case OP_CANCEL:
    case OP_NOTE: break;
    }
}

/* The dispatcher. */
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
    }
}

/* --- setting up ------------------------------------------------------------------------------ */

/* One thread submits and collects. Its completions are made when it asks for them (Linux 6.1) or
 * makes any system call (6.0), never by interrupting it. */
static void uring_init(struct io_uring *uring)
{
    static const unsigned modes[] = {IORING_SETUP_DEFER_TASKRUN, IORING_SETUP_COOP_TASKRUN};
    int error = -EINVAL;
    for (int i = 0; i < 2 && error == -EINVAL; i++) {
        struct io_uring_params params = {.cq_entries = COMPLETIONS};
        params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE;
        params.flags |= modes[i];
        error = io_uring_queue_init_params(SUBMISSIONS, uring, &params);
    }
    errno = -error;
    if (error)
        die_errno("cannot use io_uring, which takes Linux 6.0 and permission");
    io_uring_register_ring_fd(uring); /* spares a look-up in each call; may fail without harm */
}

static void buffers_init(struct ring *ring)
{
    size_t count = (size_t)ring->buffers, page = (size_t)sysconf(_SC_PAGESIZE);
    ring->buffer = must_calloc(count, sizeof *ring->buffer);
    ring->offered = aligned_alloc(page, (count * sizeof(struct io_uring_buf) + page - 1) & -page);
    if (!ring->offered)
        die("out of memory");
    io_uring_buf_ring_init(ring->offered);
    struct io_uring_buf_reg group = {.ring_addr = (uintptr_t)ring->offered,
                                     .ring_entries = (unsigned)count,
                                     .bgid = BUFFER_GROUP};
    errno = -io_uring_register_buf_ring(&ring->uring, &group, 0);
    if (errno)
        die_errno("cannot register receive buffers");
    for (size_t i = 0; i < count; i++)
        offer(ring, &ring->buffer[i]);
}

static int signals_open(void)
{
    sigset_t signals;
    server_hold_signals(&signals);
    int fd = signalfd(-1, &signals, SFD_CLOEXEC);
    if (fd < 0)
        die_errno("cannot read signals");
    return fd;
}

static void ring_init(struct ring *ring, struct server *server, int buffers)
{
    *ring = (struct ring){.server = server, .listening = true, .buffers = buffers};
    set_sweep_period(ring);
    LIST_INIT(&ring->peers);
    uring_init(&ring->uring);
    buffers_init(ring);
    ring->signals = signals_open();
    /* Newcomers inherit it: no call for each. */
    setsockopt(server->listener, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    struct io_uring_sqe *sqe = start(ring, NULL, OP_SIGNAL);
    io_uring_prep_read(sqe, ring->signals, &ring->signal, sizeof ring->signal, 0);
    start_accept(ring);
    start_sweep(ring);
    start_grants(ring);
}

static void ring_free(struct ring *ring)
{
    io_uring_queue_exit(&ring->uring);
    close(ring->signals);
    free(ring->offered);
    free(ring->buffer);
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
    ring_init(&ring, &server, buffers);
    server_ready(&server);
    run(&ring);
    ring_free(&ring);
    return server_finish(&server);
}
