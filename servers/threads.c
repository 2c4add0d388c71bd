/* threads: a thread for every connection, gone when the connection ends.
 *
 * Who blocks:  each thread, in recv, send, sleep and computation; the others go on.
 * Strength:    direct style, all cores used, state shared without copying; a switch between threads
 *              keeps the address space.
 * Weakness:    a stack for each connection; whatever is shared needs a lock; with more runnable
 *              threads than cores, all wait for the scheduler, short requests too.
 * Try it:      build/servers/threads --port 8080 &
 *              build/loadgen -c 64 -d 5s http://127.0.0.1:8080/
 *              then watch `ls /proc/PID/task | wc -l`.
 *              What sharing costs: with --counters tss, then mutex, then atomic,
 *              build/loadgen -c 8 -d 5s 'http://127.0.0.1:8080/work?count=100000'
 *
 * Name:    threads
 * Ids:     A3 A12
 * Family:  threads
 * Look:    #E69F00 ^
 * Read:    serve_peer, connections=start_thread_for, surge=start_thread_for
 * Blocks:  compute timer upstream disk
 * Tasks:   1 thread
 * Push:    a signal to the thread
 * Book:    a lock for each; or one lock, or a thread that owns them
 * Compute: any
 */
#include "common/serve/server.h"
#include "common/serve/session.h"
#include "common/work/counting.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <unistd.h>

/* One connection and its thread. The thread owns it, and frees it at its end. */
struct connection {
    int fd;
    struct crowd *crowd;
    LIST_ENTRY(connection) link;
};

/* A connection as its thread serves it, on its stack. */
struct visit {
    struct session session;
    pthread_t thread;
};

/* All peers alive. The lock guards the list; a peer on it has an open descriptor. */
struct crowd {
    pthread_mutex_t lock;
    LIST_HEAD(crowd_peers, connection) peers;
    struct server *server;
};

static void crowd_join(struct crowd *crowd, struct connection *peer)
{
    pthread_mutex_lock(&crowd->lock);
    LIST_INSERT_HEAD(&crowd->peers, peer, link);
    pthread_mutex_unlock(&crowd->lock);
}

/* `session`: what the thread has made of it; NULL: there is no thread. It ends under the lock, too: until
 * then others may wake its thread. */
static void crowd_leave(struct crowd *crowd, struct connection *peer, struct session *session)
{
    pthread_mutex_lock(&crowd->lock);
    if (session)
        session_end(session);
    LIST_REMOVE(peer, link);
    close(peer->fd); /* under the lock: the drain must not meet a number used again */
    pthread_mutex_unlock(&crowd->lock);
    free(peer);
}

/* Wake the threads of those that have news. Whoever comes first wakes all, and others find none. */
static void wake_subscribers(struct crowd *crowd)
{
    struct conn *conn;
    pthread_mutex_lock(&crowd->lock);
    while ((conn = conn_next_with_news(&crowd->server->service))) {
        struct session *session = container_of(conn, struct session, conn);
        pthread_kill(container_of(session, struct visit, session)->thread, SESSION_SIGNAL);
    }
    pthread_mutex_unlock(&crowd->lock);
}

static void *serve_peer(void *argument)
{
    struct connection *peer = argument;
    struct service *service = &peer->crowd->server->service;
    struct visit visit;
    enum session_event event;

    visit.thread = pthread_self();
    session_begin(&visit.session, peer->fd, service, counting_slot(service->counting));
    while ((event = session_run(&visit.session)) != SESSION_OVER)
        if (event == SESSION_NEWS)
            wake_subscribers(peer->crowd);
    crowd_leave(peer->crowd, peer, &visit.session);
    return NULL;
}

/* A thread of its own for what others publish in Redis: it has no other descriptor to wait for. */
static void *follow_feed(void *argument)
{
    struct crowd *crowd = argument;
    struct feed *feed = server_feed(crowd->server);
    struct pollfd pollfd = {.fd = feed_fd(feed), .events = POLLIN};
    do {
        feed_deliver(feed, &crowd->server->topics);
        wake_subscribers(crowd);
    } while (poll(&pollfd, 1, -1) >= 0 || errno == EINTR);
    return NULL;
}

/* It ends with the process: a drain does not wait for it. */
static void start_feed(struct crowd *crowd)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, follow_feed, crowd))
        die("the system has no room for the thread of the feed");
    pthread_detach(thread);
}

static void start_thread_for(struct crowd *crowd, int fd)
{
    struct connection *peer = must_calloc(1, sizeof *peer);

    *peer = (struct connection){.fd = fd, .crowd = crowd};
    crowd_join(crowd, peer); /* first, so that a drain meets it */
    if (!server_start_thread(crowd->server, serve_peer, peer)) { /* else: the thread's now */
        count_add(crowd->server->counters, COUNTER_refused, 1);
        crowd_leave(crowd, peer, NULL);
    }
}

/* Threads finish the request they have, and soon meet the end of their stream after it. */
static void drain(struct crowd *crowd)
{
    struct connection *peer;
    close(crowd->server->listener);
    usleep(SERVER_GRACE_NS / NSEC_PER_USEC);
    pthread_mutex_lock(&crowd->lock);
    LIST_FOREACH (peer, &crowd->peers, link)
        shutdown(peer->fd, SHUT_RD);
    pthread_mutex_unlock(&crowd->lock);
    server_await_threads(crowd->server);
}

int main(int argc, char **argv)
{
    struct server server;
    struct crowd crowd = {PTHREAD_MUTEX_INITIALIZER, {NULL}, &server};
    int fd;
    int mode = COUNTING_TSS, book = MARKET_SHARD;
    const struct option_row knobs[] = {
        {"book", 0, OPTION_CHOICE, &book, MARKET_SYNCS, "how threads share the order books", 0, 0},
        {"counters", 0, OPTION_CHOICE, &mode, COUNTING_MODES, "how threads share what they count",
         0, 0},
        {0},
    };

    server_setup(&server, argc, argv, knobs);
    server.service.counting = counting_new(server.service.counters, (enum counting_mode)mode);
    server_books(&server, (enum market_sync)book);
    session_hold_signal();
    server_push(&server);
    server_try_thread(&server);
    server_stop_on_signal(&server, true);
    if (server.feeds)
        start_feed(&crowd);
    server_ready(&server);

    while ((fd = server_accept(&server)) != -ESHUTDOWN)
        if (fd >= 0)
            start_thread_for(&crowd, fd);
    drain(&crowd);
    exit(server_finish(&server)); /* no return: the last to leave still holds a lock */
}
