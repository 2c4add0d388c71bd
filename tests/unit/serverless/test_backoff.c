/* Pauses between attempts: bounds that double, and what is drawn below them. */
#include "servers/serverless/backoff.h"

#include <criterion/criterion.h>

enum { BASE_NS = 1000 };

Test(backoff, bounds_double_with_each_failure)
{
    for (int failed = 1; failed <= 20; failed++) {
        int64_t bound_ns = (int64_t)BASE_NS << (failed - 1);
        cr_assert_eq(backoff_ns(BASE_NS, failed, 0), 0);
        cr_assert_eq(backoff_ns(BASE_NS, failed, 1u << 31), bound_ns / 2);
        cr_assert_eq(backoff_ns(BASE_NS, failed, UINT32_MAX), bound_ns - 1);
    }
}

Test(backoff, has_a_limit_and_does_not_overflow)
{
    for (int failed = 1; failed <= 100; failed++)
        cr_assert_leq(backoff_ns(BACKOFF_MAX_NS, failed, UINT32_MAX), BACKOFF_MAX_NS);
    cr_assert_eq(backoff_ns(BASE_NS, 1000, 1u << 31), BACKOFF_MAX_NS / 2);
    cr_assert_eq(backoff_ns(0, 1000, UINT32_MAX), 0);
}
