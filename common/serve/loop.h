/* loop: connections on libev, behind a loop that the server writes itself: wait, switch, call.
 *
 * libev delivers events by calling back; here its callbacks only note what happened, and
 * loop_wait() hands it out one event at a time. So the control flow, which is what an
 * architecture is, stays in the server. */
#ifndef ARCHBENCH_LOOP_H
#define ARCHBENCH_LOOP_H

#include "common/base/timers.h"
#include "common/serve/channel.h"
#include "common/serve/serve.h"
#include "common/serve/server.h"

#include <ev.h>
#include <sys/queue.h>

enum loop_event {
    LOOP_NOTHING,
    LOOP_ACCEPT,  /* a peer waits at the listener, perhaps several: server_accept_ready() */
    LOOP_READY,   /* the peer's descriptor is as loop_watch() asked: conn_pump() */
    LOOP_DUE,     /* what its job waited for is there: job_resume(), conn_pump() */
    LOOP_NEWS,    /* something was pushed to the peer, or it can take more of it: loop_push() */
    LOOP_EXPIRED, /* the peer used up its time, or we drain and it is idle: loop_remove() */
    LOOP_WAKE,    /* another thread called loop_wake(), or that of loop_source() is readable */
    LOOP_TICK,    /* the period of loop_tick() has passed */
    LOOP_STOPPED, /* SIGTERM came, and the last connection is gone */
};

/* One connection. The server allocates it, alone or embedded, and frees it after loop_remove(). */
struct loop_peer {
    struct conn conn;
    struct loop *loop;
    ev_io io;
    struct timer timer;    /* of a delay, or the deadline of ... */
    ev_io call;            /* ... the descriptor that its job waits for */
    enum loop_event event; /* noted and not handed out yet; then it is in loop->noted */
    TAILQ_ENTRY(loop_peer) noted;
    LIST_ENTRY(loop_peer) all;
};

struct loop {
    struct ev_loop *ev;
    struct server *server;
    bool acceptable, woken, ticked;
    bool listening; /* the listener is open */
    int newcomers;  /* in a drain: how many of those that waited at its beginning may wait still */
    ev_io listener, due, source, grants;
    struct feed *feed; /* or NULL */
    ev_io fed;
    ev_timer sweep, tick;
    ev_async wake;
    ev_signal terminate, interrupt;
    struct timers timers;
    TAILQ_HEAD(noted_peers, loop_peer) noted;
    LIST_HEAD(all_peers, loop_peer) all;
};

/* Watch the server's listener, its signals, the turns of its calls to the upstream, its feed and the time.
 * `multiplexer`: EVBACKEND_SELECT, _POLL or _EPOLL; 0 lets libev choose. Dies when it cannot. One loop
 * per thread; all calls but loop_wake() from that thread. */
void loop_init(struct loop *, struct server *, unsigned multiplexer);
void loop_free(struct loop *);

/* Sleep until something happens. *peer is set for READY, DUE, NEWS and EXPIRED. */
enum loop_event loop_wait(struct loop *, struct loop_peer **peer);

/* Begin with an accepted descriptor: starts its conn and watches for reading. */
void loop_add(struct loop *, struct loop_peer *, int fd);
/* The connection is over: count its end, close its descriptor and forget the peer. */
void loop_remove(struct loop_peer *);
/* Report ACCEPT or, for a while, do not: peers wait in the kernel's backlog then. */
void loop_accepting(struct loop *, bool wanted);

/* Report when the descriptor can be read (EV_READ) or written (EV_WRITE); 0: not at all, which an
 * unread request or a vanished peer would otherwise repeat for ever while a job waits. */
void loop_watch(struct loop_peer *, int events);
/* Have what the peer's conn wants waited for. To read or to write: READY is reported. To have its job
 * go on: DUE, when the timer or descriptor that the job waits for (WAIT_TIMER, WAIT_UPSTREAM) has
 * come true, or its deadline; until then the peer itself is not watched. False: it wants to close. */
bool loop_await(struct loop_peer *);

/* Send the peer what was pushed to it, as far as its socket takes it, and have the rest waited for beside
 * what its conn wants: a request that comes, or a job. False: it is over. */
bool loop_push(struct loop_peer *);

/* Have LOOP_TICK reported every so many seconds. */
void loop_tick(struct loop *, double seconds);
/* Have LOOP_WAKE reported while this descriptor, which stays the caller's and is no peer, can be
 * read: a source of events of the server's own, such as an epoll set. One per loop. */
void loop_source(struct loop *, int fd);
/* Make the loop's thread report LOOP_WAKE; from any thread, several calls may become one event. */
void loop_wake(struct loop *);

#endif
