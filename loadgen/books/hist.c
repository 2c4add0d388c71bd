/* hist: see hist.h. Adding is inline there; here is all that reads a histogram. */
#include "loadgen/books/hist.h"

#include <math.h>

enum { HIST_HALF = 1 << HIST_HALF_BITS };

int64_t hist_slot_top(unsigned slot)
{
    unsigned magnitude = slot < 2 * HIST_HALF ? 0 : (slot >> HIST_HALF_BITS) - 1;
    int64_t first = slot - ((int64_t)magnitude << HIST_HALF_BITS);

    return ((first + 1) << magnitude) - 1;
}

uint64_t hist_total(const struct hist *hist)
{
    return hist->count + hist->infinite;
}

void hist_merge(struct hist *into, const struct hist *from)
{
    into->infinite += from->infinite;
    if (from->count == 0)
        return;
    if (into->count == 0 || from->min < into->min)
        into->min = from->min;
    if (into->count == 0 || from->max > into->max)
        into->max = from->max;
    into->count += from->count;
    into->sum += from->sum;
    for (unsigned i = 0; i < HIST_SLOTS; i++)
        into->slot[i] += from->slot[i];
}

uint64_t hist_bin_count(const struct hist *hist, unsigned bin)
{
    uint64_t count = 0;

    for (unsigned i = bin * HIST_BIN_SLOTS; i < (bin + 1) * HIST_BIN_SLOTS; i++)
        count += hist->slot[i];
    return count;
}

int64_t hist_bin_end(unsigned bin)
{
    return hist_slot_top((bin + 1) * HIST_BIN_SLOTS - 1) + 1;
}

void hist_since(struct hist *since, const struct hist *now, const struct hist *before)
{
    *since =
        (struct hist){.infinite = now->infinite - before->infinite, .sum = now->sum - before->sum};
    for (unsigned i = 0; i < HIST_SLOTS; i++) {
        uint64_t added = now->slot[i] - before->slot[i];

        if (added == 0)
            continue;
        if (since->count == 0)
            since->min = i == 0 ? 0 : hist_slot_top(i - 1) + 1;
        since->max = hist_slot_top(i);
        since->count += added; /* from the slots, so that a torn read stays consistent */
        since->slot[i] = added;
    }
}

double hist_at_rank(const struct hist *hist, uint64_t rank)
{
    uint64_t seen = 0;

    if (rank == 0 || rank > hist_total(hist))
        return NAN;
    if (rank > hist->count)
        return INFINITY;
    for (unsigned i = 0; i < HIST_SLOTS; i++) {
        seen += hist->slot[i];
        if (seen >= rank)
            return fmin((double)hist_slot_top(i), (double)hist->max);
    }
    return (double)hist->max; /* only when another process is adding right now */
}

double hist_percentile(const struct hist *hist, double percent)
{
    uint64_t rank = (uint64_t)ceil(percent / 100 * (double)hist_total(hist) - 1e-9);

    return hist_at_rank(hist, rank > 0 ? rank : 1);
}

double hist_mean(const struct hist *hist)
{
    return hist->count == 0 ? NAN : (double)hist->sum / (double)hist->count;
}

double hist_min(const struct hist *hist)
{
    return hist->count == 0 ? NAN : (double)hist->min;
}

double hist_deviation(const struct hist *hist)
{
    double mean = hist_mean(hist), squares = 0;

    for (unsigned i = 0; i < HIST_SLOTS; i++) {
        if (hist->slot[i] == 0)
            continue;
        double from_mean = (double)hist_slot_top(i) - mean;
        squares += (double)hist->slot[i] * from_mean * from_mean;
    }
    return sqrt(squares / (double)hist->count);
}

/* The next percentile to print: five rows until half of the rest is passed, and so again for each
 * half, which is what makes the tail visible on a logarithmic axis. */
static double next_level(double level)
{
    double halves = floor(log2(1 / (1 - level))) + 1;

    return level + 1 / (5 * exp2(halves));
}

static void write_rows(const struct hist *hist, FILE *file)
{
    double total = (double)hist_total(hist), level = 0;
    uint64_t seen = 0;

    for (unsigned i = 0; i < HIST_SLOTS && seen < hist->count; i++) {
        double value_ms = fmin((double)hist_slot_top(i), (double)hist->max) / 1e6;

        if (hist->slot[i] == 0)
            continue;
        seen += hist->slot[i];
        if ((double)seen == total)
            break; /* the last value is the row of percentile 1 */
        for (; level * total <= (double)seen; level = next_level(level))
            fprintf(file, "%12.6f %14.12f %10llu %14.2f\n", value_ms, level,
                    (unsigned long long)seen, 1 / (1 - level));
    }
    if (hist->infinite == 0 && hist->count > 0)
        fprintf(file, "%12.6f %14.12f %10llu\n", (double)hist->max / 1e6, 1.0,
                (unsigned long long)hist->count);
}

bool hist_write_hgrm(const struct hist *hist, FILE *file)
{
    bool empty = hist->count == 0;

    fprintf(file, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount",
            "1/(1-Percentile)");
    write_rows(hist, file);
    fprintf(file, "#[Mean    = %12.6f, StdDeviation   = %12.6f]\n",
            empty ? 0 : hist_mean(hist) / 1e6, empty ? 0 : hist_deviation(hist) / 1e6);
    fprintf(file, "#[Max     = %12.6f, Total count    = %12llu]\n",
            empty ? 0 : (double)hist->max / 1e6, (unsigned long long)hist_total(hist));
    fprintf(file, "#[Buckets = %12d, SubBuckets     = %12d]\n", HIST_TOP_BITS - HIST_HALF_BITS,
            2 * HIST_HALF);
    fprintf(file, "#[Infinite = %llu]\n", (unsigned long long)hist->infinite);
    return !ferror(file);
}
