/* prefork: processes made before the first connection; each accepts and serves one connection after
 * the other.
 *
 * Who blocks:  each worker, in accept, recv, send, sleep and computation; nobody else notices.
 * Strength:    direct style in an address space of its own, as in `processes`, but no connection
 *              waits for a fork; a crash costs one connection, and the worker is replaced.
 * Weakness:    as many connections at a time as workers, idle ones included: others wait in the
 *              kernel's backlog. Memory and switches of address spaces as in `processes`.
 * Try it:      build/servers/prefork --workers 2 --port 8080 &
 *              for i in 1 2; do curl '127.0.0.1:8080/work?io=timer:5s' & done
 *              time curl 127.0.0.1:8080/        # both workers only wait, yet so does this
 *
 * Name:    prefork
 * Ids:     A2
 * Family:  processes
 * Look:    #882255 p
 * Read:    serve, connections=work, requests=work, failure=supervise
 * Blocks:  compute timer upstream disk
 * Tasks:   1 process
 * Compute: --workers
 * Peers:   --workers
 */
#include "common/serve/respawn.h"
#include "common/serve/serve.h"
#include "common/serve/server.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* A place in the pool. The memory is shared, so that the parent knows what a dead worker left. */
struct worker {
    pid_t pid; /* 0: nobody. The parent's, as is the next */
    struct respawn respawn;
    atomic_bool serving; /* a connection is open. The worker's */
};

struct prefork {
    struct server server;
    struct worker *worker; /* [places] */
    int places;
    int alive;
    sigset_t signals; /* blocked in the parent, which takes them one by one */
};

enum { NO_DESCRIPTOR = -1 };

/* --- a worker -------------------------------------------------------------------------------- */

static void serve(struct server *server, struct worker *self, int fd)
{
    server_stop_on_signal(&server->service, fd);
    self->serving = true;
    serve_blocking(fd, &server->service, server->counters);
    self->serving = false;
    server_stop_on_signal(&server->service, NO_DESCRIPTOR);
    close(fd);
}

/* All workers sleep in accept on one listener: the kernel wakes one for each connection. A signal
 * to a worker must not shut the listener down, which is everybody's: the parent does that. */
static _Noreturn void work(struct prefork *pool, struct worker *self)
{
    struct server *server = &pool->server;
    int fd;

    server->counters = counters_claim(server->service.counters);
    server_stop_on_signal(&server->service, NO_DESCRIPTOR);
    sigprocmask(SIG_UNBLOCK, &pool->signals, NULL);
    while ((fd = server_accept(server)) != -ESHUTDOWN)
        if (fd >= 0)
            serve(server, self, fd);
    _exit(0);
}

/* --- the parent ------------------------------------------------------------------------------ */

static void pool_init(struct prefork *pool, int places)
{
    size_t bytes = (size_t)places * sizeof *pool->worker;
    pool->places = places;
    pool->alive = 0;
    pool->worker = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (pool->worker == MAP_FAILED)
        die_errno("cannot map %d workers", places);
    server_hold_signals(&pool->signals);
}

static void hire(struct prefork *pool, struct worker *place)
{
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        server_end_with_parent(parent);
        work(pool, place);
    }
    respawn_begin(&place->respawn, now_ns());
    if (pid < 0) {
        respawn_end(&place->respawn, now_ns());
        return;
    }
    place->pid = pid;
    pool->alive++;
    count_add(pool->server.counters, COUNTER_spawned, 1);
    count_add(pool->server.counters, COUNTER_workers, 1);
}

/* A worker for each empty place that may have one. Returns when the next one may; INT64_MAX: the
 * pool is full. */
static int64_t fill(struct prefork *pool)
{
    int64_t next_ns = INT64_MAX;
    for (int i = 0; i < pool->places; i++) {
        struct worker *place = &pool->worker[i];
        if (!place->pid && place->respawn.due_ns <= now_ns())
            hire(pool, place);
        if (!place->pid && place->respawn.due_ns < next_ns)
            next_ns = place->respawn.due_ns;
    }
    return next_ns;
}

/* Clear the place of a dead worker; what it could not count itself is counted here. */
static void clear(struct prefork *pool, struct worker *place)
{
    if (place->serving)
        count_add(pool->server.counters, COUNTER_closed, 1);
    place->serving = false;
    place->pid = 0;
    respawn_end(&place->respawn, now_ns());
    pool->alive--;
    count_add(pool->server.counters, COUNTER_workers, -1);
}

/* Bury one worker; its accounts go to the counters, since /proc forgets it. False: none is dead. */
static bool reap(struct prefork *pool, int options)
{
    struct rusage usage;
    int status;
    pid_t pid = wait4(-1, &status, options, &usage);
    if (pid <= 0)
        return false;
    counters_retire(pool->server.counters, &usage);
    if (WIFSIGNALED(status))
        count_add(pool->server.counters, COUNTER_crashed, 1);
    for (int i = 0; i < pool->places; i++)
        if (pool->worker[i].pid == pid)
            clear(pool, &pool->worker[i]);
    return true;
}

/* Keep the pool full until it is to stop. */
static void supervise(struct prefork *pool)
{
    for (;;) {
        switch (server_take_signal(&pool->signals, fill(pool))) {
        case SIGTERM:
        case SIGINT: return;
        default:
            while (reap(pool, WNOHANG)) {
            }
        }
    }
}

/* The listener is one for all: shut down, it fails every accept, under way or to come. Workers
 * finish the request they have and see the end of their stream after it. */
static void drain(struct prefork *pool)
{
    shutdown(pool->server.listener, SHUT_RD);
    for (int i = 0; i < pool->places; i++)
        if (pool->worker[i].pid)
            kill(pool->worker[i].pid, SIGTERM);
    while (pool->alive && reap(pool, 0)) {
    }
}

int main(int argc, char **argv)
{
    int workers = 64;
    const struct option_row knobs[] = {
        {"workers", 'w', OPTION_INT, &workers, "N", "processes, and so connections at a time", 1,
         32000},
        {0},
    };
    struct prefork pool;

    server_setup(&pool.server, argc, argv, knobs);
    pool_init(&pool, workers);
    if (fill(&pool) != INT64_MAX)
        die_errno("cannot start %d workers", workers);
    server_ready(&pool.server);
    supervise(&pool);
    drain(&pool);
    return server_finish(&pool.server);
}
