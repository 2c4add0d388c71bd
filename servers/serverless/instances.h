/* instances: the processes of functions, in a bounded number of places behind one descriptor, and
 * what each function costs. When one is started, given something or ended is the caller's to
 * decide; here is how, and what it cost. */
#ifndef ARCHBENCH_INSTANCES_H
#define ARCHBENCH_INSTANCES_H

#include "servers/serverless/performer.h"

#include <stdio.h>
#include <sys/epoll.h>
#include <sys/queue.h>

/* X(name, type, help): the accounts of a function. */
#define ACCOUNT_LIST(X)                                                                            \
    X(invocations, counter, "Events handed to an instance, each attempt counted.")                 \
    X(billed_us, counter, "Microseconds that invocations took, each rounded up to milliseconds.")  \
    X(cold_starts, counter, "Instances that became ready.")                                        \
    X(cold_start_us, counter, "Microseconds from deciding on an instance until it was ready.")     \
    X(instance_cpu_us, counter, "CPU microseconds of instances in all their life.")                \
    X(instance_memory_mib_ms, counter, "Resident MiB of instances times their milliseconds.")      \
    X(retries, counter, "Attempts made again.")                                                    \
    X(timed_out, counter, "Invocations ended because they took too long.")                         \
    X(given_up, counter, "Events that became dead letters.")                                       \
    X(replayed, counter, "Dead letters that were done after all.")

enum account {
#define X(name, type, help) ACCOUNT_##name,
    ACCOUNT_LIST(X)
#undef X
        ACCOUNTS
};

/* The instances of one function, and its accounts. The caller adds to the last four and owns it;
 * it outlives its instances. */
struct instance_pool {
    const char *name; /* the caller's; without characters that JSON would escape */
    struct performer_manner manner;
    int starting; /* not ready yet */
    int alive;    /* in all, until they are buried */
    /* The one used last comes first, so that others age. */
    LIST_HEAD(idle_instances, instance) idle;
    double account[ACCOUNTS];
};

enum instance_state {
    INSTANCE_VACANT,
    INSTANCE_STARTING,
    INSTANCE_IDLE,
    INSTANCE_BUSY,
    INSTANCE_ENDING
};

struct instance {
    struct performer performer;
    enum instance_state state;
    int64_t since_ns; /* of the state */
    struct instance_pool *pool;
    void *task;          /* the caller's: what a BUSY one works on, or an ENDING one did; or NULL */
    int64_t cpu_us;      /* in the accounts already */
    double resident_mib; /* as of its last report */
    int64_t charged_ns;  /* up to then its memory is in the accounts */
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

/* Start one, which takes a place: there must be a free one. False when the system has no process or
 * descriptor left. */
bool instances_start(struct instances *, struct instance_pool *);
/* Hand a program, and whatever `task` is, to an idle one of this pool: it is BUSY until its report.
 * False when that one has just died, which will be told of without a task. */
bool instances_give(struct instance_pool *, const struct program *, void *task);
/* Kill it, which will be told of: nothing is lost with one that idles, and one that takes too long
 * would not listen. */
void instances_end(struct instances *, struct instance *);
/* End them all and wait for it. */
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
    struct instance_pool *pool;
    void *task;
    struct performer_report report;
};

/* What has happened next, without blocking. After NEWS_NONE others may have their turn, even if fd
 * is readable again. */
struct news instances_next(struct instances *);

void instance_pool_init(struct instance_pool *, const char *name, const struct performer_manner *);
/* Accounts and instances as members of a JSON object, without braces. */
void instance_pool_print(const struct instance_pool *, const struct instances *, FILE *);

#endif
