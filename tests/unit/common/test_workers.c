/* When a worker is replaced: moments in, moments out. */
#include "common/serve/respawn.h"

#include <criterion/criterion.h>

/* A worker starts as soon as it may and lives so long; the pause after it. */
static int64_t pause_after(struct respawn *place, int64_t life_ns)
{
    int64_t end_ns = place->due_ns + life_ns;
    respawn_begin(place, place->due_ns);
    respawn_end(place, end_ns);
    return place->due_ns - end_ns;
}

Test(respawn, who_lived_is_replaced_at_once)
{
    struct respawn place = {0};
    cr_assert_eq(pause_after(&place, RESPAWN_YOUNG_NS), 0);
    cr_assert_eq(pause_after(&place, 3600 * NSEC_PER_SEC), 0);
}

Test(respawn, who_dies_young_is_replaced_later_and_later)
{
    struct respawn place = {0};
    static const int64_t pauses_ms[] = {100, 200, 400, 800, 1600, 3200, 6400, 6400, 6400};
    for (size_t i = 0; i < sizeof pauses_ms / sizeof *pauses_ms; i++)
        cr_assert_eq(pause_after(&place, i % 2 ? RESPAWN_YOUNG_NS - 1 : 0),
                     pauses_ms[i] * NSEC_PER_MSEC);
}

Test(respawn, a_long_life_is_a_new_beginning)
{
    struct respawn place = {0};
    for (int i = 0; i < 5; i++)
        pause_after(&place, 0);
    cr_assert_eq(pause_after(&place, 2 * RESPAWN_YOUNG_NS), 0);
    cr_assert_eq(pause_after(&place, 0), RESPAWN_FIRST_NS);
}
