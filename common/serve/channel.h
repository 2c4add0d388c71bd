/* channel: what a connection has beside its conn once it is a WebSocket (docs/formats.md, "Messages").
 *
 * Its messages are requests like others: WANT_JOB, then WANT_WRITE. Beside that it may be pushed to at
 * any time, from wherever something is published; then there is something to send although conn wants
 * to read, or waits for a job. So the two directions are apart: what is pushed waits in the outbox,
 * which any thread fills, until the connection's owner hears of it and calls conn_push(). How it
 * hears is the architecture's own matter. */
#ifndef ARCHBENCH_CHANNEL_H
#define ARCHBENCH_CHANNEL_H

#include "common/news/topics.h"
#include "common/serve/conn.h"

/* The connection's; freed by conn_end(). */
struct channel {
    struct conn *conn;
    struct subscriber subscriber;
    bool pushing; /* the outbox's first frame is going out: nothing else may until it is out */
    bool broken;  /* while a job was under way: the connection ends with it */
};

/* The next connection that has something to send, or to be ended as it did not read; NULL: there is none.
 * The caller makes sure that its owner calls conn_push(). */
static inline struct conn *conn_next_with_news(struct service *service)
{
    struct subscriber *subscriber =
        service->topics && topics_have_news(service->topics) ? topics_next(service->topics) : NULL;
    return subscriber ? container_of(subscriber, struct channel, subscriber)->conn : NULL;
}
/* Is there something to send although conn->want is not WANT_WRITE? Then conn_out() is that. */
bool channel_pushes(const struct conn *);
static inline bool conn_pushes(const struct conn *conn)
{
    return conn->channel && channel_pushes(conn);
}
/* End the connection if its outbox is overrun. True: conn wants to close, or will when its job is over. */
bool channel_cut(struct conn *);
static inline bool conn_cut(struct conn *conn)
{
    return conn->channel && channel_cut(conn);
}
/* The last word to a WebSocket that idles while the server drains: a frame that says so, to be sent if
 * it can be sent at once, before the descriptor is closed. Its len is 0 when there is none. */
struct span conn_farewell(const struct conn *);

#endif
