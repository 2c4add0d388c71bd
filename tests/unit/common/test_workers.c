/* When a worker is replaced: lives in, pauses out. */
#include "common/serve/workers.h"

#include <criterion/criterion.h>

Test(workers, a_worker_that_lived_is_replaced_at_once)
{
    cr_assert_eq(workers_pause_ns(WORKERS_YOUNG_NS, 0), 0);
    cr_assert_eq(workers_pause_ns(3600 * NSEC_PER_SEC, 0), 0);
}

Test(workers, one_that_dies_young_is_replaced_later_and_later)
{
    static const int64_t pauses_ms[] = {100, 200, 400, 800, 1600, 3200, 6400, 6400, 6400};
    int64_t pause_ns = 0;
    for (size_t i = 0; i < sizeof pauses_ms / sizeof *pauses_ms; i++) {
        pause_ns = workers_pause_ns(i % 2 ? WORKERS_YOUNG_NS - 1 : 0, pause_ns);
        cr_assert_eq(pause_ns, pauses_ms[i] * NSEC_PER_MSEC);
    }
}

Test(workers, a_long_life_is_a_new_beginning)
{
    int64_t pause_ns = 0;
    for (int i = 0; i < 5; i++)
        pause_ns = workers_pause_ns(0, pause_ns);
    pause_ns = workers_pause_ns(2 * WORKERS_YOUNG_NS, pause_ns);
    cr_assert_eq(pause_ns, 0);
    cr_assert_eq(workers_pause_ns(0, pause_ns), WORKERS_FIRST_PAUSE_NS);
}
