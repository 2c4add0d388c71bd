/* Tests of loadgen/books/delays.h: what late sends do to the server. */
#include "loadgen/books/delays.h"

#include <criterion/criterion.h>

Test(delays, one_that_is_late_alone_is_not_kept_longer)
{
    struct echo echo = {0};

    cr_assert_eq(echo_of(&echo, 10000, 500), 0);
}

Test(delays, those_sent_together_are_kept_by_what_the_first_was_later)
{
    struct echo echo = {0};

    echo_of(&echo, 10000, 5000);                     /* was due at 5000 */
    cr_assert_eq(echo_of(&echo, 10000, 2000), 3000); /* at 8000 */
    cr_assert_eq(echo_of(&echo, 10000, 0), 5000);    /* just now */
}

Test(delays, the_queue_shrinks_with_time)
{
    struct echo echo = {0};

    echo_of(&echo, 10000, 5000);
    cr_assert_eq(echo_of(&echo, 12000, 0), 3000);
    cr_assert_eq(echo_of(&echo, 14000, 0), 1000);
    cr_assert_eq(echo_of(&echo, 16000, 0), 0);
}

Test(delays, a_longer_lag_takes_the_place_of_what_is_left)
{
    struct echo echo = {0};

    echo_of(&echo, 10000, 1000);
    cr_assert_eq(echo_of(&echo, 10500, 7000), 0);
    cr_assert_eq(echo_of(&echo, 10500, 1000), 6000);
}
