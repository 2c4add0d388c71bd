/* reply: see reply.h. A thin coat over llhttp, the HTTP parser of Node.js. */
#include "loadgen/reply.h"

#include <ctype.h>
#include <string.h>

static const char digest_name[] = "x-work-digest";

enum { NAME_LENGTH = sizeof(digest_name) - 1, NAME_DIFFERS = 255, NOT_A_DIGEST = 255 };

static int on_name(llhttp_t *parser, const char *at, size_t len)
{
    struct reply *reply = (struct reply *)parser;

    for (size_t i = 0; i < len && reply->name_matched != NAME_DIFFERS; i++) {
        if (reply->name_matched < NAME_LENGTH &&
            tolower((unsigned char)at[i]) == digest_name[reply->name_matched])
            reply->name_matched++;
        else
            reply->name_matched = NAME_DIFFERS;
    }
    return 0;
}

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = c == '\0' ? NULL : strchr(digits, tolower((unsigned char)c));

    return found ? (int)(found - digits) : -1;
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
    struct reply *reply = (struct reply *)parser;

    if (reply->name_matched != NAME_LENGTH)
        return 0;
    for (size_t i = 0; i < len && reply->digest_digits != NOT_A_DIGEST; i++) {
        int digit = hex_digit(at[i]);

        if (digit < 0 || reply->digest_digits == 16) {
            reply->digest_digits = NOT_A_DIGEST;
        } else {
            reply->digest = reply->digest << 4 | (uint64_t)digit;
            reply->digest_digits++;
        }
    }
    return 0;
}

static int on_value_end(llhttp_t *parser)
{
    ((struct reply *)parser)->name_matched = 0;
    return 0;
}

/* llhttp believes the Content-Length of replies that never have a body (RFC 9110, 6.4.1). */
static int on_headers_end(llhttp_t *parser)
{
    struct reply *reply = (struct reply *)parser;
    bool bare = reply->head || parser->status_code / 100 == 1 || parser->status_code == 204 ||
                parser->status_code == 304;

    return bare ? 1 : 0;
}

static int on_end(llhttp_t *parser)
{
    struct reply *reply = (struct reply *)parser;

    if (parser->status_code / 100 == 1 && parser->status_code != 101)
        return 0; /* an interim reply: the real one follows */
    reply->done = true;
    reply->status = parser->status_code;
    reply->keep_alive = llhttp_should_keep_alive(parser);
    return HPE_PAUSED;
}

/* Header callbacks cost time for each header, so only requests with a digest have them. */
static const llhttp_settings_t plain = {.on_headers_complete = on_headers_end,
                                        .on_message_complete = on_end};
static const llhttp_settings_t with_digest = {.on_header_field = on_name,
                                              .on_header_value = on_value,
                                              .on_header_value_complete = on_value_end,
                                              .on_headers_complete = on_headers_end,
                                              .on_message_complete = on_end};

void reply_begin(struct reply *reply, bool head, bool want_digest)
{
    llhttp_init(&reply->parser, HTTP_RESPONSE, want_digest ? &with_digest : &plain);
    reply->digest = 0;
    reply->status = 0;
    reply->digest_digits = 0;
    reply->name_matched = 0;
    reply->head = head;
    reply->done = false;
    reply->keep_alive = false;
}

enum reply_state reply_feed(struct reply *reply, const char *data, size_t len)
{
    llhttp_errno_t error = llhttp_execute(&reply->parser, data, len);

    if (reply->done)
        return llhttp_get_error_pos(&reply->parser) == data + len ? REPLY_DONE : REPLY_BAD;
    return error == HPE_OK ? REPLY_MORE : REPLY_BAD;
}

enum reply_state reply_end(struct reply *reply)
{
    llhttp_finish(&reply->parser);
    return reply->done ? REPLY_DONE : REPLY_BAD;
}
