/* conn_parts: what the parts of a connection, conn.c, reply.c and channel.c, know of each other. Nothing
 * else includes it. */
#ifndef ARCHBENCH_CONN_PARTS_H
#define ARCHBENCH_CONN_PARTS_H

#include "common/serve/channel.h"

#include <limits.h>

/* --- conn.c: the phases, and what a request asks for ------------------------------------------- */

/* Begin a phase, or the same again: what the peer's patience is measured from. */
static inline void conn_enter(struct conn *conn, enum conn_phase phase)
{
    conn->phase = phase;
    conn->unsent = INT_MAX;
    conn->since_ns = now_coarse_ns();
}
/* The peer has gone, or must. */
enum want conn_give_up(struct conn *);
/* A complete request for this target, path and query: find what it asks for. All that can be
 * performed becomes a job, all else a reply. */
enum want conn_dispatch(struct conn *, struct span target);
/* Give back what was lent: nothing of a request has come. */
void conn_end_exchange(struct conn *);
/* The reply is out, or none was wanted: close, or go on with what may already have come. */
enum want conn_next_request(struct conn *);

/* --- reply.c: what is sent for a request ------------------------------------------------------- */

/* A request that is well-formed but asks for what is not there: the connection stays. `reason` is a
 * constant. */
enum want conn_refuse(struct conn *, int status, const char *reason);
/* An error in the stream ends the connection: what follows cannot be trusted. */
enum want conn_reply_error(struct conn *);
enum want conn_reply_metrics(struct conn *);
/* What is in the exchange's text, so many bytes. */
enum want conn_reply_bytes(struct conn *, size_t len);
/* What was to be sent is out; go on with the rest of the reply. False: all of it is out. */
bool conn_go_on_replying(struct conn *);

/* --- channel.c: a connection that has become a WebSocket --------------------------------------- */

/* A request for /ws: answer its handshake. */
enum want channel_upgrade(struct conn *);
/* Go through the input that came, up to the next message that is to be performed or answered. */
enum want channel_parse(struct conn *);
/* The head of a reply, with so many bytes to follow, into the exchange's text. 0: the message is one-way
 * and gets none. */
size_t channel_reply_head(struct conn *, const struct http_reply *);
/* Is it a push that goes out next, before what conn->want may want to write? Then what, and that so
 * many bytes of it are out (negative: -errno). */
static inline bool channel_is_pushing(const struct conn *conn)
{
    return conn->channel && (conn->channel->pushing || conn->want != WANT_WRITE);
}
struct span channel_out(struct conn *);
enum want channel_sent(struct conn *, ssize_t n);
void channel_end(struct conn *);

#endif
