/* What tests of arrivals share: set-ups, several workers' arrivals as one, and statistics of gaps.
 *
 * What is random is tested as a statistician would, with fixed seeds: a test that passes keeps
 * passing. The right distribution would break a bound less than once in a thousand seeds. */
#ifndef ARCHBENCH_TEST_ARRIVAL_SAMPLES_H
#define ARCHBENCH_TEST_ARRIVAL_SAMPLES_H

#include "loadgen/plan/arrivals.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

enum { SECOND = 1000000000 };

static inline struct arrivals_setup setup_of(enum arrivals_kind kind, double rate)
{
    return (struct arrivals_setup){.kind = kind,
                                   .seed = 1,
                                   .workers = 1,
                                   .rate = rate,
                                   .class_count = 1,
                                   .weight = {1},
                                   .burst = 10};
}

/* Started at 0, the window opening at `begin_ns`. */
static inline struct arrivals started(const struct arrivals_setup *setup, int64_t begin_ns)
{
    struct arrivals a;

    arrivals_init(&a, setup);
    arrivals_start(&a, 0, begin_ns);
    return a;
}

/* Statistics. */

static inline int compare_reals(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* A^2 of Anderson and Darling for the hypothesis that the gaps are exponential with mean 1. Sorts
 * them. Nothing is estimated from the sample, which is case 0 of M. A. Stephens, "EDF statistics
 * for goodness of fit and some comparisons", JASA 69 (1974): the mean of A^2 is 1, and it exceeds
 * the critical values below in 5 and 1 % of samples. */
static inline double anderson_darling(double *gap, int count)
{
    double sum = 0;

    qsort(gap, (size_t)count, sizeof *gap, compare_reals);
    for (int i = 0; i < count; i++) {
        double log_below = log(-expm1(-fmax(gap[i], 1e-12)));
        double log_above = -gap[count - 1 - i];

        sum += (2 * i + 1) * (log_below + log_above);
    }
    return -count - sum / count;
}

static const double CRITICAL_5 = 2.492, CRITICAL_1 = 3.857;

enum { SAMPLES = 100, GAPS = 1000 };

/* A^2 of many samples, each from a seed of its own. */
struct verdicts {
    double sum;
    int above_5, above_1;
};

static inline void judge_sample(struct verdicts *v, double *gap)
{
    double statistic = anderson_darling(gap, GAPS);

    v->sum += statistic;
    v->above_5 += statistic > CRITICAL_5;
    v->above_1 += statistic > CRITICAL_1;
}

/* Of 100 exponential samples more than 4 are above the 1 % value in 0.3 % of cases, more than 13
 * above the 5 % value in 0.05 %. The mean of A^2, with a standard error of 0.076, is the sharper
 * test, and it finds gaps that are too regular as well. */
static inline bool are_exponential(const struct verdicts *v)
{
    return v->above_1 <= 4 && v->above_5 <= 13 && fabs(v->sum / SAMPLES - 1) < 0.3;
}

/* Fill `rank` with the place of each value among all. */
static inline void rank_values(const double *value, int count, double *rank)
{
    struct {
        double value, index;
    } *order = malloc((size_t)count * sizeof *order);

    for (int i = 0; i < count; i++) {
        order[i].value = value[i];
        order[i].index = i;
    }
    qsort(order, (size_t)count, sizeof *order, compare_reals);
    for (int i = 0; i < count; i++)
        rank[(int)order[i].index] = i;
    free(order);
}

/* Spearman's rank correlation of each value with the next. Of independent ones it is normal with a
 * deviation of 1 / sqrt(count). */
static inline double lag_1_correlation(const double *value, int count)
{
    double *rank = malloc((size_t)count * sizeof *rank);
    double mean = (count - 1) / 2.0, products = 0, squares = 0;

    rank_values(value, count, rank);
    for (int i = 0; i + 1 < count; i++) {
        products += (rank[i] - mean) * (rank[i + 1] - mean);
        squares += (rank[i] - mean) * (rank[i] - mean);
    }
    free(rank);
    return products / squares;
}

/* The next arrival of several workers together. */
struct merged {
    int count;
    struct arrivals worker[5];
    struct arrival next[5];
};

static inline void merged_start(struct merged *m, struct arrivals_setup setup, int64_t begin_ns)
{
    m->count = setup.workers;
    for (setup.worker = 0; setup.worker < m->count; setup.worker++) {
        m->worker[setup.worker] = started(&setup, begin_ns);
        m->next[setup.worker] = arrivals_next(&m->worker[setup.worker]);
    }
}

static inline struct arrival merged_next(struct merged *m)
{
    struct arrival arrival;
    int first = 0;

    for (int i = 1; i < m->count; i++) {
        if (m->next[i].intended_ns < m->next[first].intended_ns)
            first = i;
    }
    arrival = m->next[first];
    m->next[first] = arrivals_next(&m->worker[first]);
    cr_assert_geq(m->next[first].intended_ns, arrival.intended_ns);
    return arrival;
}

#endif
