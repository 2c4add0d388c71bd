/* instances: the processes that perform the events of functions. There is a bounded number of
 * places for them, and one descriptor that tells when any of them has news. The caller decides
 * when one is started, gets an event, or is ended; this module does it, and keeps the accounts.
 *
 * An instance is forked from the router, which has one thread and may fork at any time. So it begins
 * as a copy of the router: with many connections the memory it is charged for is partly the router's,
 * and each fork holds the router up for longer. A small process that forks for the router would cure
 * both, and hide what starts what.
 *
 * All that an instance has to say comes over one socket (SOCK_SEQPACKET: messages keep their bounds):
 * ready, a report, or the end of the stream, which is its death. There is no handler of SIGCHLD, and
 * nothing to reconcile: a dead instance sends nothing more. An idle one is ended with SIGKILL: nothing
 * is lost with it, and a stopped one would heed nothing else.
 *
 * A cold start is a fork and a wait (--cold-start), which stands for a runtime that is fetched and
 * initialised. It takes time and no CPU; in reality it takes both. */
#ifndef ARCHBENCH_INSTANCES_H
#define ARCHBENCH_INSTANCES_H

#include "servers/serverless/functions.h"
#include "servers/serverless/performer.h"

#include <stdio.h>
#include <sys/epoll.h>
#include <sys/queue.h>

enum instance_state {
    INSTANCE_VACANT,   /* this place has no process */
    INSTANCE_STARTING, /* forked, and not ready yet */
    INSTANCE_IDLE,
    INSTANCE_BUSY,   /* it performs a program */
    INSTANCE_ENDING, /* killed, and not reaped yet */
};

struct instance {
    struct performer performer;
    enum instance_state state;
    int64_t since_ns;          /* when it entered this state */
    struct function *function; /* whose events it performs */
    void *task;          /* the caller's: what a BUSY one works on, or an ENDING one did; or NULL */
    int64_t cpu_us;      /* CPU time that is in the accounts already */
    double resident_mib; /* as of its last report */
    int64_t charged_ns;  /* its memory is in the accounts up to this moment */
    LIST_ENTRY(instance) idle;
};

enum { INSTANCES_BATCH = 64 };

/* One thread's. */
struct instances {
    struct service *service;
    struct counter_slot *counters;
    int fd; /* readable: instances_next() has something to tell */
    struct instance *place;
    int places, taken;
    int clearing; /* places that are taken by an ENDING one */
    struct epoll_event ready[INSTANCES_BATCH];
    int ready_count, ready_next;
};

/* Dies when the system has no descriptor left. The service outlives them. */
void instances_init(struct instances *, struct service *, struct counter_slot *, int places);
/* Have NEWS_OTHER told while this descriptor, which stays the caller's, can be read. */
void instances_watch(struct instances *, int fd);

/* Start an instance of this function. It takes a place, and there must be a free one. False when
 * the system has no process or descriptor left. */
bool instances_start(struct instances *, struct function *);
/* Hand a program, and the message that came with it or NULL, to an idle instance of this function;
 * there must be one. It is BUSY until its report, which comes with `task`. False when that instance
 * has just died; instances_next() will tell of its death without a task. */
bool instances_give(struct function *, const struct program *, const struct client_message *,
                    void *task);
/* Kill it; instances_next() will tell of its end. An instance that idles loses nothing, and one
 * that takes too long would not listen to anything milder. */
void instances_end(struct instances *, struct instance *);
/* Kill them all and wait for their ends. */
void instances_end_all(struct instances *);

/* Bring the memory accounts up to date. */
void instances_charge(struct instances *);

enum news_kind {
    NEWS_NONE,    /* no more for now */
    NEWS_READY,   /* the instance has started and idles */
    NEWS_DONE,    /* it has performed `task`, see `report`, and idles */
    NEWS_CRASHED, /* it has died unasked, and `task` with it (or NULL); its place is free */
    NEWS_ENDED,   /* it has been ended while it performed `task` (or NULL); its place is free */
    NEWS_OTHER,   /* see instances_watch() */
};

struct news {
    enum news_kind kind;
    struct instance *instance;
    struct function *function;
    void *task;
    struct performer_report report;
};

/* What has happened next, without blocking. After NEWS_NONE the caller should look after its other
 * work, even if fd is readable again. */
struct news instances_next(struct instances *);

/* Name, accounts and instances of this function as members of a JSON object, without braces. */
void instances_print(const struct instances *, const struct function *, FILE *);

#endif
