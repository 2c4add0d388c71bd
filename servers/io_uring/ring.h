/* ring: the io_uring instance, the peers on it, and the tags by which a completion says what has
 * completed.
 *
 * A submission is tagged with a peer and an operation; its completion brings the tag back. A tag is
 * the address of the peer with the operation in its lowest bits. */
#ifndef ARCHBENCH_RING_H
#define ARCHBENCH_RING_H

#include "common/serve/server.h"
#include "servers/io_uring/buffers.h"

#include <liburing.h>
#include <sys/queue.h>
#include <sys/signalfd.h>

enum op {
    OP_IGNORED, /* nothing follows from its completion */
    /* Of the ring itself: */
    OP_ACCEPT,  /* a peer has connected */
    OP_BACKLOG, /* a peer waits at the listener */
    OP_SIGNAL,  /* the server is to stop */
    OP_SWEEP,   /* it is time to look for silent peers */
    OP_GRANTS,  /* the turns of some upstream calls have come */
    OP_FEED,    /* the feed has something to do */
    /* Of a peer: */
    OP_RECEIVE,
    OP_SEND,
    OP_TIMER,
    OP_CALL, /* the descriptor of its upstream call is ready, or the call's deadline has passed */
    OP_DISK,
    OP_CANCEL, /* all its other operations have been cancelled */
    OP_CLOSE,
};
enum { OP_MASK = 15 }; /* allocated addresses are multiples of 16, which leaves four bits */

/* It is freed when its close has completed; the close is started when nothing else is in flight. */
struct ring_peer {
    struct conn conn;
    int fd;
    unsigned in_flight; /* operations that have not completed, among them perhaps ... */
    bool receiving;     /* ... a receive */
    bool sending;       /* ... a send */
    bool cancelling;    /* ... a cancel of all the others, because the peer leaves */
    bool starved;       /* the last receive found no buffer */
    bool ended;         /* nothing follows the input */
    struct input input;
    struct __kernel_timespec due; /* of its timer; the kernel reads it at the submission */
    LIST_ENTRY(ring_peer) all;
};

struct ring {
    struct io_uring uring;
    struct server *server;
    struct buffers buffers;
    LIST_HEAD(peers, ring_peer) peers;
    bool listening; /* OP_ACCEPT or OP_BACKLOG is in flight */
    int signals;    /* a signalfd, read into ... */
    struct signalfd_siginfo signal;
    uint64_t grants;   /* of turns to call the upstream, since the last look */
    struct feed *feed; /* or NULL */
    struct __kernel_timespec sweep_period;
};

/* Open the ring with so many receive buffers (a power of two). From here on signals are read from
 * ring->signals. Dies when the kernel has no io_uring for us. */
void ring_init(struct ring *, struct server *, int buffers);
/* No peer may be left. */
void ring_free(struct ring *);

/* The next submission, which the caller prepares: with it an operation of the peer is in flight.
 * NULL: it is the ring's own. (liburing's prep functions leave the tag alone.) */
struct io_uring_sqe *ring_start(struct ring *, struct ring_peer *, enum op);

static inline uint64_t ring_tag(const struct ring_peer *peer, enum op op)
{
    return (uintptr_t)peer | op;
}

static inline enum op ring_op(const struct io_uring_cqe *cqe)
{
    return (enum op)(cqe->user_data & OP_MASK);
}

/* NULL: the operation was the ring's own. */
static inline struct ring_peer *ring_peer_of(const struct io_uring_cqe *cqe)
{
    return (struct ring_peer *)(uintptr_t)(cqe->user_data & ~(uint64_t)OP_MASK);
}

#endif
