/* Tests of common/hist.c: slots, percentiles with and without infinite values, merging, .hgrm. */
#include "loadgen/books/hist.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct hist *make(void)
{
    return calloc(1, sizeof(struct hist));
}

Test(hist, a_slot_holds_its_value_within_a_thousandth)
{
    unsigned before = 0;

    for (int64_t value = 0; value <= HIST_MAX; value += 1 + value / 700) {
        unsigned slot = hist_slot(value);
        int64_t top = hist_slot_top(slot);

        cr_assert_lt(slot, HIST_SLOTS);
        cr_assert_geq(slot, before, "slots are in the order of values");
        cr_assert_geq(top, value);
        cr_assert_leq(top - value, value / 1024, "%ld is in the slot up to %ld", value, top);
        before = slot;
    }
    cr_assert_eq(hist_slot(HIST_MAX), HIST_SLOTS - 1);
}

Test(hist, each_slot_begins_where_the_one_before_ends)
{
    for (unsigned slot = 0; slot + 1 < HIST_SLOTS; slot++) {
        cr_assert_eq(hist_slot(hist_slot_top(slot)), slot);
        cr_assert_eq(hist_slot(hist_slot_top(slot) + 1), slot + 1);
    }
}

Test(hist, min_max_and_mean_are_exact)
{
    struct hist *hist = make();

    hist_add(hist, 1234567);
    hist_add(hist, 7654321);
    hist_add(hist, 3000001);
    cr_assert_eq(hist->min, 1234567);
    cr_assert_eq(hist->max, 7654321);
    cr_assert_float_eq(hist_mean(hist), (1234567 + 7654321 + 3000001) / 3.0, 1e-6);
    cr_assert_eq(hist_percentile(hist, 100), 7654321);
    free(hist);
}

Test(hist, values_out_of_range_are_clamped)
{
    struct hist *hist = make();

    hist_add(hist, -5);
    hist_add(hist, INT64_MAX);
    cr_assert_eq(hist->min, 0);
    cr_assert_eq(hist->max, HIST_MAX);
    cr_assert_eq(hist_percentile(hist, 50), 0);
    cr_assert_eq(hist_percentile(hist, 100), (double)HIST_MAX);
    free(hist);
}

Test(hist, percentiles_of_one_to_a_thousand)
{
    struct hist *hist = make();

    for (int64_t i = 1; i <= 1000; i++)
        hist_add(hist, i);
    cr_assert_eq(hist_percentile(hist, 0), 1);
    cr_assert_eq(hist_percentile(hist, 50), 500);
    cr_assert_eq(hist_percentile(hist, 99), 990);
    cr_assert_eq(hist_percentile(hist, 99.9), 999);
    cr_assert_eq(hist_percentile(hist, 100), 1000);
    free(hist);
}

Test(hist, ranks_count_from_the_smallest_to_the_infinite_ones)
{
    struct hist *hist = make();

    for (int64_t i = 10; i >= 1; i--)
        hist_add(hist, i * 100);
    hist_add(hist, 300);
    hist_add_infinite(hist);
    cr_assert(isnan(hist_at_rank(hist, 0)));
    cr_assert_eq(hist_at_rank(hist, 1), 100);
    cr_assert_eq(hist_at_rank(hist, 3), 300);
    cr_assert_eq(hist_at_rank(hist, 4), 300, "equal values have a rank each");
    cr_assert_eq(hist_at_rank(hist, 5), 400);
    cr_assert_eq(hist_at_rank(hist, 11), 1000);
    cr_assert(isinf(hist_at_rank(hist, 12)));
    cr_assert(isnan(hist_at_rank(hist, 13)));
    free(hist);
}

Test(hist, a_rank_is_never_above_the_maximum)
{
    struct hist *hist = make();

    hist_add(hist, 1000001); /* its slot reaches further */
    cr_assert_eq(hist_at_rank(hist, 1), 1000001);
    free(hist);
}

Test(hist, an_empty_one_has_no_percentiles)
{
    struct hist *hist = make();

    cr_assert(isnan(hist_percentile(hist, 50)));
    cr_assert(isnan(hist_mean(hist)));
    cr_assert(isnan(hist_min(hist)));
    free(hist);
}

Test(hist, infinite_values_stay_in_the_denominator)
{
    struct hist *hist = make();

    for (int i = 0; i < 95; i++)
        hist_add(hist, 1000);
    for (int i = 0; i < 5; i++)
        hist_add_infinite(hist);
    cr_assert_eq(hist_total(hist), 100);
    cr_assert_eq(hist_percentile(hist, 95), 1000);
    cr_assert(isinf(hist_percentile(hist, 96)));
    cr_assert(isinf(hist_percentile(hist, 100)));
    cr_assert_eq(hist_mean(hist), 1000);
    free(hist);
}

Test(hist, only_infinite_values)
{
    struct hist *hist = make();

    hist_add_infinite(hist);
    cr_assert(isinf(hist_percentile(hist, 0)));
    cr_assert(isinf(hist_percentile(hist, 1)));
    free(hist);
}

Test(hist, merging_is_the_same_as_adding_everything_to_one)
{
    struct hist *a = make(), *b = make(), *both = make();

    srandom(7);
    for (int i = 0; i < 10000; i++) {
        int64_t value = random() % 100000000;

        hist_add(i % 3 ? a : b, value);
        hist_add(both, value);
    }
    hist_add_infinite(b);
    hist_add_infinite(both);
    hist_merge(a, b);
    cr_assert_eq(memcmp(a, both, sizeof *a), 0);
    free(a);
    free(b);
    free(both);
}

Test(hist, merging_an_empty_one_changes_nothing)
{
    struct hist *a = make(), *empty = make(), *copy = make();

    hist_add(a, 42);
    *copy = *a;
    hist_merge(a, empty);
    cr_assert_eq(memcmp(a, copy, sizeof *a), 0);
    hist_merge(empty, a);
    cr_assert_eq(empty->min, 42);
    free(a);
    free(empty);
    free(copy);
}

Test(hist, since_is_what_came_between)
{
    struct hist *before = make(), *now = make(), *since = make();

    hist_add(now, 10);
    hist_add(now, 5000000);
    *before = *now;
    hist_add(now, 100);
    hist_add(now, 200);
    hist_add_infinite(now);
    hist_since(since, now, before);
    cr_assert_eq(since->count, 2);
    cr_assert_eq(since->infinite, 1);
    cr_assert_eq(since->min, 100);
    cr_assert_eq(since->max, 200);
    cr_assert_eq(hist_mean(since), 150);
    free(before);
    free(now);
    free(since);
}

Test(hist, a_doubling_has_eight_bins)
{
    cr_assert_eq(hist_bin_end(0), 128);
    cr_assert_eq(hist_bin_end(7), 1024);
    cr_assert_eq(hist_bin_end(8), 1024 + 128);
    cr_assert_eq(hist_bin_end(15), 2048);
    cr_assert_eq(hist_bin_end(16), 2048 + 256);
    cr_assert_eq(hist_bin_end(HIST_BINS - 1), HIST_MAX + 1);
    for (unsigned bin = 8; bin + 8 < HIST_BINS; bin++)
        cr_assert_eq(hist_bin_end(bin + 8), 2 * hist_bin_end(bin));
}

/* On both sides of each edge. */
Test(hist, a_value_is_in_the_bin_that_ends_behind_it)
{
    struct hist *hist = make();
    uint64_t sum = 0;

    for (unsigned bin = 0; bin < HIST_BINS; bin++) {
        hist_add(hist, hist_bin_end(bin) - 1);
        hist_add(hist, hist_bin_end(bin)); /* of the last one: as the largest there is */
    }
    hist_add_infinite(hist);
    cr_assert_eq(hist_bin_count(hist, 0), 1);
    for (unsigned bin = 1; bin < HIST_BINS - 1; bin++)
        cr_assert_eq(hist_bin_count(hist, bin), 2);
    for (unsigned bin = 0; bin < HIST_BINS; bin++)
        sum += hist_bin_count(hist, bin);
    cr_assert_eq(sum, hist->count);
    free(hist);
}

/* The text that hist_write_hgrm makes; the caller frees it. */
static char *hgrm_of(const struct hist *hist)
{
    char *text;
    size_t size;
    FILE *file = open_memstream(&text, &size);

    cr_assert(hist_write_hgrm(hist, file));
    fclose(file);
    return text;
}

Test(hist, hgrm_rows_rise_and_end_at_the_maximum)
{
    struct hist *hist = make();
    double value, percentile, inverse, last_value = 0, last_percentile = -1;
    unsigned long long count, last_count = 0;
    int rows = 0;
    char *text, *line, *rest;

    for (int64_t i = 1; i <= 100000; i++)
        hist_add(hist, i * 1000);
    text = hgrm_of(hist);
    cr_assert_eq(strncmp(text, "       Value     Percentile TotalCount 1/(1-Percentile)\n\n", 57),
                 0);
    rest = text;
    while ((line = strsep(&rest, "\n")) != NULL) {
        int fields = sscanf(line, "%lf %lf %llu %lf", &value, &percentile, &count, &inverse);

        if (fields < 3)
            continue;
        cr_assert_geq(value, last_value);
        cr_assert_gt(percentile, last_percentile);
        cr_assert_geq(count, last_count);
        cr_assert_geq((double)count, percentile * 100000 - 1e-3);
        cr_assert(fields == 3 || fabs(inverse - 1 / (1 - percentile)) <= inverse * 0.01 + 0.01);
        last_value = value;
        last_percentile = percentile;
        last_count = count;
        rows++;
    }
    cr_assert_gt(rows, 50);
    cr_assert_eq(last_percentile, 1);
    cr_assert_eq(last_count, 100000);
    cr_assert_float_eq(last_value, 100.0, 1e-6, "milliseconds");
    free(text);
    free(hist);
}

Test(hist, hgrm_ends_where_infinite_values_begin)
{
    struct hist *hist = make();
    char *text;

    for (int i = 0; i < 90; i++)
        hist_add(hist, 1000000 + i * 10000);
    for (int i = 0; i < 10; i++)
        hist_add_infinite(hist);
    text = hgrm_of(hist);
    cr_assert_null(strstr(text, " 1.000000000000 "));
    cr_assert_not_null(strstr(text, "Total count    =          100]"));
    cr_assert_not_null(strstr(text, "#[Infinite = 10]"));
    cr_assert_null(strstr(text, "inf "));
    free(text);
    free(hist);
}

Test(hist, hgrm_of_nothing_is_still_a_table)
{
    struct hist *hist = make();
    char *text = hgrm_of(hist);

    cr_assert_not_null(strstr(text, "Total count    =            0]"));
    cr_assert_null(strstr(text, "nan"));
    free(text);
    free(hist);
}
