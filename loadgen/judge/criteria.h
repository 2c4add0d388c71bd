/* criteria: conditions on the result of a run, such as "p99<5ms,errors<0.1%". Pure: no clock, no
 * input or output.
 *
 *     criteria  = condition { "," condition }
 *     condition = [CLASS "."] [LATENCY "."] METRIC OP VALUE
 *     LATENCY   = "response" (when none is named) | "service" | "lag"
 *     OP        = "<" | "<=" | ">" | ">="
 *
 * Blanks around the parts do not matter. Without a class, a condition is on all requests. There is
 * room for 16 conditions of up to 127 characters, 63 of them left of the operator.
 *
 *     METRIC            VALUE            meaning
 *     p99, p99.9, ...   5ms, 1.5ms, 0    that percentile, 0 to 100, of a latency
 *     mean, max         5ms, 1.5ms, 0    of a latency
 *     errors            0.1% or 12       requests without a good reply: share or count
 *     missed            0.1% or 12       deadlines missed: share of the requests, or count
 *     rate              950.5            good replies per second
 *
 * A request that never got a good reply has an infinite latency. It counts in the percentiles and
 * makes max and mean infinite: letting slow requests fail does not bring p99 below 5 ms.
 *
 * What was not measured has no value: the latency, errors or missed deadlines of no requests, and
 * the rate over no time. Such a condition counts against the run, whatever its operator: where all
 * must hold, it does not (criteria_hold); where one that holds is a failure, it does
 * (criteria_any). So a run that measured nothing never passes. */
#ifndef ARCHBENCH_CRITERIA_H
#define ARCHBENCH_CRITERIA_H

#include "loadgen/books/stats.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    CRITERIA_MAX = 16,   /* conditions */
    CRITERION_NAME = 64, /* bytes of what stands left of the operator, with its 0 */
    CRITERIA_TEXT = 256, /* enough for every sentence that this module writes */
};

enum criterion_metric {
    METRIC_PERCENTILE,
    METRIC_MEAN,
    METRIC_MAX,
    METRIC_ERRORS,
    METRIC_MISSED,
    METRIC_RATE
};

enum criterion_latency { LATENCY_RESPONSE, LATENCY_SERVICE, LATENCY_LAG };

enum criterion_op { OP_LESS, OP_AT_MOST, OP_GREATER, OP_AT_LEAST };

struct criterion {
    char name[CRITERION_NAME]; /* "slow.service.p99", as it was written */
    int class;                 /* -1: all requests */
    enum criterion_metric metric;
    enum criterion_latency latency; /* of a percentile, mean or max */
    double percent;                 /* of a percentile */
    enum criterion_op op;
    bool share;   /* limit is a percentage of the requests */
    double limit; /* nanoseconds, percent, a count, or per second: as the metric has it */
};

/* Flat: it may be copied, and owns nothing. */
struct criteria {
    int count;
    struct criterion criterion[CRITERIA_MAX];
};

/* Read `text`. `class_name` are the `class_count` names that CLASS may be; the conditions keep
 * their indices. A class that is called like a latency is reached by naming both:
 * service.response.p99. Returns false with a sentence in `error` that quotes the bad part. */
bool criteria_parse(struct criteria *, const char *text, const char *const *class_name,
                    int class_count, char *error, size_t size);

/* What a run measured, as conditions see it. Everything is borrowed. */
struct criteria_input {
    const struct class_stats *all;
    const struct class_stats *class; /* an array in the order of the names */
    int class_count;
    double duration_s;    /* of the window; 0: it never opened */
    double achieved_rate; /* good replies per second, all classes; a class has good/duration_s */
};

/* True when every condition holds. Otherwise `why` says which is the first that does not, such as
 * "p99 is 7.31 ms, not below 5 ms"; when all hold it is empty. */
bool criteria_hold(const struct criteria *, const struct criteria_input *, char *why, size_t size);

/* True when a condition holds; `why` says which is the first, such as "errors are 1.2 %, above
 * 1 %". When none holds it is empty. */
bool criteria_any(const struct criteria *, const struct criteria_input *, char *why, size_t size);

#endif
