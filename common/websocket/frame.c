#include "common/websocket/frame.h"
#include "common/base/util.h"

#include <stdlib.h>
#include <string.h>

enum { FIN = 0x80, LENGTH_16 = 126, LENGTH_64 = 127 };

size_t frame_head(char *text, enum opcode opcode, uint64_t payload_len)
{
    int extended = payload_len < LENGTH_16 ? 0 : payload_len <= UINT16_MAX ? 2 : 8;
    text[0] = (char)(FIN | opcode);
    text[1] = (char)(extended == 0 ? payload_len : extended == 2 ? LENGTH_16 : LENGTH_64);
    for (int i = 0; i < extended; i++)
        text[2 + i] = (char)(payload_len >> 8 * (extended - 1 - i));
    return 2 + (size_t)extended;
}

static struct frame *allocate(size_t len)
{
    struct frame *frame = must_calloc(1, sizeof *frame + len);
    atomic_init(&frame->holders, 1);
    frame->len = (uint32_t)len;
    return frame;
}

struct frame *frame_new(enum opcode opcode, size_t payload_len, char **payload)
{
    char head[FRAME_HEAD_MAX];
    size_t head_len = frame_head(head, opcode, payload_len);
    struct frame *frame = allocate(head_len + payload_len);
    memcpy(frame->bytes, head, head_len);
    *payload = frame->bytes + head_len;
    return frame;
}

struct frame *frame_copy(const char *bytes, size_t len)
{
    struct frame *frame = allocate(len);
    memcpy(frame->bytes, bytes, len);
    return frame;
}

struct frame *frame_hold(struct frame *frame)
{
    atomic_fetch_add(&frame->holders, 1);
    return frame;
}

void frame_drop(struct frame *frame)
{
    if (atomic_fetch_sub(&frame->holders, 1) == 1)
        free(frame);
}
