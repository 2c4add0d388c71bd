/* Tests of loadgen/books/holds.c: what a program without a core may have done to response times. */
#include "loadgen/books/holds.h"
#include "loadgen/plan/arrivals.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

static const struct holds_load open_load = {.per_s = 1000, .response_s = 0.002};
static const struct holds_load closed_load = {.per_s = 1000, .response_s = 0.002, .closed = true};

Test(holds, nobody_is_reached_where_nobody_waited)
{
    struct holds none = {.busy = 0.9, .per_s = 100};

    cr_assert_eq(holds_reach(&none, &open_load), 0);
    cr_assert_eq(holds_reach(&none, &closed_load), 0);
}

Test(holds, who_comes_in_a_hold_and_behind_it)
{
    struct holds idle = {.share = 0.05}, busy = {.share = 0.05, .busy = 0.5};

    cr_assert_float_eq(holds_reach(&idle, &open_load), 0.1, 1e-9);
    cr_assert_float_eq(holds_reach(&busy, &open_load), 0.2, 1e-9);
    cr_assert_float_eq(holds_reach(&busy, &closed_load), 0.05, 1e-9);
}

Test(holds, who_is_in_hand_when_the_core_goes)
{
    struct holds holds = {.share = 0.05, .per_s = 20, .hands = 1};
    struct holds waiting = {.share = 0.05, .per_s = 20, .busy = 0.5};
    struct holds full = {.share = 0.05, .per_s = 20, .busy = 1};

    cr_assert_float_eq(holds_reach(&holds, &open_load), 0.1 + 20 * 1 / 1000., 1e-9);
    /* as many as are in a queue that is half busy: one */
    cr_assert_float_eq(holds_reach(&waiting, &open_load), 0.2 + 20 * 1 / 1000., 1e-9);
    /* that one, and those that come until the hold is over: not more than are under way, two */
    cr_assert_float_eq(holds_reach(&waiting, &closed_load), 0.05 + 20 * 2 / 1000., 1e-9);
    cr_assert_float_eq(holds_reach(&full, &closed_load), 0.01 + 20 * 2 / 1000., 1e-9);
    struct holds_load many = {.per_s = 1000, .response_s = 1, .closed = true};
    cr_assert_float_eq(holds_reach(&waiting, &many), 0.05 + 20 * 1 / 1000. + 0.05, 1e-9);
}

Test(holds, never_more_than_all)
{
    struct holds holds = {.share = 0.9, .per_s = 1000, .busy = 0.99};

    cr_assert_eq(holds_reach(&holds, &open_load), 1);
}

Test(holds, to_be_woken_takes_a_moment_by_itself)
{
    cr_assert_eq(holds_by_others(1000000, 0), 1000000);
    cr_assert_eq(holds_by_others(1000000, 100), 500000);
    cr_assert_eq(holds_by_others(1000000, 1000), 0);
    cr_assert_eq(holds_by_others(-5, 0), 0);
}

/* The theorem: some requests are made longer, at random or those that hurt most, and each number of
 * the others lies between the bound and what is measured. */
static void delay(struct hist *measured, struct hist *undisturbed, double share, bool longest)
{
    struct random random = {.state = 7};

    for (int i = 0; i < 20000; i++) {
        double draw = random_unit(&random);
        int64_t took_ns = (int64_t)(1e5 - 1e6 * log(draw));
        bool hit = longest ? draw < 0.9 * share : random_unit(&random) < 0.9 * share;

        hist_add(undisturbed, took_ns);
        hist_add(measured, hit ? took_ns + 5000000 : took_ns);
    }
}

static void check_bounds(double share, bool longest)
{
    static const double percents[] = {0, 1, 10, 50, 75, 90, 99, 99.9, 100};
    struct hist *measured = calloc(1, sizeof *measured), *undisturbed = calloc(1, sizeof *measured);

    delay(measured, undisturbed, share, longest);
    for (size_t i = 0; i < sizeof percents / sizeof *percents; i++) {
        double truth = holds_least(undisturbed, percents[i], 0);

        cr_assert_leq(holds_least(measured, percents[i], share), truth * 1.001, "%g", percents[i]);
        cr_assert_geq(holds_least(measured, percents[i], 0), truth * 0.999, "%g", percents[i]);
    }
    free(measured);
    free(undisturbed);
}

Test(holds, the_truth_is_between_the_bound_and_the_measurement)
{
    for (double share = 0.01; share < 1; share += 0.07) {
        check_bounds(share, false);
        check_bounds(share, true);
    }
}

Test(holds, without_reach_it_is_what_was_measured)
{
    struct hist *hist = calloc(1, sizeof *hist);

    cr_assert(isnan(holds_least(hist, 0, 0.1)));
    cr_assert(isnan(holds_least(hist, 50, 0.1)));
    hist_add(hist, 1000);
    hist_add(hist, 3000);
    cr_assert_float_eq(holds_least(hist, 0, 0), 2000, 1);
    cr_assert_float_eq(holds_least(hist, 0, 0.5), 1000, 1);
    cr_assert_float_eq(holds_least(hist, 100, 0), 3000, 3);
    cr_assert_float_eq(holds_least(hist, 100, 1), 1000, 1);
    free(hist);
}
