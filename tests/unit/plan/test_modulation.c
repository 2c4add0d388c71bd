/* Tests of loadgen/plan/arrivals.c: a rate that switches between two states at random. */
#include "tests/unit/plan/arrival_samples.h"

#include <string.h>

static const struct modulation BURSTS = {.load = 4, .length_ns = 50000000, .share = 0.1};
/* All comes in bursts, and nothing between them. */
static const struct modulation ON_OFF = {.load = 5, .length_ns = 20000000, .share = 0.2};

static struct arrivals_setup modulated(const struct modulation *m, double rate)
{
    struct arrivals_setup setup = setup_of(ARRIVALS_POISSON, rate);

    setup.modulation[0] = *m;
    return setup;
}

/* Index of dispersion of the counts in intervals of t seconds (their variance / their mean), from the
 * covariance of the rate, which falls off exponentially: D. R. Cox and P. A. W. Lewis, "The Statistical
 * Analysis of Series of Events", 1966, chapter 4; for two states as in H. Heffes and D. M. Lucantoni,
 * IEEE JSAC 4 (1986). */
static double dispersion(const struct modulation *m, double rate, double t)
{
    double quiet = (1 - m->share * m->load) / (1 - m->share);
    double leave_burst = 1e9 / (double)m->length_ns;
    double r = leave_burst + leave_burst * m->share / (1 - m->share);
    double between = rate * (m->load - quiet);
    double variance = between * between * m->share * (1 - m->share);

    return 1 + 2 * variance / (rate * r) * (1 - (1 - exp(-r * t)) / (r * t));
}

/* Variance over mean of the counts of `count` intervals. */
static double measured_dispersion(struct merged *m, double t, int count)
{
    double sum = 0, squares = 0, mean;
    struct arrival arrival = merged_next(m);

    for (int i = 1; i <= count; i++) {
        double here = 0;

        for (; (double)arrival.intended_ns < i * t * SECOND; here++)
            arrival = merged_next(m);
        sum += here;
        squares += here * here;
    }
    mean = sum / count;
    return (squares / count - mean * mean) / mean;
}

/* In a time of T the number has a variance of rate T I: four deviations are met by one seed in 16,000. */
static void expect_mean(const struct modulation *m, double rate, int workers, double seconds)
{
    struct arrivals_setup setup = modulated(m, rate);
    double deviation = sqrt(rate * seconds * dispersion(m, rate, seconds)), count = 0;
    struct merged merged;

    setup.workers = workers;
    merged_start(&merged, setup, 0);
    while ((double)merged_next(&merged).intended_ns < seconds * SECOND)
        count++;
    cr_assert_float_eq(count, rate * seconds, 4 * deviation, "%f of %f", count, rate * seconds);
    cr_assert_lt(4 * deviation, 0.1 * rate * seconds, "this cannot fail");
}

Test(modulation, keeps_the_mean_rate)
{
    expect_mean(&BURSTS, 1000, 1, 1000);
    expect_mean(&ON_OFF, 1000, 1, 1000);
    expect_mean(&BURSTS, 1000, 3, 1000);
}

/* In 250 s there are 500 bursts, and the estimate has a relative deviation of 0.03 at most (over twenty seeds, found by
 * trial: counts are far from normal). */
static void expect_dispersion(const struct modulation *m, int workers, double t)
{
    struct arrivals_setup setup = modulated(m, 2000);
    double wanted = dispersion(m, 2000, t), got;
    struct merged merged;

    setup.workers = workers;
    merged_start(&merged, setup, 0);
    got = measured_dispersion(&merged, t, t < 0.025 ? (int)(250 / t) : 10000);
    cr_assert_float_eq(got, wanted, 0.15 * wanted, "%f s: %f, not %f", t, got, wanted);
}

Test(modulation, disperses_as_the_formula_says)
{
    for (double t = 0.001; t < 0.5; t *= 5) {
        expect_dispersion(&BURSTS, 1, t);
        expect_dispersion(&ON_OFF, 1, t);
    }
    cr_assert_gt(dispersion(&BURSTS, 2000, 0.1), 10, "nobody could take it for a Poisson process");
}

/* Their states change together, or several workers would be calmer than one. */
Test(modulation, workers_have_their_bursts_together)
{
    expect_dispersion(&BURSTS, 4, 0.05);
    expect_dispersion(&ON_OFF, 4, 0.05);
}

/* Arrivals see the states by how many they make: load x share of them in bursts. By time it is the share. */
Test(modulation, spends_its_share_of_time_in_bursts)
{
    struct arrivals_setup setup = modulated(&BURSTS, 5000);
    struct arrivals a = started(&setup, 0);
    double burst_ns = 0, seconds = 2000, switched_ns = 0;
    int in_bursts = 0, count = 0, bursts = 0;
    bool was = a.stream[0].in_burst;

    while (a.stream[0].due_ns < seconds * SECOND) {
        bool is = a.stream[0].in_burst;

        if (was != is) { /* the switch, to within a gap: of 200 us on average */
            burst_ns += was ? a.stream[0].due_ns - switched_ns : 0;
            bursts += was;
            switched_ns = a.stream[0].due_ns;
            was = is;
        }
        in_bursts += is;
        count++;
        arrivals_next(&a);
    }
    /* 4000 bursts: deviations of 1.6 % for their number and for their lengths */
    cr_assert_float_eq(burst_ns / seconds / SECOND, 0.1, 0.01);
    cr_assert_float_eq((double)bursts, 4000, 260);
    cr_assert_float_eq(burst_ns / bursts / 1e6, 50, 3.5);
    cr_assert_float_eq((double)in_bursts / count, 0.4, 0.03);
}

Test(modulation, is_the_same_for_the_same_seed_only)
{
    struct arrivals_setup setup = modulated(&BURSTS, 1000);
    struct arrivals a = started(&setup, 0), b = started(&setup, 0), c;
    int same = 0;

    setup.seed = 2;
    c = started(&setup, 0);
    for (int i = 0; i < 10000; i++) {
        int64_t due_ns = arrivals_next(&a).intended_ns;

        cr_assert_eq(due_ns, arrivals_next(&b).intended_ns);
        same += due_ns == arrivals_next(&c).intended_ns;
    }
    cr_assert_lt(same, 3);
}

/* A phase multiplies the rate in both states; how long bursts last it does not change. */
Test(modulation, goes_with_phases)
{
    static const struct phase phases[] = {{.length_ns = 400LL * SECOND, .load = {1, 1}},
                                          {.length_ns = 400LL * SECOND, .load = {3, 3}},
                                          {.length_ns = 100LL * SECOND, .load = {0, 0}},
                                          {.length_ns = 400LL * SECOND, .load = {0, 2}}};
    struct arrivals_setup setup = modulated(&BURSTS, 1000);
    int count[4] = {0}, switches[4] = {0};
    struct arrivals a;
    bool was;

    setup.phase_count = 4;
    setup.phase = phases;
    a = started(&setup, 0);
    was = a.stream[0].in_burst;
    for (;;) {
        bool is = a.stream[0].in_burst;
        int64_t s = arrivals_next(&a).intended_ns / SECOND;
        int phase = s < 400 ? 0 : s < 800 ? 1 : s < 900 ? 2 : 3;

        if (s >= 1300)
            break;
        count[phase]++;
        switches[phase] += was != is;
        was = is;
    }
    cr_assert_float_eq(count[0], 400e3, 40e3);
    cr_assert_float_eq(count[1], 1200e3, 120e3);
    cr_assert_eq(count[2], 0);
    cr_assert_float_eq(count[3], 400e3, 60e3);
    cr_assert_float_eq(switches[0], 1600, 160);
    cr_assert_float_eq(switches[1], 1600, 160);
}

Test(modulation, ends_where_the_load_does)
{
    static const struct phase phases[] = {{.length_ns = SECOND, .load = {1, 0}}};
    const struct modulation *const kinds[] = {&BURSTS, &ON_OFF};

    for (int i = 0; i < 2; i++) {
        struct arrivals_setup setup = modulated(kinds[i], 10000);
        int64_t due_ns = 0;
        struct arrivals a;

        setup.phase_count = 1;
        setup.phase = phases;
        a = started(&setup, 0);
        for (int n = 0; n < 1000000 && due_ns < INT64_MAX; n++) {
            due_ns = arrivals_next(&a).intended_ns;
            cr_assert(due_ns < SECOND || due_ns == INT64_MAX);
        }
        cr_assert_eq(due_ns, INT64_MAX);
    }
}

/* The classes beside it stay what they were. */
Test(modulation, is_of_one_class)
{
    struct arrivals_setup setup = modulated(&ON_OFF, 2000);
    struct arrivals a;
    static double gap[SAMPLES][GAPS];
    struct verdicts v = {0};
    int64_t last_ns = 0;
    int taken = 0;

    setup.class_count = 2;
    setup.weight[0] = setup.weight[1] = 1;
    a = started(&setup, 0);
    while (taken < SAMPLES * GAPS) {
        struct arrival arrival = arrivals_next(&a);

        if (arrival.class == 0)
            continue;
        gap[taken / GAPS][taken % GAPS] = (double)(arrival.intended_ns - last_ns) / 1e6;
        last_ns = arrival.intended_ns;
        taken++;
    }
    for (int i = 0; i < SAMPLES; i++)
        judge_sample(&v, gap[i]);
    cr_assert(are_exponential(&v), "mean A^2 %f", v.sum / SAMPLES);
}
