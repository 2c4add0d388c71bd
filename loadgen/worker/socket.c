/* socket: see socket.h. */
#include "loadgen/worker/socket.h"
#include "common/websocket/frame.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { FIN = 0x80, MASKED = 0x80, KEY_BYTES = 4 };
enum { CONTINUATION = 0, CONTROL = 8 }; /* and a bit of all control frames */

/* RFC 6455, section 1.3, has the key of SOCKET_HANDSHAKE and what answers it. */
static const char accept_line[] = "\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

void socket_begin(struct socket *s)
{
    memset(s, 0, offsetof(struct socket, control));
}

/* --- the handshake's reply --------------------------------------------------------------------- */

/* It must not be read further than to its end: a frame may follow at once. */
static enum socket_event feed_handshake(struct socket *s, const char *data, size_t len,
                                        size_t *used)
{
    for (*used = 0; *used < len && s->text_len < SOCKET_TEXT;) {
        s->text[s->text_len++] = data[(*used)++];
        if (s->text_len < 4 || memcmp(s->text + s->text_len - 4, "\r\n\r\n", 4) != 0)
            continue;
        s->text[s->text_len] = '\0';
        s->open = strncmp(s->text, "HTTP/1.1 101 ", 13) == 0 && strcasestr(s->text, accept_line);
        s->text_len = 0;
        return s->open ? SOCKET_OPEN : SOCKET_BAD;
    }
    return s->text_len < SOCKET_TEXT ? SOCKET_MORE : SOCKET_BAD;
}

/* --- messages that have come ------------------------------------------------------------------- */

/* A number in hexadecimal and the blank or line end behind it. */
static bool take_number(const char **at, uint64_t *value)
{
    char *end;

    *value = strtoull(*at, &end, 16);
    if (end == *at || (*end != ' ' && *end != '\n'))
        return false;
    *at = end + 1;
    return true;
}

/* "*TOPIC ID\n" and then what socket_message() wrote. */
static enum socket_event read_delivery(struct socket *s)
{
    const char *at = strchr(s->text, '\n');
    uint64_t value[7];

    if (!at)
        return SOCKET_BAD;
    at++;
    for (int i = 0; i < 7; i++)
        if (!take_number(&at, &value[i]))
            return SOCKET_BAD;
    s->delivery = (struct delivery){.class = (uint32_t)value[0],
                                    .publisher = (uint32_t)value[1],
                                    .number = (uint32_t)value[2],
                                    .skipped = (uint32_t)value[3],
                                    .intended_ns = (int64_t)value[4],
                                    .lag_ns = (int64_t)value[5],
                                    .echo_ns = (int64_t)value[6]};
    return SOCKET_DELIVERY;
}

/* "ID STATUS[ DIGEST]\n". */
static enum socket_event read_reply(struct socket *s)
{
    unsigned id, status;
    unsigned long long digest;
    int read = sscanf(s->text, "%x %3u %16llx", &id, &status, &digest);

    if (read < 2 || id != s->id || status < 100 || !strchr(s->text, '\n'))
        return SOCKET_BAD;
    s->status = (uint16_t)status;
    s->has_digest = read == 3;
    s->digest = read == 3 ? digest : 0;
    return SOCKET_REPLY;
}

static enum socket_event read_message(struct socket *s)
{
    s->text[s->text_len] = '\0';
    s->text_len = 0;
    s->unfinished = false;
    return s->text[0] == '*' ? read_delivery(s) : read_reply(s);
}

static enum socket_event read_control(struct socket *s)
{
    if (s->opcode != OPCODE_CLOSE)
        return s->opcode == OPCODE_PING ? SOCKET_PING : SOCKET_PONG;
    s->close_code = 0;
    if (s->control_len >= 2)
        s->close_code = (uint16_t)((uint8_t)s->control[0] << 8 | (uint8_t)s->control[1]);
    return SOCKET_CLOSE;
}

/* --- frames in --------------------------------------------------------------------------------- */

/* Bytes that the head has as a whole, as far as its beginning says. */
static size_t head_bytes(const struct socket *s)
{
    uint8_t length = s->head[1] & 0x7f;

    return s->head_len < 2 || length < 126 ? 2 : length == 126 ? 4 : 10;
}

/* The head is whole. False: no server may send it. */
static bool read_head(struct socket *s)
{
    uint8_t length = s->head[1];
    bool control, fits;

    s->fin = s->head[0] & FIN;
    s->opcode = s->head[0] & 0x0f;
    s->left = length & 0x7f;
    if (s->left >= 126)
        s->left = 0;
    for (size_t i = 2; i < s->head_len; i++)
        s->left = s->left << 8 | s->head[i];
    control = s->opcode & CONTROL;
    fits = control ? s->fin && s->left <= SOCKET_CONTROL && s->opcode <= OPCODE_PONG
                   : s->opcode <= OPCODE_BINARY && (s->opcode == CONTINUATION) == s->unfinished;
    s->control_len = 0;
    s->unfinished |= !control;
    return fits && !(length & MASKED) && !(s->head[0] & 0x70);
}

/* Keep the beginning of a message, and all of a control frame. */
static void keep(struct socket *s, const char *data, size_t len)
{
    bool control = s->opcode & CONTROL;
    size_t room =
        control ? (size_t)SOCKET_CONTROL - s->control_len : (size_t)SOCKET_TEXT - s->text_len;
    size_t kept = len < room ? len : room;

    memcpy(control ? s->control + s->control_len : s->text + s->text_len, data, kept);
    if (control)
        s->control_len = (uint8_t)(s->control_len + kept);
    else
        s->text_len = (uint16_t)(s->text_len + kept);
    s->left -= len;
}

/* The frame's payload has come as a whole. */
static enum socket_event end_frame(struct socket *s)
{
    s->head_len = 0;
    if (s->opcode & CONTROL)
        return read_control(s);
    return s->fin ? read_message(s) : SOCKET_MORE;
}

enum socket_event socket_feed(struct socket *s, const char *data, size_t len, size_t *used)
{
    if (!s->open)
        return feed_handshake(s, data, len, used);
    for (*used = 0; *used < len;) {
        if (s->head_len < head_bytes(s)) {
            s->head[s->head_len++] = (uint8_t)data[(*used)++];
            if (s->head_len < head_bytes(s))
                continue;
            if (!read_head(s))
                return SOCKET_BAD;
        } else {
            size_t n = len - *used < s->left ? len - *used : (size_t)s->left;

            keep(s, data + *used, n);
            *used += n;
        }
        if (s->left == 0) {
            enum socket_event event = end_frame(s);

            if (event != SOCKET_MORE)
                return event;
        }
    }
    return SOCKET_MORE;
}

/* --- frames out -------------------------------------------------------------------------------- */

/* The head of a frame that is a whole message, with a key of zeros. */
static size_t write_head(char *out, enum opcode opcode, size_t len)
{
    size_t head = frame_head(out, opcode, len);

    out[1] = (char)(out[1] | MASKED);
    memset(out + head, 0, KEY_BYTES);
    return head + KEY_BYTES;
}

/* The line of a delivery, with its end. */
static size_t write_delivery(char *out, const struct delivery *d)
{
    return (size_t)sprintf(out, "%x %x %x %x %llx %llx %llx\n", d->class, d->publisher, d->number,
                           d->skipped, (unsigned long long)d->intended_ns,
                           (unsigned long long)d->lag_ns, (unsigned long long)d->echo_ns);
}

size_t socket_message(struct socket *s, char *out, const char *target, bool one_way,
                      const struct delivery *delivery, size_t body)
{
    char id[12] = "-", line[120];
    size_t line_len = delivery ? write_delivery(line, delivery) : 0;
    size_t filler = body > line_len ? body - line_len : 0, target_len = strlen(target), len, id_len;

    if (!one_way)
        sprintf(id, "%x", ++s->id);
    id_len = strlen(id);
    len = id_len + 1 + target_len + (line_len + filler > 0) + line_len + filler;
    char *message = out + write_head(out, OPCODE_TEXT, len), *at = mempcpy(message, id, id_len);
    *at++ = ' ';
    at = mempcpy(at, target, target_len);
    if (line_len + filler > 0)
        *at++ = '\n';
    at = mempcpy(at, line, line_len);
    memset(at, 'x', filler);
    return (size_t)(message - out) + len;
}

size_t socket_ping(char *out)
{
    return write_head(out, OPCODE_PING, 0);
}

size_t socket_pong(const struct socket *s, char *out)
{
    size_t head =
        write_head(out, s->opcode == OPCODE_PING ? OPCODE_PONG : OPCODE_CLOSE, s->control_len);

    memcpy(out + head, s->control, s->control_len);
    return head + s->control_len;
}
