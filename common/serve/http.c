#include "common/serve/http.h"
#include "common/base/util.h"

#include <string.h>
#include <strings.h>
#include <time.h>

enum { BODY_RAW_MAX = 8 * HTTP_BODY_MAX, HEAD_RAW_MAX = 24576 };

static struct http_request *request_of(llhttp_t *parser)
{
    return container_of(parser, struct http_request, parser);
}

/* What a parser callback returns to stop with our own status. */
static int fail(struct http_request *request, int status, const char *reason)
{
    request->status = (uint16_t)status;
    request->reason = reason;
    return HPE_USER;
}

static int on_message_begin(llhttp_t *parser)
{
    struct http_request *request = request_of(parser);
    request->target_len = request->fields = request->status = 0;
    request->field_bytes = request->body_bytes = request->body_raw_bytes = 0;
    request->head_done = request->done = request->has_host = false;
    request->expects = request->bad_expect = false;
    request->names_websocket = request->is_version_13 = request->has_key = false;
    request->name_len = request->value_len = 0;
    request->reason = NULL;
    return HPE_OK;
}

static int on_url(llhttp_t *parser, const char *data, size_t len)
{
    struct http_request *request = request_of(parser);
    if (request->target_len + len > HTTP_TARGET_MAX)
        return fail(request, 414, "the request target is longer than 2048 bytes");
    memcpy(request->target + request->target_len, data, len);
    request->target_len = (uint16_t)(request->target_len + len);
    return HPE_OK;
}

/* Keep the first bytes of a name or value: enough to recognise the few fields we act on. */
static int collect(struct http_request *request, char *text, uint8_t *text_len, const char *data,
                   size_t len)
{
    request->field_bytes += (uint32_t)len;
    if (request->field_bytes > HTTP_FIELD_BYTES_MAX)
        return fail(request, 431, "the header fields are longer than 16384 bytes");
    size_t room = HTTP_NAME_MAX - *text_len;
    if (len > room)
        len = room;
    memcpy(text + *text_len, data, len);
    *text_len = (uint8_t)(*text_len + len);
    return HPE_OK;
}

static int on_header_field(llhttp_t *parser, const char *data, size_t len)
{
    struct http_request *request = request_of(parser);
    return collect(request, request->name, &request->name_len, data, len);
}

static int on_header_value(llhttp_t *parser, const char *data, size_t len)
{
    struct http_request *request = request_of(parser);
    return collect(request, request->value, &request->value_len, data, len);
}

static bool is_word(const char *text, size_t len, const char *word)
{
    return len == strlen(word) && strncasecmp(text, word, len) == 0;
}

/* 16 bytes in base64 (RFC 4648): the last character holds two bits. */
static bool is_key(const char *text, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < HTTP_KEY_BYTES - 2 && i < len; i++)
        if (!memchr(digits, text[i], sizeof digits - 1))
            return false;
    return len == HTTP_KEY_BYTES && memcmp(text + len - 2, "==", 2) == 0 &&
           memchr("AQgw", text[len - 3], 4);
}

/* A second key makes both void. */
static void note_handshake(struct http_request *request)
{
    const char *value = request->value;
    size_t len = request->value_len;
    if (is_word(request->name, request->name_len, "upgrade"))
        request->names_websocket = is_word(value, len, "websocket");
    if (is_word(request->name, request->name_len, "sec-websocket-version"))
        request->is_version_13 = is_word(value, len, "13");
    if (is_word(request->name, request->name_len, "sec-websocket-key")) {
        request->has_key = !request->has_key && is_key(value, len);
        memcpy(request->key, value, HTTP_KEY_BYTES);
    }
}

static int on_header_value_complete(llhttp_t *parser)
{
    struct http_request *request = request_of(parser);
    if (!request->name_len)
        return fail(request, 400, "a header field has no name");
    if (++request->fields > HTTP_FIELDS_MAX)
        return fail(request, 431, "there are more than 100 header fields");
    if (is_word(request->name, request->name_len, "host")) {
        if (request->has_host)
            return fail(request, 400, "there are two Host fields");
        request->has_host = true;
    } else if (is_word(request->name, request->name_len, "expect")) {
        if (is_word(request->value, request->value_len, "100-continue"))
            request->expects = true;
        else
            request->bad_expect = true;
    } else {
        note_handshake(request);
    }
    request->name_len = request->value_len = 0;
    return HPE_OK;
}

static int on_headers_complete(llhttp_t *parser)
{
    struct http_request *request = request_of(parser);
    bool modern = parser->http_minor > 0;
    request->head_done = true;
    if (parser->http_major != 1)
        return fail(request, 505, "HTTP/1.0 and HTTP/1.1 are spoken here");
    if (modern && !request->has_host)
        return fail(request, 400, "HTTP/1.1 requires a Host field");
    if (parser->method != HTTP_GET && parser->method != HTTP_HEAD && parser->method != HTTP_POST)
        return fail(request, 405, "the methods are GET, HEAD and POST");
    if (modern && request->bad_expect)
        return fail(request, 417, "the only expectation met here is 100-continue");
    if (parser->flags & F_CONTENT_LENGTH && parser->content_length > HTTP_BODY_MAX)
        return fail(request, 413, "the body is longer than 1048576 bytes");
    if (modern && request->expects && (parser->flags & F_CHUNKED || parser->content_length > 0))
        return HPE_PAUSED;
    request->expects = false;
    return HPE_OK;
}

static int on_body(llhttp_t *parser, const char *data, size_t len)
{
    struct http_request *request = request_of(parser);
    (void)data;
    request->body_bytes += (uint32_t)len;
    if (request->body_bytes > HTTP_BODY_MAX)
        return fail(request, 413, "the body is longer than 1048576 bytes");
    return HPE_OK;
}

static int on_message_complete(llhttp_t *parser)
{
    request_of(parser)->done = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_message_begin = on_message_begin,
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_header_value_complete = on_header_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

void http_init(struct http_request *request, char *target)
{
    memset(request, 0, sizeof *request);
    request->target = target;
    llhttp_init(&request->parser, HTTP_REQUEST, &settings);
}

/* llhttp found the stream malformed: which reply says so? */
static enum http_event refuse(struct http_request *request, enum llhttp_errno error)
{
    if (request->status)
        return HTTP_ERROR;
    request->reason = llhttp_get_error_reason(&request->parser);
    if (error == HPE_INVALID_VERSION && strcmp(request->reason, "Invalid HTTP version") == 0)
        fail(request, 505, "HTTP/1.0 and HTTP/1.1 are spoken here");
    else
        request->status = 400;
    return HTTP_ERROR;
}

/* Bytes that no callback counts (blanks, chunk sizes and extensions) must have an end too. */
static bool over_raw_limit(struct http_request *request, size_t len)
{
    request->body_raw_bytes += (uint32_t)len;
    if (request->body_raw_bytes <= (request->head_done ? BODY_RAW_MAX : HEAD_RAW_MAX))
        return false;
    if (request->head_done)
        fail(request, 413, "the body's coding is longer than 8388608 bytes");
    else
        fail(request, 431, "the request's head is longer than 24576 bytes");
    return true;
}

enum http_event http_feed(struct http_request *request, const char *data, size_t len, size_t *used)
{
    llhttp_t *parser = &request->parser;
    if (llhttp_get_errno(parser) != HPE_OK) {
        llhttp_resume(parser);
        request->expects = false;
    }
    if (request->done) { /* the next request begins */
        request->done = request->head_done = false;
        request->body_raw_bytes = 0;
    }
    enum llhttp_errno error = llhttp_execute(parser, data, len);
    if (error == HPE_PAUSED_UPGRADE) { /* there is nothing to upgrade to: plain HTTP goes on */
        size_t taken = (size_t)(llhttp_get_error_pos(parser) - data);
        llhttp_resume_after_upgrade(parser);
        error = llhttp_execute(parser, data + taken, len - taken);
    }
    if (error == HPE_OK) {
        *used = len;
        return over_raw_limit(request, len) ? HTTP_ERROR : HTTP_MORE;
    }
    if (error == HPE_PAUSED) {
        *used = (size_t)(llhttp_get_error_pos(parser) - data);
        return request->done ? HTTP_REQUEST_DONE : HTTP_EXPECTS;
    }
    *used = len;
    return refuse(request, error);
}

bool http_keeps_alive(const struct http_request *request)
{
    return llhttp_should_keep_alive(&request->parser);
}

bool http_is_head(const struct http_request *request)
{
    return request->parser.method == HTTP_HEAD;
}

bool http_upgrades(const struct http_request *request)
{
    return request->names_websocket && request->parser.upgrade && request->parser.http_minor > 0;
}

const char *http_status_text(int status)
{
    switch (status) {
    case 101: return "Switching Protocols";
    case 200: return "OK";
    case 400: return "Bad Request";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 417: return "Expectation Failed";
    case 426: return "Upgrade Required";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    }
    return "Unknown";
}

static char *put(char *at, const char *text)
{
    size_t len = strlen(text);
    memcpy(at, text, len);
    return at + len;
}

static char *put_number(char *at, uint64_t n)
{
    char digits[20];
    int i = 20;
    do
        digits[--i] = (char)('0' + n % 10);
    while (n /= 10);
    memcpy(at, digits + i, (size_t)(20 - i));
    return at + 20 - i;
}

static char *put_two(char *at, int n)
{
    at[0] = (char)('0' + n / 10);
    at[1] = (char)('0' + n % 10);
    return at + 2;
}

static char *put_hex(char *at, uint64_t n)
{
    for (int shift = 60; shift >= 0; shift -= 4)
        *at++ = "0123456789abcdef"[n >> shift & 15];
    return at;
}

enum { DATE_BYTES = 29 };

/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, 5.6.7). gmtime_r takes libc's time-zone lock, which
 * all threads would meet at; the civil date is Hinnant's days-to-date arithmetic. */
static void write_date(time_t at_s, char *at)
{
    static const char day_names[7][4] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
    static const char month_names[12][4] = {"Mar", "Apr", "May", "Jun", "Jul", "Aug",
                                            "Sep", "Oct", "Nov", "Dec", "Jan", "Feb"};
    unsigned days = (unsigned)(at_s / 86400), second = (unsigned)(at_s % 86400);
    unsigned since = days + 719468; /* days since 1 March of the year 0 */
    unsigned of_era = since % 146097;
    unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
    unsigned month = (5 * of_year + 2) / 153; /* 0 is March */
    unsigned day = of_year - (153 * month + 2) / 5 + 1;
    year += since / 146097 * 400 + (month >= 10);

    at = put(put(at, day_names[days % 7]), ", ");
    at = put_two(at, (int)day);
    *at++ = ' ';
    at = put(at, month_names[month]);
    *at++ = ' ';
    at = put_number(at, year);
    *at++ = ' ';
    at = put_two(at, (int)(second / 3600));
    *at++ = ':';
    at = put_two(at, (int)(second / 60 % 60));
    *at++ = ':';
    at = put_two(at, (int)(second % 60));
    put(at, " GMT");
}

/* Each thread writes the date once a second. */
static char *put_date(char *at)
{
    static _Thread_local time_t written_s;
    static _Thread_local char date[DATE_BYTES];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (now.tv_sec != written_s) {
        write_date(now.tv_sec, date);
        written_s = now.tv_sec;
    }
    memcpy(at, date, DATE_BYTES);
    return at + DATE_BYTES;
}

static char *put_status(char *at, int status)
{
    at = put_number(put(at, "HTTP/1.1 "), (unsigned)status);
    *at++ = ' ';
    at = put(put(at, http_status_text(status)), "\r\nServer: archbench\r\nDate: ");
    return put_date(at);
}

size_t http_upgrade_head(const char *accept, char *text)
{
    char *at = put_status(text, 101);
    at = put(at, "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ");
    return (size_t)(put(put(at, accept), "\r\n\r\n") - text);
}

size_t http_reply_head(const struct http_reply *reply, char *text)
{
    char *at = put(put_status(text, reply->status), "\r\nContent-Type: ");
    at = put(put(at, reply->type), "\r\nContent-Length: ");
    at = put(put_number(at, reply->length), "\r\n");
    if (reply->has_digest)
        at = put(put_hex(put(at, "X-Work-Digest: "), reply->digest), "\r\n");
    if (reply->status == 405)
        at = put(at, "Allow: GET, HEAD, POST\r\n");
    if (reply->status == 426)
        at = put(at, "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Version: 13\r\n");
    if (reply->status == 503)
        at = put(at, "Retry-After: 1\r\n");
    if (!reply->keep_alive)
        at = put(at, "Connection: close\r\n");
    else if (reply->http_1_0)
        at = put(at, "Connection: keep-alive\r\n");
    return (size_t)(put(at, "\r\n") - text);
}
