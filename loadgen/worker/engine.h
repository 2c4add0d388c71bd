/* engine: the inside of a worker, shared by the files that make it up. client.c has the window and the
 * loop, admit.c the schedule, connect.c makes and ends connections, exchange.c sends requests and takes
 * replies, feed.c sends messages that want none.
 *
 * All run in one thread, from one clock reading to the next: `now_ns` is fresh after tick(). */
#ifndef ARCHBENCH_ENGINE_H
#define ARCHBENCH_ENGINE_H

#include "common/base/util.h"
#include "loadgen/books/delays.h"
#include "loadgen/books/deliveries.h"
#include "loadgen/books/stats.h"
#include "loadgen/books/tally.h"
#include "loadgen/plan/plan.h"
#include "loadgen/worker/backlog.h"
#include "loadgen/worker/batch.h"
#include "loadgen/worker/connection.h"
#include "loadgen/worker/retries.h"
#include "loadgen/worker/socket.h"

#include <sys/resource.h>

enum {
    CONNECTING_MAX = 128, /* at one time: a listen queue is short, and a lost SYN costs a second */
    RECEIVE_BUFFER = 64 * 1024,
    RECEIVE_ROUNDS = 16, /* full buffers from one connection before the others have their turn */
};

/* After a connection came to nothing. */
#define RECONNECT_PAUSE_NS (100 * NSEC_PER_MSEC)

enum client_phase {
    PHASE_CONNECT, /* making connections, nothing is sent */
    PHASE_READY,   /* the schedule is known and has not begun */
    PHASE_RUN,     /* warm-up and window */
    PHASE_DRAIN,   /* no new arrivals; what the window began may end */
    PHASE_OVER,
};

/* What a connection that is a WebSocket has beside. */
struct messenger {
    struct socket socket;
    bool begun;         /* the handshake is sent */
    bool ready;         /* ... and answered, and so is the subscription */
    bool unconfirmed;   /* one-way messages were sent, and no pong has come since */
    bool pinged;        /* one was asked for since */
    uint32_t pongs_due; /* pings that were sent and are not answered */
    bool unread;        /* the connection was lost while that was so */
    uint32_t number;    /* of the connection in its pool, over all workers */
    uint32_t published; /* number of its last message that is known to have been published */
    uint32_t unknown;   /* so many after it may have been: refused, or their connection was lost */
    struct following *following; /* owned, of each member of its room; NULL: it has none */
    char *out;                   /* owned: the message under way ... */
    size_t out_len;
    struct batch *batch; /* owned: one-way messages under way; NULL: the pool has none */
};

/* Connections that carry the same classes, as far as they are this worker's. */
struct connections {
    struct connection_list idle;
    struct backlog backlog;
    struct mix mix; /* closed loop: of which class the next request is */
    int retrying;   /* requests that will be tried again after a pause */
    bool unused;    /* its connections carry nothing */
    bool slow;      /* some class of it reads slowly */
    bool feeds;     /* some class of it is one-way */
    bool gathers;   /* what is gathered has time to wait for more: nobody minds some us */
    /* One-way messages that go out together, perhaps before they are due, and when they do. */
    struct backlog gathered;
    int64_t flush_ns;
};

struct client {
    const struct plan *plan;
    const struct schedule *schedule;
    struct worker_stats *stats;
    enum client_phase phase;
    int epoll;
    int64_t now_ns;    /* the last reading of the clock */
    int64_t came_ns;   /* when the bytes that were read last came; now_ns where that is not known */
    struct echo echo;  /* of late sends, at the server */
    bool begun, ended; /* the window, for this worker */
    int64_t begun_ns, begun_cpu_ns, begun_held_ns;
    struct rusage begun_usage;
    struct tally tally;
    struct connection_list list[STATES]; /* STATE_IDLE has a list in each pool instead */
    struct connections *pools;           /* owned; as many as the plan has */
    struct connection *connections;      /* owned */
    int count;
    struct timers timers;                     /* of connections that think or are slow */
    struct reply_kind kind[WORKLOAD_CLASSES]; /* of the replies to each class */
    struct retries retries;
    struct random random; /* for all that is not an arrival */
    struct arrivals arrivals;
    struct arrival next; /* the arrival that comes next */
    uint32_t *published; /* of the connections of all pools, shared; NULL: none subscribes */
    const struct worker_stats *all_stats; /* of all workers */
    bool has_websockets;
    bool has_feeds;              /* some pool sends one-way messages */
    bool feed_more;              /* ... and has not sent all that could go out at once */
    int64_t next_look_ns;        /* at what is still to be delivered */
    size_t backlogged;           /* arrivals in all backlogs */
    int64_t backlog_since_ns;    /* since when some wait */
    int64_t connected_ns;        /* when a connection was made last */
    int64_t ramp_gap_ns;         /* between two connects at the start; 0: none */
    int64_t next_connect_ns;     /* by the ramp */
    char buffer[RECEIVE_BUFFER]; /* replies are parsed where they land: one for all connections */
};

static inline void tick(struct client *c)
{
    c->now_ns = now_ns();
}

static inline bool is_closed_loop(const struct client *c)
{
    return c->plan->arrivals == ARRIVALS_CLOSED;
}

static inline const struct plan_class *class_of(const struct client *c,
                                                const struct connection *conn)
{
    return &c->plan->class[conn->arrival.class];
}

static inline const struct request *request_of(const struct client *c,
                                               const struct connection *conn)
{
    return &class_of(c, conn)->request[conn->target];
}

/* All bytes of the request under way. */
static inline struct span out_of(const struct client *c, const struct connection *conn)
{
    const struct messenger *m = conn->messenger;

    return m ? (struct span){m->out, m->out_len}
             : (struct span){request_of(c, conn)->bytes, request_of(c, conn)->len};
}

static inline bool is_sent(const struct client *c, const struct connection *conn)
{
    return conn->sent == out_of(c, conn).len;
}

static inline struct connections *pool_of(struct client *c, const struct connection *conn)
{
    return &c->pools[conn->pool];
}

static inline void set_state(struct client *c, struct connection *conn, enum connection_state state)
{
    struct connection_list *idle = &pool_of(c, conn)->idle;

    list_remove(conn->state == STATE_IDLE ? idle : &c->list[conn->state], conn);
    conn->state = (uint8_t)state;
    conn->since_ns = c->now_ns;
    list_append(state == STATE_IDLE ? idle : &c->list[state], conn);
}

/* admit.c */

/* Prepare the schedule of the worker; it begins with the run. */
void admit_set_up(struct client *, int worker);
/* Open loop: let in the arrivals that are due. Those that become due meanwhile wait for the next
 * round, so that replies are read in between however high the rate is. */
void admit_arrivals(struct client *);
/* Let in the retries that are due. */
void admit_retries(struct client *);
/* When the next request of the schedule is to be sent, if that is to be met as closely as can be. */
int64_t admit_next_ns(const struct client *);

/* connect.c */

/* Make the connections that are missing, as fast as the ramp and the listen queue allow. */
void connect_missing(struct client *);
/* A connection that was being made has an event. */
void connect_event(struct client *, struct connection *, uint32_t events);
/* It came to nothing, with an errno; it is made again after a pause. */
void connect_failed(struct client *, struct connection *, int error);
/* It can carry requests from now on. */
void connect_complete(struct client *, struct connection *);
/* Give those up that take too long. */
void connect_expire(struct client *);
/* Be told of its events; again of those that are there already, if it was watched before. */
void connection_watch(struct client *, struct connection *);
/* The socket is useless. The connection is made anew: at once if it had been of use, else after a
 * pause, so that a server which hangs up costs a few attempts a second and not a core. */
void connection_drop(struct client *, struct connection *);
/* It has carried as many requests as it may: the next socket takes over. */
void connection_renew(struct client *, struct connection *);
/* All is measured, and nothing is due on it. Closed as usual it would take a port and the kernel's
 * memory for a minute (TIME_WAIT) from whoever measures next; it is reset, and gone. */
void connection_end(struct connection *);

/* feed.c */

/* The next arrival of the schedule is a message for a batch, and belongs to the one that gathers or is due by due_ns:
 * it is taken (true). It counts when it is due. */
bool feed_gathers(struct client *, const struct arrival *, int64_t due_ns);
/* When the next batch is due, of those that gather for a while or of those that do not; INT64_MAX: there is none. */
int64_t feed_next_ns(const struct client *, bool gathers);
/* Send what is due and can be sent, for a while: `feed_more` says whether some is left. now_ns must be fresh. */
void feed_round(struct client *);
/* Send a batch of those that wait for a connection, of which there is at least one, on this idle one. */
void feed_send(struct client *, struct connection *);
/* More of the batch under way is written. */
void feed_sent(struct client *, struct connection *);
/* If a batch is under way, it failed with its connection (true). */
bool feed_failed(struct client *, struct connection *, enum outcome error);
/* The window is over: what is gathered and was due in it waits for its connection, the rest is forgotten. */
void feed_end(struct client *);
/* If a batch is under way, what is left of it at the end has no outcome (true). */
bool feed_abandon(struct client *, struct connection *);
/* The server has read all that was sent. */
void feed_confirmed(struct client *, struct connection *);
/* The connection is a new one: what the server has read of the one before is not known. */
void feed_lost(struct connection *);

/* exchange.c */

/* A request is due: send it at once, or let it wait for a connection. now_ns must be fresh. */
void exchange_admit(struct client *, struct arrival);
/* A request waits for a connection. */
void exchange_queue(struct client *, struct connections *, struct arrival);
/* The one that waits longest. False: none does. */
bool exchange_unqueue(struct client *, struct connections *, struct arrival *);
/* Give an idle connection what waits for one. False: nothing does. */
bool exchange_dequeue(struct client *, struct connection *);
/* Write what is left of the request or batch under way, as far as it goes. What does not fit waits for the next
 * EPOLLOUT edge. Returns false when that ended the connection. */
bool exchange_send(struct client *, struct connection *);
/* A connection is free: give it the next request, or let it idle. */
void exchange_next(struct client *, struct connection *);
/* An attempt failed: it is tried again (true), or that was the request's outcome. `answered`: with a complete
 * reply. */
bool exchange_attempt_failed(struct client *, const struct arrival *, enum outcome error,
                             bool answered);
/* The attempt ended without a complete reply, and with it the connection. */
void exchange_failed(struct client *, struct connection *, enum outcome error);
/* It was to carry a request and could not be made. */
void exchange_lost_connection(struct client *, struct connection *);
/* An open connection can be read or written. */
void exchange_event(struct client *, struct connection *, uint32_t events);
/* A user has thought for long enough; a slow client moves on. */
void exchange_timers(struct client *);
/* Give up replies that take too long. */
void exchange_expire(struct client *);
/* What has no outcome at the end never gets one. */
void exchange_abandon(struct client *);

/* receive.c */

/* One recv of up to `max` bytes and what follows from it. Returns what recv did. */
ssize_t receive_some(struct client *, struct connection *, size_t max);
/* Read until the socket is empty, or to the very end if the peer has closed. */
void receive_all(struct client *, struct connection *);
/* The reply to the request under way is in conn->reply as a whole. */
void receive_complete(struct client *, struct connection *);

/* rooms.c; of connections that are WebSockets. */

const struct plan_pool *plan_pool_of(const struct client *, const struct connection *);
/* The number of its room, if it has one. */
uint32_t room_of(const struct client *, const struct connection *);
/* How many connections are in its room, over all workers; 0: it has none. */
uint32_t room_members(const struct client *, const struct connection *);
/* Where the worker finds the numbers of the last messages of all connections of its pool. */
uint32_t *room_published(const struct client *, const struct connection *);
/* `target` with the room's number in each place that asks for it. What has no room in `out` is cut. */
void room_write(char *out, size_t size, const char *target, uint32_t room);
/* How much its room has published and it has not got. */
uint64_t room_missing(const struct client *, const struct connection *);
/* The run is over. What it has not got is lost; if it is not there just now, it has missed that. */
void room_end(struct client *, const struct connection *, bool there);

/* websocket.c; most do nothing for other connections. */

/* `number`: of the connection in its pool, over all workers. */
void websocket_attach(struct client *, struct connection *, int number);
void websocket_detach(struct connection *);
/* TCP's handshake is over, its own begins. */
void websocket_connected(struct client *, struct connection *);
/* So many bytes have come, into the client's buffer. */
void websocket_received(struct client *, struct connection *, size_t len);
/* Write the message for conn->arrival. */
void websocket_compose(struct client *, struct connection *);
/* The connection is about to be dropped while a message is under way. */
void websocket_lost(struct client *, struct connection *);
/* In the drain: is something still to be delivered, or a one-way message perhaps not read by the server? */
bool websocket_is_owed(struct client *);

/* It has subscribed, and is to read nothing from then on. */
bool websocket_is_deaf(const struct client *, const struct connection *);

/* When to ask that again; INT64_MAX: never. */
int64_t websocket_look_ns(const struct client *);
/* What has not been delivered at the end is lost. */
void websocket_sum_up(struct client *);

#endif
