#include "services/upstream/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM_MIN = 1024, ROOM_KEPT = 4096 };

static void make_room(struct buffer *buffer, size_t more)
{
    size_t room = buffer->room ? buffer->room : ROOM_MIN;
    while (room - buffer->len < more)
        room *= 2;
    if (room == buffer->room)
        return;
    buffer->data = realloc(buffer->data, room);
    if (!buffer->data)
        die("out of memory");
    buffer->room = room;
}

void buffer_put(struct buffer *buffer, struct span bytes)
{
    make_room(buffer, bytes.len);
    memcpy(buffer->data + buffer->len, bytes.data, bytes.len);
    buffer->len += bytes.len;
}

void buffer_print(struct buffer *buffer, const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (len < 0 || (size_t)len >= sizeof text)
        die("a reply of %d bytes is longer than planned", len); /* it would be half a reply */
    buffer_put(buffer, (struct span){text, (size_t)len});
}

void buffer_bulk(struct buffer *buffer, struct span bytes)
{
    buffer_print(buffer, "$%zu\r\n", bytes.len);
    buffer_put(buffer, bytes);
    buffer_print(buffer, "\r\n");
}

void buffer_drop(struct buffer *buffer, size_t len)
{
    buffer->len -= len;
    if (buffer->len)
        memmove(buffer->data, buffer->data + len, buffer->len);
    else if (buffer->room > ROOM_KEPT)
        buffer_free(buffer);
}

void buffer_free(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){0};
}
