/* summary: see summary.h. What nobody asked for and what did not happen gets no line. */
#include "loadgen/output/summary.h"
#include "loadgen/books/estimate.h"
#include "loadgen/judge/refusals.h"
#include "loadgen/output/pretty.h"

#include <inttypes.h>
#include <math.h>

static const char *plural(int count)
{
    return count == 1 ? "" : "s";
}

static void print_what(const struct plan *plan, FILE *file)
{
    fprintf(file, "%s", plan->target[0].url.shown);
    if (plan->target_count > 1)
        fprintf(file, " and %d more", plan->target_count - 1);
    if (plan->workload_path)
        fprintf(file, "  %s, point %s", plan->workload_path, plan->point);
    fprintf(file, "\n");
}

static void print_how(const struct result *r, FILE *file)
{
    const struct plan *plan = r->plan;
    bool closed = plan->arrivals == ARRIVALS_CLOSED;
    int64_t think_ns = plan->workload.think.mean_ns;
    char think[PRETTY_TIME];

    fprintf(file, "  %s%s", arrivals_name(plan->arrivals), closed ? " loop" : " arrivals");
    if (think_ns > 0)
        fprintf(file, ", think time %s", pretty_time(think, (double)think_ns));
    fprintf(file, ", %d connection%s, %d worker%s, %.2f s after %.2f s of warm-up\n  ",
            plan->connections, plural(plan->connections), plan->workers, plural(plan->workers),
            r->duration_s, (double)plan->warmup_ns / 1e9);
    if (!closed)
        fprintf(file, "asked for %.1f/s, ", plan->rate);
    fprintf(file, "offered %.1f/s, achieved %.1f/s\n", result_offered_rate(r),
            result_achieved_rate(r));
}

static void print_percentile(const struct hist *hist, double percent, FILE *file)
{
    bool known = hist_total(hist) == 0 || estimate_percentile(hist, percent).known;
    char time[PRETTY_TIME], cell[PRETTY_TIME + 1];

    snprintf(cell, sizeof cell, "%s%s", known ? "" : "~",
             pretty_time(time, hist_percentile(hist, percent)));
    fprintf(file, "%8s", cell);
}

static void print_class(const char *name, const struct class_stats *stats, FILE *file)
{
    char max[PRETTY_TIME];

    fprintf(file, "  %-13s%9" PRIu64 "%9" PRIu64 "%7" PRIu64, name, stats->requests, stats->good,
            class_stats_errors(stats));
    print_percentile(&stats->response, 50, file);
    print_percentile(&stats->response, 90, file);
    print_percentile(&stats->response, 99, file);
    print_percentile(&stats->response, 99.9, file);
    fprintf(file, "%8s\n", pretty_time(max, hist_percentile(&stats->response, 100)));
}

/* How far the p99 can be trusted. */
static void print_interval(const struct hist *response, FILE *file)
{
    struct percentile_interval interval = estimate_percentile(response, 99);
    char p99[PRETTY_TIME], low[PRETTY_TIME], high[PRETTY_TIME], mean[PRETTY_TIME];

    if (interval.known)
        fprintf(file, "  p99 %s (%s to %s with 95 %% confidence), mean %s\n",
                pretty_time(p99, hist_percentile(response, 99)), pretty_time(low, interval.low_ns),
                pretty_time(high, interval.high_ns), pretty_time(mean, hist_mean(response)));
}

static void print_table(const struct result *r, FILE *file)
{
    fprintf(file, "  %-13s%9s%9s%7s%8s%8s%8s%8s%8s\n", "response of", "requests", "good", "errors",
            "p50", "p90", "p99", "p99.9", "max");
    for (int i = 0; i < r->plan->class_count; i++)
        print_class(r->plan->class[i].name, &r->totals->class[i], file);
    if (r->plan->class_count > 1)
        print_class("total", &r->totals->all, file);
    print_interval(&r->totals->all.response, file);
}

static void print_errors(const struct class_stats *all, FILE *file)
{
    if (class_stats_errors(all) == 0)
        return;
    fprintf(file, "  errors:");
    for (int i = 0; i < ERRORS; i++) {
        if (all->errors[i] > 0)
            fprintf(file, " %s %" PRIu64, error_name(i), all->errors[i]);
    }
    fprintf(file, "\n");
}

static void print_retries(const struct result *r, FILE *file)
{
    const struct class_stats *all = &r->totals->all;

    if (r->plan->retry.limit > 0)
        fprintf(file,
                "  retries: %" PRIu64 ", %.1f %% on top of the load; %" PRIu64
                " requests rescued, %" PRIu64 " retries denied\n",
                all->retries, 100 * result_load_added(r), all->rescued, all->denied);
}

static void print_deadlines(const struct result *r, FILE *file)
{
    const char *lead = "  missed their deadline: ";

    for (int i = 0; i < r->plan->class_count; i++) {
        const struct plan_class *class = &r->plan->class[i];
        const struct class_stats *stats = &r->totals->class[i];
        char deadline[PRETTY_TIME];

        if (class->deadline_ns == 0 || stats->requests == 0)
            continue;
        fprintf(file, "%s%s %" PRIu64 " (%.1f %%, %s)", lead, class->name, stats->missed,
                100 * (double)stats->missed / (double)stats->requests,
                pretty_time(deadline, (double)class->deadline_ns));
        lead = ", ";
    }
    if (*lead == ',')
        fprintf(file, "\n");
}

/* What subscribers got of what the classes published. */
static void print_deliveries(const struct result *r, FILE *file)
{
    for (int i = 0; i < r->plan->class_count; i++) {
        const struct delivery_stats *stats = &r->totals->class[i].deliveries;
        char p50[PRETTY_TIME], p99[PRETTY_TIME], max[PRETTY_TIME];

        if (stats->published == 0)
            continue;
        fprintf(file,
                "  deliveries of %s: %" PRIu64 " of %" PRIu64 " published; %" PRIu64
                " lost, %" PRIu64 " doubled, %" PRIu64 " out of order; p50 %s, p99 %s, max %s\n",
                r->plan->class[i].name, stats->delivered, stats->published, stats->lost,
                stats->doubled, stats->disordered,
                pretty_time(p50, hist_percentile(&stats->latency, 50)),
                pretty_time(p99, hist_percentile(&stats->latency, 99)),
                pretty_time(max, hist_percentile(&stats->latency, 100)));
    }
}

/* Messages that want no reply. */
static void print_one_way(const struct result *r, FILE *file)
{
    for (int i = 0; i < r->plan->class_count; i++) {
        const struct class_stats *stats = &r->totals->class[i];

        if (!r->plan->class[i].one_way || r->duration_s <= 0)
            continue;
        fprintf(file,
                "  one-way messages of %s: %" PRIu64
                " written, %.1f/s; the server has read %" PRIu64 " of them\n",
                r->plan->class[i].name, stats->good, (double)stats->good / r->duration_s,
                stats->confirmed);
    }
}

static void print_connections(const struct result *r, FILE *file)
{
    const struct totals *totals = r->totals;
    const struct workload *w = &r->plan->workload;
    char p50[PRETTY_TIME], p99[PRETTY_TIME];

    if (w->idle == 0 && w->churn == 0 && totals->reconnects == 0)
        return;
    fprintf(file, "  connections: %d of %d open, %d used", totals->open,
            r->plan->connections + w->idle, totals->used);
    if (w->idle > 0)
        fprintf(file, ", %d idle (%" PRIu64 " lost)", w->idle, totals->idle_lost);
    if (w->churn > 0)
        fprintf(file, ", %" PRIu64 " churned", totals->churned);
    fprintf(file, ", %" PRIu64 " reconnects; connect p50 %s, p99 %s\n", totals->reconnects,
            pretty_time(p50, hist_percentile(&totals->connect, 50)),
            pretty_time(p99, hist_percentile(&totals->connect, 99)));
}

static void print_generator(const struct totals *totals, FILE *file)
{
    char lag[PRETTY_TIME];

    fprintf(file, "  generator: busy %.0f %%", 100 * totals->busy_max);
    if (totals->spin_max > 0)
        fprintf(file, " (and %.0f %% spinning)", 100 * totals->spin_max);
    fprintf(file, ", p99 lag %s, backlog up to %" PRIu64 "%s%s\n",
            pretty_time(lag, hist_percentile(&totals->all.lag, 99)), totals->backlog_max,
            totals->saturated ? " (saturated)" : "", totals->realtime ? ", real-time" : "");
}

/* What of the p99 is not the server's: what was taken out of it, and what may be left. */
static void print_delays(const struct result *r, FILE *file)
{
    const struct class_stats *all = &r->totals->all;
    double p99_ns = hist_percentile(&all->response, 99),
           left_ns = refusals_uncertainty_ns(r, all, 99);
    double out_ns = hist_percentile(&all->raw, 99) - p99_ns;
    char out[PRETTY_TIME], left[PRETTY_TIME];

    if (isfinite(p99_ns) && p99_ns > 0 && out_ns >= 0)
        fprintf(
            file,
            "  the generator's own delays: %s taken out of the p99; of what is left, at most %s "
            "(%.1f %%) is not the server's\n",
            pretty_time(out, out_ns), pretty_time(left, left_ns), 100 * left_ns / p99_ns);
}

/* Numbers that share a reason's kind would fill the page: the first few, and how many there are. */
static void print_refusals(const struct refusals *refusals, FILE *file)
{
    enum { SHOWN = 4 };

    for (int i = 0; i < refusals->count && i < SHOWN; i++)
        fprintf(file, "  not known well enough: %s: %s\n", refusals->refusal[i].metric,
                refusals->refusal[i].reason);
    if (refusals->count > SHOWN)
        fprintf(file, "  not known well enough: %d more numbers (--json names them)\n",
                refusals->count - SHOWN);
}

static void print_remarks(const struct result *r, FILE *file)
{
    print_refusals(&r->refusals, file);
    for (int i = 0; i < r->notes.count; i++)
        fprintf(file, "  note: %s\n", r->notes.text[i]);
    fprintf(file, "  %s\n", r->verdict.count == 0 ? "VALID" : "INVALID:");
    for (int i = 0; i < r->verdict.count; i++)
        fprintf(file, "  - %s\n", r->verdict.text[i]);
}

void summary_print(const struct result *r, FILE *file)
{
    print_what(r->plan, file);
    print_how(r, file);
    print_table(r, file);
    print_errors(&r->totals->all, file);
    print_retries(r, file);
    print_deadlines(r, file);
    print_deliveries(r, file);
    print_one_way(r, file);
    print_connections(r, file);
    print_generator(r->totals, file);
    print_delays(r, file);
    print_remarks(r, file);
}
