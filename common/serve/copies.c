#include "common/serve/copies.h"
#include "common/serve/workers.h"

#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static struct workers copies;
/* [count]. The parent has all, so that peers that wait at one survive its copy. */
static int *listener;
static jmp_buf begin;

/* In the child. Its main goes on where the parent's stays: in copies_make(). */
static void begin_copy(struct workers *workers, int index)
{
    struct server *server = workers->server;
    for (int i = 0; i < workers->count; i++)
        if (i != index)
            close(listener[i]);
    server->listener = listener[index];
    server->counters = workers->worker[index].counters;
    counters_claim_as(getpid());
    server_become_copy(server);
    longjmp(begin, 1);
}

/* The connections of a dead copy have ended with it, and so have its processes. */
static void bury(struct workers *workers, int index)
{
    counters_bury(workers->worker[index].counters);
    counters_bury_copy(workers->server->service.counters, workers->worker[index].pid);
}

void copies_make(struct server *server, int count)
{
    copies = (struct workers){.server = server, .count = count, .work = begin_copy, .bury = bury};
    listener = must_calloc((size_t)count, sizeof *listener);
    workers_init(&copies);
    for (int i = 0; i < count; i++) {
        copies.worker[i].counters = counters_claim(server->service.counters);
        listener[i] = i == 0 ? server->listener : net_listen_beside(server->listener);
    }
    if (setjmp(begin))
        return;
    workers_start(&copies);
    server_ready(server);
    workers_supervise(&copies);
    for (int i = 0; i < count; i++)
        close(listener[i]);
    workers_end(&copies);
    free(listener);
    exit(server_finish(server));
}
