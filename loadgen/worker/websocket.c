/* websocket: connections that are WebSockets: the handshake and the subscription, messages out, replies and
 * deliveries in. See engine.h.
 *
 * Each connection has one message under way, like a request by HTTP; what others publish may come at any
 * time. A connection whose class has rooms subscribes to one of so many topics, and messages that publish go
 * to the room of the connection that sends them. So everybody in a room hears everybody in it. */
#include "common/base/net.h"
#include "loadgen/plan/moment.h"
#include "loadgen/worker/engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static const int64_t LOOK_NS = 5 * NSEC_PER_MSEC; /* between two looks at what is still to come */

static size_t longest_message(const struct client *c, int pool)
{
    size_t longest = 0;

    for (int i = 0; i < c->plan->class_count; i++) {
        const struct plan_class *class = &c->plan->class[i];
        size_t len =
            SOCKET_OVERHEAD + strlen(class->path) + WORKLOAD_TIME_DIGITS + class->body_bytes;

        if (class->pool == pool && len > longest)
            longest = len;
    }
    return longest;
}

/* The path of a class, with the number of the connection's room in it and the digits of 0 for its moment. `path`:
 * MOMENT_TARGET bytes. Returns where the digits begin; 0: there are none. */
static size_t write_path(char *path, const struct client *c, const struct connection *conn,
                         const struct plan_class *class)
{
    char roomed[WORKLOAD_TARGET];

    if (!conn->messenger->following)
        return moment_expand(path, class->path);
    room_write(roomed, sizeof roomed, class->path, room_of(c, conn));
    return moment_expand(path, roomed);
}

/* One-way messages are prepared: of each class of the pool. */
static void prepare_batch(struct client *c, struct connection *conn)
{
    struct messenger *m = conn->messenger;
    char path[MOMENT_TARGET];

    m->batch = must_calloc(1, sizeof *m->batch);
    for (int i = 0; i < c->plan->class_count; i++) {
        const struct plan_class *class = &c->plan->class[i];
        size_t time_at, len;

        if (class->pool != conn->pool || !class->one_way)
            continue;
        time_at = write_path(path, c, conn, class);
        len = socket_message(&m->socket, m->out, path, true, NULL, class->body_bytes);
        if (time_at > 0)
            time_at += (size_t)((char *)memmem(m->out, len, path, strlen(path)) - m->out);
        batch_prepare(m->batch, i, m->out, len, time_at);
    }
}

void websocket_attach(struct client *c, struct connection *conn, int number)
{
    bool feeds = pool_of(c, conn)->feeds;
    struct messenger *m;

    if (!plan_pool_of(c, conn)->websocket)
        return;
    c->has_websockets = true;
    m = conn->messenger = must_calloc(1, sizeof *conn->messenger);
    m->number = (uint32_t)number;
    m->out = must_calloc(1, feeds ? batch_room(longest_message(c, conn->pool))
                                  : longest_message(c, conn->pool));
    if (plan_pool_of(c, conn)->rooms > 0)
        m->following = must_calloc(room_members(c, conn), sizeof(struct following));
    if (feeds)
        prepare_batch(c, conn);
}

void websocket_detach(struct connection *conn)
{
    if (!conn->messenger)
        return;
    free(conn->messenger->following);
    free(conn->messenger->out);
    if (conn->messenger->batch)
        batch_free(conn->messenger->batch);
    free(conn->messenger->batch);
    free(conn->messenger);
}

/* --- messages out ------------------------------------------------------------------------------ */

void websocket_compose(struct client *c, struct connection *conn)
{
    const struct plan_class *class = class_of(c, conn);
    struct messenger *m = conn->messenger;
    struct delivery delivery = {.class = (uint32_t)conn->arrival.class,
                                .publisher = m->number,
                                .number = m->published + m->unknown + 1,
                                .skipped = m->unknown,
                                .intended_ns = conn->arrival.intended_ns,
                                .lag_ns = conn->lag_ns,
                                .echo_ns = conn->echo_ns};
    char path[MOMENT_TARGET];
    size_t time_at = write_path(path, c, conn, class);

    if (time_at > 0)
        moment_write(path + time_at, conn->arrival.intended_ns);
    m->out_len = socket_message(&m->socket, m->out, path, false,
                                class->publishes ? &delivery : NULL, class->body_bytes);
}

/* Send what is not part of the schedule: the handshake, the subscription, an answer to a ping. All are short, and
 * the socket has room for them unless the server has stopped reading. */
static bool send_aside(struct connection *conn, const char *data, size_t len)
{
    return send(conn->fd, data, len, MSG_NOSIGNAL) == (ssize_t)len;
}

/* It was lost with a message under way: nobody knows whether that was published. */
void websocket_lost(struct client *c, struct connection *conn)
{
    if (conn->messenger && class_of(c, conn)->publishes)
        conn->messenger->unknown++;
}

/* --- the connection is made -------------------------------------------------------------------- */

/* Of what was written on the connection before it perhaps not all was read. */
static void begin_unread(struct connection *conn)
{
    struct messenger *m = conn->messenger;

    m->unread |= m->unconfirmed;
    m->unconfirmed = m->pinged = false;
    m->pongs_due = 0;
    feed_lost(conn);
}

/* What was published while it was away it has not missed. Before the run nothing was. */
static void begin_following(struct client *c, struct connection *conn)
{
    for (uint32_t i = 0; i < room_members(c, conn) && c->phase >= PHASE_RUN; i++)
        deliveries_away(&conn->messenger->following[i]);
}

void websocket_connected(struct client *c, struct connection *conn)
{
    const struct plan_class *class = &c->plan->class[plan_pool_of(c, conn)->class];
    const struct request *handshake = &class->request[conn->target];

    socket_begin(&conn->messenger->socket);
    conn->messenger->begun = true;
    conn->messenger->ready = false;
    begin_following(c, conn);
    begin_unread(conn);
    if (!send_aside(conn, handshake->bytes, handshake->len))
        connect_failed(c, conn, ECONNRESET);
}

static void ready(struct client *c, struct connection *conn)
{
    conn->messenger->ready = true;
    connect_complete(c, conn);
}

static void subscribe(struct client *c, struct connection *conn)
{
    struct messenger *m = conn->messenger;
    char path[64];

    snprintf(path, sizeof path, "/subscribe?topic=room%u", room_of(c, conn));
    size_t len = socket_message(&m->socket, m->out, path, false, NULL, 0);
    if (!send_aside(conn, m->out, len))
        connect_failed(c, conn, ECONNRESET);
}

/* --- messages in ------------------------------------------------------------------------------- */

/* The server has ended it, or must not go on. */
static void broken(struct client *c, struct connection *conn, enum outcome error)
{
    if (conn->state == STATE_CONNECTING)
        connect_failed(c, conn, EPROTO);
    else if (conn->state == STATE_BUSY)
        exchange_failed(c, conn, error);
    else
        connection_drop(c, conn);
}

/* One that is refused may have been published before its next step failed. So its number is not used again, and
 * nobody misses it. */
static void replied(struct client *c, struct connection *conn)
{
    struct messenger *m = conn->messenger;
    const struct socket *s = &m->socket;
    struct delivery_stats *deliveries = &c->stats->class[conn->arrival.class].deliveries;

    if (class_of(c, conn)->publishes && s->status / 100 == 2) {
        m->published += m->unknown + 1;
        m->unknown = 0;
        deliveries->published++;
        __atomic_store_n(&room_published(c, conn)[m->number], m->published, __ATOMIC_RELEASE);
    } else if (class_of(c, conn)->publishes) {
        m->unknown++;
    }
    conn->reply.status = s->status;
    conn->reply.keep_alive = true;
    conn->reply.digest_digits = s->has_digest ? 16 : 0;
    conn->reply.digest = s->digest;
    receive_complete(c, conn);
}

/* A reply that is due: to the subscription, or to the message under way. */
static void reply_came(struct client *c, struct connection *conn)
{
    struct messenger *m = conn->messenger;

    if (!m->ready && m->socket.status == 200)
        ready(c, conn);
    else if (!m->ready)
        connect_failed(c, conn, EPROTO);
    else if (conn->state == STATE_BUSY && !class_of(c, conn)->one_way)
        replied(c, conn);
    else
        broken(c, conn, ERROR_malformed);
}

/* False: it is none of this room's. */
static bool delivered(struct client *c, struct connection *conn)
{
    const struct plan_pool *pool = plan_pool_of(c, conn);
    const struct delivery *d = &conn->messenger->socket.delivery;
    struct delivery_stats *stats;
    int64_t latency_ns = c->came_ns - d->intended_ns - d->lag_ns;

    if (!conn->messenger->following || d->class >= (uint32_t)c->plan->class_count ||
        d->publisher >= (uint32_t)pool->connections ||
        d->publisher % (uint32_t)pool->rooms != room_of(c, conn))
        return false;
    stats = &c->stats->class[d->class].deliveries;
    if (deliveries_note(stats, &conn->messenger->following[d->publisher / (uint32_t)pool->rooms],
                        d->number, d->skipped) &&
        tally_in_window(&c->tally, d->intended_ns)) {
        hist_add(&stats->latency, latency_ns);
        hist_add(&stats->least_latency, latency_ns - d->echo_ns);
    }
    return true;
}

/* A pong that answers a ping from before the last message says nothing of that. */
static void confirmed(struct client *c, struct connection *conn)
{
    struct messenger *m = conn->messenger;

    if (m->pongs_due)
        m->pongs_due--;
    if (!m->pinged || m->pongs_due)
        return;
    m->unconfirmed = false;
    feed_confirmed(c, conn);
}

static void handle(struct client *c, struct connection *conn, enum socket_event event)
{
    char answer[SOCKET_REPLY_MAX];

    switch (event) {
    case SOCKET_MORE: break;
    case SOCKET_OPEN:
        if (conn->messenger->following)
            subscribe(c, conn);
        else
            ready(c, conn);
        break;
    case SOCKET_REPLY: reply_came(c, conn); break;
    case SOCKET_DELIVERY:
        if (!delivered(c, conn))
            broken(c, conn, ERROR_malformed);
        break;
    case SOCKET_PING:
        send_aside(conn, answer, socket_pong(&conn->messenger->socket, answer));
        break;
    case SOCKET_PONG: confirmed(c, conn); break;
    case SOCKET_CLOSE: broken(c, conn, ERROR_closed); break;
    case SOCKET_BAD: broken(c, conn, ERROR_malformed); break;
    }
}

void websocket_received(struct client *c, struct connection *conn, size_t len)
{
    uint32_t generation = conn->generation;
    const char *data = c->buffer;
    size_t used;

    for (; len > 0 && conn->fd >= 0 && conn->generation == generation; data += used, len -= used)
        handle(c, conn, socket_feed(&conn->messenger->socket, data, len, &used));
}

/* --- the end ----------------------------------------------------------------------------------- */

bool websocket_is_deaf(const struct client *c, const struct connection *conn)
{
    return conn->messenger && conn->messenger->ready && plan_pool_of(c, conn)->deaf;
}

/* Is it owed what its room publishes? */
static bool follows(const struct client *c, const struct connection *conn)
{
    return conn->messenger && conn->messenger->following && conn->messenger->ready &&
           conn->fd >= 0 && !websocket_is_deaf(c, conn);
}

static uint64_t still_to_come(const struct client *c)
{
    uint64_t sum = 0;

    for (int i = 0; i < c->count; i++)
        if (follows(c, &c->connections[i]))
            sum += room_missing(c, &c->connections[i]);
    return sum;
}

/* A one-way message is written, and nobody says that it was read; to reset its connection now could throw it
 * away. A pong comes after all that was sent before the ping. */
static bool awaits_pong(const struct client *c, struct connection *conn)
{
    struct messenger *m = conn->messenger;
    char ping[SOCKET_REPLY_MAX];

    if (!m || !m->unconfirmed || conn->fd < 0)
        return false;
    if (!m->pinged && conn->state == STATE_IDLE && c->backlogged == 0) {
        m->pinged = send_aside(conn, ping, socket_ping(ping));
        m->pongs_due += m->pinged;
    }
    return true;
}

static bool awaits_pongs(struct client *c)
{
    bool awaits = false;

    for (int i = 0; i < c->count; i++)
        awaits |= awaits_pong(c, &c->connections[i]);
    return awaits;
}

/* A worker whose own requests are answered may still be owed what others publish. */
static bool awaits_deliveries(struct client *c)
{
    if (!c->published)
        return false;
    for (int i = 0; i < c->plan->workers; i++)
        if (!__atomic_load_n(&c->all_stats[i].drained, __ATOMIC_ACQUIRE))
            return true;
    return still_to_come(c) > 0;
}

bool websocket_is_owed(struct client *c)
{
    if (!c->has_websockets)
        return false;
    __atomic_store_n(&c->stats->drained, c->tally.open == 0, __ATOMIC_RELEASE);
    if (c->now_ns < c->next_look_ns)
        return true;
    c->next_look_ns = c->now_ns + LOOK_NS;
    return awaits_pongs(c) || awaits_deliveries(c);
}

int64_t websocket_look_ns(const struct client *c)
{
    return c->has_websockets ? c->next_look_ns : INT64_MAX;
}

void websocket_sum_up(struct client *c)
{
    for (int i = 0; i < c->count; i++) {
        const struct connection *conn = &c->connections[i];

        c->stats->unconfirmed +=
            conn->messenger && (conn->messenger->unconfirmed || conn->messenger->unread);
        if (conn->messenger && conn->messenger->following && !websocket_is_deaf(c, conn))
            room_end(c, conn, follows(c, conn));
    }
}
