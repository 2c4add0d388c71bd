/* estimate: see estimate.h. */
#include "loadgen/books/estimate.h"

#include <math.h>

static const double TAIL = 0.025;       /* what each end may miss: 5 % in all */
static const double NEGLIGIBLE = 1e-20; /* of the commonest count; rounding is larger */

/* The sum of the probabilities below (step -1) or above (step 1) the mode of a binomial
 * distribution, where that of the mode is 1. Neighbours differ by a simple factor, so there are no
 * factorials that could overflow. */
static double sum_beside(uint64_t n, double p, uint64_t mode, int step)
{
    double sum = 0, term = 1, odds = p / (1 - p);

    for (uint64_t k = mode; term > NEGLIGIBLE && k != (step < 0 ? 0 : n); k += (uint64_t)step) {
        if (step < 0)
            term *= (double)k / ((double)(n - k + 1) * odds);
        else
            term *= (double)(n - k) * odds / (double)(k + 1);
        sum += term;
    }
    return sum;
}

/* The largest rank l for which P(B < l) <= TAIL, B being binomial(n, p): as the number of values
 * at or below the percentile, B falls short of l that rarely. 0: not even l = 1 is rare enough. */
static uint64_t low_rank(uint64_t n, double p)
{
    uint64_t mode = (uint64_t)fmin((double)n, ((double)n + 1) * p), k = mode;
    double below = sum_beside(n, p, mode, -1), term = 1, odds = p / (1 - p);
    double limit = TAIL * (below + 1 + sum_beside(n, p, mode, 1));

    while (k > 0 && below > limit) { /* below = P(B < k) and term = P(B = k), in the same unit */
        term *= (double)k / ((double)(n - k + 1) * odds);
        below -= term;
        k--;
    }
    return k;
}

/* Seen from above, percentile p of a sample is percentile 1 - p, and rank r is n + 1 - r. */
struct percentile_ranks estimate_ranks(uint64_t n, double percent)
{
    double p = percent / 100, rest = (100 - percent) / 100;

    return (struct percentile_ranks){.low = low_rank(n, p), .high = n + 1 - low_rank(n, rest)};
}

struct percentile_interval estimate_percentile(const struct hist *hist, double percent)
{
    struct percentile_interval interval = {.low_ns = 0, .high_ns = INFINITY};
    uint64_t n = hist_total(hist);
    struct percentile_ranks ranks;

    if (percent <= 0 || percent >= 100)
        return interval;
    ranks = estimate_ranks(n, percent);
    if (ranks.low >= 1)
        interval.low_ns = hist_at_rank(hist, ranks.low);
    if (ranks.high <= n)
        interval.high_ns = hist_at_rank(hist, ranks.high);
    interval.known = ranks.low >= 1 && ranks.high <= n;
    return interval;
}

uint64_t estimate_smallest_sample(double percent)
{
    double rarer = fmin(percent, 100 - percent) / 100;

    return rarer > 0 ? (uint64_t)ceil(log(TAIL) / log1p(-rarer)) : 0;
}
