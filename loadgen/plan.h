/* plan: what one run will do, settled before the first connection is made: the workload, the
 * command line over it, the request bytes, the rates in requests per second and the digests to
 * expect. */
#ifndef ARCHBENCH_PLAN_H
#define ARCHBENCH_PLAN_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loadgen/workload.h"

/* What the command line says. Texts are NULL and numbers 0 where it says nothing. */
struct wishes {
    const char *url, *workload, *point, *rate, *cpus, *calibration;
    int arrivals; /* 0: not said; else 1 + enum arrivals_kind */
    int connections, workers, server_cores;
    int64_t duration_ns, warmup_ns, timeout_ns, drain_ns;
    int seed;
    bool realtime;
};

struct plan_class {
    const char *name;
    double weight; /* relative frequency */
    double rate;   /* requests per second of its own stream; 0: it is drawn by weight */
    char *request; /* all bytes of it; owned by the plan */
    size_t request_len;
    bool head;
    bool has_digest;
    uint64_t digest;
};

struct plan {
    const char *url, *workload_path, *point;
    struct workload workload; /* the classes' names point into it */
    struct sockaddr_in address;
    char host[256]; /* as in the Host header */
    enum arrivals_kind arrivals;
    double rate; /* requests per second over all workers; 0 in a closed loop */
    int connections, workers, seed;
    bool realtime;
    int64_t duration_ns, warmup_ns, timeout_ns, drain_ns;
    int cpu_count;
    int cpus[64]; /* worker i is pinned to cpus[i % cpu_count], if there are any */
    int class_count;
    struct plan_class class[WORKLOAD_CLASSES];
};

/* Settle the plan. Dies with one line when the wishes contradict each other or the host has no
 * address. Computing the expected digests takes as long as one request of each class. */
void plan_make(struct plan *, const struct wishes *);

/* Connections of one worker: all get the same number, the first ones one more if need be. */
int plan_connections_of(const struct plan *, int worker);

void plan_free(struct plan *);

#endif
