/* Fuzz target for loadgen/reply.c. Whatever the bytes, however they are cut, and whatever heads
 * are remembered, the outcome must be the one that a plain use of llhttp finds over the whole.
 *
 * An input is a line of three characters and then replies, with a line `--` between two of them:
 *   G or H   the request is a GET or a HEAD
 *   d or -   look for the digest, or do not
 *   0, 1...  how to cut: not at all, into single bytes, into pieces of up to 2, 3... bytes
 * Other characters stand for G, - and more bytes. All replies are of one kind, and go in twice, so
 * that each is met both with a strange head in memory and with its own. */
#include "loadgen/worker/reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char separator[] = "\n--\n";

enum { OPTIONS = 4, SEPARATOR = sizeof separator - 1 };

/* The oracle. */

struct text {
    size_t len;
    char bytes[1024]; /* of what is longer, the rest is lost */
};

struct oracle {
    llhttp_t parser; /* first, so that its callbacks find the rest */
    bool head_request, want_digest;
    bool failed, done, in_head, interim;
    const char *mark; /* up to here, bytes are counted or are body */
    size_t overhead;  /* as REPLY_HEAD_MAX counts it */
    bool in_body, chunk_has_data;
    struct text name, value;
    int digests, good_digests;
    /* What is compared. */
    enum reply_state state; /* once all bytes are in; DONE: at `end`, whatever follows */
    enum reply_state ended; /* of MORE: when the peer then closes */
    size_t end;
    uint16_t status;
    bool keep_alive;
    uint64_t digest;
};

static void text_add(struct text *text, const char *at, size_t len)
{
    for (size_t i = 0; i < len && text->len < sizeof text->bytes - 1; i++)
        text->bytes[text->len++] = at[i];
    text->bytes[text->len] = '\0';
}

static int oracle_name(llhttp_t *parser, const char *at, size_t len)
{
    text_add(&((struct oracle *)parser)->name, at, len);
    return 0;
}

static int oracle_value(llhttp_t *parser, const char *at, size_t len)
{
    text_add(&((struct oracle *)parser)->value, at, len);
    return 0;
}

/* The field as a whole: sixteen hexadecimal digits with blanks around. */
static int oracle_field(llhttp_t *parser)
{
    struct oracle *o = (struct oracle *)parser;
    const char *digits = o->value.bytes + strspn(o->value.bytes, " \t");
    size_t len = strspn(digits, "0123456789abcdefABCDEF");
    bool alone = digits[len + strspn(digits + len, " \t")] == '\0';

    if (o->in_head && strcasecmp(o->name.bytes, "X-Work-Digest") == 0) {
        o->digests++;
        o->good_digests += len == 16 && alone;
        o->digest = strtoull(digits, NULL, 16);
    }
    o->name = o->value = (struct text){0};
    return 0;
}

/* Decided here because llhttp would later let a trailer say `Connection: close`. */
static bool oracle_keeps_alive(const llhttp_t *parser, bool bare)
{
    if (parser->flags & F_CONNECTION_CLOSE || (!bare && llhttp_message_needs_eof(parser)))
        return false;
    return parser->http_minor > 0 ||
           (parser->flags & F_CONNECTION_KEEP_ALIVE && !(parser->flags & F_TRANSFER_ENCODING));
}

static int oracle_head_end(llhttp_t *parser)
{
    struct oracle *o = (struct oracle *)parser;
    int status = parser->status_code;
    bool bare = o->head_request || status < 200 || status == 204 || status == 304;

    o->in_head = false;
    if (parser->http_major != 1 || status < 100 || status > 599 || status == 101)
        return -1;
    o->interim = status < 200;
    o->keep_alive = oracle_keeps_alive(parser, bare);
    return bare;
}

static void count_overhead(struct oracle *o, const char *to)
{
    o->overhead += (size_t)(to - o->mark);
    o->mark = to;
    o->failed |= o->overhead > REPLY_HEAD_MAX;
}

static int oracle_body(llhttp_t *parser, const char *at, size_t len)
{
    struct oracle *o = (struct oracle *)parser;

    if (at > o->mark)
        count_overhead(o, at);
    o->mark = at + len;
    o->chunk_has_data = true;
    return 0;
}

static int oracle_chunk(llhttp_t *parser)
{
    struct oracle *o = (struct oracle *)parser;

    if (o->chunk_has_data) { /* else it is the last, and what it has is counted at the end */
        count_overhead(o, o->mark + 2);
        o->overhead = 0;
    }
    o->chunk_has_data = false;
    return 0;
}

static int oracle_message(llhttp_t *parser)
{
    struct oracle *o = (struct oracle *)parser;

    o->done = !o->interim;
    o->status = parser->status_code;
    return HPE_PAUSED;
}

static const llhttp_settings_t oracle_settings = {.on_header_field = oracle_name,
                                                  .on_header_value = oracle_value,
                                                  .on_header_value_complete = oracle_field,
                                                  .on_headers_complete = oracle_head_end,
                                                  .on_body = oracle_body,
                                                  .on_chunk_complete = oracle_chunk,
                                                  .on_message_complete = oracle_message};

static void oracle_begin(struct oracle *o)
{
    llhttp_init(&o->parser, HTTP_RESPONSE, &oracle_settings);
    o->in_head = true;
    o->interim = false;
    o->name = o->value = (struct text){0};
    o->digests = o->good_digests = 0;
    o->chunk_has_data = false;
}

/* One message, interim or not. Returns where llhttp stopped. */
static const char *oracle_execute(struct oracle *o, const char *at, const char *end)
{
    llhttp_errno_t error;

    oracle_begin(o);
    error = llhttp_execute(&o->parser, at, (size_t)(end - at));
    if (error != HPE_OK && error != HPE_PAUSED)
        o->failed = true;
    return error == HPE_OK ? end : llhttp_get_error_pos(&o->parser);
}

static void oracle_judge(struct oracle *o, const char *data, size_t len)
{
    const char *at = data, *end = data + len;
    bool paused;

    o->mark = data;
    do {
        at = oracle_execute(o, at, end);
        paused = llhttp_get_errno(&o->parser) == HPE_PAUSED;
    } while (paused && o->interim && !o->failed);
    if (at > o->mark)
        count_overhead(o, at);
    o->failed |= len > 0 && data[0] != 'H';
    o->end = (size_t)(at - data);
    o->state = o->failed ? REPLY_BAD : o->done ? REPLY_DONE : REPLY_MORE;
    if (o->state == REPLY_MORE)
        llhttp_finish(&o->parser);
    o->ended = o->done ? REPLY_DONE : REPLY_BAD;
}

/* The comparison. */

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "fuzz_reply: %s\n", what);
    abort();
}

static void compare_meaning(const struct oracle *o, const struct reply *reply)
{
    bool has_digest = o->want_digest && o->digests == 1 && o->good_digests == 1;

    must(reply->status == o->status, "the status differs");
    must(reply->keep_alive == o->keep_alive, "keep_alive differs");
    must((reply->digest_digits == 16) == has_digest, "one of them has no digest");
    must(!has_digest || reply_has_digest(reply, o->digest), "the digest differs");
}

/* The bytes up to `at` are in. */
static enum reply_state expected(const struct oracle *o, size_t at)
{
    if (o->state != REPLY_DONE || at < o->end)
        return REPLY_MORE;
    return at == o->end ? REPLY_DONE : REPLY_BAD;
}

/* In a block of its own, so that the sanitizer sees a step beyond it or a later look at it. */
static enum reply_state feed(struct reply *reply, const char *data, size_t len)
{
    char *copy = malloc(len);
    enum reply_state state;

    memcpy(copy, data, len);
    state = reply_feed(reply, copy, len);
    free(copy);
    return state;
}

static void compare_pieces(const struct oracle *o, struct reply_kind *kind, const char *data,
                           size_t len, unsigned piece_max)
{
    enum reply_state state = REPLY_MORE;
    unsigned random = piece_max;
    struct reply reply;
    size_t at = 0, n;

    reply_begin(&reply, kind);
    must(!reply_begun(&reply), "begun before the first byte");
    for (; at < len && state == REPLY_MORE; at += n) {
        random = random * 1664525 + 1013904223; /* a linear congruential generator */
        n = piece_max == 0 ? len : 1 + (random >> 16) % piece_max;
        n = n < len - at ? n : len - at;
        state = feed(&reply, data + at, n);
        must(reply_begun(&reply), "not begun after a byte");
        if (o->state != REPLY_BAD)
            must(state == expected(o, at + n), "another state");
        must(o->state != REPLY_BAD || state != REPLY_DONE, "a bad reply is done");
    }
    must(o->state != REPLY_BAD || state == REPLY_BAD, "a bad reply is accepted");
    if (state == REPLY_MORE)
        must((state = reply_end(&reply)) == o->ended, "another state when the peer closes");
    if (state == REPLY_DONE)
        compare_meaning(o, &reply);
}

static void check_reply(struct reply_kind *kind, const char *data, size_t len, unsigned piece_max)
{
    struct oracle oracle = {.head_request = kind->head, .want_digest = kind->want_digest};

    oracle_judge(&oracle, data, len);
    compare_pieces(&oracle, kind, data, len, piece_max);
}

static void check_replies(struct reply_kind *kind, const char *data, size_t len, unsigned piece_max)
{
    const char *end = data + len, *next;

    while ((next = memmem(data, (size_t)(end - data), separator, SEPARATOR))) {
        check_reply(kind, data, (size_t)(next - data), piece_max);
        data = next + SEPARATOR;
    }
    check_reply(kind, data, (size_t)(end - data), piece_max);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t len)
{
    const char *text = (const char *)input;

    if (len < OPTIONS)
        return 0;
    struct reply_kind kind = {.head = text[0] == 'H', .want_digest = text[1] == 'd'};
    unsigned piece_max = (uint8_t)(text[2] - '0');
    for (int pass = 0; pass < 2; pass++)
        check_replies(&kind, text + OPTIONS, len - OPTIONS, piece_max);
    return 0;
}
