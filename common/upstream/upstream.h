/* upstream: calls to servers behind this one, over bounded pools of connections: one to a service that speaks
 * RESP, the protocol of Redis, and one to a database. What is spoken on a connection is in pooled.h; all
 * else is here, and the same for both.
 *
 * A call is a state machine on a non-blocking descriptor: upstream_advance() does what can be done
 * now, and who performs the call waits for what is missing, as it likes: asleep or in a loop. First
 * of all a call needs a connection. If none is free it takes its turn, first come, first served;
 * whoever gives a connection back grants it to the first in turn and wakes no other. To wake all
 * and let them race would cost a thundering herd for each reply, and a newcomer could overtake those
 * that have waited. The right to connect is handed over in the same way when a connection has died.
 *
 * A loop hears of a grant through a list and an eventfd. A callback would run one connection's code
 * inside another's, and on the wrong thread. A call is on the list only when its loop has said that
 * it watches for its turn; before that its job may still be in another thread's hands, which sees the
 * grant itself.
 *
 * A pooled connection that the upstream closed meanwhile is readable: one look before the command
 * suffices, and the call connects anew. A command that was sent and not answered is never sent again,
 * because it may have been carried out. After a timeout the connection is closed: the late
 * reply would be taken for that of the next call.
 *
 * In a process with a loop a connection is shut down at once but closed by the loop: libev takes a
 * descriptor out of its epoll set only when it next reports something, and by then its number may be
 * a new socket's.
 *
 * The commands are those of Redis itself (upstream_command.h). So the same code calls the bundled
 * upstream or a real Redis. The statements of a database are in statements.h. */
#ifndef ARCHBENCH_UPSTREAM_H
#define ARCHBENCH_UPSTREAM_H

#include "common/base/counters.h"
#include "common/upstream/pooled.h"
#include "common/upstream/statements.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

enum upstream_state {
    UPSTREAM_IN_TURN, /* has no connection yet, or has not taken the one it was granted */
    UPSTREAM_CONNECTING,
    UPSTREAM_SENDING,
    UPSTREAM_RECEIVING,
    UPSTREAM_OVER,
};

/* Where a call that is in turn stands. */
enum upstream_turn {
    TURN_WAITS,  /* in pool->waiting */
    TURN_LISTED, /* granted, and in turns->granted for the loop to find */
    TURN_COME,   /* granted, in no list */
};

/* One call. Whoever embeds it owns it, and lets it come to its end or abandons it. One thread at a
 * time; only the turn and what belongs to it is touched by others, under the lock of turns. */
struct upstream_call {
    struct upstream_pool *pool;
    struct counter_slot *counters;
    struct pooled_connection *connection; /* NULL once granted: the right to make one */
    struct upstream_command command;
    int64_t since_ns; /* when it began; from its turn on, since when it has had its connection */
    int64_t deadline_ns;
    enum upstream_state state;
    int result; /* of a call that is over */
    enum upstream_turn turn;
    bool watched;            /* a loop is to be told of the grant ... */
    pthread_cond_t *sleeper; /* ... or a thread; else the call will come and see */
    TAILQ_ENTRY(upstream_call) link;
};

TAILQ_HEAD(upstream_calls, upstream_call);

/* What the pools of a process share: the lock, and what a loop is to hear of. */
struct upstream_turns {
    pthread_mutex_t lock;                /* guards all below, and the same in each pool */
    struct upstream_calls granted;       /* to calls that a loop watches, and not told to it yet */
    int grants_fd;                       /* an eventfd; -1: no loop has asked for it */
    struct pooled_connections discarded; /* for the loop to close */
};

/* Where a pool counts what happens to its calls. */
struct upstream_counts {
    enum counter calls, waits, wait_us, busy_us, connects, failed, late;
};

/* All calls of a process to one place share one. Nothing is connected before the first call, so a process
 * that forks before it calls leaves its children nothing that they would share. */
struct upstream_pool {
    struct upstream_turns *turns;
    const struct upstream_protocol *protocol;
    const struct upstream_counts *counts;
    struct upstream_target target;
    int limit;          /* connections at most */
    int64_t timeout_ns; /* of a whole call, its turn included */
    /* Of a pool for statements; NULL: it has none. Whoever made the pool owns them. */
    const struct statements *statements;
    /* A PUBLISH that nobody has heard has failed (-ENOLINK): whoever made the pool follows the channels as well, so
     * there is always somebody, unless the connection that follows is lost just then. */
    bool expects_followers;
    int open;                       /* connections, and rights to make one */
    struct pooled_connections idle; /* the last one used is first */
    struct upstream_calls waiting;  /* not empty: nothing is idle, and `open` is at the limit */
};

/* They outlive the pools that use them. */
void upstream_turns_init(struct upstream_turns *);
/* Close what was discarded. */
void upstream_turns_free(struct upstream_turns *);

/* A pool of connections to the service at `where`, HOST:PORT, or [ADDRESS]:PORT with IPv6. Nothing is
 * connected yet. Dies when it is no address. */
void upstream_init(struct upstream_pool *, struct upstream_turns *, const char *where, int limit,
                   int64_t timeout_ns);
/* A pool of connections to a database, which outlives it. */
void upstream_init_database(struct upstream_pool *, struct upstream_turns *,
                            const struct sql_database *, int limit, int64_t timeout_ns);
/* A pool that counts as that of a database, and waits at the service that `upstream` calls: what a call
 * of a statement costs is then a wait of its stand-in time. */
void upstream_init_stand_in(struct upstream_pool *, const struct upstream_pool *upstream, int limit,
                            int64_t timeout_ns);
/* Close what is idle. No call may be under way. */
void upstream_free(struct upstream_pool *);

/* Begin a call with this command; what it points to must stay until the call is over. Touches no descriptor:
 * upstream_advance() comes next. */
void upstream_begin(struct upstream_call *, struct upstream_pool *, struct counter_slot *,
                    struct upstream_command);

/* Do what can be done without waiting. Returns
 *   -EAGAIN: wait until upstream_fd() is ready, or if it is -1 until the turn has come, but not
 *   beyond call->deadline_ns; then call again;
 *   0: the upstream has answered. The connection is back in the pool;
 *   another -errno: the call has failed, see upstream_reason(). A connection of which the state is
 *   not known has been closed, as another call would meet what is left of this one.
 * The end is counted when it is reached; calling again returns the same. */
int upstream_advance(struct upstream_call *);

/* What the call waits for after -EAGAIN: the descriptor, which stays open until the next
 * upstream_advance() or upstream_abandon(), or -1; and POLLIN, POLLOUT or both, of which one is enough. */
int upstream_fd(const struct upstream_call *);
short upstream_events(const struct upstream_call *);

/* The same as calling upstream_advance() to the end, asleep in between. */
int upstream_perform(struct upstream_call *);

/* Give the call up, wherever it stands. What it was granted goes to the next in turn. */
void upstream_abandon(struct upstream_call *);

/* For a loop. Have it told when the turn of a call has come: false, and nothing will be told, when
 * it has come already. From here until it is told, or until the deadline, leave the call alone. */
bool upstream_watch_turn(struct upstream_call *);
/* The loop no longer waits for it, as the deadline has passed: nothing will be told. Needed before
 * another thread may go on with the call. */
void upstream_unwatch_turn(struct upstream_call *);
/* Readable when there are grants to be told, or connections to close; made at first use, so call it
 * in the process that will read it. One loop per process reads it empty and then takes the calls,
 * until NULL. From here on no other thread closes a connection: the loop may still have it in its
 * multiplexer. */
int upstream_grants_fd(struct upstream_turns *);
struct upstream_call *upstream_next_granted(struct upstream_turns *);

/* The failure of a call of this pool in a constant sentence. */
const char *upstream_reason(const struct upstream_pool *, int error);

#endif
