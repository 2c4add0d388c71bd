/* drift: see drift.h. */
#include "loadgen/books/drift.h"
#include "common/base/util.h"

#include <math.h>
#include <stdlib.h>

static const double LATENCY_CHANGE_MIN = 0.10;
static const double RATE_CHANGE_MIN = 0.05;
static const double SIGMAS = 3;           /* chance stays below this in 997 of 1000 runs */
static const double LATENCY_SHARE = 0.05; /* of a half that the median may take */

/* A request of the warm-up is not counted when its reply comes in the first half, while one of the
 * first half is counted in the second. That is why medians must be short beside a half. */
static struct half half_of(const struct sample *sample, double seconds)
{
    const struct hist *response = &sample->response;

    return (struct half){
        .seconds = seconds,
        .requests = sample->requests,
        .good = sample->good,
        .errors = sample->errors,
        .rate = seconds > 0 ? (double)sample->good / seconds : 0,
        .p50_ns = hist_percentile(response, 50),
        .p99_ns = hist_percentile(response, 99),
        .p50_between = estimate_percentile(response, 50),
    };
}

struct drift drift_between(const struct sample *middle, const struct sample *end, double first_s,
                           double second_s)
{
    struct sample *rest = must_calloc(1, sizeof *rest);
    struct drift drift = {.known = true, .first = half_of(middle, first_s)};

    rest->requests = end->requests - middle->requests;
    rest->good = end->good - middle->good;
    rest->errors = end->errors - middle->errors;
    hist_since(&rest->response, &end->response, &middle->response);
    drift.second = half_of(rest, second_s);
    free(rest);
    return drift;
}

double drift_change(double first, double second)
{
    return isfinite(first) && isfinite(second) && first != 0 ? second / first - 1 : NAN;
}

bool drift_of_latency(const struct drift *drift)
{
    const struct half *a = &drift->first, *b = &drift->second;

    if (!drift->known || !a->p50_between.known || !b->p50_between.known)
        return false;
    if (a->p50_ns / 1e9 > LATENCY_SHARE * a->seconds ||
        b->p50_ns / 1e9 > LATENCY_SHARE * b->seconds)
        return false;
    return fabs(drift_change(a->p50_ns, b->p50_ns)) > LATENCY_CHANGE_MIN &&
           (a->p50_between.high_ns < b->p50_between.low_ns ||
            b->p50_between.high_ns < a->p50_between.low_ns);
}

/* Independent arrivals: the deviation of a count is its square root. */
bool drift_of_rate(const struct drift *drift)
{
    const struct half *a = &drift->first, *b = &drift->second;
    double chance;

    if (!drift->known || a->good == 0 || b->good == 0)
        return false;
    chance = SIGMAS * sqrt(1 / (double)a->good + 1 / (double)b->good);
    return fabs(drift_change(a->rate, b->rate)) > fmax(RATE_CHANGE_MIN, chance);
}
