/* stats: see stats.h. */
#include "loadgen/books/stats.h"
#include "common/base/util.h"

#include <sys/mman.h>

const char *error_name(int error)
{
    static const char *const names[] = {
#define X(name) #name,
        ERROR_LIST(X)
#undef X
    };

    return names[error];
}

static size_t shared_size(int workers)
{
    return sizeof(struct shared) + (size_t)workers * sizeof(struct worker_stats);
}

/* Most slots of most histograms are never touched, and their pages never exist. */
struct shared *shared_create(int workers)
{
    struct shared *shared = mmap(NULL, shared_size(workers), PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (shared == MAP_FAILED)
        die_errno("cannot map %zu bytes of shared memory", shared_size(workers));
    return shared;
}

void shared_free(struct shared *shared, int workers)
{
    munmap(shared, shared_size(workers));
}

static void delivery_stats_merge(struct delivery_stats *into, const struct delivery_stats *from)
{
    into->published += from->published;
    into->delivered += from->delivered;
    into->lost += from->lost;
    into->away += from->away;
    into->doubled += from->doubled;
    into->disordered += from->disordered;
    hist_merge(&into->latency, &from->latency);
    hist_merge(&into->least_latency, &from->least_latency);
}

void class_stats_merge(struct class_stats *into, const struct class_stats *from)
{
    into->requests += from->requests;
    into->answered += from->answered;
    into->good += from->good;
    into->missed += from->missed;
    into->attempts += from->attempts;
    into->retries += from->retries;
    into->rescued += from->rescued;
    into->denied += from->denied;
    into->confirmed += from->confirmed;
    for (int i = 0; i < 6; i++)
        into->status[i] += from->status[i];
    for (int i = 0; i < ERRORS; i++)
        into->failed[i] += from->failed[i];
    for (int i = 0; i < ERRORS; i++)
        into->errors[i] += from->errors[i];
    hist_merge(&into->response, &from->response);
    hist_merge(&into->service, &from->service);
    hist_merge(&into->lag, &from->lag);
    hist_merge(&into->raw, &from->raw);
    hist_merge(&into->least_response, &from->least_response);
    hist_merge(&into->least_service, &from->least_service);
    delivery_stats_merge(&into->deliveries, &from->deliveries);
}

uint64_t class_stats_errors(const struct class_stats *stats)
{
    uint64_t sum = 0;

    for (int i = 0; i < ERRORS; i++)
        sum += stats->errors[i];
    return sum;
}

bool worker_saturated(const struct worker_stats *worker)
{
    bool at_the_end = worker->backlog_end > 0 && worker->backlogged_ns > worker->wall_ns / 100;

    return at_the_end || worker->backlogged_ns > worker->wall_ns / 2;
}

double worker_busy(const struct worker_stats *worker)
{
    int64_t work_ns = worker->cpu_ns - worker->spin_ns;

    return worker->wall_ns > 0 ? (double)work_ns / (double)worker->wall_ns : 0;
}

double worker_spin(const struct worker_stats *worker)
{
    return worker->wall_ns > 0 ? (double)worker->spin_ns / (double)worker->wall_ns : 0;
}

static void add_worker(struct totals *totals, const struct worker_stats *worker)
{
    totals->good_in_window += worker->good_in_window;
    totals->reconnects += worker->reconnects;
    totals->churned += worker->churned;
    totals->paused_s += (double)worker->paused_ns / 1e9;
    totals->idle_lost += worker->idle_lost;
    totals->open += worker->open;
    totals->used += worker->used;
    totals->unconfirmed += worker->unconfirmed;
    hist_merge(&totals->connect, &worker->connect);
    if (worker_spin(worker) > totals->spin_max)
        totals->spin_max = worker_spin(worker);
    totals->backlog_max += worker->backlog_max;
    totals->saturated |= worker_saturated(worker);
    totals->realtime &= worker->realtime;
    if (worker_busy(worker) > totals->busy_max)
        totals->busy_max = worker_busy(worker);
    if (worker->connect_errno)
        totals->connect_errno = worker->connect_errno;
}

static void add_holds(struct holds *holds, const struct worker_stats *worker, int workers)
{
    double wall_ns = (double)worker->wall_ns * workers;

    if (wall_ns <= 0)
        return;
    holds->share += (double)worker->held_ns / wall_ns;
    holds->per_s += (double)worker->preempted * 1e9 / wall_ns;
    holds->busy += worker_busy(worker) / workers;
}

struct totals *totals_of(const struct shared *shared, int workers, int classes)
{
    struct totals *totals = must_calloc(1, sizeof *totals);

    totals->realtime = true;
    for (int w = 0; w < workers; w++) {
        add_worker(totals, &shared->worker[w]);
        add_holds(&totals->holds, &shared->worker[w], workers);
        for (int i = 0; i < classes; i++)
            class_stats_merge(&totals->class[i], &shared -> worker[w].class[i]);
    }
    for (int i = 0; i < classes; i++)
        class_stats_merge(&totals->all, &totals->class[i]);
    return totals;
}
