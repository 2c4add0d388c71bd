/* estimate: how well a sample knows a percentile. Pure arithmetic: no clock, no random numbers.
 *
 * The intervals are distribution-free: of n independent values, the number at or below the true
 * percentile p is binomial(n, p) whatever their distribution, so two of the sorted values enclose
 * the percentile with a probability that depends on their ranks only. (G. J. Hahn and W. Q. Meeker,
 * Statistical Intervals, Wiley 1991, section 5.2; W. J. Conover, Practical Nonparametric
 * Statistics, 3rd ed., Wiley 1999, section 3.2.) The ranks come from exact binomial sums for every
 * size of sample; no normal approximation is needed.
 *
 * The intervals are two-sided and equal-tailed: each end is missed with a probability of at most
 * 2.5 %, so both hold with at least 95 %.
 *
 * The premise is independence. Response times of a queue are not independent: a request that waits
 * long has neighbours that wait long. They carry less information than their number says, and the
 * interval is then too narrow: take it as the least uncertainty that a single run has. Repeated
 * runs show the rest. */
#ifndef ARCHBENCH_ESTIMATE_H
#define ARCHBENCH_ESTIMATE_H

#include "loadgen/books/hist.h"

#include <stdbool.h>
#include <stdint.h>

/* Ranks of the sorted sample, 1 to n, whose values enclose a percentile. 0 stands for a low end
 * and n + 1 for a high end that a sample of this size does not have. */
struct percentile_ranks {
    uint64_t low, high;
};

/* For `percent`, above 0 and below 100, of a sample of `n`. The time grows with the square root of
 * n: some milliseconds for a thousand million. */
struct percentile_ranks estimate_ranks(uint64_t n, double percent);

/* Both ends are values of the sample, nanoseconds; a high end of INFINITY means that so many
 * requests failed that the percentile may well be infinite. */
struct percentile_interval {
    double low_ns, high_ns;
    bool known; /* the sample has both ends; one that it has not is 0 or INFINITY here */
};

/* The 95 % interval of hist_percentile(hist, percent). The extremes, 0 and 100, have none. */
struct percentile_interval estimate_percentile(const struct hist *, double percent);

/* The fewest values with which the interval is known: n such that p^n and (1-p)^n are at most
 * 2.5 %. 6 for the median, 368 for the 99th percentile. 0 for percentiles 0 and 100: no number
 * would do. */
uint64_t estimate_smallest_sample(double percent);

#endif
