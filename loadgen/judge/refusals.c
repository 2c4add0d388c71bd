#include "loadgen/judge/refusals.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

static const double BUSY_MAX = 0.9;

static const struct {
    const char *name;
    double percent; /* 0: the mean */
} numbers[] = {{"p50_us", 50},    {"p75_us", 75},      {"p90_us", 90},  {"p99_us", 99},
               {"p999_us", 99.9}, {"p9999_us", 99.99}, {"max_us", 100}, {"mean_us", 0}};

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

/* 0: the mean. */
static double value_of(const struct hist *hist, double percent)
{
    return percent > 0 ? hist_percentile(hist, percent) : hist_mean(hist);
}

/* By how much of it a number may be too large; 0 to 1. */
static double uncertain_share(const struct hist *hist, const struct hist *least, double percent)
{
    double value = value_of(hist, percent), share = 1 - value_of(least, percent) / value;

    return isfinite(value) && share > 0 ? share : 0;
}

double refusals_uncertainty_ns(const struct class_stats *stats, double percent)
{
    double value = hist_percentile(&stats->response, percent);

    return isfinite(value)
               ? value * uncertain_share(&stats->response, &stats->least_response, percent)
               : 0;
}

static void judge_latency(struct result *r, const char *class, const char *kind,
                          const struct hist *hist, const struct hist *least)
{
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        double share = uncertain_share(hist, least, numbers[i].percent);
        char metric[REFUSAL_METRIC];

        if (share <= REFUSALS_SHARE)
            continue;
        snprintf(metric, sizeof metric, "%s.%s_%s", class, kind, numbers[i].name);
        refuse(
            r, metric,
            "up to %.0f %% of its %.0f us may come from requests that the generator sent late and "
            "together",
            100 * share, value_of(hist, numbers[i].percent) / 1e3);
    }
}

static void judge_class(struct result *r, const char *class, const struct class_stats *stats)
{
    judge_latency(r, class, "response", &stats->response, &stats->least_response);
    judge_latency(r, class, "service", &stats->service, &stats->least_service);
}

bool refusals_of_rates(const struct result *r)
{
    return r->totals->busy_max > BUSY_MAX;
}

static void judge_rates(struct result *r)
{
    static const char *const metrics[] = {"achieved_rate", "*.good_rate"};

    for (size_t i = 0; i < sizeof metrics / sizeof *metrics && refusals_of_rates(r); i++)
        refuse(r, metrics[i],
               "a worker of the generator was %.0f %% busy, so it may be the bottleneck: use more "
               "workers (-w) on cores of their own, or a lower rate",
               100 * r->totals->busy_max);
}

void refusals_judge(struct result *r)
{
    r->refusals.count = 0;
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
    return c->latency != LATENCY_LAG && uncertain_share(hist, least, percent) > REFUSALS_SHARE;
}

bool refusals_concern(const struct result *r, const struct criteria *criteria, char *why,
                      size_t size)
{
    for (int i = 0; i < criteria->count; i++) {
        const struct criterion *c = &criteria->criterion[i];

        if (is_refused(r, c)) {
            snprintf(why, size, "%s is not known well enough: the generator was late or busy",
                     c->name);
            return true;
        }
    }
    return false;
}
