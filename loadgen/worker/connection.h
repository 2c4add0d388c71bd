/* connection: what a worker knows of one connection, and the lists that connections stand on.
 *
 * A connection is always in exactly one state, and on one list, oldest first: the list of its
 * state, or, idle, that of its pool. So the oldest of a list is the next to time out, to be tried
 * again or to be used, and every decision is O(1), however many connections there are. Only those
 * with a time of their own, that think or are slow, are in a heap beside. */
#ifndef ARCHBENCH_CONNECTION_H
#define ARCHBENCH_CONNECTION_H

#include "common/base/timers.h"
#include "loadgen/plan/arrivals.h"
#include "loadgen/worker/reply.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum connection_state {
    STATE_WAITING,    /* no socket; to be connected as soon as others are through */
    STATE_PAUSED,     /* no socket; to be connected after a pause */
    STATE_CONNECTING, /* waits for the handshake */
    STATE_IDLE,       /* open, without a request */
    STATE_THINKING,   /* open; its user thinks until the timer ends */
    STATE_BUSY,       /* a request is on its way, or its reply */
    STATES
};

struct connection {
    struct timer timer;               /* first, so that it leads to the rest: thinking, or slow */
    struct connection *older, *newer; /* on its list */
    int64_t since_ns;        /* when its state began: the connect, the send, the end of a reply */
    struct arrival arrival;  /* the request under way */
    int fd;                  /* owned while the state has a socket */
    uint32_t generation;     /* of the socket: tells its events from those of the one before */
    int64_t lag_ns, echo_ns; /* of the request; see delays.h */
    uint32_t sent;           /* bytes of the request that are written */
    uint32_t replies;        /* that this socket has carried */
    uint16_t source;         /* index of its address in the plan; the target's is in `target` */
    uint8_t state, pool, target;
    bool used;               /* some socket of it has carried a reply */
    bool churned;            /* it was closed because it had carried its share */
    bool peer_closed;        /* the peer will send nothing more on this socket */
    int64_t thinks_until_ns; /* its user, even if the socket is lost meanwhile; 0: not thinking */
    struct reply reply;
    struct messenger *messenger; /* owned, of a WebSocket: see engine.h; else NULL */
};

struct connection_list {
    struct connection *oldest, *newest;
    int length;
};

static inline void list_remove(struct connection_list *list, struct connection *conn)
{
    *(conn->older ? &conn->older->newer : &list->oldest) = conn->newer;
    *(conn->newer ? &conn->newer->older : &list->newest) = conn->older;
    list->length--;
}

static inline void list_append(struct connection_list *list, struct connection *conn)
{
    conn->older = list->newest;
    conn->newer = NULL;
    *(list->newest ? &list->newest->newer : &list->oldest) = conn;
    list->newest = conn;
    list->length++;
}

#endif
