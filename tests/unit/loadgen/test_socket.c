/* The client's end of a WebSocket: bytes in, events out, at every cut. */
#include "loadgen/worker/socket.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define ACCEPTED                                                                                   \
    "HTTP/1.1 101 Switching Protocols\r\nServer: x\r\nUpgrade: websocket\r\n"                      \
    "Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"

struct stream {
    char bytes[4000];
    size_t len;
};

static void add(struct stream *stream, const char *data, size_t len)
{
    memcpy(stream->bytes + stream->len, data, len);
    stream->len += len;
}

/* A frame as a server sends it. */
static void add_frame(struct stream *stream, int first, const char *payload)
{
    size_t len = strlen(payload);
    char head[4] = {(char)first, (char)len};
    if (len >= 126) {
        head[1] = 126;
        head[2] = (char)(len >> 8);
        head[3] = (char)len;
    }
    add(stream, head, len < 126 ? 2 : 4);
    add(stream, payload, len);
}

/* The events of a stream that comes in two pieces, a letter each. */
static const char *events_of(const struct stream *stream, size_t cut, struct socket *s)
{
    static char events[100];
    size_t n = 0, used;
    socket_begin(s);
    s->id = 0x2a;
    for (size_t at = 0; at < stream->len; at += used) {
        size_t end = at < cut ? cut : stream->len;
        enum socket_event event = socket_feed(s, stream->bytes + at, end - at, &used);
        cr_assert_leq(used, end - at);
        if (event != SOCKET_MORE)
            events[n++] = "-orDpqCB"[event];
        if (event == SOCKET_BAD || event == SOCKET_CLOSE)
            break;
    }
    events[n] = '\0';
    return events;
}

Test(socket, reads_a_stream_at_every_cut)
{
    struct stream stream = {.len = 0};
    struct socket s;
    char large[300];
    memset(large, 'x', sizeof large);
    memcpy(large, "2a 200 00000000000000ff\n", 24);
    large[299] = '\0';
    add(&stream, ACCEPTED, sizeof ACCEPTED - 1);
    add_frame(&stream, 0x81, large);
    add_frame(&stream, 0x89, "hi");
    add_frame(&stream, 0x01, "*room1 7\n1 2 3 ");
    add_frame(&stream, 0x8a, "");
    add_frame(&stream, 0x80, "0 5f 10 1\nand more");
    add_frame(&stream, 0x88, "\x03\xe9");
    for (size_t cut = 0; cut <= stream.len; cut++) {
        cr_assert_str_eq(events_of(&stream, cut, &s), "orpqDC", "cut %zu", cut);
        cr_assert(s.status == 200 && s.has_digest && s.digest == 0xff && s.close_code == 1001);
        cr_assert(s.delivery.class == 1 && s.delivery.publisher == 2 && s.delivery.number == 3);
        cr_assert(s.delivery.skipped == 0 && s.delivery.intended_ns == 0x5f);
        cr_assert(s.delivery.lag_ns == 0x10 && s.delivery.echo_ns == 1);
    }
}

/* What the first frame after the handshake becomes. */
static char event_of(int first, const char *payload)
{
    struct stream stream = {.len = 0};
    struct socket s;
    add(&stream, ACCEPTED, sizeof ACCEPTED - 1);
    add_frame(&stream, first, payload);
    return events_of(&stream, stream.len, &s)[1];
}

Test(socket, refuses_what_no_server_may_send)
{
    static const struct {
        int first;
        const char *payload;
    } bad[] = {{0x83, ""},
               {0x8b, ""},
               {0xc1, "2a 200\n"},
               {0x80, "x"},
               {0x09, ""},
               {0x81, "2b 200\nanother ID"},
               {0x81, "2a\n"},
               {0x81, "2a 200"},
               {0x81, ""},
               {0x81, "*room\n"},
               {0x81, "*room 1\n1 2 3 4 5 6\n"},
               {0x81, "*room 1\n1 2 3 4 5 6 x\n"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_eq(event_of(bad[i].first, bad[i].payload), 'B', "%zu", i);
    cr_expect_eq(event_of(0x81, "2a 503\nthe queue is full\n"), 'r');
    cr_expect_eq(event_of(0x88, ""), 'C');
    struct stream masked = {.len = 0};
    struct socket s;
    add(&masked, ACCEPTED, sizeof ACCEPTED - 1);
    add(&masked, "\x81\x80\0\0\0\0", 6);
    cr_expect_str_eq(events_of(&masked, masked.len, &s), "oB");
}

Test(socket, the_handshake_has_to_be_accepted)
{
    static const char *const replies[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: "
        "AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
        "HTTP/1.1 426 Upgrade Required\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
        struct stream stream = {.len = 0};
        struct socket s;
        add(&stream, replies[i], strlen(replies[i]));
        cr_expect_str_eq(events_of(&stream, stream.len, &s), "B", "%zu", i);
    }
    struct stream endless = {.len = 2000};
    struct socket s;
    memset(endless.bytes, 'a', endless.len);
    cr_expect_str_eq(events_of(&endless, endless.len, &s), "B");
}

/* The payload of a message of ours; the key is zero. */
static const char *payload_of(const char *frame, size_t len)
{
    static char text[70000];
    size_t head = (frame[1] & 0x7f) < 126 ? 6 : (frame[1] & 0x7f) == 126 ? 8 : 14;
    memcpy(text, frame + head, len - head);
    text[len - head] = '\0';
    return text;
}

Test(socket, writes_messages)
{
    const struct delivery delivery = {.class = 1,
                                      .publisher = 2,
                                      .number = 3,
                                      .skipped = 4,
                                      .intended_ns = 255,
                                      .lag_ns = 16,
                                      .echo_ns = 1};
    struct socket s = {.id = 0};
    char out[70000];
    size_t len = socket_message(&s, out, "/work", false, NULL, 0);
    cr_expect_str_eq(payload_of(out, len), "1 /work");
    cr_expect(out[0] == (char)0x81 && out[1] == (char)(0x80 | 7) && s.id == 1);
    len = socket_message(&s, out, "/work", true, NULL, 3);
    cr_expect_str_eq(payload_of(out, len), "- /work\nxxx");
    cr_expect_eq(s.id, 1);
    len = socket_message(&s, out, "/work?publish=room1", false, &delivery, 20);
    cr_expect_str_eq(payload_of(out, len), "2 /work?publish=room1\n1 2 3 4 ff 10 1\nxxxx");
    len = socket_message(&s, out, "/work?publish=room1", false, &delivery, 1);
    cr_expect_str_eq(payload_of(out, len), "3 /work?publish=room1\n1 2 3 4 ff 10 1\n");
    for (size_t body = 100; body < 66000; body += body < 140 || body > 65400 ? 1 : 5000) {
        len = socket_message(&s, out, "/", true, NULL, body);
        cr_assert_eq(strlen(payload_of(out, len)), 4 + body);
    }
}

Test(socket, what_is_published_comes_back)
{
    const struct delivery sent = {.class = 15,
                                  .publisher = 9999,
                                  .number = UINT32_MAX,
                                  .skipped = 7,
                                  .intended_ns = INT64_MAX / 3,
                                  .lag_ns = 12345,
                                  .echo_ns = 0};
    struct socket s = {.id = 0};
    struct stream stream = {.len = 0};
    char out[1000], delivered[1000];
    size_t len = socket_message(&s, out, "/work?publish=room1", false, &sent, 200);
    snprintf(delivered, sizeof delivered, "*room1 1\n%s", strchr(payload_of(out, len), '\n') + 1);
    add(&stream, ACCEPTED, sizeof ACCEPTED - 1);
    add_frame(&stream, 0x81, delivered);
    cr_assert_str_eq(events_of(&stream, stream.len, &s), "oD");
    cr_assert_eq(memcmp(&s.delivery, &sent, sizeof sent), 0);
}
