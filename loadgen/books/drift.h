/* drift: was the run in a steady state? The first half of the window against the second.
 *
 * It is told and does not make a run invalid: an overloaded server has no steady state, and to show
 * that is what some workloads are for. */
#ifndef ARCHBENCH_DRIFT_H
#define ARCHBENCH_DRIFT_H

#include "loadgen/books/estimate.h"
#include "loadgen/books/sample.h"

#include <stdbool.h>

/* What came in during one half. */
struct half {
    double seconds;
    uint64_t requests, good, errors;
    double rate;                            /* good replies per second */
    double p50_ns, p99_ns;                  /* of the response, as hist_percentile */
    struct percentile_interval p50_between; /* where the true median lies */
};

struct drift {
    bool known; /* false: the window ended before its middle, and nothing else is set */
    struct half first, second;
};

/* From the samples (of all classes) at the middle and at the end of the window. */
struct drift drift_between(const struct sample *middle, const struct sample *end, double first_s,
                           double second_s);

/* (second - first) / first. NAN when one of them is no finite number, or the first is 0. */
double drift_change(double first, double second);

/* The medians differ by over 10 %, and by more than chance explains. Says no where replies take so
 * long that a half shows only the quick ones. */
bool drift_of_latency(const struct drift *);

/* The rates differ by over 5 %, and by more than chance explains. */
bool drift_of_rate(const struct drift *);

#endif
