/* sample: see sample.h. */
#include "loadgen/books/sample.h"
#include "common/base/util.h"
#include "loadgen/books/estimate.h"

#include <string.h>

struct sample *sample_create(const struct plan *plan)
{
    return must_calloc((size_t)plan->class_count + 1, sizeof(struct sample));
}

static void add_class(struct sample *into, const struct class_stats *stats)
{
    into->requests += stats->requests;
    into->errors += class_stats_errors(stats);
    into->retries += stats->retries;
    into->missed += stats->missed;
    into->good += stats->good;
    hist_merge(&into->response, &stats->response);
}

void sample_take(struct sample *into, const struct plan *plan, const struct shared *shared)
{
    struct sample *all = &into[plan->class_count];

    memset(into, 0, ((size_t)plan->class_count + 1) * sizeof *into);
    for (int w = 0; w < plan->workers; w++) {
        for (int i = 0; i < plan->class_count; i++) {
            add_class(&into[i], &shared->worker[w].class[i]);
            add_class(all, &shared->worker[w].class[i]);
        }
    }
    all->good = 0;
    for (int w = 0; w < plan->workers; w++)
        all->good += shared->worker[w].good_in_window;
}

struct period sample_period(const struct sample *now, const struct sample *before, double seconds,
                            struct hist *since)
{
    hist_since(since, &now->response, &before->response);
    return (struct period){
        .offered = (double)(now->requests - before->requests) / seconds,
        .achieved = (double)(now->good - before->good) / seconds,
        .errors = now->errors - before->errors,
        .retries = now->retries - before->retries,
        .missed = now->missed - before->missed,
        .p50_ns = hist_percentile(since, 50),
        .p99_ns = hist_percentile(since, 99),
        .p99_known = estimate_percentile(since, 99).known,
    };
}
