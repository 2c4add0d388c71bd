/* notes: see notes.h. One function is one note. */
#include "loadgen/output/notes.h"
#include "loadgen/books/estimate.h"
#include "loadgen/judge/limits.h"
#include "loadgen/output/pretty.h"
#include "loadgen/plan/addresses.h"

#include <stdio.h>

static const double MISSED_MAX = 0.5;     /* of a class's requests */
static const double LOAD_ADDED_MAX = 0.1; /* above, or below, the server saw another load */

static void note_latency_drift(struct result *r)
{
    const struct half *first = &r->drift.first, *second = &r->drift.second;
    char was[PRETTY_TIME], is[PRETTY_TIME];

    if (!result_load_varies(r) && drift_of_latency(&r->drift))
        sentences_add(&r->notes,
                      "no steady state: the median response was %s in the first half of the window "
                      "and %s in the second (%+.0f %%): warm up longer (--warmup), and let "
                      "nothing else run",
                      pretty_time(was, first->p50_ns), pretty_time(is, second->p50_ns),
                      100 * drift_change(first->p50_ns, second->p50_ns));
}

/* In bursts the chance is another than drift_of_rate() assumes. */
static void note_rate_drift(struct result *r)
{
    const struct half *first = &r->drift.first, *second = &r->drift.second;

    if (!result_load_varies(r) && r->plan->arrivals != ARRIVALS_BURSTS && drift_of_rate(&r->drift))
        sentences_add(
            &r->notes,
            "no steady state: %.1f good replies per second came in the first half of the "
            "window and %.1f in the second (%+.0f %%): warm up longer (--warmup), and let "
            "nothing else run",
            first->rate, second->rate, 100 * drift_change(first->rate, second->rate));
}

/* The lowest of the percentiles in the summary that the requests of a class are too few for, as
 * text; NULL when there are enough for all, or none at all. */
static const char *lowest_unknown(const struct class_stats *stats)
{
    static const struct {
        double percent;
        const char *name;
    } levels[] = {{50, "p50"}, {90, "p90"}, {99, "p99"}, {99.9, "p99.9"}};

    for (size_t i = 0; i < sizeof levels / sizeof levels[0] && stats->requests > 0; i++) {
        if (!estimate_percentile(&stats->response, levels[i].percent).known)
            return levels[i].name;
    }
    return NULL;
}

static void note_percentiles(struct result *r)
{
    char list[SENTENCE_TEXT / 2] = "";
    size_t length = 0;

    for (int i = 0; i < r->plan->class_count && length < sizeof list; i++) {
        const char *level = lowest_unknown(&r->totals->class[i]);

        if (level)
            length += (size_t)snprintf(list + length, sizeof list - length, "%s%s of '%s'",
                                       length > 0 ? ", " : "", level, r->plan->class[i].name);
    }
    if (length > 0)
        sentences_add(&r->notes,
                      "too few requests to know the percentiles (~) from %s: let it run longer",
                      list);
}

static void note_deadlines(struct result *r)
{
    for (int i = 0; i < r->plan->class_count; i++) {
        const struct plan_class *class = &r->plan->class[i];
        const struct class_stats *stats = &r->totals->class[i];
        char deadline[PRETTY_TIME];

        if (class->deadline_ns > 0 && (double)stats->missed > MISSED_MAX * (double)stats->requests)
            sentences_add(&r->notes,
                          "most requests of '%s' missed their deadline of %s: %llu of %llu",
                          class->name, pretty_time(deadline, (double)class->deadline_ns),
                          (unsigned long long)stats->missed, (unsigned long long)stats->requests);
    }
}

static void note_retries(struct result *r)
{
    if (result_load_added(r) > LOAD_ADDED_MAX)
        sentences_add(&r->notes,
                      "retries added %.0f %% to the load: the server was asked %.1f times per "
                      "second for %.1f requests",
                      100 * result_load_added(r),
                      result_offered_rate(r) * (1 + result_load_added(r)), result_offered_rate(r));
}

static void note_pauses(struct result *r)
{
    double paused = r->duration_s > 0 ? r->totals->paused_s / r->duration_s : 0;

    if (paused > LOAD_ADDED_MAX * r->plan->connections)
        sentences_add(
            &r->notes,
            "users who were told 503 paused (--retry-after): %.1f of %d at a time, so that "
            "the load was that of the others",
            paused, r->plan->connections);
}

/* Connections that are there to be told something need not carry anything. */
static bool subscribes(const struct plan *plan)
{
    for (int i = 0; i < plan->pool_count; i++)
        if (plan->pool[i].rooms > 0)
            return true;
    return false;
}

static void note_connections(struct result *r)
{
    const struct totals *totals = r->totals;
    int idle = r->plan->workload.idle, asked = r->plan->connections + idle;
    char cause[LIMITS_TEXT];

    if (totals->open < asked)
        sentences_add(&r->notes, "only %d of %d connections stood when the load began",
                      totals->open, asked);
    if (totals->used > 0 && totals->used < r->plan->connections && !subscribes(r->plan))
        sentences_add(&r->notes,
                      "only %d of %d connections carried a reply: fewer would have done, or the "
                      "server did not accept all of them",
                      totals->used, r->plan->connections);
    if (addresses_are_crowded(r->plan))
        sentences_add(&r->notes, "so many connections from one source to one target leave few free "
                                 "ports, and the kernel searches long for one: use more sources "
                                 "(--sources)");
    if (totals->connect_errno)
        sentences_add(&r->notes, "connections could not be made, the last because of: %s",
                      limits_of_connecting(cause, totals->connect_errno));
    if (totals->idle_lost > 0)
        sentences_add(
            &r->notes,
            "the server ended idle connections, %llu times in all, and they were made anew",
            (unsigned long long)totals->idle_lost);
}

/* The server's doing, whatever the reason: a result, and no fault of the run. */
static void note_deliveries(struct result *r)
{
    const struct delivery_stats *all = &r->totals->all.deliveries;

    if (r->totals->unconfirmed > 0)
        sentences_add(&r->notes,
                      "on %d connections the server did not confirm that it had read the one-way "
                      "messages (a pong): allow more --timeout and --drain",
                      r->totals->unconfirmed);
    if (all->lost + all->doubled + all->disordered > 0)
        sentences_add(&r->notes,
                      "of what was published, subscribers lost %llu deliveries, got %llu twice and "
                      "%llu out of order",
                      (unsigned long long)all->lost, (unsigned long long)all->doubled,
                      (unsigned long long)all->disordered);
}

void notes_take(struct result *r)
{
    r->notes.count = 0;
    note_latency_drift(r);
    note_rate_drift(r);
    note_percentiles(r);
    note_deadlines(r);
    note_retries(r);
    note_pauses(r);
    note_connections(r);
    note_deliveries(r);
}
