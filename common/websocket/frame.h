/* frame: one WebSocket frame (RFC 6455) of the server's, ready to be sent to any number of peers.
 *
 * A server's frames are not masked, so that a broadcast is framed once: every outbox holds the same
 * bytes, and whoever drops them last frees them. */
#ifndef ARCHBENCH_FRAME_H
#define ARCHBENCH_FRAME_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* RFC 6455, section 5.2. */
enum opcode {
    OPCODE_TEXT = 1,
    OPCODE_BINARY = 2,
    OPCODE_CLOSE = 8,
    OPCODE_PING = 9,
    OPCODE_PONG = 10
};

enum { FRAME_HEAD_MAX = 10 };

struct frame {
    atomic_int holders;
    uint32_t len;
    char bytes[];
};

/* Write the head of an unmasked frame that is a whole message, with so many bytes behind it, into
 * `text` (FRAME_HEAD_MAX bytes). Returns its length. */
size_t frame_head(char *text, enum opcode, uint64_t payload_len);

/* A frame with room for so many bytes, which begin at *payload; the caller fills them in, and holds
 * it. Dies when there is no memory. */
struct frame *frame_new(enum opcode, size_t payload_len, char **payload);
/* The same of bytes that are a whole frame already. */
struct frame *frame_copy(const char *bytes, size_t len);

/* One more holder, and one less; with the last one it is freed. From any thread. */
struct frame *frame_hold(struct frame *);
void frame_drop(struct frame *);

#endif
