/* Tests of loadgen/books/drift.c: halves of a window, on made-up samples. */
#include "loadgen/books/drift.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

/* The counts at the middle and at the end. */
struct fixture {
    struct sample middle, end;
    struct drift drift;
};

static void add(struct sample *sample, int n, int64_t ns)
{
    sample->requests += (uint64_t)n;
    sample->good += (uint64_t)n;
    for (int i = 0; i < n; i++)
        hist_add(&sample->response, ns + i); /* distinct, as times are */
}

/* `n` replies of about `first_ns`, then `m` of about `second_ns`, in halves of a second. */
static struct fixture *halves(int n, int64_t first_ns, int m, int64_t second_ns)
{
    struct fixture *f = calloc(1, sizeof *f);

    add(&f->middle, n, first_ns);
    add(&f->end, n, first_ns);
    add(&f->end, m, second_ns);
    f->drift = drift_between(&f->middle, &f->end, 1, 1);
    return f;
}

Test(drift, the_second_half_is_what_came_after_the_middle)
{
    struct fixture *f = halves(1000, 1000000, 500, 2000000);

    f->middle.errors = 3;
    f->end.errors = 10;
    f->drift = drift_between(&f->middle, &f->end, 1, 0.5);
    cr_assert(f->drift.known);
    cr_assert_eq(f->drift.first.requests, 1000);
    cr_assert_eq(f->drift.second.requests, 500);
    cr_assert_eq(f->drift.second.good, 500);
    cr_assert_eq(f->drift.first.errors, 3);
    cr_assert_eq(f->drift.second.errors, 7);
    cr_assert_float_eq(f->drift.first.rate, 1000, 1e-9);
    cr_assert_float_eq(f->drift.second.rate, 1000, 1e-9);
    cr_assert_float_eq(f->drift.first.p50_ns, 1e6, 2e3);
    cr_assert_float_eq(f->drift.second.p50_ns, 2e6, 4e3);
    free(f);
}

Test(drift, change_is_relative_to_the_first)
{
    cr_assert_float_eq(drift_change(2, 3), 0.5, 1e-12);
    cr_assert_float_eq(drift_change(4, 3), -0.25, 1e-12);
    cr_assert(isnan(drift_change(0, 1)));
    cr_assert(isnan(drift_change(1, INFINITY)));
    cr_assert(isnan(drift_change(NAN, 1)));
}

/* Whether halves like these drift in latency and in rate. */
static void expect(int n, int64_t first_ns, int m, int64_t second_ns, bool latency, bool rate)
{
    struct fixture *f = halves(n, first_ns, m, second_ns);

    cr_assert_eq(drift_of_latency(&f->drift), latency, "latency of %d %lld, %d %lld", n,
                 (long long)first_ns, m, (long long)second_ns);
    cr_assert_eq(drift_of_rate(&f->drift), rate, "rate of %d, %d", n, m);
    free(f);
}

Test(drift, latency_drifts_either_way_by_more_than_a_tenth)
{
    expect(1000, 1000000, 1000, 1000000, false, false);
    expect(1000, 1000000, 1000, 1080000, false, false);
    expect(1000, 1000000, 1000, 1130000, true, false);
    expect(1000, 1130000, 1000, 950000, true, false);
}

Test(drift, too_few_or_too_long_replies_tell_nothing)
{
    expect(3, 1000000, 3, 2000000, false, false);
    expect(100, 45000000, 100, 51000000, false, false); /* over 5 % of a half */
    expect(100, 40000000, 100, 49000000, true, false);
    expect(0, 0, 1000, 1000000, false, false);
}

/* Medians of 100 widely spread times each: 20 % apart, but well within chance. */
Test(drift, medians_whose_intervals_overlap_do_not_drift)
{
    struct fixture *f = calloc(1, sizeof *f);

    for (int i = 0; i < 100; i++) {
        hist_add(&f->middle.response, 1000000 + 40000 * i);
        hist_add(&f->end.response, 1000000 + 40000 * i);
        hist_add(&f->end.response, 1600000 + 40000 * i);
    }
    f->drift = drift_between(&f->middle, &f->end, 1, 1);
    cr_assert_gt(drift_change(f->drift.first.p50_ns, f->drift.second.p50_ns), 0.19);
    cr_assert_not(drift_of_latency(&f->drift));
    free(f);
}

Test(drift, rate_drifts_by_more_than_a_twentieth_and_chance)
{
    expect(20000, 1000000, 20900, 1000000, false, false); /* 4.5 %, 3 sigma are 3.0 % */
    expect(10000, 1000000, 10600, 1000000, false, true);
    expect(10000, 1000000, 9400, 1000000, false, true);
    expect(400, 1000000, 480, 1000000, false, false); /* 20 %, 3 sigma are 20.3 % */
    expect(400, 1000000, 500, 1000000, false, true);  /* 25 %, 3 sigma are 20.1 % */
}

Test(drift, without_a_middle_there_is_none)
{
    struct drift drift = {.known = false};

    cr_assert_not(drift_of_latency(&drift));
    cr_assert_not(drift_of_rate(&drift));
}
