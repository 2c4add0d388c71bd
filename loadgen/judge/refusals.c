#include "loadgen/judge/refusals.h"
#include "loadgen/judge/bounds.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

static const double BUSY_MAX = 0.9;

static void refuse(struct result *r, const char *metric, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void refuse(struct result *r, const char *metric, const char *format, ...)
{
    va_list args;

    if (r->refusals.count == REFUSALS_MAX)
        return;
    struct refusal *refusal = &r->refusals.refusal[r->refusals.count++];
    snprintf(refusal->metric, sizeof refusal->metric, "%s", metric);
    va_start(args, format);
    vsnprintf(refusal->reason, sizeof refusal->reason, format, args);
    va_end(args);
}

/* Where replies are complete when they are read, a generator without a core makes them longer, and
 * the load smaller. One of normal priority waits for the server as well, which is no disturbance. */
static bool generator_counts(const struct result *r)
{
    return r->plan->arrivals == ARRIVALS_CLOSED && r->plan->workload.think.mean_ns == 0 &&
           r->totals->realtime;
}

static double reach_of(const struct result *r)
{
    struct holds_load load = {.per_s = result_offered_rate(r),
                              .response_s = hist_mean(&r->totals->all.response) / 1e9,
                              .closed = r->plan->arrivals == ARRIVALS_CLOSED};
    double reach = holds_reach(&r->server, &load);

    if (generator_counts(r))
        reach += holds_reach(&r->totals->holds, &load);
    return fmin(1, reach);
}

/* By how much of it a number may be too large; 0 to 1. `least`: without what late requests do. */
static double uncertain_share(const struct result *r, const struct hist *hist,
                              const struct hist *least, double percent)
{
    double value = holds_least(hist, percent, 0);
    double share = 1 - holds_least(least, percent, r->reach) / value;

    return isfinite(value) && share > 0 ? share : 0;
}

double refusals_uncertainty_ns(const struct result *r, const struct class_stats *stats,
                               double percent)
{
    double value = holds_least(&stats->response, percent, 0);

    return isfinite(value)
               ? value * uncertain_share(r, &stats->response, &stats->least_response, percent)
               : NAN;
}

static void judge_latency(struct result *r, const char *class, const char *kind,
                          const struct hist *hist, const struct hist *least)
{
    for (int i = 0; i < LATENCY_NUMBERS; i++) {
        const struct latency_number *number = &latency_numbers[i];
        double share = uncertain_share(r, hist, least, number->percent);
        char metric[REFUSAL_METRIC];

        if (share <= BOUNDS_SHARE)
            continue;
        snprintf(metric, sizeof metric, "%s.%s_%s", class, kind, number->name);
        refuse(r, metric, "up to %.0f %% of its %.0f us may come from %s", 100 * share,
               holds_least(hist, number->percent, 0) / 1e3,
               r->reach > 0 ? "cores that others held, or requests that were sent late and together"
                            : "requests that the generator sent late and together");
    }
}

static void judge_class(struct result *r, const char *class, const struct class_stats *stats)
{
    judge_latency(r, class, "response", &stats->response, &stats->least_response);
    judge_latency(r, class, "service", &stats->service, &stats->least_service);
    judge_latency(r, class, "delivery", &stats->deliveries.latency,
                  &stats->deliveries.least_latency);
}

static bool generator_is_busy(const struct result *r)
{
    return r->totals->busy_max > BUSY_MAX;
}

/* In an open loop in which nearly every request had its reply, what was answered is what was asked
 * for, whatever held it up. */
static bool all_answered(const struct result *r)
{
    const struct class_stats *all = &r->totals->all;

    return r->plan->arrivals != ARRIVALS_CLOSED &&
           (double)all->good >= BOUNDS_ANSWERED * (double)all->requests;
}

/* Share of the window in which one of both had no core, as far as that touches what is answered: it
 * could be more by that. */
static double held_share(const struct result *r)
{
    double share = r->server.share + (generator_counts(r) ? r->totals->holds.share : 0);

    return all_answered(r) ? 0 : share;
}

bool refusals_of_rates(const struct result *r)
{
    return generator_is_busy(r) || held_share(r) > BOUNDS_SHARE;
}

/* Of errors there can only be too many: none is right. */
static void judge_rates(struct result *r)
{
    static const char *const metrics[] = {"achieved_rate", "*.good_rate", "error_share"};
    bool errors = class_stats_errors(&r->totals->all) > 0;
    int count = errors && !generator_is_busy(r) ? 3 : 2;

    for (int i = 0; i < count; i++) {
        if (generator_is_busy(r))
            refuse(r, metrics[i],
                   "a worker of the generator was %.0f %% busy, so it may be the bottleneck: use "
                   "more workers (-w) on cores of their own, or a lower rate",
                   100 * r->totals->busy_max);
        else if (refusals_of_rates(r))
            refuse(r, metrics[i], "others held a core that was wanted for %.0f %% of the window",
                   100 * held_share(r));
    }
}

void refusals_judge(struct result *r)
{
    r->refusals.count = 0;
    r->reach = reach_of(r);
    judge_rates(r);
    judge_class(r, "total", &r->totals->all);
    for (int i = 0; i < r->plan->class_count; i++)
        judge_class(r, r->plan->class[i].name, &r->totals->class[i]);
}

static bool is_refused(const struct result *r, const struct criterion *c)
{
    const struct class_stats *stats = c->class < 0 ? &r->totals->all : &r->totals->class[c->class];
    bool service = c->latency == LATENCY_SERVICE;
    const struct hist *hist = service ? &stats->service : &stats->response;
    const struct hist *least = service ? &stats->least_service : &stats->least_response;

    switch (c->metric) {
    case METRIC_RATE: return refusals_of_rates(r);
    case METRIC_MEAN:
    case METRIC_MAX:
    case METRIC_PERCENTILE: break;
    case METRIC_ERRORS:
    case METRIC_MISSED: return false;
    }
    double percent = c->metric == METRIC_MEAN ? 0 : c->metric == METRIC_MAX ? 100 : c->percent;
    return c->latency != LATENCY_LAG && uncertain_share(r, hist, least, percent) > BOUNDS_SHARE;
}

bool refusals_concern(const struct result *r, const struct criteria *criteria, char *why,
                      size_t size)
{
    for (int i = 0; i < criteria->count; i++) {
        const struct criterion *c = &criteria->criterion[i];

        if (is_refused(r, c)) {
            snprintf(why, size,
                     "%s is not known well enough: the generator was late or busy, or had no core",
                     c->name);
            return true;
        }
    }
    return false;
}
