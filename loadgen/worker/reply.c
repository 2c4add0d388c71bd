/* reply: see reply.h. llhttp, the HTTP parser of Node.js, reads heads and chunks; which body
 * follows a head (RFC 9112, 6.3), counting it, and what is too long are decided here. llhttp is
 * paused at the end of each head and chunk, because only a pause tells the position. */
#include "loadgen/worker/reply.h"

#include <ctype.h>
#include <string.h>

enum place {
    AT_START,      /* no byte has come */
    IN_HEAD,       /* of an interim reply or the final one */
    AFTER_INTERIM, /* another head follows */
    IN_COUNTED,    /* in a body of known length, perhaps 0 */
    IN_CHUNK,      /* from the end of the head or of a chunk to the end of the next one */
    AFTER_CHUNK,
    IN_STREAM, /* in a body that ends when the peer closes */
    AT_END,
    BROKEN,
};

static const char digest_name[] = "x-work-digest";

enum { NAME_LENGTH = sizeof digest_name - 1, NAME_DIFFERS = 15 };
enum { DIGEST_DIGITS = 16, NOT_A_DIGEST = 127 };

/* The digest. */

static int on_name(llhttp_t *parser, const char *at, size_t len)
{
    struct reply *reply = (struct reply *)parser;
    unsigned matched = reply->name_matched;

    if (reply->place != IN_HEAD)
        matched = NAME_DIFFERS; /* a trailer is no header (RFC 9110, 6.5.1) */
    for (size_t i = 0; i < len && matched != NAME_DIFFERS; i++) {
        if (matched < NAME_LENGTH && tolower((unsigned char)at[i]) == digest_name[matched])
            matched++;
        else
            matched = NAME_DIFFERS;
    }
    reply->name_matched = matched;
    return 0;
}

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = c == '\0' ? NULL : strchr(digits, tolower((unsigned char)c));

    return found ? (int)(found - digits) : -1;
}

static void take_digit(struct reply *reply, char c)
{
    int digit = hex_digit(c);

    if (reply->digest_digits == DIGEST_DIGITS && (c == ' ' || c == '\t'))
        return; /* white space behind a value is not part of it */
    if (digit < 0 || reply->digest_digits >= DIGEST_DIGITS) {
        reply->digest_digits = NOT_A_DIGEST;
    } else {
        reply->digest = reply->digest << 4 | (uint64_t)digit;
        reply->digest_digits++;
    }
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
    struct reply *reply = (struct reply *)parser;

    if (reply->name_matched != NAME_LENGTH)
        return 0;
    for (size_t i = 0; i < len; i++)
        take_digit(reply, at[i]);
    return 0;
}

static int on_value_end(llhttp_t *parser)
{
    struct reply *reply = (struct reply *)parser;

    if (reply->name_matched == NAME_LENGTH && reply->digest_digits != DIGEST_DIGITS)
        reply->digest_digits = NOT_A_DIGEST; /* two halves do not make one */
    reply->name_matched = 0;
    return 0;
}

/* The head. */

/* `close` wins over `keep-alive` (RFC 9112, 9.3), and a transfer coding in HTTP/1.0 is not to be
 * trusted with another reply (6.1). */
static bool keeps_alive(const llhttp_t *parser)
{
    if (parser->flags & F_CONNECTION_CLOSE ||
        (parser->http_minor == 0 && parser->flags & F_TRANSFER_ENCODING))
        return false;
    return llhttp_should_keep_alive(parser);
}

/* RFC 9112, 6.3. llhttp has refused what contradicts itself there. */
static enum place body_after(llhttp_t *parser)
{
    const struct reply_kind *kind = parser->data;

    if (kind->head || parser->status_code == 204 || parser->status_code == 304) {
        parser->flags |= F_SKIPBODY;
        parser->content_length = 0;
        return IN_COUNTED;
    }
    if (llhttp_message_needs_eof(parser))
        return IN_STREAM;
    return parser->flags & F_CHUNKED ? IN_CHUNK : IN_COUNTED;
}

/* 101 is refused because nobody asks to switch protocols. */
static int on_head_end(llhttp_t *parser)
{
    struct reply *reply = (struct reply *)parser;

    if (parser->http_major != 1 || parser->status_code < 100 || parser->status_code > 599 ||
        parser->status_code == 101)
        return -1;
    if (parser->status_code < 200) {
        reply->place = AFTER_INTERIM;
    } else {
        reply->place = body_after(parser);
        reply->status = parser->status_code;
        reply->keep_alive = keeps_alive(parser);
    }
    return HPE_PAUSED;
}

/* The chunks. */

/* parse() counts every byte that llhttp has taken, so these are taken back; until it does, the
 * difference may be below zero, which unsigned arithmetic endures. */
static int on_chunk_data(llhttp_t *parser, const char *at, size_t len)
{
    (void)at;
    ((struct reply *)parser)->overhead -= (uint32_t)len;
    return 0;
}

static int on_chunk_end(llhttp_t *parser)
{
    ((struct reply *)parser)->place = AFTER_CHUNK;
    return HPE_PAUSED;
}

static int on_last_chunk_end(llhttp_t *parser)
{
    ((struct reply *)parser)->place = AT_END;
    return HPE_PAUSED;
}

#define ALWAYS                                                                                     \
    .on_headers_complete = on_head_end, .on_body = on_chunk_data,                                  \
    .on_chunk_complete = on_chunk_end, .on_message_complete = on_last_chunk_end

/* Header callbacks cost time for each header, so only requests with a digest have them. */
static const llhttp_settings_t plain = {ALWAYS};
static const llhttp_settings_t with_digest = {.on_header_field = on_name,
                                              .on_header_value = on_value,
                                              .on_header_value_complete = on_value_end,
                                              ALWAYS};

/* Let llhttp take bytes until it pauses or has taken all. Returns where it stopped. */
static const char *parse(struct reply *reply, const char *at, const char *end)
{
    llhttp_errno_t error = llhttp_execute(&reply->parser, at, (size_t)(end - at));
    const char *stop = error == HPE_OK ? end : llhttp_get_error_pos(&reply->parser);

    llhttp_resume(&reply->parser);
    reply->overhead += (uint32_t)(stop - at);
    if ((error != HPE_OK && error != HPE_PAUSED) || reply->overhead > REPLY_HEAD_MAX)
        reply->place = BROKEN;
    return stop;
}

static void begin_head(struct reply *reply)
{
    struct reply_kind *kind = reply->parser.data;

    llhttp_init(&reply->parser, HTTP_RESPONSE, kind->want_digest ? &with_digest : &plain);
    reply->parser.data = kind;
    reply->digest = 0;
    reply->digest_digits = 0;
    reply->name_matched = 0;
    reply->place = IN_HEAD;
}

/* Heads that were seen before. */

static void remember(const struct reply *reply, const char *head, size_t len)
{
    struct reply_kind *kind = reply->parser.data;

    if (len > REPLY_REMEMBERED_MAX)
        return;
    memcpy(kind->last.bytes, head, len);
    kind->last.length = (uint16_t)len;
    kind->last.status = reply->status;
    kind->last.keep_alive = reply->keep_alive;
    kind->last.digest = reply->digest;
    kind->last.digest_digits = reply->digest_digits;
    kind->last.body_bytes = reply->parser.content_length;
}

/* Does the reply begin with the head that is remembered? */
static bool recall(struct reply *reply, const char *data, size_t len)
{
    const struct reply_kind *kind = reply->parser.data;

    if (kind->last.length == 0 || len < kind->last.length ||
        memcmp(data, kind->last.bytes, kind->last.length) != 0)
        return false;
    reply->status = kind->last.status;
    reply->keep_alive = kind->last.keep_alive;
    reply->digest = kind->last.digest;
    reply->digest_digits = kind->last.digest_digits;
    reply->parser.content_length = kind->last.body_bytes;
    reply->place = IN_COUNTED;
    return true;
}

/* Each part takes what is its own of the bytes from `at` to `end` and returns where it stopped. */

static const char *take_start(struct reply *reply, const char *at, const char *end)
{
    const struct reply_kind *kind = reply->parser.data;

    if (recall(reply, at, (size_t)(end - at)))
        return at + kind->last.length;
    if (*at != 'H') { /* llhttp would pass over empty lines in front of it */
        reply->place = BROKEN;
        return at;
    }
    reply->overhead = 0;
    begin_head(reply);
    const char *stop = parse(reply, at, end);
    if (reply->place == IN_COUNTED)
        remember(reply, at, (size_t)(stop - at));
    return stop;
}

static const char *take_heads(struct reply *reply, const char *at, const char *end)
{
    while (at < end && (reply->place == IN_HEAD || reply->place == AFTER_INTERIM)) {
        if (reply->place == AFTER_INTERIM)
            begin_head(reply);
        at = parse(reply, at, end);
    }
    return at;
}

static const char *take_counted(struct reply *reply, const char *at, const char *end)
{
    uint64_t *left = &reply->parser.content_length;
    uint64_t len = (uint64_t)(end - at);

    if (len > *left)
        len = *left;
    *left -= len;
    if (*left == 0)
        reply->place = AT_END;
    return at + len;
}

/* At the end of a chunk llhttp is asked once more even without bytes: it may have been the last. */
static const char *take_chunks(struct reply *reply, const char *at, const char *end)
{
    do {
        if (reply->place == AFTER_CHUNK) {
            reply->place = IN_CHUNK;
            reply->overhead = 0;
        }
        at = parse(reply, at, end);
    } while (reply->place == AFTER_CHUNK);
    return at;
}

void reply_begin(struct reply *reply, struct reply_kind *kind)
{
    reply->parser.data = kind;
    reply->place = AT_START;
}

enum reply_state reply_feed(struct reply *reply, const char *data, size_t len)
{
    const char *at = data, *end = data + len;

    if (reply->place == AT_START && len > 0)
        at = take_start(reply, at, end);
    at = take_heads(reply, at, end);
    if (reply->place == IN_COUNTED)
        at = take_counted(reply, at, end);
    else if (reply->place == IN_CHUNK)
        at = take_chunks(reply, at, end);
    if (reply->place == AT_END && at < end)
        reply->place = BROKEN;
    if (reply->place == BROKEN)
        return REPLY_BAD;
    return reply->place == AT_END ? REPLY_DONE : REPLY_MORE;
}

enum reply_state reply_end(struct reply *reply)
{
    return reply->place == IN_STREAM || reply->place == AT_END ? REPLY_DONE : REPLY_BAD;
}

bool reply_begun(const struct reply *reply)
{
    return reply->place != AT_START;
}
