/* sample: the workers' counts as they are at one moment of the run, and what happened between two
 * such moments. Workers go on counting meanwhile: numbers of one sample may differ by a request. */
#ifndef ARCHBENCH_SAMPLE_H
#define ARCHBENCH_SAMPLE_H

#include "loadgen/books/stats.h"
#include "loadgen/plan/plan.h"

/* Since the window opened. */
struct sample {
    uint64_t requests, errors, retries, missed;
    uint64_t good; /* of a class: its requests'. In all: replies that came, also to the warm-up */
    struct hist response;
};

/* The difference of two samples. */
struct period {
    double offered, achieved; /* requests and good replies per second */
    uint64_t errors, retries, missed;
    double p50_ns, p99_ns; /* as hist_percentile */
    bool p99_known;        /* the replies are enough to know it */
};

/* Room for one sample of each class and one of all together, which is the last; zeroed. The caller
 * frees it. */
struct sample *sample_create(const struct plan *);

/* Look at the workers now. `into` is from sample_create. */
void sample_take(struct sample *into, const struct plan *, const struct shared *);

/* What happened from `before` to `now`, `seconds` later. `since` is scratch. */
struct period sample_period(const struct sample *now, const struct sample *before, double seconds,
                            struct hist *since);

#endif
