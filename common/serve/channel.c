#include "common/serve/conn_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- the handshake (RFC 6455, section 4.2) ----------------------------------------------------- */

/* From here on the connection is a WebSocket, though its last HTTP reply is still to go out. */
static void open_channel(struct conn *conn)
{
    conn->channel = must_calloc(1, sizeof *conn->channel);
    conn->channel->conn = conn;
    subscriber_init(&conn->channel->subscriber);
    count_add(conn->counters, COUNTER_upgraded, 1);
}

enum want channel_upgrade(struct conn *conn)
{
    const struct http_request *request = &conn->exchange->request;
    char accept[WEBSOCKET_ACCEPT_BYTES + 1];
    _Static_assert((int)HTTP_KEY_BYTES == (int)WEBSOCKET_KEY_BYTES, "the key must be whole");
    if (!http_upgrades(request) || !request->is_version_13)
        return conn_refuse(conn, 426, "a WebSocket of version 13 is spoken here");
    if (request->parser.method != HTTP_GET || !request->has_key || request->body_bytes)
        return conn_refuse(conn, 400,
                           "the handshake of a WebSocket is a GET with one key of 16 bytes");
    if (conn->service->draining)
        return conn_refuse(conn, 503, "the server is about to end");
    websocket_accept(request->key, accept);
    open_channel(conn);
    conn->close_after = false;
    count_add(conn->counters, COUNTER_requests, 1);
    return conn_reply_bytes(conn, http_upgrade_head(accept, conn->exchange->text));
}

void channel_end(struct conn *conn)
{
    subscriber_end(conn->service->topics, &conn->channel->subscriber);
    free(conn->channel);
    conn->channel = NULL;
}

/* --- messages in, replies out ------------------------------------------------------------------ */

/* It gets a reply unless it is known to be one-way. */
static enum want refuse_message(struct conn *conn, const char *reason)
{
    conn->exchange->message = (struct client_message){.id = {(char *)"-", 1}};
    conn->exchange->is_answered = true;
    return conn_refuse(conn, 400, reason);
}

/* As in HTTP: a path, and no character that a request line could not have. */
static bool is_target(const struct span *target)
{
    for (size_t i = 0; i < target->len; i++)
        if (target->data[i] < '!' || target->data[i] > '~')
            return false;
    return target->len > 0 && target->len <= HTTP_TARGET_MAX && target->data[0] == '/';
}

static enum want take_message(struct conn *conn)
{
    struct exchange *exchange = conn->exchange;
    const char *reason;
    conn->close_after = conn->linger_after = false;
    if (!message_parse(&exchange->message, exchange->websocket.message, &reason))
        return refuse_message(conn, reason);
    exchange->message.opcode = exchange->websocket.opcode;
    exchange->is_answered = !message_is_one_way(&exchange->message);
    if (!is_target(&exchange->message.target))
        return conn_refuse(conn, 400, "a target is a path, as in a request by HTTP");
    return conn_dispatch(conn, exchange->message.target);
}

/* A pong, or a close and nothing after it. */
static enum want reply_control(struct conn *conn, bool closes)
{
    conn->close_after = conn->linger_after = closes;
    size_t len = websocket_reply(&conn->exchange->websocket, conn->exchange->text);
    return len ? conn_reply_bytes(conn, len) : conn_give_up(conn);
}

/* All that has come is gone through. The head of a frame stays until it is whole, at the beginning so
 * that there is room behind it. */
static enum want await_more(struct conn *conn)
{
    struct exchange *exchange = conn->exchange;
    size_t left = exchange->in_end - exchange->in_begin;
    bool first = conn_is_idle(conn);
    memmove(exchange->in, exchange->in + exchange->in_begin, left);
    exchange->in_begin = 0;
    exchange->in_end = left;
    if (left == 0 && websocket_rests(&exchange->websocket)) {
        conn_enter(conn, PHASE_IDLE);
        conn_end_exchange(conn);
        return conn->want = WANT_READ;
    }
    conn_enter(conn, PHASE_BODY); /* again for each piece: silence is what counts */
    if (first)
        conn->begin_ns = conn->since_ns;
    return conn->want = WANT_READ;
}

enum want channel_parse(struct conn *conn)
{
    struct exchange *exchange = conn->exchange;
    size_t used = 1;
    conn->want = WANT_READ;
    while (conn->want == WANT_READ && used && exchange->in_begin < exchange->in_end) {
        enum websocket_event event =
            websocket_feed(&exchange->websocket, exchange->in + exchange->in_begin,
                           exchange->in_end - exchange->in_begin, &used);
        exchange->in_begin += used;
        switch (event) {
        case WEBSOCKET_MORE: break;
        case WEBSOCKET_MESSAGE: take_message(conn); break; /* a refusal may want no reply */
        case WEBSOCKET_REPLY: reply_control(conn, false); break;
        case WEBSOCKET_CLOSE: reply_control(conn, true); break;
        }
    }
    return conn->want == WANT_READ ? await_more(conn) : conn->want;
}

/* "ID STATUS[ DIGEST]\n", with the frame's head before it. */
size_t channel_reply_head(struct conn *conn, const struct http_reply *reply)
{
    struct exchange *exchange = conn->exchange;
    char line[MESSAGE_ID_MAX + 32];
    const struct span *id = &exchange->message.id;
    if (!exchange->is_answered)
        return 0;
    int len = snprintf(line, sizeof line, "%.*s %d", (int)id->len, id->data, reply->status);
    if (reply->has_digest)
        len += snprintf(line + len, sizeof line - (size_t)len, " %016llx",
                        (unsigned long long)reply->digest);
    line[len++] = '\n';
    size_t head = frame_head(exchange->text, OPCODE_TEXT, (uint64_t)len + reply->length);
    memcpy(exchange->text + head, line, (size_t)len);
    return head + (size_t)len;
}

/* --- pushes ------------------------------------------------------------------------------------ */

bool channel_pushes(const struct conn *conn)
{
    struct channel *channel = conn->channel;
    if (channel->broken || conn->phase == PHASE_LINGER)
        return false;
    return (conn->want == WANT_READ || conn->want == WANT_JOB) &&
           !outbox_is_empty(&channel->subscriber.outbox);
}

/* The clock of the peer's patience begins with the first attempt, as for a reply. */
struct span channel_out(struct conn *conn)
{
    struct channel *channel = conn->channel;
    if (!channel->pushing && conn_is_idle(conn))
        conn_enter(conn, PHASE_IDLE);
    channel->pushing = true;
    return outbox_next(&channel->subscriber.outbox);
}

/* A job that is under way has its end first. */
static enum want end_with_job(struct conn *conn)
{
    if (conn->want == WANT_JOB)
        conn->channel->broken = true;
    else
        conn->want = WANT_CLOSE;
    return conn->want;
}

enum want channel_sent(struct conn *conn, ssize_t n)
{
    struct channel *channel = conn->channel;
    if (n < 0) {
        count_add(conn->counters, COUNTER_broken, 1);
        return end_with_job(conn);
    }
    outbox_sent(&channel->subscriber.outbox, (size_t)n);
    channel->pushing = outbox_is_begun(&channel->subscriber.outbox);
    if (conn_is_idle(conn))
        conn_enter(conn, PHASE_IDLE); /* slow, but not silent */
    return conn->want;
}

bool channel_cut(struct conn *conn)
{
    struct channel *channel = conn->channel;
    if (channel->broken || conn->want == WANT_CLOSE)
        return true;
    if (!outbox_is_overrun(&channel->subscriber.outbox))
        return false;
    count_add(conn->counters, COUNTER_slow, 1);
    end_with_job(conn);
    return true;
}

/* A close frame with 1001, "going away" (RFC 6455, section 7.4.1). */
struct span conn_farewell(const struct conn *conn)
{
    static const char going_away[] = {(char)(0x80 | OPCODE_CLOSE), 2, 1001 >> 8,
                                      (char)(1001 & 0xff)};
    bool says =
        conn->channel && conn->service->draining && conn_is_idle(conn) && !conn->channel->pushing;
    return (struct span){(char *)going_away, says ? sizeof going_away : 0};
}
