/* client: one worker of the generator. An epoll loop that keeps its share of the connections busy
 * and counts what comes back. */
#ifndef ARCHBENCH_CLIENT_H
#define ARCHBENCH_CLIENT_H

#include "loadgen/books/stats.h"
#include "loadgen/plan/plan.h"

/* How a worker hears from the coordinator: it closes its end of a pipe. */
struct client_signals {
    int go;     /* end-of-file: the schedule is set, begin */
    int leave;  /* end-of-file: the connections may be closed */
    int report; /* the worker writes a byte at each milestone */
};

/* Do the work of worker number `worker`: connect, wait for go, send by the schedule, drain, keep
 * the connections until told to leave. Counts into `stats`, which is shared and starts zeroed, one of an
 * array with an element for each worker. `published`: of deliveries_share(), for the connections of all pools;
 * NULL: none of them subscribes.
 * Dies when it cannot begin, e.g. because descriptors are out. */
void client_run(const struct plan *, int worker, const struct schedule *, struct worker_stats *,
                uint32_t *published, const struct client_signals *);

#endif
