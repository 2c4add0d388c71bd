/* Tests of loadgen/worker/retries.c: which requests are tried again, when, and how often in all. */
#include "loadgen/worker/retries.h"

#include <criterion/criterion.h>

static struct retries make(int limit, int64_t base_ns, double budget)
{
    struct retry rule = {.limit = limit, .base_ns = base_ns, .budget = budget};
    struct retries r;

    retries_init(&r, &rule, 7);
    r.requests = 1000;
    return r;
}

Test(retries, a_granted_one_comes_back_with_its_attempt_counted)
{
    struct retries r = make(3, 1000, 1);
    struct arrival arrival = {.intended_ns = 5, .class = 2}, back;

    cr_assert_eq(retries_ask(&r, &arrival, ERROR_timeout, 100), RETRY_GRANTED);
    cr_assert_geq(retries_next_ns(&r), 100);
    cr_assert_leq(retries_next_ns(&r), 1100);
    cr_assert_not(retries_due(&r, retries_next_ns(&r) - 1, &back));
    cr_assert(retries_due(&r, retries_next_ns(&r), &back));
    cr_assert_eq(back.intended_ns, 5);
    cr_assert_eq(back.class, 2);
    cr_assert_eq(back.attempt, 1);
    cr_assert_eq(retries_next_ns(&r), INT64_MAX);
    retries_free(&r);
}

Test(retries, the_limit_counts_attempts)
{
    struct retries r = make(2, 1, 1);
    struct arrival arrival = {.attempt = 1};

    cr_assert_eq(retries_ask(&r, &arrival, ERROR_reset, 0), RETRY_GRANTED);
    arrival.attempt = 2;
    cr_assert_eq(retries_ask(&r, &arrival, ERROR_reset, 0), RETRY_NEVER);
    retries_free(&r);
}

Test(retries, what_cannot_help_is_not_tried)
{
    static const bool expected[ERRORS] = {
        [ERROR_connect] = true,   [ERROR_timeout] = true, [ERROR_reset] = true,
        [ERROR_closed] = true,    [ERROR_cut] = true,     [ERROR_malformed] = true,
        [ERROR_status_5xx] = true};
    struct retries r = make(1, 1, 1);
    struct arrival arrival = {0};

    for (int error = 0; error < ERRORS; error++)
        cr_assert_eq(retries_ask(&r, &arrival, (enum outcome)error, 0) == RETRY_GRANTED,
                     expected[error], "%s", error_name(error));
    retries_free(&r);
}

Test(retries, the_budget_is_a_share_of_the_requests)
{
    struct retries r = make(1, 1, 0.02);
    struct arrival arrival = {0};
    int granted = 0;

    for (int i = 0; i < 100; i++)
        granted += retries_ask(&r, &arrival, ERROR_timeout, 0) == RETRY_GRANTED;
    cr_assert_eq(granted, 20);
    cr_assert_eq(retries_ask(&r, &arrival, ERROR_timeout, 0), RETRY_DENIED);
    r.requests = 1100;
    cr_assert_eq(retries_ask(&r, &arrival, ERROR_timeout, 0), RETRY_GRANTED);
    retries_free(&r);
}

/* Uniform between 0 and base x 2^attempt: the means double, and every pause is below its bound. */
Test(retries, pauses_double_and_are_spread)
{
    enum { DRAWS = 4000 };
    struct retries r = make(100, 1 << 20, 1000);
    struct arrival back;

    for (int attempt = 0; attempt < 12; attempt++) {
        int64_t bound = INT64_C(1) << (20 + (attempt < 10 ? attempt : 10));
        double sum = 0, low = 0;

        for (int i = 0; i < DRAWS; i++) {
            struct arrival arrival = {.attempt = attempt};

            cr_assert_eq(retries_ask(&r, &arrival, ERROR_timeout, 0), RETRY_GRANTED);
            cr_assert_leq(retries_next_ns(&r), bound);
            sum += (double)retries_next_ns(&r);
            low += (double)retries_next_ns(&r) < 0.1 * (double)bound;
            cr_assert(retries_due(&r, INT64_MAX, &back));
        }
        cr_assert_float_eq(sum / DRAWS / (double)bound, 0.5, 0.02);
        cr_assert_float_eq(low / DRAWS, 0.1, 0.02);
    }
    retries_free(&r);
}

Test(retries, they_come_in_the_order_of_their_pauses)
{
    struct retries r = make(1, 1000000, 1);
    int64_t before = 0;
    struct arrival back;

    for (int i = 0; i < 200; i++)
        retries_ask(&r, &(struct arrival){.class = i % 3}, ERROR_closed, i);
    for (int i = 0; i < 200; i++) {
        int64_t next = retries_next_ns(&r);

        cr_assert_geq(next, before);
        before = next;
        cr_assert(retries_due(&r, next, &back));
    }
    cr_assert_not(retries_due(&r, INT64_MAX, &back));
    retries_free(&r);
}

Test(retries, those_abandoned_say_how_they_failed)
{
    struct retries r = make(1, 1000, 1);
    struct arrival back;
    enum outcome error;

    retries_ask(&r, &(struct arrival){.class = 1}, ERROR_cut, 0);
    cr_assert(retries_abandon(&r, &back, &error));
    cr_assert_eq(error, ERROR_cut);
    cr_assert_eq(back.class, 1);
    cr_assert_eq(back.attempt, 0, "it was not tried again");
    cr_assert_not(retries_abandon(&r, &back, &error));
    retries_ask(&r, &(struct arrival){0}, ERROR_cut, 0);
    retries_free(&r); /* one is left in it: the sanitizer would miss it */
}
