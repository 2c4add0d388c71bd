/* Tests of loadgen/arrivals.c and loadgen/backlog.c: when requests are due, and in which order.
 *
 * What is random is tested as a statistician would, with fixed seeds: a test that passes keeps
 * passing. The right distribution would break a bound less than once in a thousand seeds. */
#include "loadgen/plan/arrivals.h"
#include "loadgen/worker/backlog.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SECOND = 1000000000 };

static const double PI = 3.14159265358979323846;

static struct arrivals_setup setup_of(enum arrivals_kind kind, double rate)
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
static struct arrivals started(const struct arrivals_setup *setup, int64_t begin_ns)
{
    struct arrivals a;

    arrivals_init(&a, setup);
    arrivals_start(&a, 0, begin_ns);
    return a;
}

/* Statistics. */

static int compare_reals(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* A^2 of Anderson and Darling for the hypothesis that the gaps are exponential with mean 1. Sorts
 * them. Nothing is estimated from the sample, which is case 0 of M. A. Stephens, "EDF statistics
 * for goodness of fit and some comparisons", JASA 69 (1974): the mean of A^2 is 1, and it exceeds
 * the critical values below in 5 and 1 % of samples. */
static double anderson_darling(double *gap, int count)
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

static void judge_sample(struct verdicts *v, double *gap)
{
    double statistic = anderson_darling(gap, GAPS);

    v->sum += statistic;
    v->above_5 += statistic > CRITICAL_5;
    v->above_1 += statistic > CRITICAL_1;
}

/* Of 100 exponential samples more than 4 are above the 1 % value in 0.3 % of cases, more than 13
 * above the 5 % value in 0.05 %. The mean of A^2, with a standard error of 0.076, is the sharper
 * test, and it finds gaps that are too regular as well. */
static bool are_exponential(const struct verdicts *v)
{
    return v->above_1 <= 4 && v->above_5 <= 13 && fabs(v->sum / SAMPLES - 1) < 0.3;
}

/* Fill `rank` with the place of each value among all. */
static void rank_values(const double *value, int count, double *rank)
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
static double lag_1_correlation(const double *value, int count)
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

/* The tests can fail: gaps that are nearly exponential. */

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

/* Constant arrivals. */

Test(arrivals, constant_ones_keep_their_distance_for_ever)
{
    struct arrivals_setup setup = setup_of(ARRIVALS_CONSTANT, 3000);
    struct arrivals a;

    arrivals_init(&a, &setup);
    arrivals_start(&a, 1000, 5000);
    for (int64_t i = 0; i < 1000000; i++) {
        double due_ns = 1000 + (double)i * 1e9 / 3000;

        cr_assert_leq(fabs((double)arrivals_next(&a).intended_ns - due_ns), 1.0);
    }
}

Test(arrivals, workers_interleave_evenly)
{
    struct arrivals_setup setup = setup_of(ARRIVALS_CONSTANT, 1000);
    struct arrivals worker[2];

    setup.workers = 2;
    for (setup.worker = 0; setup.worker < 2; setup.worker++)
        worker[setup.worker] = started(&setup, 0);
    for (int64_t i = 0; i < 1000; i++) {
        cr_assert_eq(arrivals_next(&worker[0]).intended_ns, 2 * i * 1000000);
        cr_assert_eq(arrivals_next(&worker[1]).intended_ns, (2 * i + 1) * 1000000);
    }
}

Test(arrivals, a_closed_loop_has_none_but_draws_classes)
{
    struct arrivals_setup setup = setup_of(ARRIVALS_CLOSED, 0);
    struct arrivals a = started(&setup, 0);

    cr_assert_eq(arrivals_next(&a).intended_ns, INT64_MAX);
    setup.class_count = 2;
    setup.weight[0] = 0;
    setup.weight[1] = 5;
    a = started(&setup, 0);
    cr_assert_eq(mix_draw(&a.mix, &a.random), 1);
}

Test(arrivals, a_rate_of_0_has_none)
{
    struct arrivals_setup setup = setup_of(ARRIVALS_CONSTANT, 0);
    struct arrivals a = started(&setup, 0);

    cr_assert_eq(arrivals_next(&a).intended_ns, INT64_MAX);
}

/* Poisson arrivals. */

/* The next arrival of several workers together. */
struct merged {
    int count;
    struct arrivals worker[5];
    struct arrival next[5];
};

static void merged_start(struct merged *m, struct arrivals_setup setup, int64_t begin_ns)
{
    m->count = setup.workers;
    for (setup.worker = 0; setup.worker < m->count; setup.worker++) {
        m->worker[setup.worker] = started(&setup, begin_ns);
        m->next[setup.worker] = arrivals_next(&m->worker[setup.worker]);
    }
}

static struct arrival merged_next(struct merged *m)
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

static struct verdicts verdicts_on_workers(int workers)
{
    struct arrivals_setup setup = setup_of(ARRIVALS_POISSON, 1000);
    struct verdicts v = {0};
    struct merged m;
    double gap[GAPS];

    setup.workers = workers;
    for (setup.seed = 1; setup.seed <= SAMPLES; setup.seed++) {
        int64_t last = 0;

        merged_start(&m, setup, 0);
        for (int i = 0; i < GAPS; i++) {
            int64_t due = merged_next(&m).intended_ns;

            gap[i] = (double)(due - last) / 1e6; /* in mean gaps */
            last = due;
        }
        judge_sample(&v, gap);
    }
    return v;
}

Test(arrivals, poisson_gaps_are_exponential)
{
    struct verdicts v = verdicts_on_workers(1);

    cr_assert(are_exponential(&v), "mean A^2 %f, above %d and %d", v.sum / SAMPLES, v.above_5,
              v.above_1);
}

Test(arrivals, poisson_processes_of_workers_add_up_to_one)
{
    for (int workers = 2; workers <= 5; workers += 3) {
        struct verdicts v = verdicts_on_workers(workers);

        cr_assert(are_exponential(&v), "%d workers: mean A^2 %f, above %d and %d", workers,
                  v.sum / SAMPLES, v.above_5, v.above_1);
    }
}

Test(arrivals, a_poisson_gap_tells_nothing_about_the_next)
{
    enum { COUNT = 100000 };
    double *gap = malloc(COUNT * sizeof *gap);

    for (int workers = 1; workers <= 3; workers += 2) {
        struct arrivals_setup setup = setup_of(ARRIVALS_POISSON, 1000);
        struct merged m;
        int64_t last = 0;

        setup.workers = workers;
        merged_start(&m, setup, 0);
        for (int i = 0; i < COUNT; i++) {
            int64_t due = merged_next(&m).intended_ns;

            gap[i] = (double)(due - last);
            last = due;
        }
        cr_assert_float_eq(lag_1_correlation(gap, COUNT), 0, 3.5 / sqrt(COUNT));
    }
    free(gap);
}

Test(arrivals, a_seed_is_a_sequence_and_each_worker_has_its_own)
{
    struct arrivals_setup setup = setup_of(ARRIVALS_POISSON, 1000);
    struct arrivals a, again, other, reseeded;
    int same = 0;

    setup.workers = 5;
    setup.worker = 3;
    a = started(&setup, 0);
    again = started(&setup, 0);
    setup.worker = 4;
    other = started(&setup, 0);
    setup.worker = 3;
    setup.seed = 2;
    reseeded = started(&setup, 0);
    for (int i = 0; i < 1000; i++) {
        int64_t due = arrivals_next(&a).intended_ns;

        cr_assert_eq(due, arrivals_next(&again).intended_ns);
        same += due == arrivals_next(&other).intended_ns;
        same += due == arrivals_next(&reseeded).intended_ns;
    }
    cr_assert_lt(same, 5);
}

/* Classes. */

Test(arrivals, classes_come_by_weight_and_weight_0_never)
{
    struct arrivals_setup setup = setup_of(ARRIVALS_POISSON, 100);
    struct arrivals a;
    int drawn[4] = {0};

    setup.class_count = 4;
    memcpy(setup.weight, (double[]){0, 70, 0, 30}, 4 * sizeof(double));
    a = started(&setup, 0);
    for (int i = 0; i < 100000; i++)
        drawn[arrivals_next(&a).class]++;
    cr_assert_eq(drawn[0], 0);
    cr_assert_eq(drawn[2], 0);
    cr_assert_float_eq(drawn[1] / 100000.0, 0.7, 0.007);
    cr_assert_eq(drawn[1] + drawn[3], 100000);
}

Test(arrivals, streams_of_classes_are_merged_in_time)
{
    struct arrivals_setup setup = setup_of(ARRIVALS_CONSTANT, 5);
    struct arrivals a;
    int64_t last = 0;
    int count[3] = {0};

    setup.class_count = 3;
    setup.own_rates = true;
    memcpy(setup.class_rate, (double[]){1000, 10, 0}, 3 * sizeof(double));
    a = started(&setup, 0);
    for (int i = 0; i < 10100; i++) {
        struct arrival arrival = arrivals_next(&a);

        cr_assert_geq(arrival.intended_ns, last);
        last = arrival.intended_ns;
        count[arrival.class]++;
    }
    cr_assert_eq(count[0], 10000);
    cr_assert_eq(count[1], 100);
    cr_assert_eq(count[2], 0);
}

/* Bursts. */

Test(arrivals, bursts_are_of_a_size_and_at_poisson_moments)
{
    enum { SIZE = 25 };
    struct arrivals_setup setup = setup_of(ARRIVALS_BURSTS, 1000.0 * SIZE);
    struct verdicts v = {0};
    double gap[GAPS];
    int second_class = 0;

    setup.burst = SIZE;
    setup.class_count = 2;
    setup.weight[1] = 1;
    for (setup.seed = 1; setup.seed <= SAMPLES; setup.seed++) {
        struct arrivals a = started(&setup, 0);
        int64_t last = 0;

        for (int i = 0; i < GAPS; i++) {
            int64_t due = 0;

            for (int member = 0; member < SIZE; member++) {
                struct arrival arrival = arrivals_next(&a);

                cr_assert(member == 0 || arrival.intended_ns == due);
                due = arrival.intended_ns;
                second_class += arrival.class;
            }
            cr_assert(i == 0 || due != last, "two bursts in one");
            gap[i] = (double)(due - last) / 1e6;
            last = due;
        }
        judge_sample(&v, gap);
    }
    cr_assert(are_exponential(&v), "mean A^2 %f", v.sum / SAMPLES);
    cr_assert_float_eq((double)second_class / (SAMPLES * GAPS * SIZE), 0.5, 0.0012);
}

Test(arrivals, bursts_of_workers_add_up_to_the_rate)
{
    struct arrivals_setup setup = setup_of(ARRIVALS_BURSTS, 10000);
    struct merged m;
    int count = 0;

    setup.workers = 4;
    merged_start(&m, setup, 0);
    while (merged_next(&m).intended_ns < 40LL * SECOND)
        count++;
    /* 40,000 bursts of ten: a deviation of 2000 */
    cr_assert_float_eq((double)count, 400000, 6600);
}

/* Phases. `load` is what they should make of the load, written down a second time; the integrals
 * over it are numerical. */

struct shape {
    const char *name;
    int phase_count;
    struct phase phase[4];
    double (*load)(double seconds); /* after the window's opening; before it, as at 0 */
    double end_s;                   /* what is looked at */
};

static double spike_load(double s)
{
    return s >= 2 && s < 3 ? 10 : 1;
}

static double pause_load(double s)
{
    return s < 1 ? 0.5 : s < 2 ? 0 : s < 4 ? 2 : 0.25;
}

static double ramp_load(double s)
{
    return s < 0 ? 1 : s < 4 ? 1 + 2 * s / 4 : s < 8 ? 3 * (8 - s) / 4 : 0;
}

static double sine_load(double s)
{
    s = s < 0 ? 0 : s > 7.5 ? 7.5 : s;
    return 2 * (1 + 0.5 * sin(2 * PI * s / 2));
}

static double deep_sine_load(double s)
{
    s = s < 0 ? 0 : s > 10 ? 10 : s;
    return 1 + sin(2 * PI * s / 5);
}

static double rising_sine_load(double s)
{
    s = s < 0 ? 0 : s > 6 ? 6 : s;
    return (4 * s / 6) * (1 + 0.8 * sin(2 * PI * s / 1.5));
}

static const struct shape shapes[] = {
    {.name = "spike",
     .phase_count = 3,
     .phase = {{.length_ns = 2LL * SECOND, .load = {1, 1}},
               {.length_ns = SECOND, .load = {10, 10}},
               {.length_ns = SECOND, .load = {1, 1}}},
     .load = spike_load,
     .end_s = 6},
    {.name = "pause",
     .phase_count = 4,
     .phase = {{.length_ns = SECOND, .load = {0.5, 0.5}},
               {.length_ns = SECOND, .load = {0, 0}},
               {.length_ns = 2LL * SECOND, .load = {2, 2}},
               {.length_ns = SECOND, .load = {0.25, 0.25}}},
     .load = pause_load,
     .end_s = 8},
    {.name = "ramps",
     .phase_count = 2,
     .phase = {{.length_ns = 4LL * SECOND, .load = {1, 3}},
               {.length_ns = 4LL * SECOND, .load = {3, 0}}},
     .load = ramp_load,
     .end_s = 8},
    {.name = "sine",
     .phase_count = 1,
     .phase = {{.length_ns = 15LL * SECOND / 2,
                .load = {2, 2},
                .swing = 0.5,
                .period_ns = 2LL * SECOND}},
     .load = sine_load,
     .end_s = 9},
    {.name = "sine down to 0",
     .phase_count = 1,
     .phase = {{.length_ns = 10LL * SECOND, .load = {1, 1}, .swing = 1, .period_ns = 5LL * SECOND}},
     .load = deep_sine_load,
     .end_s = 12},
    {.name = "rising sine",
     .phase_count = 1,
     .phase =
         {{.length_ns = 6LL * SECOND, .load = {0, 4}, .swing = 0.8, .period_ns = 3LL * SECOND / 2}},
     .load = rising_sine_load,
     .end_s = 8},
};

enum { SHAPES = sizeof shapes / sizeof shapes[0] };

/* The midpoint rule, in steps of at most a millisecond. */
static double integral(const struct shape *shape, double from_s, double to_s)
{
    int steps = 1 + (int)((to_s - from_s) * 1000);
    double width = (to_s - from_s) / steps, sum = 0;

    for (int i = 0; i < steps; i++)
        sum += shape->load(from_s + (i + 0.5) * width);
    return sum * width;
}

static struct arrivals_setup setup_with(const struct shape *shape, enum arrivals_kind kind,
                                        double rate)
{
    struct arrivals_setup setup = setup_of(kind, rate);

    setup.phase_count = shape->phase_count;
    setup.phase = shape->phase;
    return setup;
}

static double seconds_of(int64_t ns)
{
    return (double)ns / SECOND;
}

/* Arrival n of constant ones comes when the integral of the load has reached n gaps, be the shape
 * what it may; a jump between two arrivals is what the midpoint rule may get wrong, by at most the
 * 0.001 s of a step. */
Test(phases, constant_arrivals_follow_the_load_exactly)
{
    static const double rate = 1000, warmup_s = 1.5;

    for (int k = 0; k < SHAPES; k++) {
        const struct shape *shape = &shapes[k];
        struct arrivals_setup setup = setup_with(shape, ARRIVALS_CONSTANT, rate);
        struct arrivals a = started(&setup, (int64_t)(warmup_s * SECOND));
        double before_s = -warmup_s, sum = 0;
        int wanted = (int)(rate * integral(shape, -warmup_s, shape->end_s));

        for (int n = 0; n < wanted; n++) {
            int64_t due = arrivals_next(&a).intended_ns;
            double due_s = seconds_of(due) - warmup_s;

            cr_assert_lt(due, INT64_MAX, "%s: %d of %d", shape->name, n, wanted);
            sum += integral(shape, before_s, due_s);
            before_s = due_s;
            cr_assert_float_eq(sum * rate, n, 0.02 + 0.001 * rate * 10 * (due_s > 0),
                               "%s: arrival %d at %f s after %f gaps", shape->name, n, due_s,
                               sum * rate);
        }
    }
}

/* The same at the places where phases meet, to the nanosecond. */
Test(phases, begin_and_end_when_they_should)
{
    struct arrivals_setup setup = setup_with(&shapes[0], ARRIVALS_CONSTANT, 100);
    struct arrivals a = started(&setup, SECOND);
    int64_t due = 0;

    for (int n = 0; n <= 300; n++) {
        cr_assert_eq(due = arrivals_next(&a).intended_ns, n * 10000000LL);
    }
    for (int n = 1; n <= 1000; n++)
        cr_assert_leq(llabs(arrivals_next(&a).intended_ns - due - n * 1000000LL), 1);
    for (int n = 1; n <= 500; n++)
        cr_assert_leq(llabs(arrivals_next(&a).intended_ns - due - SECOND - n * 10000000LL), 1);
}

Test(phases, the_inverse_of_a_swing_is_exact)
{
    struct arrivals_setup setup = setup_with(&shapes[4], ARRIVALS_CONSTANT, 1000);
    struct arrivals a = started(&setup, 0);

    for (int n = 0; n < 10000; n++) {
        double s = seconds_of(arrivals_next(&a).intended_ns);
        double area = s + (1 - cos(2 * PI * s / 5)) * 5 / (2 * PI);

        cr_assert_float_eq(area, n * 1e-3, 4e-9, "arrival %d at %.9f", n, s);
    }
}

Test(phases, nothing_comes_after_a_load_that_ends_at_0)
{
    struct arrivals_setup setup = setup_with(&shapes[2], ARRIVALS_POISSON, 1000);
    struct arrivals a = started(&setup, SECOND);
    int64_t due, last = 0;

    while ((due = arrivals_next(&a).intended_ns) < INT64_MAX)
        last = due;
    cr_assert_leq(last, 9LL * SECOND);
    cr_assert_gt(last, 8LL * SECOND + SECOND / 2);
    cr_assert_eq(arrivals_next(&a).intended_ns, INT64_MAX);
}

/* Poisson arrivals per slice are as many as the integral says, within 4.6 deviations. */
Test(phases, each_slice_has_its_share_of_poisson_arrivals)
{
    enum { SLICES = 40 };
    static const double rate = 20000;

    for (int k = 0; k < SHAPES; k++) {
        const struct shape *shape = &shapes[k];
        struct arrivals_setup setup = setup_with(shape, ARRIVALS_POISSON, rate);
        double slice_s = shape->end_s / SLICES;
        int count[SLICES] = {0};
        struct merged m;
        int64_t due;

        setup.workers = 2;
        merged_start(&m, setup, 0);
        while ((due = merged_next(&m).intended_ns) < (int64_t)(shape->end_s * SECOND))
            count[(int)(seconds_of(due) / slice_s)]++;
        for (int i = 0; i < SLICES; i++) {
            double mean = rate * integral(shape, i * slice_s, (i + 1) * slice_s);

            cr_assert_float_eq((double)count[i], mean, 4.6 * sqrt(mean) + 1e-9,
                               "%s: slice %d has %d, not %f", shape->name, i, count[i], mean);
        }
    }
}

/* The time-rescaling theorem: the integrals of the rate from one arrival to the next are
 * exponential (Brown et al., "The time-rescaling theorem and its application to neural spike train
 * data analysis", Neural Computation 14, 2002). */
Test(phases, rescaled_poisson_gaps_are_exponential)
{
    for (int k = 0; k < SHAPES; k++) {
        const struct shape *shape = &shapes[k];
        struct arrivals_setup setup = setup_with(shape, ARRIVALS_POISSON, 0);
        struct verdicts v = {0};
        double gap[GAPS];

        setup.rate = 1.2 * GAPS / integral(shape, -0.1, shape->end_s);
        for (setup.seed = 1; setup.seed <= SAMPLES; setup.seed++) {
            struct arrivals a = started(&setup, SECOND / 10);
            double before_s = -0.1;

            for (int i = 0; i < GAPS; i++) {
                double due_s = seconds_of(arrivals_next(&a).intended_ns) - 0.1;

                gap[i] = setup.rate * integral(shape, before_s, due_s);
                before_s = due_s;
            }
            judge_sample(&v, gap);
        }
        cr_assert(are_exponential(&v), "%s: mean A^2 %f, above %d and %d", shape->name,
                  v.sum / SAMPLES, v.above_5, v.above_1);
    }
}

/* Two classes by weight, or with rates of their own, of which one has a spike in second 2. */
static void count_spike(struct arrivals_setup setup, int count[2][4])
{
    static const struct phase phase[] = {
        {.length_ns = 2LL * SECOND, .load = {1, 1}},
        {.length_ns = SECOND,
         .load = {1, 1},
         .has_class_load = {false, true},
         .class_load = {{0, 0}, {8, 8}}},
        {.length_ns = SECOND, .load = {1, 1}},
    };
    struct merged m;
    struct arrival arrival;

    setup.workers = 3;
    setup.class_count = 2;
    setup.phase_count = 3;
    setup.phase = phase;
    memset(count, 0, 2 * sizeof *count);
    merged_start(&m, setup, 0);
    while ((arrival = merged_next(&m)).intended_ns < 4LL * SECOND)
        count[arrival.class][arrival.intended_ns / SECOND]++;
}

static void expect_spike(int count[2][4], double tolerance)
{
    for (int second = 0; second < 4; second++) {
        double spike = second == 2 ? 8 * 2500 : 2500;

        cr_assert_float_eq((double)count[0][second], 7500, tolerance * sqrt(7500.0),
                           "%d in second %d", count[0][second], second);
        cr_assert_float_eq((double)count[1][second], spike, tolerance * sqrt(spike),
                           "%d in second %d", count[1][second], second);
    }
}

Test(phases, a_class_spike_is_of_this_class_alone)
{
    struct arrivals_setup setup = setup_of(ARRIVALS_POISSON, 10000);
    int count[2][4];

    setup.weight[0] = 3;
    setup.weight[1] = 1;
    count_spike(setup, count);
    expect_spike(count, 4.4);
    setup.kind = ARRIVALS_CONSTANT;
    count_spike(setup, count);
    expect_spike(count, 0.04); /* each worker may be one short */
    setup.kind = ARRIVALS_BURSTS;
    count_spike(setup, count);
    expect_spike(count, 4.4 * sqrt(10));
    setup.kind = ARRIVALS_POISSON;
    setup.own_rates = true;
    setup.class_rate[0] = 7500;
    setup.class_rate[1] = 2500;
    setup.weight[0] = setup.weight[1] = 1;
    count_spike(setup, count);
    expect_spike(count, 4.4);
}

Test(phases, their_mean_load_is_the_integral_over_the_time)
{
    for (int k = 0; k < SHAPES; k++) {
        const struct shape *shape = &shapes[k];

        for (double end_s = 0.5; end_s <= shape->end_s; end_s += 0.5) {
            double mean = phases_mean_load(shape->phase, shape->phase_count, 0, end_s);

            cr_assert_float_eq(mean, integral(shape, 0, end_s) / end_s, 0.01 / end_s,
                               "%s to %f: %f", shape->name, end_s, mean);
        }
    }
    cr_assert_eq(phases_mean_load(NULL, 0, 0, 5), 1);
}

Test(phases, the_mean_load_is_that_of_the_class)
{
    struct phase phase = {.length_ns = SECOND,
                          .load = {2, 2},
                          .has_class_load = {false, true},
                          .class_load = {{0, 0}, {0, 6}}};

    cr_assert_float_eq(phases_mean_load(&phase, 1, 0, 2), 2, 1e-12);
    cr_assert_float_eq(phases_mean_load(&phase, 1, -1, 2), 2, 1e-12);
    cr_assert_float_eq(phases_mean_load(&phase, 1, 1, 1), 3, 1e-12);
    cr_assert_float_eq(phases_mean_load(&phase, 1, 1, 2), 4.5, 1e-12);
}

/* Traces. */

static struct trace_entry recorded[] = {{0, 0},  {10, 1}, {10, 0}, {25, 2},
                                        {40, 0}, {55, 1}, {70, 2}};

static const struct trace trace = {recorded, 7};

static struct arrivals_setup trace_setup(void)
{
    struct arrivals_setup setup = setup_of(ARRIVALS_TRACE, 0);

    setup.class_count = 3;
    setup.trace = &trace;
    return setup;
}

static void expect_arrivals(struct arrivals *a, const struct trace_entry *wanted, int count)
{
    for (int i = 0; i < count; i++) {
        struct arrival arrival = arrivals_next(a);

        cr_assert_eq(arrival.intended_ns, wanted[i].at_ns, "arrival %d at %ld", i,
                     arrival.intended_ns);
        cr_assert_eq(arrival.class, wanted[i].class);
    }
    cr_assert_eq(arrivals_next(a).intended_ns, INT64_MAX);
    cr_assert_eq(arrivals_next(a).intended_ns, INT64_MAX);
}

Test(trace, is_replayed_as_it_was_recorded)
{
    struct arrivals_setup setup = trace_setup();
    struct arrivals a = started(&setup, 0);

    expect_arrivals(&a, recorded, 7);
}

Test(trace, begins_with_the_window_and_once_before_it)
{
    static const struct trace_entry wanted[] = {
        {1000, 0}, {1010, 1}, {1010, 0},                       /* the warm-up of 25 ns */
        {1025, 0}, {1035, 1}, {1035, 0}, {1050, 2}, {1065, 0}, /* the window */
        {1080, 1}, {1095, 2},
    };
    struct arrivals_setup setup = trace_setup();
    struct arrivals a;

    arrivals_init(&a, &setup);
    arrivals_start(&a, 1000, 1025);
    expect_arrivals(&a, wanted, 10);
}

Test(trace, a_warmup_longer_than_it_is_quiet_at_the_end)
{
    struct arrivals_setup setup = trace_setup();
    struct trace_entry wanted[14];
    struct arrivals a = started(&setup, 500);

    for (int i = 0; i < 14; i++)
        wanted[i] =
            (struct trace_entry){recorded[i % 7].at_ns + (i < 7 ? 0 : 500), recorded[i % 7].class};
    expect_arrivals(&a, wanted, 14);
}

Test(trace, is_shared_out_among_workers)
{
    static const struct trace_entry wanted[3][5] = {
        {{0, 0}, {25, 2}, {30, 0}, {55, 2}, {100, 2}},
        {{10, 1}, {40, 1}, {70, 0}},
        {{10, 0}, {40, 0}, {85, 1}},
    };
    static const int count[] = {5, 3, 3};
    struct arrivals_setup setup = trace_setup();

    setup.workers = 3;
    for (setup.worker = 0; setup.worker < 3; setup.worker++) {
        struct arrivals a = started(&setup, 30);

        expect_arrivals(&a, wanted[setup.worker], count[setup.worker]);
    }
}

Test(trace, with_fewer_arrivals_than_workers_leaves_some_idle)
{
    struct arrivals_setup setup = trace_setup();
    struct arrivals a;

    setup.workers = 9;
    setup.worker = 8;
    a = started(&setup, 30);
    cr_assert_eq(arrivals_next(&a).intended_ns, INT64_MAX);
}

/* The backlog. */

Test(backlog, is_first_come_first_served_across_growth)
{
    struct backlog b = {0};
    struct arrival arrival;
    int64_t in = 0, out = 0;

    cr_assert_not(backlog_pop(&b, &arrival));
    for (int round = 0; round < 300; round++) {
        for (int i = 0; i < 37; i++)
            backlog_push(&b, (struct arrival){.intended_ns = in++});
        for (int i = 0; i < 20; i++) {
            cr_assert(backlog_pop(&b, &arrival));
            cr_assert_eq(arrival.intended_ns, out++);
        }
    }
    cr_assert_eq(b.length, (size_t)(in - out));
    while (backlog_pop(&b, &arrival))
        cr_assert_eq(arrival.intended_ns, out++);
    cr_assert_eq(in, out);
    backlog_free(&b);
}
