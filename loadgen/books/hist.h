/* hist: a histogram of latencies, from 1 ns to 137 s with three significant digits.
 *
 * The layout is that of HDR histograms: values below 2048 have a slot each, and every doubling
 * above has 1024 slots, so that a slot is never wider than 1/1024 of its value. It is flat and
 * has no pointers: it may live in shared memory, zeroed memory is an empty one, and two are
 * merged by addition.
 *
 * One process writes; others may read meanwhile. They see each number whole but not all numbers
 * of the same moment, which is good enough for a progress line. */
#ifndef ARCHBENCH_HIST_H
#define ARCHBENCH_HIST_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum {
    HIST_HALF_BITS = 10, /* 1024 slots for each doubling */
    HIST_TOP_BITS = 37,  /* 2^37 ns = 137 s */
    HIST_SLOTS = (HIST_TOP_BITS - HIST_HALF_BITS + 1) << HIST_HALF_BITS,
    HIST_BIN_BITS = 3, /* 8 bins for each doubling */
    HIST_BIN_SLOTS = 1 << (HIST_HALF_BITS - HIST_BIN_BITS),
    HIST_BINS = HIST_SLOTS / HIST_BIN_SLOTS,
};

#define HIST_MAX ((INT64_C(1) << HIST_TOP_BITS) - 1)

struct hist {
    uint64_t count;    /* finite values */
    uint64_t infinite; /* requests that never got a good reply */
    uint64_t sum;      /* of the finite values */
    int64_t min, max;  /* exact; meaningless while count is 0 */
    uint64_t slot[HIST_SLOTS];
};

/* The slot that holds `value`, 0 to HIST_MAX. */
static inline unsigned hist_slot(int64_t value)
{
    uint64_t v = (uint64_t)value;
    int magnitude = 63 - HIST_HALF_BITS - __builtin_clzll(v | ((2u << HIST_HALF_BITS) - 1));

    return ((unsigned)magnitude << HIST_HALF_BITS) + (unsigned)(v >> magnitude);
}

/* The largest value that shares a slot. */
int64_t hist_slot_top(unsigned slot);

/* Count one value in nanoseconds. Negative ones count as 0, those above HIST_MAX as HIST_MAX. */
static inline void hist_add(struct hist *hist, int64_t ns)
{
    if (ns < 0)
        ns = 0;
    if (ns > HIST_MAX)
        ns = HIST_MAX;
    if (hist->count == 0 || ns < hist->min)
        hist->min = ns;
    if (hist->count == 0 || ns > hist->max)
        hist->max = ns;
    hist->count++;
    hist->sum += (uint64_t)ns;
    hist->slot[hist_slot(ns)]++;
}

/* Count one value that is beyond all bounds. */
static inline void hist_add_infinite(struct hist *hist)
{
    hist->infinite++;
}

/* All values, the infinite ones included. */
uint64_t hist_total(const struct hist *);

void hist_merge(struct hist *into, const struct hist *from);

/* Bins are what a picture needs: 128 slots each, so that a doubling has 8, all equally wide (an
 * eighth of its lower end), and those below 1024 ns are 128 ns wide. The edges are those of slots:
 * counts are exact, and bins of several histograms may be added. */

/* How many finite values lie in a bin, 0 to HIST_BINS - 1. */
uint64_t hist_bin_count(const struct hist *, unsigned bin);
/* Where it ends and the next begins, nanoseconds: all its values are below. */
int64_t hist_bin_end(unsigned bin);

/* What `now` counted since it looked like `before`, into `*since`. The min and max of the result
 * are as exact as a slot. */
void hist_since(struct hist *since, const struct hist *now, const struct hist *before);

/* The value of that rank in ascending order (to the slot's width), nanoseconds: rank 1 is the
 * smallest, rank hist_total() the largest, and infinite values are behind all finite ones. INFINITY
 * when the value is infinite, NAN when there is no such rank. */
double hist_at_rank(const struct hist *, uint64_t rank);

/* The smallest recorded value (to the slot's width) that at least `percent` % of all values, the
 * infinite ones included, do not exceed; nanoseconds. INFINITY when that value is infinite, NAN
 * when the histogram is empty. 100 gives the maximum. */
double hist_percentile(const struct hist *, double percent);

/* Over the finite values, nanoseconds. NAN when there is none. */
double hist_mean(const struct hist *);
double hist_deviation(const struct hist *);
double hist_min(const struct hist *);

/* Write the percentile table that HDR plotters read (.hgrm), values in milliseconds. Infinite
 * values count in the percentiles but get no row: the curve ends where the good replies end.
 * Returns false with errno when writing fails. */
bool hist_write_hgrm(const struct hist *, FILE *);

#endif
