/* Tests of the statistics with which the tests of arrivals judge: they can fail. */
#include "tests/unit/plan/arrival_samples.h"

typedef double make_gap(struct random *);

static double exponential_gap(struct random *random)
{
    return random_exponential(random);
}

static double late_gap(struct random *random)
{
    return 1.05 * random_exponential(random);
}

static double regular_gap(struct random *random)
{
    return pow(random_exponential(random), 1 / 1.1) * 1.0364; /* Weibull of shape 1.1, mean 1 */
}

static double clustered_gap(struct random *random)
{
    return random_exponential(random) * (random_unit(random) < 0.8 ? 1 : 2) / 1.2;
}

static struct verdicts verdicts_on(make_gap *make)
{
    struct verdicts v = {0};
    double gap[GAPS];

    for (uint64_t seed = 1; seed <= SAMPLES; seed++) {
        struct random random = {seed};

        for (int i = 0; i < GAPS; i++)
            gap[i] = make(&random);
        judge_sample(&v, gap);
    }
    return v;
}

Test(statistics, tell_exponential_gaps_from_others)
{
    struct verdicts exponential = verdicts_on(exponential_gap), late = verdicts_on(late_gap);
    struct verdicts regular = verdicts_on(regular_gap), clustered = verdicts_on(clustered_gap);

    cr_assert(are_exponential(&exponential), "mean A^2 %f", exponential.sum / SAMPLES);
    cr_assert_not(are_exponential(&late), "mean A^2 %f", late.sum / SAMPLES);
    cr_assert_not(are_exponential(&regular), "mean A^2 %f", regular.sum / SAMPLES);
    cr_assert_not(are_exponential(&clustered), "mean A^2 %f", clustered.sum / SAMPLES);
}

Test(statistics, rank_correlation_sees_a_dependence)
{
    enum { COUNT = 10000 };
    double value[COUNT];
    struct random random = {1};

    for (int i = 0; i < COUNT; i++)
        value[i] = random_exponential(&random);
    cr_assert_float_eq(lag_1_correlation(value, COUNT), 0, 0.035);
    for (int i = COUNT - 1; i > 0; i--)
        value[i] += 0.1 * value[i - 1];
    cr_assert_gt(lag_1_correlation(value, COUNT), 0.05);
    for (int i = 0; i < COUNT; i++)
        value[i] = i;
    cr_assert_float_eq(lag_1_correlation(value, COUNT), 1, 0.001);
}
