/* stats: what workers count, in memory that they share with the coordinator. Each worker writes
 * its own part only; the coordinator adds the parts up. */
#ifndef ARCHBENCH_STATS_H
#define ARCHBENCH_STATS_H

#include "loadgen/books/hist.h"
#include "loadgen/books/holds.h"
#include "loadgen/plan/workload.h"

#include <stdbool.h>
#include <stdint.h>

/* X(name): what can become of a request instead of a good reply. */
#define ERROR_LIST(X)                                                                              \
    X(connect)    /* the connection it waited for could not be made */                             \
    X(timeout)    /* no complete reply in time after it was sent */                                \
    X(reset)      /* the connection broke */                                                       \
    X(closed)     /* the server closed without a byte of a reply */                                \
    X(cut)        /* the server closed in the middle of the reply */                               \
    X(malformed)  /* the reply was not HTTP, or longer than it said */                             \
    X(digest)     /* the work was not done, or not this work */                                    \
    X(status_4xx) /* */                                                                            \
    X(status_5xx) /* */                                                                            \
    X(unsent)     /* no connection came free before the end of the drain */                        \
    X(unanswered) /* still open at the end of the drain */

enum outcome {
#define X(name) ERROR_##name,
    ERROR_LIST(X)
#undef X
        ERRORS,
    OUTCOME_GOOD = ERRORS
};

/* "timeout", "status_5xx", ... */
const char *error_name(int error);

/* What subscribers got of what the requests of one class published, over the whole run: a message that was
 * published in the last moment of the warm-up must come, too. */
struct delivery_stats {
    uint64_t published;  /* messages known to have been published */
    uint64_t delivered;  /* to some subscriber */
    uint64_t lost;       /* to a subscriber that was there */
    uint64_t away;       /* not delivered to one whose connection was lost meanwhile */
    uint64_t doubled;    /* delivered more than once */
    uint64_t disordered; /* delivered after a later one of the same publisher */
    /* Of those published in the window, from when the message was due; see class_stats below. */
    struct hist latency, least_latency;
};

/* The requests of one class that were intended in the window. Every one of them ends in `good` or
 * in one of `errors`. */
struct class_stats {
    uint64_t requests, answered, good;
    uint64_t errors[ERRORS];
    uint64_t missed;         /* of a class with a deadline: good too late, or never */
    uint64_t attempts;       /* sends: more than one for a request that was retried */
    uint64_t retries;        /* attempts after the first */
    uint64_t rescued;        /* good only thanks to a retry */
    uint64_t failed[ERRORS]; /* attempts that failed, by kind, whether or not they were retried */
    uint64_t confirmed;      /* of a one-way class: the good ones that the server has surely read */
    uint64_t denied;         /* retries that the budget did not allow */
    uint64_t status[6];      /* complete replies by status class: [2] counts 2xx; of all attempts */
    /* response and service are what the server and the network took: the generator's own delays,
     * which it knows, are taken out. `raw` is the response with them; the least values are what is
     * left if the delays have made the server's queue as long as they can (see delays.h). */
    struct hist response, service, lag, raw, least_response, least_service;
    struct delivery_stats deliveries;
};

struct worker_stats {
    /* Milestones, for the coordinator. */
    bool connected;  /* every connection is made or has failed once */
    bool finished;   /* the drain is over; nothing below changes any more */
    bool drained;    /* with subscriptions: its own requests have their outcomes */
    bool realtime;   /* SCHED_FIFO was granted */
    int open;        /* connections that stood when `connected` was set, idle ones included */
    int used;        /* connections that have carried a reply, over the whole run */
    int unconfirmed; /* connections of which the server perhaps did not read the one-way messages */
    int connect_errno; /* why a connection failed last, or 0 */

    /* Over the window. */
    uint64_t good_in_window; /* good replies that came in during it, whenever they were sent */
    uint64_t reconnects;     /* connections made anew, those that churn asks for not counted */
    uint64_t churned;        /* connections that had carried their share and were made anew */
    uint64_t idle_lost;      /* connections of the idle ones that the server ended */
    uint64_t backlog_max;    /* arrivals that waited for a connection at one time */
    uint64_t backlog_end;    /* arrivals that waited when it closed */
    int64_t backlogged_ns;   /* how long arrivals waited at all */
    int64_t paused_ns;       /* of all connections: their users had been told 503, and waited */
    int64_t cpu_ns, wall_ns; /* CPU time used, and the time it was measured over */
    int64_t spin_ns;         /* of cpu_ns: waiting for a moment that was near */
    int64_t held_ns;         /* ready to run, while others had its core */
    int64_t preempted;       /* how often it lost its core */
    struct hist connect;     /* connect() to established; with churn, those of the window only */

    struct class_stats class[WORKLOAD_CLASSES];
};

/* The schedule of a run, on CLOCK_MONOTONIC. Written by the coordinator before `go`; it may move
 * the end forward later, to stop early. */
struct schedule {
    int64_t start_ns, begin_ns, end_ns; /* the window is begin to end */
};

/* The whole shared area. */
struct shared {
    struct schedule schedule;
    struct worker_stats worker[]; /* one for each worker */
};

/* Map a zeroed area that forked children share. Dies when memory is out. */
struct shared *shared_create(int workers);
void shared_free(struct shared *, int workers);

void class_stats_merge(struct class_stats *into, const struct class_stats *from);
uint64_t class_stats_errors(const struct class_stats *);

/* All workers' numbers and all classes', as the reports want them. */
struct totals {
    struct class_stats all; /* over all classes */
    struct class_stats class[WORKLOAD_CLASSES];
    uint64_t good_in_window, reconnects, churned, idle_lost, backlog_max;
    bool realtime, saturated;
    double paused_s;    /* connection-seconds */
    double busy_max;    /* CPU share of the busiest worker, without the spin */
    double spin_max;    /* CPU share that the worker with most of it spent spinning */
    struct holds holds; /* of the workers, on average */
    int connect_errno;
    int open, used, unconfirmed;
    struct hist connect;
};

/* A worker is saturated when arrivals waited for a connection at the end of the window, and not only
 * for a moment (1 % of it), or for over half of it: the server (or the number of connections) limits the rate, not the generator. */
bool worker_saturated(const struct worker_stats *);
/* CPU share over the window without the spin, 0 to 1. */
double worker_busy(const struct worker_stats *);
/* CPU share over the window that it spent waiting for moments that were near. */
double worker_spin(const struct worker_stats *);

/* Add everything up. The result is allocated, the caller frees it. */
struct totals *totals_of(const struct shared *, int workers, int classes);

#endif
