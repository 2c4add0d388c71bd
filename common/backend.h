/* backend: calls to a server behind this one that speaks RESP, the protocol of Redis, over a bounded
 * pool of connections.
 *
 * A call is a state machine on a non-blocking descriptor: backend_advance() does what can be done
 * now, and who performs the call waits for what is missing, as it likes: asleep or in a loop. First
 * of all a call needs a connection. If none is free it takes its turn, first come, first served;
 * whoever gives a connection back grants it to the first in turn and wakes nobody else. */
#ifndef ARCHBENCH_BACKEND_H
#define ARCHBENCH_BACKEND_H

#include "common/counters.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

enum backend_state {
    BACKEND_IN_TURN, /* has no connection yet, or has not taken the one it was granted */
    BACKEND_CONNECTING,
    BACKEND_SENDING,
    BACKEND_RECEIVING,
    BACKEND_OVER,
};

/* Where a call that is in turn stands. */
enum backend_turn {
    TURN_WAITS,  /* in pool->waiting */
    TURN_LISTED, /* granted, and in pool->granted for the loop to find */
    TURN_COME,   /* granted, in no list */
};

/* One call. Whoever embeds it owns it, and lets it come to its end or abandons it. One thread at a
 * time; only the turn and what belongs to it is touched by others, under the pool's lock. */
struct backend_call {
    struct backend_pool *pool;
    struct counter_slot *counters;
    struct backend_connection *connection; /* NULL once granted: the right to make one */
    int64_t duration_ns;                   /* of what the backend is asked to do */
    int64_t since_ns;                      /* when it began */
    int64_t deadline_ns;
    enum backend_state state;
    int result; /* of a call that is over */
    enum backend_turn turn;
    bool watched;            /* a loop is to be told of the grant ... */
    pthread_cond_t *sleeper; /* ... or a thread; else the call will come and see */
    TAILQ_ENTRY(backend_call) link;
};

TAILQ_HEAD(backend_calls, backend_call);

/* All calls of a process share one. Nothing is connected before the first call, so a process that
 * forks before it calls leaves its children nothing that they would share. */
struct backend_pool {
    struct sockaddr_in address;
    int limit;            /* connections at most */
    int64_t timeout_ns;   /* of a whole call, its turn included */
    pthread_mutex_t lock; /* guards all below */
    int open;             /* connections, and rights to make one */
    SLIST_HEAD(backend_connections, backend_connection) idle; /* the last one used is first */
    struct backend_calls waiting; /* not empty: nothing is idle, and `open` is at the limit */
    struct backend_calls granted; /* to calls that a loop watches, and not told to it yet */
    int grants_fd;                /* an eventfd; -1: no loop has asked for it */
    struct backend_connections discarded; /* for the loop to close */
};

/* `where` is HOST:PORT. Nothing is connected yet. Dies when it is no address. */
void backend_init(struct backend_pool *, const char *where, int limit, int64_t timeout_ns);
/* Close what is idle. No call may be under way. */
void backend_free(struct backend_pool *);

/* Begin a call that keeps a connection, and the backend, busy for duration_ns. Touches no
 * descriptor: backend_advance() comes next. */
void backend_begin(struct backend_call *, struct backend_pool *, struct counter_slot *,
                   int64_t duration_ns);

/* Do what can be done without waiting. Returns
 *   -EAGAIN: wait until backend_fd() is ready, or if it is -1 until the turn has come, but not
 *   beyond call->deadline_ns; then call again;
 *   0: the backend has answered. The connection is back in the pool;
 *   another -errno: the call has failed, see backend_reason(). A connection of which the state is
 *   not known has been closed, as another call would meet what is left of this one.
 * The end is counted when it is reached; calling again returns the same. */
int backend_advance(struct backend_call *);

/* What the call waits for after -EAGAIN: the descriptor, which stays open until the next
 * backend_advance() or backend_abandon(), or -1; and POLLIN or POLLOUT. */
int backend_fd(const struct backend_call *);
short backend_events(const struct backend_call *);

/* The same as calling backend_advance() to the end, asleep in between. */
int backend_perform(struct backend_call *);

/* Give the call up, wherever it stands. What it was granted goes to the next in turn. */
void backend_abandon(struct backend_call *);

/* For a loop. Have it told when the turn of a call has come: false, and nothing will be told, when
 * it has come already. From here until it is told, or until the deadline, leave the call alone. */
bool backend_watch_turn(struct backend_call *);
/* The loop no longer waits for it, as the deadline has passed: nothing will be told. Needed before
 * another thread may go on with the call. */
void backend_unwatch_turn(struct backend_call *);
/* Readable when there are grants to be told, or connections to close; made at first use, so call it
 * in the process that will read it. One loop per process reads it empty and then takes the calls,
 * until NULL. From here on no other thread closes a connection: the loop may still have it in its
 * multiplexer. */
int backend_grants_fd(struct backend_pool *);
struct backend_call *backend_next_granted(struct backend_pool *);

/* The failure of a call in a constant sentence. */
const char *backend_reason(int error);

#endif
