/* Tests of loadgen/plan/arrivals.c: when requests are due, and in which order. */
#include "tests/unit/plan/arrival_samples.h"

#include <string.h>

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
