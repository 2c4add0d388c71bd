/* prefork: processes made before the first connection; each accepts and serves one connection after
 * the other.
 *
 * Who blocks:  each worker, in accept, recv, send, sleep and computation; no other worker notices.
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
 * Read:    serve, connections=work, requests=work, failure=bury
 * Blocks:  compute timer upstream disk
 * Tasks:   1 process
 * Push:    no
 * Book:    in shared memory, a lock for each; or one lock, or a thread of the parent that owns them
 * Compute: --workers=256
 * Peers:   --workers=256
 */
#include "common/serve/serve.h"
#include "common/serve/workers.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* In memory that all processes share, so that the parent knows what a dead worker left. */
struct shared {
    atomic_int waiting;    /* see struct server: the listener is one for all */
    atomic_bool serving[]; /* [workers]: a connection is open */
};

struct prefork {
    struct server server;
    struct workers workers;
    struct shared *shared;
};

/* --- a worker -------------------------------------------------------------------------------- */

static void serve(struct prefork *prefork, int index, int fd)
{
    struct server *server = &prefork->server;
    prefork->shared->serving[index] = true;
    server_serves(server, fd);
    serve_blocking(fd, &server->service, server->counters);
    server_serves(server, -1);
    prefork->shared->serving[index] = false;
    close(fd);
}

/* All workers sleep in accept on one listener: the kernel wakes one for each connection. */
static void work(struct workers *workers, int index)
{
    struct prefork *prefork = container_of(workers, struct prefork, workers);
    struct server *server = &prefork->server;
    int fd;

    server->counters = counters_claim(server->service.counters);
    server_stop_on_signal(server, false);
    sigprocmask(SIG_UNBLOCK, &workers->signals, NULL);
    while ((fd = server_accept(server)) != -ESHUTDOWN)
        if (fd >= 0)
            serve(prefork, index, fd);
}

/* --- the parent: it serves no connection ------------------------------------------------------ */

/* The connection of a dead worker has ended with it. */
static void bury(struct workers *workers, int index)
{
    struct prefork *prefork = container_of(workers, struct prefork, workers);
    if (atomic_exchange(&prefork->shared->serving[index], false))
        count_add(prefork->server.counters, COUNTER_closed, 1);
}

static void prefork_init(struct prefork *prefork, int count)
{
    size_t bytes = sizeof *prefork->shared + (size_t)count * sizeof *prefork->shared->serving;
    prefork->shared = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (prefork->shared == MAP_FAILED)
        die_errno("cannot map %d workers", count);
    prefork->server.waiting = &prefork->shared->waiting;
    prefork->workers =
        (struct workers){.server = &prefork->server, .count = count, .work = work, .bury = bury};
    workers_init(&prefork->workers);
}

int main(int argc, char **argv)
{
    int workers = 256; /* as the prefork MPM of Apache httpd (MaxRequestWorkers) */
    int book = MARKET_SHARD;
    const struct option_row knobs[] = {
        {"workers", 'w', OPTION_INT, &workers, "N", "processes, and so connections at a time", 1,
         32000},
        {"book", 0, OPTION_CHOICE, &book, MARKET_SYNCS, "how processes share the order books", 0,
         0},
        {0},
    };
    struct prefork prefork;

    server_setup(&prefork.server, argc, argv, knobs);
    server_books(&prefork.server, (enum market_sync)book);
    prefork_init(&prefork, workers);
    workers_start(&prefork.workers);
    server_ready(&prefork.server);
    workers_supervise(&prefork.workers);
    server_stop(&prefork.server);
    workers_end(&prefork.workers);
    return server_finish(&prefork.server);
}
