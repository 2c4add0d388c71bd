/* holds: see holds.h. */
#include "loadgen/books/holds.h"

#include <math.h>

const struct latency_number latency_numbers[LATENCY_NUMBERS] = {
    {"mean_us", NULL, 0},      {"max_us", NULL, 100},        {"p50_us", "p50", 50},
    {"p75_us", "p75", 75},     {"p90_us", "p90", 90},        {"p99_us", "p99", 99},
    {"p999_us", "p999", 99.9}, {"p9999_us", "p9999", 99.99},
};

static const double BUSY_MOST =
    0.9; /* a queue that is busier has not got rid of its past in time */

static const double LEAST_SHARE = 0.02;
static const int64_t WAKE_NS = 5000; /* 1 to 4 us on an idle machine */

int64_t holds_by_others(int64_t held_ns, int64_t wakes)
{
    int64_t rest_ns = held_ns - wakes * WAKE_NS;

    return rest_ns > 0 ? rest_ns : 0;
}

/* Some of the requests that are under way wait for something else than a core: no more of them want one
 * than are in a queue that is so busy (Kleinrock 1975, 3.2). */
static double in_hands(const struct holds *holds, double under_way)
{
    if (holds->hands > 0)
        return fmin(holds->hands, under_way);
    return holds->busy < 1 ? fmin(holds->busy / (1 - holds->busy), under_way) : under_way;
}

double holds_reach(const struct holds *holds, const struct holds_load *load)
{
    double idle = 1 - fmin(holds->busy, BUSY_MOST), under_way = load->per_s * load->response_s;

    if (holds->share < LEAST_SHARE)
        return 0;
    double met = load->per_s > 0 ? holds->per_s * in_hands(holds, under_way) / load->per_s : 0;
    if (!load->closed)
        return fmin(1, met + 2 * holds->share / idle);
    met = fmin(met + holds->share, holds->per_s * load->response_s);
    return fmin(1, met + 2 * holds->share * idle);
}

/* Without the delays the largest of them would at least be as the smallest. */
static double least_mean(const struct hist *hist, double reach)
{
    uint64_t kept = (uint64_t)ceil((1 - reach) * (double)hist->count), seen = 0;
    double sum = 0;

    for (unsigned i = 0; i < HIST_SLOTS && seen < kept; i++) {
        uint64_t here = hist->slot[i] < kept - seen ? hist->slot[i] : kept - seen;

        sum += (double)here * (double)hist_slot_top(i);
        seen += here;
    }
    return (sum + (double)(hist->count - seen) * hist_min(hist)) / (double)hist->count;
}

double holds_least(const struct hist *hist, double percent, double reach)
{
    if (reach <= 0)
        return percent > 0 ? hist_percentile(hist, percent) : hist_mean(hist);
    if (percent <= 0)
        return hist->count > 0 ? fmin(hist_mean(hist), least_mean(hist, reach)) : NAN;
    double rest = percent - 100 * reach;
    return rest > 0 ? hist_percentile(hist, rest) : hist_min(hist);
}
