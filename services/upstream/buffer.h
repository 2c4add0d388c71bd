/* buffer: bytes in memory that grows with them: a request that comes, replies that go. */
#ifndef ARCHBENCH_BUFFER_H
#define ARCHBENCH_BUFFER_H

#include "common/base/util.h"

#include <stddef.h>

/* All zero: empty. Whoever embeds it frees it in the end. */
struct buffer {
    char *data;
    size_t len, room;
};

/* Each of these adds to what is there, and dies when there is no memory. */
void buffer_put(struct buffer *, struct span);
/* A text of up to 255 bytes. */
void buffer_print(struct buffer *, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A bulk string of RESP. */
void buffer_bulk(struct buffer *, struct span);

/* The first `len` bytes are no longer needed. If none is left, little memory is kept. */
void buffer_drop(struct buffer *, size_t len);
void buffer_free(struct buffer *);

#endif
