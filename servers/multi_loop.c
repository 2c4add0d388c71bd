/* multi_loop: clustered event loops, one process for each core, all behind one port.
 *
 * Who blocks:  nothing waits for a peer or a timer; a computation or a disk read stops the
 *              connections of its own loop, and of no other.
 * Strength:    uses every core and still shares nothing: no locks, no bug that spreads; a loop that
 *              crashes takes only its own connections along and is started anew.
 * Weakness:    a connection stays where it was accepted, so one loop may queue while another idles.
 *              How even the start is depends on --listen. reuseport (the default, as Envoy's): a
 *              listener for each loop; the kernel spreads evenly, by a hash, and wakes one loop
 *              only, but does not know which loop is busy. shared: all loops watch one listener,
 *              and each newcomer wakes every loop that sleeps; one gets it, the rest have woken for
 *              nothing (a thundering herd: libev asks for no EPOLLEXCLUSIVE). A busy loop takes
 *              none, but of idle ones the same few win nearly every time: all connections may end
 *              in one loop.
 * Try it:      build/servers/multi_loop --workers 2 --port 8080 &
 *              curl '127.0.0.1:8080/work?cpu=hash:2s' &
 *              for i in 1 2 3 4; do time curl 127.0.0.1:8080/; done  # one of them waits for the first
 *              The balance: --stats-file FILE; slot 0 is the parent's, slot N that of worker N.
 *
 * Name:    multi_loop
 * Ids:     A8
 * Family:  event loops
 * Look:    #56B4E9 h
 * Read:    drive, connections=lay_out, requests=run, failure=bury
 * Blocks:  compute disk
 * Tasks:   0
 * Push:    a shared ring, and an eventfd for each loop
 * Book:    in shared memory, a lock for each; or one lock, or a thread of the parent that owns them
 * Compute: --workers
 * Link:    -lev
 */
#include "common/news/news_ring.h"
#include "common/serve/loop.h"
#include "common/serve/workers.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* The parent has the listener of each worker: when a worker dies, the next one in its place goes on
 * with the same listener, so that peers which wait there are not lost. */
struct cluster {
    struct server server;
    struct workers workers;
    int listener[COUNTER_SLOTS - 1]; /* of each worker; one slot is the parent's */
    int bell[COUNTER_SLOTS - 1];     /* an eventfd of each: there is news in the ring */
    struct news_ring *ring;
};

/* What a worker has for itself. */
struct member {
    struct loop loop;
    struct cluster *cluster;
    int index;
    struct news_reader reader;
};

/* --- a worker: an event loop ------------------------------------------------------------------ */

/* One for each event. Connections that still wait make the listener ready again, for whichever
 * loop has time: a loop that took all of them would have to serve them all. */
static void welcome(struct loop *loop)
{
    int fd = server_accept_ready(loop->server);
    if (fd >= 0)
        loop_add(loop, must_calloc(1, sizeof(struct loop_peer)), fd);
}

static void drop(struct loop_peer *peer)
{
    loop_remove(peer);
    free(peer);
}

/* What was published here goes to the other loops, too: into the ring, and then each is woken. Its own
 * subscribers have it already. */
static void tell_others(struct member *self, const struct publication *news)
{
    const struct cluster *cluster = self->cluster;
    if (!news->frame)
        return;
    news_ring_put(cluster->ring, news);
    for (int i = 0; i < cluster->workers.count; i++)
        if (i != self->index)
            eventfd_write(cluster->bell[i], 1);
}

/* The bell has rung: what the others have published is for the subscribers here. */
static void hear_others(struct member *self)
{
    struct server *server = self->loop.server;
    eventfd_t count;
    eventfd_read(self->cluster->bell[self->index], &count);
    news_reader_deliver(&self->reader, &server->topics, server->counters);
}

static void push(struct loop_peer *peer)
{
    if (!loop_push(peer))
        drop(peer);
}

static void drive(struct member *self, struct loop_peer *peer)
{
    const unsigned async = WAIT_TIMER | WAIT_UPSTREAM | WAIT_NEWS;
    struct conn *conn = &peer->conn;
    while (conn_pump(conn, peer->io.fd, async) == WANT_JOB && conn->job->pending == WAIT_NEWS) {
        tell_others(self, job_news(conn->job));
        job_resume(conn->job, 0);
    }
    if (!loop_await(peer))
        drop(peer);
}

static void resume(struct member *self, struct loop_peer *peer)
{
    job_resume(peer->conn.job, 0);
    drive(self, peer);
}

static void run(struct member *self)
{
    struct loop_peer *peer;
    for (;;) {
        switch (loop_wait(&self->loop, &peer)) {
        case LOOP_ACCEPT: welcome(&self->loop); break;
        case LOOP_READY: drive(self, peer); break;
        case LOOP_DUE: resume(self, peer); break;
        case LOOP_NEWS: push(peer); break;
        case LOOP_WAKE: hear_others(self); break;
        case LOOP_EXPIRED: drop(peer); break;
        case LOOP_STOPPED: return;
        case LOOP_TICK:
        case LOOP_NOTHING: break;
        }
    }
}

/* All of them, or all but one. The port is free when each process has closed its copies. */
static void close_listeners(const struct cluster *cluster, int except)
{
    for (int i = 0; i < cluster->workers.count; i++)
        if (i != except)
            close(cluster->listener[i]);
}

/* Signals wait until the loop can take them. */
static void work(struct workers *workers, int index)
{
    struct cluster *cluster = container_of(workers, struct cluster, workers);
    struct server *server = &cluster->server;
    struct member self = {.cluster = cluster, .index = index};

    close_listeners(cluster, index);
    server->listener = cluster->listener[index];
    server->counters = workers->worker[index].counters;
    loop_init(&self.loop, server, 0);
    loop_source(&self.loop, cluster->bell[index]);
    news_reader_init(&self.reader, cluster->ring, NULL);
    sigprocmask(SIG_UNBLOCK, &workers->signals, NULL);
    run(&self);
    loop_free(&self.loop);
}

/* --- the parent: it serves no connection ------------------------------------------------------- */

/* The connections of a dead worker have ended with it. */
static void bury(struct workers *workers, int index)
{
    counters_bury(workers->worker[index].counters);
}

/* Each worker gets a descriptor of its own: of the one listener, or of one more. */
static void lay_out(struct cluster *cluster, bool reuseport)
{
    struct server *server = &cluster->server;
    if (server->workers > COUNTER_SLOTS - 1)
        die("--workers: %d at most, for each has its own counters", COUNTER_SLOTS - 1);
    cluster->workers =
        (struct workers){.server = server, .count = server->workers, .work = work, .bury = bury};
    workers_init(&cluster->workers);
    cluster->ring = news_ring_new(1);
    for (int i = 0; i < server->workers; i++) {
        cluster->workers.worker[i].counters = counters_claim(server->service.counters);
        if (i == 0)
            cluster->listener[i] = server->listener;
        else if (reuseport)
            cluster->listener[i] = net_listen_beside(server->listener);
        else
            cluster->listener[i] = fcntl(server->listener, F_DUPFD_CLOEXEC, 0);
        cluster->bell[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (cluster->listener[i] < 0 || cluster->bell[i] < 0)
            die_errno("cannot make the descriptors of a worker");
    }
}

int main(int argc, char **argv)
{
    enum { SHARED, REUSEPORT };
    int listeners = REUSEPORT, book = MARKET_SHARD;
    const struct option_row knobs[] = {
        {"listen", 'l', OPTION_CHOICE, &listeners, "shared|reuseport",
         "one listener for all loops, or one for each", 0, 0},
        {"book", 0, OPTION_CHOICE, &book, MARKET_SYNCS, "how processes share the order books", 0,
         0},
        {0},
    };
    struct cluster cluster = {0};

    server_setup(&cluster.server, argc, argv, knobs);
    server_books(&cluster.server, (enum market_sync)book);
    server_push(&cluster.server);
    lay_out(&cluster, listeners == REUSEPORT);
    workers_start(&cluster.workers);
    server_ready(&cluster.server);
    workers_supervise(&cluster.workers);
    close_listeners(&cluster, -1);
    workers_end(&cluster.workers);
    return server_finish(&cluster.server);
}
