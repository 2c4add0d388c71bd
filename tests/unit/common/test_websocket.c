/* WebSocket: the handshake, frames in, and what a message says. No descriptor is involved. */
#include "common/websocket/message.h"
#include "common/websocket/websocket.h"
#include "tests/unit/common/client_frames.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

/* What has come of a stream: "[message]" for each message, "(hexadecimal)" for each frame that is due. */
struct outcome {
    char text[2000];
    size_t len, messages, longest;
    bool closed, rests;
};

static void note(struct outcome *outcome, char begin, struct span data)
{
    char *at = outcome->text + outcome->len, *end = outcome->text + sizeof outcome->text;
    at += snprintf(at, (size_t)(end - at), "%c", begin);
    for (size_t i = 0; i < data.len && i < 40; i++)
        at += snprintf(at, (size_t)(end - at), begin == '[' ? "%c" : "%02x", data.data[i] & 0xff);
    at += snprintf(at, (size_t)(end - at), "%c", begin == '[' ? ']' : ')');
    outcome->len = (size_t)(at - outcome->text);
}

/* Give what there is until it is used up, or only the head of a frame is left. Returns how much is left. */
static size_t feed(struct websocket *websocket, struct outcome *outcome, const char *data,
                   size_t len)
{
    char reply[WEBSOCKET_REPLY_MAX] = {0};
    size_t used = 1;
    for (; len && used && !outcome->closed; data += used, len -= used) {
        enum websocket_event event = websocket_feed(websocket, data, len, &used);
        if (event == WEBSOCKET_MESSAGE) {
            note(outcome, '[', websocket->message);
            outcome->messages++;
            if (websocket->message.len > outcome->longest)
                outcome->longest = websocket->message.len;
        } else if (event != WEBSOCKET_MORE) {
            note(outcome, '(', (struct span){reply, websocket_reply(websocket, reply)});
        }
        outcome->closed = event == WEBSOCKET_CLOSE;
    }
    return len;
}

/* Give it in pieces of `piece` bytes after a first one of `cut`, each from another place. */
static struct outcome outcome_of(const struct stream *stream, size_t cut, size_t piece)
{
    struct outcome outcome = {.len = 0};
    struct websocket websocket;
    size_t begin = 0, end = cut;
    websocket_init(&websocket);
    while (!outcome.closed) {
        char *copy = malloc(end - begin + 1);
        memcpy(copy, stream->bytes + begin, end - begin);
        size_t left = feed(&websocket, &outcome, copy, end - begin);
        cr_assert(outcome.closed || left <= WEBSOCKET_PART_MAX, "%zu are left", left);
        free(copy);
        begin = end - left;
        if (end == stream->len)
            break;
        end = stream->len - end < piece ? stream->len : end + piece;
    }
    outcome.rests = websocket_rests(&websocket) && begin == stream->len;
    websocket_free(&websocket);
    return outcome;
}

static struct outcome outcome_at_once(const struct stream *stream)
{
    return outcome_of(stream, stream->len, stream->len);
}

Test(websocket, proves_that_it_has_read_the_key)
{
    char accept[WEBSOCKET_ACCEPT_BYTES + 1];
    websocket_accept("dGhlIHNhbXBsZSBub25jZQ==", accept); /* RFC 6455, section 1.3 */
    cr_assert_str_eq(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

Test(websocket, takes_a_stream_at_every_cut)
{
    static const char expected[] = "[one][](8a026869)[two parts](8a00)[\xc3\xa4](880203e8)";
    struct stream stream = {.len = 0};
    add_text(&stream, FIN | OPCODE_TEXT, "one");
    add_text(&stream, FIN | OPCODE_BINARY, "");
    add_text(&stream, OPCODE_TEXT, "two ");
    add_text(&stream, FIN | OPCODE_PING, "hi");
    add_text(&stream, 0, "");
    add_text(&stream, FIN, "parts");
    add_text(&stream, FIN | OPCODE_PONG, "unasked");
    add_text(&stream, FIN | OPCODE_PING, "");
    add_text(&stream, OPCODE_TEXT, "\xc3");
    add_text(&stream, FIN, "\xa4");
    add_frame(&stream, FIN | OPCODE_CLOSE, 2, "\x03\xe8", 2);
    add_text(&stream, FIN | OPCODE_TEXT, "nothing that follows counts");
    for (size_t cut = 0; cut <= stream.len; cut++) {
        struct outcome outcome = outcome_of(&stream, cut, stream.len);
        cr_assert_str_eq(outcome.text, expected, "cut %zu", cut);
        cr_assert(outcome.closed && !outcome.rests);
    }
    cr_assert_str_eq(outcome_of(&stream, 1, 1).text, expected, "byte by byte");
}

Test(websocket, rests_between_messages_only)
{
    struct stream stream = {.len = 0};
    add_text(&stream, OPCODE_TEXT, "a");
    size_t fragment = stream.len;
    add_text(&stream, FIN, "b");
    for (size_t len = 1; len <= stream.len; len++) {
        struct stream part = stream;
        part.len = len;
        cr_assert_eq(outcome_at_once(&part).rests, len == stream.len, "%zu of %zu", len,
                     stream.len);
    }
    cr_assert_gt(fragment, 0);
}

/* The code with which a stream is closed; 0: it is not. */
static int close_code(const struct stream *stream)
{
    const char *close = strstr(outcome_at_once(stream).text, "(8802");
    unsigned code = 0;
    if (close)
        sscanf(close + 5, "%4x", &code);
    return (int)code;
}

Test(websocket, breaches_have_their_codes)
{
    static const struct {
        int first;
        const char *payload;
        int code;
    } frames[] = {
        {FIN | 3, "", 1002},
        {FIN | 11, "", 1002},
        {FIN | 0x40 | 1, "", 1002},
        {FIN | 0x10 | 9, "", 1002},
        {FIN | 0, "", 1002},
        {0 | OPCODE_PING, "", 1002},
        {FIN | OPCODE_CLOSE, "\x03", 1002},
        {FIN | OPCODE_CLOSE, "\x03\xe7", 1002},
        {FIN | OPCODE_CLOSE, "\x03\xee", 1002},
        {FIN | OPCODE_CLOSE, "\x03\xe8\xff", 1007},
        {FIN | OPCODE_TEXT, "\xff", 1007},
        {FIN | OPCODE_TEXT, "\xed\xa0\x80", 1007},
        {FIN | OPCODE_TEXT, "a\xc3", 1007},
        {FIN | OPCODE_BINARY, "a\xc3", 0},
    };
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        struct stream stream = {.len = 0};
        add_text(&stream, frames[i].first, frames[i].payload);
        cr_expect_eq(close_code(&stream), frames[i].code, "frame %zu: %d", i, close_code(&stream));
    }
    struct stream within = {.len = 0};
    add_text(&within, OPCODE_TEXT, "a");
    add_text(&within, FIN | OPCODE_TEXT, "b");
    cr_expect_eq(close_code(&within), 1002);
    struct stream unmasked = {.bytes = {(char)0x81, 1, 'a'}, .len = 3};
    cr_expect_eq(close_code(&unmasked), 1002);
    struct stream long_ping = {.len = 0};
    add_frame(&long_ping, FIN | OPCODE_PING, 126, unmasked.bytes, 126);
    cr_expect_eq(close_code(&long_ping), 1002);
}

Test(websocket, a_message_has_a_limit)
{
    static char text[WEBSOCKET_MESSAGE_MAX + 1];
    static struct stream stream;
    memset(text, 'x', sizeof text);
    add_frame(&stream, FIN | OPCODE_TEXT, WEBSOCKET_MESSAGE_MAX, text, WEBSOCKET_MESSAGE_MAX);
    struct outcome outcome = outcome_of(&stream, 1, 1000);
    cr_assert(!outcome.closed && outcome.messages == 1 && outcome.longest == WEBSOCKET_MESSAGE_MAX);
    stream.len = 0;
    add_frame(&stream, OPCODE_TEXT, WEBSOCKET_MESSAGE_MAX, text, WEBSOCKET_MESSAGE_MAX);
    add_text(&stream, FIN, "x");
    cr_assert_eq(close_code(&stream), 1009);
    static const uint64_t announced[] = {WEBSOCKET_MESSAGE_MAX + 1, 1ULL << 40, (1ULL << 63) - 1};
    for (size_t i = 0; i < 3; i++) {
        stream.len = 0;
        add_frame(&stream, FIN | OPCODE_TEXT, announced[i], text, 5);
        cr_assert_eq(close_code(&stream), 1009, "%zu", i);
    }
}

Test(websocket, frames_have_the_shortest_head)
{
    static const struct {
        uint64_t payload;
        const char *head;
        size_t len;
    } heads[] = {{0, "\x81\0", 2},
                 {125, "\x81\x7d", 2},
                 {126, "\x81\x7e\0\x7e", 4},
                 {65535, "\x81\x7e\xff\xff", 4},
                 {65536, "\x81\x7f\0\0\0\0\0\1\0\0", 10}};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        char head[FRAME_HEAD_MAX];
        cr_assert_eq(frame_head(head, OPCODE_TEXT, heads[i].payload), heads[i].len);
        cr_assert_arr_eq(head, heads[i].head, heads[i].len);
    }
}

static bool parses(struct client_message *message, const char *text)
{
    const char *reason = NULL;
    bool parsed = message_parse(message, (struct span){(char *)text, strlen(text)}, &reason);
    cr_assert(parsed || (reason && *reason));
    return parsed;
}

static bool is(struct span span, const char *text)
{
    return span.len == strlen(text) && memcmp(span.data, text, span.len) == 0;
}

Test(message, has_an_id_a_target_and_a_payload)
{
    struct client_message message;
    cr_assert(parses(&message, "7 /work?cpu=hash:1ms\nlines\nof text"));
    cr_assert(is(message.id, "7") && is(message.target, "/work?cpu=hash:1ms"));
    cr_assert(is(message.payload, "lines\nof text") && !message_is_one_way(&message));
    cr_assert(parses(&message, "- /"));
    cr_assert(message_is_one_way(&message) && message.payload.len == 0);
    cr_assert(parses(&message, "12345678901234567890123456789012 /\n"));
    static const char *const bad[] = {
        "",       "\n",        " /", "7", "*7 /", "7\n /", "123456789012345678901234567890123 /",
        "a\tb /", "\xc3\xa4 /"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert_not(parses(&message, bad[i]), "%s", bad[i]);
}

Test(message, is_delivered_with_its_topic_and_id)
{
    struct client_message message;
    cr_assert(parses(&message, "7 /work?publish=room\nhello"));
    message.opcode = OPCODE_BINARY;
    struct frame *frame = message_delivery("room", &message);
    cr_assert_eq(frame->len, 2 + strlen("*room 7\nhello"));
    cr_assert_arr_eq(frame->bytes, "\x82\x0d*room 7\nhello", frame->len);
    frame_drop(frame);
    frame = message_delivery("room", NULL);
    cr_assert_arr_eq(frame->bytes, "\x81\x08*room -\n", frame->len);
    frame_drop(frame);
}
