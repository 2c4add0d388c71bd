/* workers: a fixed number of worker processes, forked before the first connection. One that dies is
 * replaced.
 *
 * The parent serves no connection: it forks, waits for signals, and accounts for the dead. A worker that
 * lived for a while is replaced at once. One that dies young is followed after a pause, a longer one
 * each time: a fault that every worker meets at its start would otherwise turn the parent into a
 * program that forks without end. */
#ifndef ARCHBENCH_WORKERS_H
#define ARCHBENCH_WORKERS_H

#include "common/base/util.h"
#include "common/serve/server.h"

#define WORKERS_YOUNG_NS       NSEC_PER_SEC           /* a shorter life calls for a pause */
#define WORKERS_FIRST_PAUSE_NS (100 * NSEC_PER_MSEC)  /* each further one is doubled */
#define WORKERS_LAST_PAUSE_NS  (6400 * NSEC_PER_MSEC) /* none is longer */

/* A place for a worker. Zeroed: vacant, and the first one may come. */
struct worker {
    pid_t pid;                     /* 0: vacant */
    struct counter_slot *counters; /* which count it and its end */
    int64_t begin_ns;              /* of the last life */
    int64_t pause_ns;              /* after it */
    int64_t due_ns;                /* when the next one may begin */
};

/* The server sets the first four before workers_start(). */
struct workers {
    struct server *server;
    int count;
    /* What a worker does, in the child. Signals are held until it lets them through. Its return is
     * its end, and status 0. */
    void (*work)(struct workers *, int index);
    /* In the parent: a worker has died of a signal. Count what it could not count itself, such as
     * the end of its connections. */
    void (*bury)(struct workers *, int index);
    struct worker *worker; /* [count] */
    int alive;
    sigset_t signals; /* held, and taken by the parent one by one */
};

/* Places for the workers, all vacant. Each counts in the server's own slot; change that for another
 * one. From here on signals are held. */
void workers_init(struct workers *);
/* Fork all. Dies with one line when the system has no room for so many. */
void workers_start(struct workers *);
/* Keep their number until SIGTERM or SIGINT comes. Dies when a worker ends by itself with another
 * status than 0: it could not start, nor could the next one. */
void workers_supervise(struct workers *);
/* Send all of them SIGTERM, and wait for the end of the last one. */
void workers_end(struct workers *);

/* How long a place stays vacant after a life of so long; `last_ns`: the pause before that life. */
static inline int64_t workers_pause_ns(int64_t life_ns, int64_t last_ns)
{
    if (life_ns >= WORKERS_YOUNG_NS)
        return 0;
    if (!last_ns)
        return WORKERS_FIRST_PAUSE_NS;
    return last_ns < WORKERS_LAST_PAUSE_NS / 2 ? 2 * last_ns : WORKERS_LAST_PAUSE_NS;
}

#endif
