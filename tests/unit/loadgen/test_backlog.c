/* Tests of loadgen/worker/backlog.c: requests that wait for a connection. */
#include "loadgen/worker/backlog.h"

#include <criterion/criterion.h>

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
