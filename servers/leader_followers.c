/* leader_followers: a pool of threads takes turns at one handle set (epoll): the leader waits for
 * an event, promotes a follower to be the next leader, and processes the event itself.
 *
 * Who blocks:  the followers and the leader, which is their role; and a processing thread, in
 *              computation, disk reads and timers. No thread blocks on a peer.
 * Strength:    all cores used, and no hand-off: the thread that learns of a request performs it, so
 *              it is neither queued nor copied to another core. A connection costs no stack.
 * Weakness:    while all threads process, none leads: requests wait in the kernel, where they can
 *              be neither counted nor shed nor reordered. A wait of a request (io=timer) holds its
 *              thread, so N threads serve at most N / wait of them per second. Handing waits back
 *              to the set would need a second kind of event, and whoever is leader then would go on
 *              with a request that another thread began: the hand-off that the pattern is there to
 *              avoid. Hence they block here, and more threads are the remedy: 200 by default, as
 *              in thread_pool, from which it is then told apart by the hand-off alone.
 * Try it:      build/servers/leader_followers --workers 2 --port 8080 &
 *              curl '127.0.0.1:8080/work?cpu=hash:2s' & curl '127.0.0.1:8080/work?io=timer:2s' &
 *              time curl 127.0.0.1:8080/        # both threads process, none leads
 *
 * Name:    leader_followers
 * Ids:     A10 A12
 * Family:  threads
 * Look:    #663300 <
 * Read:    process, connections=welcome, requests=take_turns
 * Blocks:  compute timer upstream disk
 * Tasks:   0
 * Push:    no
 * Book:    a lock for each; or one lock, or a thread that owns them
 * Compute: --workers=200
 */
#include "common/serve/serve.h"
#include "common/serve/server.h"
#include "common/work/counting.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* One connection. The handle set owns it while it is armed; once an event of it came out (one shot,
 * which disarms it), the thread that leads owns it, and as processing thread arms or frees it. */
struct shared_peer {
    struct conn conn;
    int fd;
    LIST_ENTRY(shared_peer) armed;
};

/* The handle set and the threads around it. The lock guards the members after it. */
struct followers {
    struct server server;
    int epoll;             /* the handle set: the listener, `signals` and the peers, all one-shot */
    int signals;           /* a signalfd */
    int64_t last_sweep_ns; /* the leader's */
    atomic_int open;       /* handles: the connections, and the listener until the drain */
    pthread_mutex_t lock;
    pthread_cond_t vacant;
    bool led;       /* there is a leader */
    bool listening; /* the listener is armed */
    LIST_HEAD(armed_peers, shared_peer) armed;
};

/* --- the handle set ---------------------------------------------------------------------------- */

/* False: we drain, and the listener is to be closed. */
static bool arm_listener(struct followers *followers, int operation)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT,
                                .data.ptr = &followers->server.listener};
    pthread_mutex_lock(&followers->lock); /* as in arm() */
    followers->listening = !followers->server.service.draining;
    if (followers->listening &&
        epoll_ctl(followers->epoll, operation, followers->server.listener, &event))
        die_errno("cannot watch the listener");
    bool armed = followers->listening;
    pthread_mutex_unlock(&followers->lock);
    return armed;
}

/* Under the lock: the signal has come. Take the listener out of the set, to serve those that wait
 * there; false: another thread has it, and will meet the drain when it is done. */
static bool take_listener(struct followers *followers)
{
    bool mine = followers->listening;
    server_stop(&followers->server);
    followers->listening = false;
    if (mine)
        epoll_ctl(followers->epoll, EPOLL_CTL_DEL, followers->server.listener, NULL);
    return mine;
}

static void drop(struct followers *followers, struct shared_peer *peer)
{
    serve_end(&peer->conn, peer->fd);
    close(peer->fd);
    free(peer);
    followers->open--;
}

/* Report one event of the peer to whoever leads then: from here on it is no longer the caller's.
 * The lock keeps a leader that has the event already from acting on it before we are done. */
static void arm(struct followers *followers, struct shared_peer *peer, int operation,
                uint32_t events)
{
    struct epoll_event event = {.events = events | EPOLLONESHOT, .data.ptr = peer};
    pthread_mutex_lock(&followers->lock);
    bool armed = epoll_ctl(followers->epoll, operation, peer->fd, &event) == 0;
    if (armed)
        LIST_INSERT_HEAD(&followers->armed, peer, armed);
    pthread_mutex_unlock(&followers->lock);
    if (!armed) { /* the kernel has no room for it */
        count_add(followers->server.counters, COUNTER_refused, 1);
        drop(followers, peer);
    }
}

/* --- role: leader ------------------------------------------------------------------------------ */

/* End the peers that have used up their time and, in a drain, those that idle. Called when the set has
 * nothing ready: before that an armed peer may look silent although its request came long ago, while
 * there was no leader. */
static void sweep(struct followers *followers)
{
    int64_t at_ns = now_coarse_ns();
    struct shared_peer *peer, *next;
    pthread_mutex_lock(&followers->lock);
    for (peer = LIST_FIRST(&followers->armed); peer; peer = next) {
        next = LIST_NEXT(peer, armed);
        bool leaves = followers->server.service.draining && conn_is_idle(&peer->conn);
        if (!leaves && !serve_expire(&peer->conn, peer->fd, at_ns))
            continue;
        LIST_REMOVE(peer, armed);
        drop(followers, peer);
    }
    pthread_mutex_unlock(&followers->lock);
}

/* Wait for one event. *handle points to a peer, the caller's now, to the listener or to `signals`.
 * False: we drain, and the last handle is closed. */
static bool lead(struct followers *followers, void **handle)
{
    struct epoll_event event;
    while (followers->open) {
        int64_t left_ns = followers->last_sweep_ns +
                          conn_sweep_period_ns(&followers->server.service) - now_coarse_ns();
        bool due = left_ns <= 0;
        int n =
            epoll_wait(followers->epoll, &event, 1, due ? 0 : (int)(left_ns / NSEC_PER_MSEC + 1));
        if (n == 1) {
            *handle = event.data.ptr;
            return true;
        }
        if (n == 0 && due) {
            sweep(followers);
            followers->last_sweep_ns = now_coarse_ns();
        }
    }
    return false;
}

/* Give the leader's role away before processing the handle (NULL: there is none): one follower
 * wakes, if there is any. A peer leaves the list first, as the next leader may sweep. Returns what
 * is to be processed: a peer, the listener, or NULL.
 *
 * Signalled under the lock on purpose. A follower that wakes at once finds it taken and sleeps again,
 * which at a low load is half a switch too many for each request. At full load this thread is back
 * before that one, and leads again without any: with 200 threads, a tenth more requests per second. */
static void *promote_follower(struct followers *followers, void *handle)
{
    int *listener = &followers->server.listener;
    pthread_mutex_lock(&followers->lock);
    if (handle == &followers->signals)
        handle = take_listener(followers) ? listener : NULL;
    else if (handle == listener)
        followers->listening = false;
    else if (handle)
        LIST_REMOVE((struct shared_peer *)handle, armed);
    followers->led = false;
    pthread_cond_signal(&followers->vacant);
    pthread_mutex_unlock(&followers->lock);
    return handle;
}

/* --- role: processing -------------------------------------------------------------------------- */

static void accept_all(struct followers *followers)
{
    int fd;
    while ((fd = server_accept_ready(&followers->server)) >= 0) {
        struct shared_peer *peer = must_calloc(1, sizeof *peer);
        peer->fd = fd;
        conn_init(&peer->conn, &followers->server.service, followers->server.counters);
        followers->open++;
        arm(followers, peer, EPOLL_CTL_ADD, EPOLLIN);
    }
}

/* The listener's event. In a drain it is the last one. */
static void welcome(struct followers *followers)
{
    accept_all(followers);
    if (arm_listener(followers, EPOLL_CTL_MOD))
        return;
    accept_all(followers);
    close(followers->server.listener);
    followers->open--;
}

/* Go on with a connection until it would block on its peer. No wait of its requests is handed back:
 * all of them happen in conn_pump, on this thread. */
static void process(struct followers *followers, struct shared_peer *peer,
                    struct counter_slot *counters)
{
    peer->conn.counters = counters; /* this thread's, as the connection is */
    switch (conn_pump(&peer->conn, peer->fd, WAIT_NONE)) {
    case WANT_READ: arm(followers, peer, EPOLL_CTL_MOD, EPOLLIN); break;
    case WANT_WRITE: arm(followers, peer, EPOLL_CTL_MOD, EPOLLOUT); break;
    case WANT_CLOSE: drop(followers, peer); break;
    case WANT_JOB: break; /* only with waits handed back */
    }
}

/* --- role: follower ---------------------------------------------------------------------------- */

/* Wait among the followers until promoted. */
static void join_followers(struct followers *followers)
{
    pthread_mutex_lock(&followers->lock);
    while (followers->led)
        pthread_cond_wait(&followers->vacant, &followers->lock);
    followers->led = true;
    pthread_mutex_unlock(&followers->lock);
}

static void *take_turns(void *argument)
{
    struct followers *followers = argument;
    struct counter_slot *counters = counting_slot(followers->server.service.counting);
    void *handle;

    join_followers(followers);
    while (lead(followers, &handle)) {
        handle = promote_follower(followers, handle);
        if (handle == &followers->server.listener)
            welcome(followers);
        else if (handle)
            process(followers, handle, counters);
        join_followers(followers);
    }
    promote_follower(followers, NULL); /* who will find the same, and pass it on */
    return NULL;
}

/* --- all together ------------------------------------------------------------------------------ */

/* Signals are held from here on, in all threads started after it, and are read from the set. */
static void make_handle_set(struct followers *followers)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.ptr = &followers->signals};
    sigset_t held;
    server_hold_signals(&held);
    followers->signals = signalfd(-1, &held, SFD_CLOEXEC);
    followers->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (followers->signals < 0 || followers->epoll < 0 ||
        epoll_ctl(followers->epoll, EPOLL_CTL_ADD, followers->signals, &event))
        die_errno("cannot make an epoll set");
    followers->last_sweep_ns = now_coarse_ns();
    fcntl(followers->server.listener, F_SETFL, O_NONBLOCK);
    arm_listener(followers, EPOLL_CTL_ADD);
    followers->open = 1;
}

int main(int argc, char **argv)
{
    struct followers followers = {.lock = PTHREAD_MUTEX_INITIALIZER,
                                  .vacant = PTHREAD_COND_INITIALIZER};
    int workers = 200, mode = COUNTING_TSS, book = MARKET_SHARD;
    const struct option_row knobs[] = {
        {"workers", 'w', OPTION_INT, &workers, "N", "threads, and so requests at a time", 1, 32000},
        {"book", 0, OPTION_CHOICE, &book, MARKET_SYNCS, "how threads share the order books", 0, 0},
        {"counters", 0, OPTION_CHOICE, &mode, COUNTING_MODES, "how threads share what they count",
         0, 0},
        {0},
    };

    server_setup(&followers.server, argc, argv, knobs);
    followers.server.service.counting =
        counting_new(followers.server.service.counters, (enum counting_mode)mode);
    server_books(&followers.server, (enum market_sync)book);
    make_handle_set(&followers);
    for (int i = 0; i < workers; i++)
        server_start_worker(&followers.server, take_turns, &followers);
    server_ready(&followers.server);
    server_await_threads(&followers.server);
    exit(server_finish(&followers.server)); /* no return: the last thread still holds a lock */
}
