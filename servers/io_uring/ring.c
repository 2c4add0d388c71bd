#include "servers/io_uring/ring.h"

#include <errno.h>
#include <unistd.h>

/* A short queue of submissions stays in the cache; when it is full, one more call empties it. */
enum { SUBMISSIONS = 256, COMPLETIONS = 4096 };

/* One thread submits and collects. The kernel finishes completions when this thread asks for them
 * (Linux 6.1), or makes any system call (6.0); it never interrupts the thread for them. */
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

static int signals_open(void)
{
    sigset_t signals;
    server_hold_signals(&signals);
    int fd = signalfd(-1, &signals, SFD_CLOEXEC);
    if (fd < 0)
        die_errno("cannot read signals");
    return fd;
}

void ring_init(struct ring *ring, struct server *server, int buffers)
{
    *ring = (struct ring){.server = server, .listening = true};
    LIST_INIT(&ring->peers);
    uring_init(&ring->uring);
    buffers_init(&ring->buffers, &ring->uring, buffers);
    ring->signals = signals_open();
}

void ring_free(struct ring *ring)
{
    io_uring_queue_exit(&ring->uring);
    close(ring->signals);
    buffers_free(&ring->buffers);
}

struct io_uring_sqe *ring_start(struct ring *ring, struct ring_peer *peer, enum op op)
{
    struct io_uring_sqe *sqe;
    while (!(sqe = io_uring_get_sqe(&ring->uring)))
        io_uring_submit(&ring->uring); /* there was no room */
    io_uring_sqe_set_data64(sqe, ring_tag(peer, op));
    if (peer)
        peer->in_flight++;
    return sqe;
}
