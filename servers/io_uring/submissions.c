#include "servers/io_uring/submissions.h"

#include <poll.h>

/* --- of the ring itself ---------------------------------------------------------------------- */

void start_accept(struct ring *ring)
{
    struct io_uring_sqe *sqe = ring_start(ring, NULL, OP_ACCEPT);
    io_uring_prep_multishot_accept(sqe, ring->server->listener, NULL, NULL, SOCK_CLOEXEC);
}

void start_backlog(struct ring *ring)
{
    io_uring_prep_poll_add(ring_start(ring, NULL, OP_BACKLOG), ring->server->listener, POLLIN);
}

void stop_accept(struct ring *ring)
{
    io_uring_prep_cancel_fd(ring_start(ring, NULL, OP_IGNORED), ring->server->listener,
                            IORING_ASYNC_CANCEL_ALL);
}

void start_signal(struct ring *ring)
{
    io_uring_prep_read(ring_start(ring, NULL, OP_SIGNAL), ring->signals, &ring->signal,
                       sizeof ring->signal, 0);
}

static struct __kernel_timespec timespec_of(int64_t ns)
{
    return (struct __kernel_timespec){.tv_sec = ns / NSEC_PER_SEC, .tv_nsec = ns % NSEC_PER_SEC};
}

void start_sweep(struct ring *ring)
{
    ring->sweep_period = timespec_of(conn_sweep_period_ns(&ring->server->service));
    io_uring_prep_timeout(ring_start(ring, NULL, OP_SWEEP), &ring->sweep_period, 0, 0);
}

void hasten_sweep(struct ring *ring)
{
    ring->sweep_period = timespec_of(conn_sweep_period_ns(&ring->server->service));
    io_uring_prep_timeout_update(ring_start(ring, NULL, OP_IGNORED), &ring->sweep_period,
                                 ring_tag(NULL, OP_SWEEP), 0);
}

void start_grants(struct ring *ring)
{
    int fd = upstream_grants_fd(&ring->server->service.calls.turns);
    io_uring_prep_read(ring_start(ring, NULL, OP_GRANTS), fd, &ring->grants, sizeof ring->grants,
                       0);
}

void start_feed(struct ring *ring)
{
    io_uring_prep_poll_add(ring_start(ring, NULL, OP_FEED), feed_fd(ring->feed), POLLIN);
}

/* --- of a peer ------------------------------------------------------------------------------- */

void start_receive(struct ring *ring, struct ring_peer *peer)
{
    struct io_uring_sqe *sqe = ring_start(ring, peer, OP_RECEIVE);
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

void stop_receive(struct ring *ring, struct ring_peer *peer)
{
    io_uring_prep_cancel64(ring_start(ring, NULL, OP_IGNORED), ring_tag(peer, OP_RECEIVE), 0);
}

void start_send(struct ring *ring, struct ring_peer *peer)
{
    struct span out = conn_out(&peer->conn);
    peer->sending = true;
    io_uring_prep_send(ring_start(ring, peer, OP_SEND), peer->fd, out.data, out.len, MSG_NOSIGNAL);
}

void start_shutdown(struct ring *ring, struct ring_peer *peer)
{
    io_uring_prep_shutdown(ring_start(ring, peer, OP_IGNORED), peer->fd, SHUT_WR);
}

/* A point in time rather than a delay: the submission itself may wait for the end of the batch. */
void start_timer(struct ring *ring, struct ring_peer *peer, int64_t due_ns)
{
    peer->due = timespec_of(due_ns);
    io_uring_prep_timeout(ring_start(ring, peer, OP_TIMER), &peer->due, 0, IORING_TIMEOUT_ABS);
}

void stop_timer(struct ring *ring, struct ring_peer *peer)
{
    io_uring_prep_timeout_remove(ring_start(ring, NULL, OP_IGNORED), ring_tag(peer, OP_TIMER), 0);
}

/* The deadline is linked to the poll and cancels it. The pool closes the descriptor only in
 * job_resume(), when the poll has completed. */
void start_call(struct ring *ring, struct ring_peer *peer, int fd)
{
    const struct job *job = peer->conn.job;
    if (io_uring_sq_space_left(&ring->uring) < 2)
        io_uring_submit(&ring->uring); /* a link does not reach into the next batch */
    struct io_uring_sqe *sqe = ring_start(ring, peer, OP_CALL);
    io_uring_prep_poll_add(sqe, fd, (unsigned)job_wait_events(job));
    sqe->flags |= IOSQE_IO_LINK;
    peer->due = timespec_of(job_deadline_ns(job));
    io_uring_prep_link_timeout(ring_start(ring, peer, OP_IGNORED), &peer->due, IORING_TIMEOUT_ABS);
}

void start_disk(struct ring *ring, struct ring_peer *peer)
{
    const struct disk_read *read = job_read(peer->conn.job);
    io_uring_prep_read(ring_start(ring, peer, OP_DISK), read->fd, read->buffer, (unsigned)read->len,
                       (uint64_t)read->offset);
}

void cancel_all(struct ring *ring, struct ring_peer *peer)
{
    io_uring_prep_cancel_fd(ring_start(ring, peer, OP_CANCEL), peer->fd, IORING_ASYNC_CANCEL_ALL);
}

void start_close(struct ring *ring, struct ring_peer *peer)
{
    io_uring_prep_close(ring_start(ring, peer, OP_CLOSE), peer->fd);
}
