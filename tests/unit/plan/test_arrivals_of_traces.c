/* Tests of loadgen/plan/arrivals.c: arrivals as a trace recorded them. */
#include "tests/unit/plan/arrival_samples.h"

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
