#include "servers/io_uring/buffers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void buffers_init(struct buffers *buffers, struct io_uring *uring, int count)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t bytes = ((size_t)count * sizeof(struct io_uring_buf) + page - 1) & -page;
    buffers->count = count;
    buffers->buffer = must_calloc((size_t)count, sizeof *buffers->buffer);
    buffers->offered = aligned_alloc(page, bytes);
    if (!buffers->offered)
        die("out of memory");
    io_uring_buf_ring_init(buffers->offered);
    struct io_uring_buf_reg group = {.ring_addr = (uintptr_t)buffers->offered,
                                     .ring_entries = (unsigned)count,
                                     .bgid = BUFFER_GROUP};
    errno = -io_uring_register_buf_ring(uring, &group, 0);
    if (errno)
        die_errno("cannot register receive buffers");
    for (int i = 0; i < count; i++)
        buffers_offer(buffers, &buffers->buffer[i]);
}

void buffers_free(struct buffers *buffers)
{
    free(buffers->offered);
    free(buffers->buffer);
}

void buffers_offer(struct buffers *buffers, struct buffer *buffer)
{
    unsigned short id = (unsigned short)(buffer - buffers->buffer);
    io_uring_buf_ring_add(buffers->offered, buffer->data, BUFFER_BYTES, id, buffers->count - 1, 0);
    io_uring_buf_ring_advance(buffers->offered, 1);
}

struct buffer *buffers_received(struct buffers *buffers, const struct io_uring_cqe *cqe)
{
    struct buffer *buffer = &buffers->buffer[cqe->flags >> IORING_CQE_BUFFER_SHIFT];
    buffer->begin = 0;
    buffer->end = cqe->res > 0 ? (size_t)cqe->res : 0;
    return buffer;
}

void input_keep(struct input *input, struct buffer *buffer)
{
    STAILQ_INSERT_TAIL(input, buffer, link);
}

static void release_first(struct input *input, struct buffers *buffers)
{
    struct buffer *buffer = STAILQ_FIRST(input);
    STAILQ_REMOVE_HEAD(input, link);
    buffers_offer(buffers, buffer);
}

size_t input_take(struct input *input, struct buffers *buffers, struct span room)
{
    struct buffer *buffer = STAILQ_FIRST(input);
    size_t held = buffer->end - buffer->begin, len = held < room.len ? held : room.len;
    memcpy(room.data, buffer->data + buffer->begin, len);
    buffer->begin += len;
    if (len == held)
        release_first(input, buffers);
    return len;
}

void input_release(struct input *input, struct buffers *buffers)
{
    while (!STAILQ_EMPTY(input))
        release_first(input, buffers);
}
