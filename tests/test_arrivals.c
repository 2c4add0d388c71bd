/* Tests of loadgen/arrivals.c and loadgen/backlog.c: when requests are due, and in which order. */
#include "loadgen/arrivals.h"

#include <criterion/criterion.h>
#include <math.h>

#include "loadgen/backlog.h"

static struct arrivals one_stream(enum arrivals_kind kind, double rate, double phase, int worker)
{
    struct arrivals a;

    arrivals_init(&a, kind, 1, worker);
    mix_add(&a.mix, 1);
    arrivals_add_stream(&a, rate, phase, -1);
    return a;
}

Test(arrivals, constant_ones_keep_their_distance_for_ever)
{
    struct arrivals a = one_stream(ARRIVALS_CONSTANT, 3000, 0.5, 0);

    arrivals_start(&a, 1000);
    for (int64_t i = 0; i < 300000; i++) {
        double due_ns = 1000 + ((double)i + 0.5) * 1e9 / 3000;

        cr_assert_leq(fabs((double)arrivals_next(&a).intended_ns - due_ns), 1.0);
    }
}

Test(arrivals, workers_interleave_evenly)
{
    struct arrivals a = one_stream(ARRIVALS_CONSTANT, 500, 0, 0);
    struct arrivals b = one_stream(ARRIVALS_CONSTANT, 500, 0.5, 1);

    arrivals_start(&a, 0);
    arrivals_start(&b, 0);
    for (int64_t i = 0; i < 1000; i++) {
        cr_assert_eq(arrivals_next(&a).intended_ns, 2 * i * 1000000);
        cr_assert_eq(arrivals_next(&b).intended_ns, (2 * i + 1) * 1000000);
    }
}

Test(arrivals, a_closed_loop_has_none)
{
    struct arrivals a = one_stream(ARRIVALS_CLOSED, 0, 0, 0);

    arrivals_start(&a, 0);
    cr_assert_eq(arrivals_next(&a).intended_ns, INT64_MAX);
}

/* The gaps of a Poisson process are exponential: mean and deviation equal 1/rate, and the share of
 * gaps above x/rate is e^-x. With 200,000 gaps the bounds are over four standard errors wide. */
Test(arrivals, poisson_gaps_are_exponential)
{
    enum { GAPS = 200000 };
    struct arrivals a = one_stream(ARRIVALS_POISSON, 1000, 0, 0);
    double sum = 0, squares = 0;
    int64_t last = 0;
    int above_two = 0;

    arrivals_start(&a, 0);
    for (int i = 0; i < GAPS; i++) {
        int64_t due = arrivals_next(&a).intended_ns;
        double gap = (double)(due - last) / 1e6; /* in mean gaps */

        cr_assert_geq(due, last);
        sum += gap;
        squares += gap * gap;
        above_two += gap > 2;
        last = due;
    }
    double mean = sum / GAPS;

    cr_assert_float_eq(mean, 1, 0.01);
    cr_assert_float_eq(sqrt(squares / GAPS - mean * mean), 1, 0.02);
    cr_assert_float_eq((double)above_two / GAPS, exp(-2), 0.004);
}

Test(arrivals, a_seed_is_a_sequence_and_each_worker_has_its_own)
{
    struct arrivals a = one_stream(ARRIVALS_POISSON, 1000, 0, 3);
    struct arrivals again = one_stream(ARRIVALS_POISSON, 1000, 0, 3);
    struct arrivals other = one_stream(ARRIVALS_POISSON, 1000, 0, 4);
    int same = 0;

    arrivals_start(&a, 0);
    arrivals_start(&again, 0);
    arrivals_start(&other, 0);
    for (int i = 0; i < 1000; i++) {
        int64_t due = arrivals_next(&a).intended_ns;

        cr_assert_eq(due, arrivals_next(&again).intended_ns);
        same += due == arrivals_next(&other).intended_ns;
    }
    cr_assert_lt(same, 5);
}

Test(arrivals, classes_come_by_weight_and_weight_0_never)
{
    struct arrivals a;
    int drawn[4] = {0};

    arrivals_init(&a, ARRIVALS_POISSON, 5, 0);
    mix_add(&a.mix, 0);
    mix_add(&a.mix, 70);
    mix_add(&a.mix, 0);
    mix_add(&a.mix, 30);
    arrivals_add_stream(&a, 100, 0, -1);
    arrivals_start(&a, 0);
    for (int i = 0; i < 100000; i++)
        drawn[arrivals_next(&a).class]++;
    cr_assert_eq(drawn[0], 0);
    cr_assert_eq(drawn[2], 0);
    cr_assert_float_eq(drawn[1] / 100000.0, 0.7, 0.007);
    cr_assert_eq(drawn[1] + drawn[3], 100000);
}

Test(arrivals, streams_of_classes_are_merged_in_time)
{
    struct arrivals a;
    int64_t last = 0;
    int count[3] = {0};

    arrivals_init(&a, ARRIVALS_CONSTANT, 1, 0);
    arrivals_add_stream(&a, 1000, 0, 0);
    arrivals_add_stream(&a, 10, 0, 1);
    arrivals_add_stream(&a, 0, 0, 2);
    arrivals_start(&a, 0);
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

Test(backlog, is_first_come_first_served_across_growth)
{
    struct backlog b = {0};
    struct arrival arrival;
    int64_t in = 0, out = 0;

    cr_assert_not(backlog_pop(&b, &arrival));
    for (int round = 0; round < 300; round++) {
        for (int i = 0; i < 37; i++)
            backlog_push(&b, (struct arrival){in++, 0});
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
