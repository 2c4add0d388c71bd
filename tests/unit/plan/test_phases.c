/* Tests of loadgen/plan/arrivals.c: loads that change from phase to phase. */
#include "tests/unit/plan/arrival_samples.h"

static const double PI = 3.14159265358979323846;

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
