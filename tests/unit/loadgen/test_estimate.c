/* Tests of loadgen/books/estimate.c: ranks from tables, and how often the interval holds the truth. */
#include "loadgen/books/estimate.h"
#include "loadgen/plan/arrivals.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

struct known_ranks {
    uint64_t n;
    double percent;
    uint64_t low, high;
};

/* The medians up to n = 25 are in the textbooks' tables of the sign test; the others are
 * binomial quantiles of an independent implementation (scipy.stats.binom.ppf). */
Test(estimate, ranks_are_those_of_the_tables)
{
    static const struct known_ranks known[] = {
        {5, 50, 0, 6},
        {6, 50, 1, 6},
        {10, 50, 2, 9},
        {15, 50, 4, 12},
        {20, 50, 6, 15},
        {25, 50, 8, 18},
        {100, 50, 40, 61},
        {100, 90, 84, 96},
        {35, 10, 0, 8},
        {36, 10, 1, 8},
        {50, 10, 1, 10},
        {1000, 1, 4, 18},
        {367, 99, 359, 368},
        {368, 99, 360, 368},
        {1000, 99, 983, 997},
        {10000, 99, 9880, 9920},
        {100000, 99.9, 99880, 99920},
        {3687, 99.9, 3679, 3688},
        {3688, 99.9, 3680, 3688},
        {36887, 99.99, 36879, 36887},
        {1000000, 50, 499020, 500981},
        {1000000, 99, 989805, 990196},
        {1000000000, 50, 499969010, 500030991},
        {1000000000, 99.9, 998998041, 999001960},
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        struct percentile_ranks ranks = estimate_ranks(known[i].n, known[i].percent);

        cr_assert_eq(ranks.low, known[i].low, "p%g of %lu: low %lu", known[i].percent, known[i].n,
                     ranks.low);
        cr_assert_eq(ranks.high, known[i].high, "p%g of %lu: high %lu", known[i].percent,
                     known[i].n, ranks.high);
    }
}

static double log_probability(uint64_t n, double p, uint64_t k)
{
    return lgamma((double)n + 1) - lgamma((double)k + 1) - lgamma((double)(n - k) + 1) +
           (double)k * log(p) + (double)(n - k) * log1p(-p);
}

/* P(from <= B <= to), the plain way. */
static double probability(uint64_t n, double p, uint64_t from, uint64_t to)
{
    double sum = 0;

    for (uint64_t k = from; k <= to; k++)
        sum += exp(log_probability(n, p, k));
    return sum;
}

/* Neither tail is above 2.5 %, and neither end could move one rank inwards. */
Test(estimate, the_ranks_are_the_closest_that_keep_each_tail)
{
    static const double percents[] = {0.1, 1, 10, 50, 75, 90, 95, 99, 99.9};

    for (size_t i = 0; i < sizeof percents / sizeof percents[0]; i++) {
        for (uint64_t n = 1; n < 3000; n += 1 + n / 7) {
            double p = percents[i] / 100;
            struct percentile_ranks r = estimate_ranks(n, percents[i]);

            cr_assert_leq(r.low, r.high);
            if (r.low > 0)
                cr_assert_leq(probability(n, p, 0, r.low - 1), 0.025);
            if (r.low < n)
                cr_assert_gt(probability(n, p, 0, r.low), 0.025);
            if (r.high <= n)
                cr_assert_leq(probability(n, p, r.high, n), 0.025);
            if (r.high > 1)
                cr_assert_gt(probability(n, p, r.high - 1, n), 0.025);
        }
    }
}

Test(estimate, no_values_have_no_ranks)
{
    struct percentile_ranks ranks = estimate_ranks(0, 50);

    cr_assert_eq(ranks.low, 0);
    cr_assert_eq(ranks.high, 1);
}

Test(estimate, the_smallest_sample_is_where_the_ranks_begin_to_exist)
{
    static const double percents[] = {1, 10, 50, 90, 95, 99, 99.9, 99.99};

    cr_assert_eq(estimate_smallest_sample(50), 6);
    cr_assert_eq(estimate_smallest_sample(95), 72);
    cr_assert_eq(estimate_smallest_sample(99), 368);
    cr_assert_eq(estimate_smallest_sample(99.9), 3688);
    cr_assert_eq(estimate_smallest_sample(0), 0);
    cr_assert_eq(estimate_smallest_sample(100), 0);
    for (size_t i = 0; i < sizeof percents / sizeof percents[0]; i++) {
        uint64_t n = estimate_smallest_sample(percents[i]);
        struct percentile_ranks enough = estimate_ranks(n, percents[i]);
        struct percentile_ranks fewer = estimate_ranks(n - 1, percents[i]);

        cr_assert(enough.low >= 1 && enough.high <= n, "p%g of %lu", percents[i], n);
        cr_assert(fewer.low < 1 || fewer.high > n - 1, "p%g of %lu", percents[i], n - 1);
    }
}

static struct hist *numbers(int64_t from, int64_t to)
{
    struct hist *hist = calloc(1, sizeof *hist);

    for (int64_t i = from; i <= to; i++)
        hist_add(hist, i);
    return hist;
}

Test(estimate, the_interval_is_made_of_values)
{
    struct hist *hist = numbers(1, 1000);
    struct percentile_interval interval = estimate_percentile(hist, 99);

    cr_assert(interval.known);
    cr_assert_eq(interval.low_ns, 983);
    cr_assert_eq(interval.high_ns, 997);
    free(hist);
}

Test(estimate, a_small_sample_has_no_upper_bound_in_the_tail)
{
    struct hist *hist = numbers(1, 100);
    struct percentile_interval interval = estimate_percentile(hist, 99);

    cr_assert_not(interval.known);
    cr_assert_eq(interval.low_ns, 97, "the low end exists all the same");
    cr_assert(isinf(interval.high_ns));
    interval = estimate_percentile(hist, 1);
    cr_assert_not(interval.known);
    cr_assert_eq(interval.low_ns, 0);
    cr_assert_eq(interval.high_ns, 4);
    free(hist);
}

Test(estimate, nothing_is_known_of_nothing_and_of_the_extremes)
{
    struct hist *hist = numbers(1, 0);

    cr_assert_not(estimate_percentile(hist, 50).known);
    cr_assert(isinf(estimate_percentile(hist, 50).high_ns));
    free(hist);
    hist = numbers(1, 1000);
    cr_assert_not(estimate_percentile(hist, 0).known);
    cr_assert_not(estimate_percentile(hist, 100).known);
    free(hist);
}

/* 5 of 1000 are infinite, so the 99th percentile is finite, but ranks 996 to 1000 are not. */
Test(estimate, failed_requests_can_make_the_upper_bound_infinite)
{
    struct hist *hist = numbers(1, 995);
    struct percentile_interval interval;

    for (int i = 0; i < 5; i++)
        hist_add_infinite(hist);
    interval = estimate_percentile(hist, 99);
    cr_assert(interval.known);
    cr_assert(isfinite(hist_percentile(hist, 99)));
    cr_assert_eq(interval.low_ns, 983);
    cr_assert(isinf(interval.high_ns));
    free(hist);
}

/* How often the interval of `n` exponential values holds their true percentile. */
static double coverage(uint64_t n, double percent, int samples, struct random *random)
{
    struct hist *hist = calloc(1, sizeof *hist);
    double truth = -log1p(-percent / 100) * 1e6;
    int held = 0;

    /* The slots round the values up; the truth has to be rounded alike. */
    truth = (double)hist_slot_top(hist_slot((int64_t)truth));
    for (int i = 0; i < samples; i++) {
        struct percentile_interval interval;

        *hist = (struct hist){0};
        for (uint64_t k = 0; k < n; k++)
            hist_add(hist, (int64_t)(-log(random_unit(random)) * 1e6));
        interval = estimate_percentile(hist, percent);
        held += interval.low_ns <= truth && truth <= interval.high_ns;
    }
    free(hist);
    return (double)held / samples;
}

/* The probability follows from the ranks; the slots' rounding may add a little on top. */
Test(estimate, the_interval_holds_the_truth_as_often_as_it_says)
{
    enum { SAMPLES = 2000 };
    static const struct known_ranks cases[] = {
        {50, 50, 18, 33}, {200, 90, 171, 189}, {1000, 99, 983, 997}};
    struct random random = {2024};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct known_ranks *c = &cases[i];
        double expected = probability(c->n, c->percent / 100, c->low, c->high - 1);
        double error = sqrt(expected * (1 - expected) / SAMPLES);
        double seen = coverage(c->n, c->percent, SAMPLES, &random);

        cr_assert_geq(expected, 0.95);
        cr_assert_gt(seen, expected - 4 * error, "p%g of %lu: %g", c->percent, c->n, seen);
        cr_assert_lt(seen, expected + 4 * error + 0.01, "p%g of %lu: %g", c->percent, c->n, seen);
    }
}
