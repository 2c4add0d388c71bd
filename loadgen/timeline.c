/* timeline: see timeline.h. */
#include "loadgen/timeline.h"

#include <math.h>
#include <stdlib.h>

#include "common/util.h"

struct timeline *timeline_create(const struct plan *plan, const struct shared *shared,
                                 const char *path, bool progress)
{
    struct timeline *t = must_calloc(1, sizeof(*t));

    t->plan = plan;
    t->shared = shared;
    t->progress = progress;
    if (!path)
        return t;
    t->csv = fopen(path, "we");
    if (!t->csv)
        die_errno("cannot write '%s'", path);
    fprintf(t->csv, "time_s,offered,achieved,errors,p50_us,p99_us\n");
    return t;
}

void timeline_begin(struct timeline *t, int64_t now_ns)
{
    t->begin_ns = t->last_ns = now_ns;
}

/* The sums over all workers and classes, as far as they have come. */
static void collect(struct timeline *t, uint64_t *requests, uint64_t *good, uint64_t *errors)
{
    *requests = *good = *errors = 0;
    t->now = (struct hist){0};
    for (int w = 0; w < t->plan->workers; w++) {
        const struct worker_stats *worker = &t->shared->worker[w];

        *good += worker->good_in_window;
        for (int i = 0; i < t->plan->class_count; i++) {
            *requests += worker->class[i].requests;
            *errors += class_stats_errors(&worker->class[i]);
            hist_merge(&t->now, &worker->class[i].response);
        }
    }
}

static void print_us(FILE *file, double ns)
{
    if (isinf(ns))
        fprintf(file, ",inf");
    else if (isnan(ns))
        fprintf(file, ",");
    else
        fprintf(file, ",%.1f", ns / 1e3);
}

void timeline_row(struct timeline *t, int64_t now_ns)
{
    double span_s = (double)(now_ns - t->last_ns) / 1e9;
    double time_s = (double)(now_ns - t->begin_ns) / 1e9;
    double offered, achieved, p50, p99;
    uint64_t requests, good, errors;

    if (now_ns <= t->last_ns)
        return;
    collect(t, &requests, &good, &errors);
    hist_since(&t->since, &t->now, &t->before);
    offered = (double)(requests - t->requests) / span_s;
    achieved = (double)(good - t->good) / span_s;
    p50 = hist_percentile(&t->since, 50);
    p99 = hist_percentile(&t->since, 99);
    if (t->csv) {
        fprintf(t->csv, "%.3f,%.1f,%.1f,%llu", time_s, offered, achieved,
                (unsigned long long)(errors - t->errors));
        print_us(t->csv, p50);
        print_us(t->csv, p99);
        fprintf(t->csv, "\n");
    }
    if (t->progress)
        fprintf(stderr,
                "\r%6.1f of %.1f s  %.0f/s offered  %.0f/s good  %llu errors  p50 %.3f ms"
                "  p99 %.3f ms\033[K",
                time_s, (double)t->plan->duration_ns / 1e9, offered, achieved,
                (unsigned long long)errors, p50 / 1e6, p99 / 1e6);
    t->before = t->now;
    t->requests = requests;
    t->good = good;
    t->errors = errors;
    t->last_ns = now_ns;
}

void timeline_free(struct timeline *t)
{
    if (t->progress)
        fprintf(stderr, "\r\033[K");
    if (t->csv && fclose(t->csv) != 0)
        die_errno("cannot write the time series");
    free(t);
}
