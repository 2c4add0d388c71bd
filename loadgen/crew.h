/* crew: the worker processes and their coordinator. Processes, not threads: each has its own limit
 * of descriptors, and nothing is shared but the counts. */
#ifndef ARCHBENCH_CREW_H
#define ARCHBENCH_CREW_H

#include "loadgen/books/stats.h"
#include "loadgen/output/timeline.h"
#include "loadgen/plan/plan.h"

#include <stdbool.h>
#include <sys/types.h>

struct crew {
    const struct plan *plan;
    struct shared *shared; /* owned */
    uint32_t *published;   /* see deliveries.h; stays to the end of the program */
    pid_t *pids;           /* owned; 0: has ended */
    int alive, lost;       /* lost: ended before its work was done */
    int go, leave;         /* closing them is the signal */
    int reports;           /* readable when a worker has reached a milestone */
    int signals;           /* SIGINT, SIGTERM and SIGCHLD as a descriptor */
    int interrupts;
    struct holds server; /* of the server, as the program that samples told it */
};

/* Fork the workers and wait until they have their connections. Dies when there is none. */
void crew_start(struct crew *, const struct plan *);

/* Run the schedule: warm-up, window, drain. `control` is the descriptor of a program that samples
 * around the window, or -1: see --control in docs/formats.md. SIGINT and SIGTERM end the window
 * early; a second one ends the workers. */
void crew_watch(struct crew *, struct timeline *, int control);

/* Let the workers go and wait for them. The shared memory stays until crew_free. */
void crew_end(struct crew *);
void crew_free(struct crew *);

#endif
