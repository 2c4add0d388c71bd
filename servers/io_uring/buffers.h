/* buffers: the receive buffers of a ring. They are given to the kernel in advance, so that an idle
 * peer holds none: the kernel picks one when bytes have come.
 *
 * The life of a buffer:
 * 1. buffers_offer() puts it into the buffer ring: it is the kernel's.
 * 2. Bytes come for some peer. The peer's receive takes a buffer, and its completion names it:
 *    buffers_received() finds it.
 * 3. input_keep() appends it to that peer's input: it is the peer's, until the peer wants to read.
 * 4. input_take() copies out what the peer has room for. After the last byte the buffer is offered
 *    again. */
#ifndef ARCHBENCH_BUFFERS_H
#define ARCHBENCH_BUFFERS_H

#include "common/serve/conn.h"

#include <liburing.h>
#include <sys/queue.h>

enum { BUFFER_GROUP = 0, BUFFER_BYTES = 2048 };

struct buffer {
    STAILQ_ENTRY(buffer) link; /* in an input */
    size_t begin, end;         /* of the bytes that were received and not yet taken */
    char data[BUFFER_BYTES];
};

/* What has come for one peer and was not taken yet, the oldest first. */
STAILQ_HEAD(input, buffer);

struct buffers {
    int count; /* a power of two */
    struct buffer *buffer;
    struct io_uring_buf_ring *offered; /* shared with the kernel */
};

/* Make `count` buffers (a power of two) and offer them all. Receives that select from BUFFER_GROUP
 * use them. Dies when the kernel refuses. */
void buffers_init(struct buffers *, struct io_uring *, int count);
/* Only after the ring has been closed. */
void buffers_free(struct buffers *);

/* Give the buffer to the kernel. */
void buffers_offer(struct buffers *, struct buffer *);
/* The buffer that the completion of a receive names (IORING_CQE_F_BUFFER), with what came. It is
 * the caller's. An empty one means the end of the stream on some kernels. */
struct buffer *buffers_received(struct buffers *, const struct io_uring_cqe *);

/* Append the buffer, which becomes the input's. */
void input_keep(struct input *, struct buffer *);
/* Copy bytes of the first buffer, as many as there is room for. There must be one. Returns their
 * number, which is 0 only for an empty buffer. */
size_t input_take(struct input *, struct buffers *, struct span room);
/* Offer all its buffers again. */
void input_release(struct input *, struct buffers *);

#endif
