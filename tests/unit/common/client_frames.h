/* Frames as a client sends them: masked. */
#ifndef ARCHBENCH_TEST_CLIENT_FRAMES_H
#define ARCHBENCH_TEST_CLIENT_FRAMES_H

#include <stdint.h>
#include <string.h>

enum { FIN = 0x80 };

struct stream {
    char bytes[200000];
    size_t len;
};

/* A frame whose first byte is `first`, which announces `announced` bytes and has `len` of them. */
static void add_frame(struct stream *stream, int first, uint64_t announced, const char *payload,
                      size_t len)
{
    static const char mask[4] = {0x11, (char)0xa2, 0x33, 0x44};
    int extended = announced < 126 ? 0 : announced < 65536 ? 2 : 8;
    char *at = stream->bytes + stream->len;
    *at++ = (char)first;
    *at++ = (char)(0x80 | (extended == 0 ? announced : extended == 2 ? 126 : 127));
    for (int i = extended - 1; i >= 0; i--)
        *at++ = (char)(announced >> 8 * i);
    memcpy(at, mask, sizeof mask);
    at += sizeof mask;
    for (size_t i = 0; i < len; i++)
        *at++ = (char)(payload[i] ^ mask[i % sizeof mask]);
    stream->len = (size_t)(at - stream->bytes);
}

__attribute__((unused)) static void add_text(struct stream *stream, int first, const char *payload)
{
    add_frame(stream, first, strlen(payload), payload, strlen(payload));
}

#endif
