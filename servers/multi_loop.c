/* multi_loop: clustered event loops, one process for each core, all behind one port.
 *
 * Who blocks:  nobody waits for a peer or a timer; a computation or a disk read stops the
 *              connections of its own loop, and of no other.
 * Strength:    uses every core and still shares nothing: no locks, no bug that spreads; a loop that
 *              crashes takes only its own connections along and is started anew.
 * Weakness:    a connection stays where it was accepted, so one loop may queue while another idles.
 *              How even the start is depends on --listen. shared: all loops watch one listener, and
 *              each newcomer wakes every loop that sleeps; one gets it, the rest have woken for
 *              nothing (a thundering herd: libev asks for no EPOLLEXCLUSIVE). A busy loop takes
 *              nobody, but of idle ones the same few win nearly every time. reuseport: a listener
 *              for each loop; the kernel spreads evenly, by a hash, wakes one loop only, and asks
 *              nobody whether it is busy.
 * Try it:      build/servers/multi_loop --workers 2 --listen reuseport --port 8080 &
 *              curl '127.0.0.1:8080/work?cpu=hash:2s' &
 *              for i in 1 2 3 4; do time curl 127.0.0.1:8080/; done  # one of them waits for the first
 *              The balance: --stats-file FILE; slot 0 is the parent's, slot N that of worker N.
 *
 * Name:    multi_loop
 * Ids:     A8
 * Family:  event loops
 * Look:    #56B4E9 h
 * Read:    drive, connections=lay_out, requests=run, failure=supervise
 * Blocks:  compute disk
 * Tasks:   0
 * Compute: --workers
 * Link:    -lev
 */
#include "common/serve/loop.h"
#include "common/serve/respawn.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* One place in the cluster. A process that dies leaves it to the next, which goes on with the same
 * listener, so that who waits there is not lost, and with the same counters. */
struct place {
    pid_t pid; /* 0: vacant */
    struct respawn respawn;
    int listener;
    struct counter_slot *counters;
};

struct cluster {
    struct server server;
    sigset_t signals; /* blocked, and waited for by the parent */
    int places;
    struct place place[COUNTER_SLOTS - 1]; /* one slot is the parent's */
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

static void drive(struct loop_peer *peer)
{
    switch (conn_pump(&peer->conn, peer->io.fd, WAIT_TIMER | WAIT_UPSTREAM)) {
    case WANT_SHUTDOWN:
    case WANT_READ: loop_watch(peer, EV_READ); break;
    case WANT_WRITE: loop_watch(peer, EV_WRITE); break;
    case WANT_JOB: loop_await(peer); break;
    case WANT_CLOSE: drop(peer); break;
    }
}

static void resume(struct loop_peer *peer)
{
    job_resume(&peer->conn.job, 0);
    drive(peer);
}

static void expire(struct loop_peer *peer)
{
    conn_end(&peer->conn);
    drop(peer);
}

static void run(struct loop *loop)
{
    struct loop_peer *peer;
    for (;;) {
        switch (loop_wait(loop, &peer)) {
        case LOOP_ACCEPT: welcome(loop); break;
        case LOOP_READY: drive(peer); break;
        case LOOP_DUE: resume(peer); break;
        case LOOP_EXPIRED: expire(peer); break;
        case LOOP_STOPPED: return;
        case LOOP_WAKE:
        case LOOP_TICK:
        case LOOP_NOTHING: break;
        }
    }
}

/* --- the parent: it serves nobody ------------------------------------------------------------- */

/* All of them, or all but one. The port is free when each process has closed its copies. */
static void close_listeners(const struct cluster *cluster, const struct place *except)
{
    for (int i = 0; i < cluster->places; i++)
        if (&cluster->place[i] != except)
            close(cluster->place[i].listener);
}

/* The child. Signals wait until its loop can take them. */
static _Noreturn void work_and_exit(struct cluster *cluster, struct place *place)
{
    struct server *server = &cluster->server;
    struct loop loop;

    close_listeners(cluster, place);
    server->listener = place->listener;
    server->counters = place->counters;
    loop_init(&loop, server, 0);
    sigprocmask(SIG_UNBLOCK, &cluster->signals, NULL);
    run(&loop);
    loop_free(&loop);
    _exit(0);
}

static void occupy(struct cluster *cluster, struct place *place)
{
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        server_end_with_parent(parent);
        work_and_exit(cluster, place);
    }
    respawn_begin(&place->respawn, now_ns());
    if (pid < 0) {
        respawn_end(&place->respawn, now_ns());
        return;
    }
    place->pid = pid;
    count_add(place->counters, COUNTER_spawned, 1);
    count_add(place->counters, COUNTER_workers, 1);
}

/* A process for each vacant place that may have one. Returns when the next one may; INT64_MAX: all
 * are taken. */
static int64_t fill_places(struct cluster *cluster)
{
    int64_t next_ns = INT64_MAX;
    for (int i = 0; i < cluster->places; i++) {
        struct place *place = &cluster->place[i];
        if (!place->pid && place->respawn.due_ns <= now_ns())
            occupy(cluster, place);
        if (!place->pid && place->respawn.due_ns < next_ns)
            next_ns = place->respawn.due_ns;
    }
    return next_ns;
}

/* Account for a dead process; the end of its connections it could not count itself. */
static void vacate(struct place *place, int status, const struct rusage *usage)
{
    const int64_t *value = place->counters->value;
    place->pid = 0;
    respawn_end(&place->respawn, now_ns());
    counters_retire(place->counters, usage);
    count_add(place->counters, COUNTER_workers, -1);
    count_add(place->counters, COUNTER_crashed, WIFSIGNALED(status));
    count_add(place->counters, COUNTER_closed, value[COUNTER_connections] - value[COUNTER_closed]);
}

/* Bury the dead; `options` as for wait4. */
static void reap(struct cluster *cluster, int options)
{
    struct rusage usage;
    int status;
    pid_t pid;
    while ((pid = wait4(-1, &status, options, &usage)) > 0) {
        for (int i = 0; i < cluster->places; i++)
            if (cluster->place[i].pid == pid)
                vacate(&cluster->place[i], status, &usage);
        if (WIFEXITED(status) && WEXITSTATUS(status))
            die("a worker could not start"); /* nor could the next; it has said why */
    }
}

/* Keep the places filled until SIGTERM or SIGINT. */
static void supervise(struct cluster *cluster)
{
    for (;;) {
        switch (server_take_signal(&cluster->signals, fill_places(cluster))) {
        case SIGCHLD: reap(cluster, WNOHANG); break;
        case SIGTERM:
        case SIGINT: return;
        }
    }
}

static void drain(struct cluster *cluster)
{
    close_listeners(cluster, NULL);
    for (int i = 0; i < cluster->places; i++)
        if (cluster->place[i].pid)
            kill(cluster->place[i].pid, SIGTERM);
    reap(cluster, 0);
}

/* Each place gets a descriptor of its own: of the one listener, or of one more. */
static void lay_out(struct cluster *cluster, bool reuseport)
{
    struct server *server = &cluster->server;
    if (server->workers > COUNTER_SLOTS - 1)
        die("--workers: %d at most, for each has its own counters", COUNTER_SLOTS - 1);
    for (; cluster->places < server->workers; cluster->places++) {
        struct place *place = &cluster->place[cluster->places];
        place->counters = counters_claim(server->service.counters);
        if (cluster->places == 0)
            place->listener = server->listener;
        else if (reuseport)
            place->listener = net_listen_beside(server->listener);
        else
            place->listener = fcntl(server->listener, F_DUPFD_CLOEXEC, 0);
        if (place->listener < 0)
            die_errno("cannot copy the listener");
    }
}

int main(int argc, char **argv)
{
    enum { SHARED, REUSEPORT };
    int listeners = SHARED;
    const struct option_row knobs[] = {
        {"listen", 'l', OPTION_CHOICE, &listeners, "shared|reuseport",
         "one listener for all loops, or one for each", 0, 0},
        {0},
    };
    struct cluster cluster = {0};

    server_setup(&cluster.server, argc, argv, knobs);
    server_hold_signals(&cluster.signals);
    lay_out(&cluster, listeners == REUSEPORT);
    fill_places(&cluster);
    server_ready(&cluster.server);
    supervise(&cluster);
    drain(&cluster);
    return server_finish(&cluster.server);
}
