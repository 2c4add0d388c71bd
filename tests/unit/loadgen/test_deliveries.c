/* What a subscriber got of what others published: lost, doubled, out of order. */
#include "loadgen/books/deliveries.h"

#include <criterion/criterion.h>

static struct delivery_stats stats;
static struct following f;

/* Note these numbers in turn, up to a 0. */
static void note(const uint32_t *numbers)
{
    stats = (struct delivery_stats){0};
    f = (struct following){0};
    for (; *numbers; numbers++)
        deliveries_note(&stats, &f, *numbers, 0);
}

#define NOTE(...) note((const uint32_t[]){__VA_ARGS__, 0})

static void expect(uint64_t delivered, uint64_t lost, uint64_t doubled, uint64_t disordered)
{
    cr_expect_eq(stats.delivered, delivered);
    cr_expect_eq(stats.lost, lost, "%d lost", (int)stats.lost);
    cr_expect_eq(stats.doubled, doubled, "%d doubled", (int)stats.doubled);
    cr_expect_eq(stats.disordered, disordered, "%d out of order", (int)stats.disordered);
}

Test(deliveries, all_in_order)
{
    NOTE(1, 2, 3, 4);
    stats.lost += deliveries_missing(&f, 4);
    expect(4, 0, 0, 0);
}

Test(deliveries, what_is_missing_is_lost)
{
    NOTE(2, 3, 7);
    expect(3, 4, 0, 0);
    stats.lost += deliveries_missing(&f, 9);
    expect(3, 6, 0, 0);
}

Test(deliveries, nothing_came_at_all)
{
    note((const uint32_t[]){0});
    stats.lost += deliveries_missing(&f, 3);
    expect(0, 3, 0, 0);
}

Test(deliveries, what_comes_again_is_doubled)
{
    NOTE(1, 1, 2, 3, 2, 3, 4);
    stats.lost += deliveries_missing(&f, 4);
    expect(7, 0, 3, 0);
}

Test(deliveries, what_comes_late_was_not_lost)
{
    NOTE(1, 4, 2, 3, 2, 5);
    stats.lost += deliveries_missing(&f, 5);
    expect(6, 0, 1, 2);
}

Test(deliveries, late_by_more_than_is_remembered_counts_as_doubled)
{
    NOTE(100, 1);
    expect(2, 99, 1, 0);
}

Test(deliveries, the_memory_moves_with_the_numbers)
{
    NOTE(1, 33, 2, 32, 31, 31, 34, 3);
    expect(8, 31 - 4, 1, 4);
}

Test(deliveries, numbers_of_which_nobody_knows_are_not_missed)
{
    NOTE(1);
    cr_expect(deliveries_note(&stats, &f, 4, 2));
    expect(2, 0, 0, 0);
    cr_expect(deliveries_note(&stats, &f, 9, 2), "5 and 6 are missing, 7 and 8 perhaps");
    expect(3, 2, 0, 0);
    stats.lost += deliveries_missing(&f, 7);
    expect(3, 2, 0, 0);
}

Test(deliveries, a_subscriber_that_was_away_has_missed_what_came_meanwhile)
{
    NOTE(1, 2);
    deliveries_away(&f);
    cr_expect(deliveries_note(&stats, &f, 9, 2), "3 to 6 were published while it was away");
    cr_expect_not(deliveries_note(&stats, &f, 9, 0));
    cr_expect(deliveries_note(&stats, &f, 11, 0));
    expect(5, 1, 1, 0);
    cr_expect_eq(stats.away, 4);
    deliveries_away(&f);
    cr_expect_eq(deliveries_missing(&f, 20), 0, "nothing of it is still to come");
    deliveries_end(&stats, &f, 20);
    expect(5, 1, 1, 0);
    cr_expect_eq(stats.away, 4 + 9);
}

Test(deliveries, what_comes_again_after_a_return_is_doubled)
{
    NOTE(1, 2);
    deliveries_away(&f);
    cr_expect_not(deliveries_note(&stats, &f, 2, 0));
    cr_expect(deliveries_note(&stats, &f, 3, 0));
    expect(4, 0, 1, 0);
    cr_expect_eq(stats.away, 0);
}

/* A publisher that has lost its connection as well may have sent them over the one before. */
Test(deliveries, what_comes_late_after_a_return_is_not_doubled)
{
    NOTE(1, 2);
    deliveries_away(&f);
    cr_expect(deliveries_note(&stats, &f, 6, 1), "3 and 4 were missed, 5 perhaps never published");
    cr_expect_eq(stats.away, 2);
    cr_expect(deliveries_note(&stats, &f, 8, 0));
    expect(4, 1, 0, 0);
    cr_expect(deliveries_note(&stats, &f, 4, 0), "missed, and here after all");
    cr_expect(deliveries_note(&stats, &f, 5, 0), "nobody has counted it");
    cr_expect(deliveries_note(&stats, &f, 7, 0), "lost, and here after all");
    expect(7, 0, 0, 3);
    cr_expect_eq(stats.away, 1);
    cr_expect_not(deliveries_note(&stats, &f, 4, 0));
    cr_expect_not(deliveries_note(&stats, &f, 2, 0));
    expect(9, 0, 2, 3);
}

/* Of a message that nobody knew of. */
Test(deliveries, a_late_one_that_was_not_counted_takes_nothing_from_the_lost)
{
    NOTE(1, 3); /* 2 is lost */
    cr_expect(deliveries_note(&stats, &f, 5, 1));
    cr_expect(deliveries_note(&stats, &f, 4, 0));
    expect(4, 1, 0, 1);
}

Test(deliveries, at_the_end_one_that_was_there_has_lost_what_is_missing)
{
    NOTE(1, 2);
    deliveries_end(&stats, &f, 5);
    expect(2, 3, 0, 0);
    cr_expect_eq(stats.away, 0);
}
