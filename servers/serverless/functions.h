/* functions: a function is what clients call by the class of their requests. Here are the table of
 * all functions, and for each of them its events that wait, its instances that idle, and what it
 * has cost so far. */
#ifndef ARCHBENCH_FUNCTIONS_H
#define ARCHBENCH_FUNCTIONS_H

#include "common/work/program.h"
#include "servers/serverless/performer.h"

#include <sys/queue.h>

struct event;
struct instance;

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

/* It is never freed: instances and dead letters point to it. */
struct function {
    char name[PROGRAM_CLASS_MAX + 1]; /* the class of its requests; needs no escapes in JSON */
    struct performer_manner manner;   /* how its instances start, and how often they crash */
    TAILQ_HEAD(waiting_events, event) waiting; /* for an instance, the oldest first */
    int waiting_count;
    LIST_HEAD(idle_instances, instance) idle; /* the one used last comes first: the others age */
    int starting;                             /* instances that are not ready yet */
    int alive;                                /* instances in all, until they are reaped */
    double account[ACCOUNTS];
};

enum { FUNCTIONS_MAX = 256 };

/* All functions of a router, in the order in which they were first called. One thread's. */
struct functions {
    struct function *function; /* [FUNCTIONS_MAX] */
    int count;
    int64_t cold_start_ns; /* of every function */
    const char *crash;     /* CLASS:PERCENT, the function that is made to crash; or NULL */
};

/* A function without events and instances. `name` has PROGRAM_CLASS_MAX characters at most. */
void function_init(struct function *, const char *name, const struct performer_manner *);

/* Begin with none. `crash` stays the caller's and outlives the table. Dies when it makes no
 * sense. */
void functions_init(struct functions *, int64_t cold_start_ns, const char *crash);
/* The function that this program calls: that of its class, or else "default". A new name gets a new
 * function. NULL: there are FUNCTIONS_MAX others already. */
struct function *functions_find(struct functions *, const struct program *);
/* One account, summed over all functions. */
double functions_sum(const struct functions *, enum account);

#endif
