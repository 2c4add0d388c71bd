/* class_json: see class_json.h. */
#include "loadgen/output/class_json.h"
#include "loadgen/books/estimate.h"
#include "loadgen/judge/refusals.h"
#include "loadgen/output/json.h"

static json_t *interval_json(const struct hist *hist, double percent)
{
    struct percentile_interval interval = estimate_percentile(hist, percent);
    json_t *pair;

    if (!interval.known)
        return json_null();
    pair = json_array();
    append(pair, number(interval.low_ns / 1e3));
    append(pair, number(interval.high_ns / 1e3));
    return pair;
}

json_t *latency_json(const struct hist *hist)
{
    json_t *o = json_object(), *intervals = json_object();

    set_count(o, "count", hist_total(hist));
    set_us(o, "min_us", hist_min(hist));
    for (int i = 0; i < LATENCY_NUMBERS; i++) {
        const struct latency_number *n = &latency_numbers[i];

        set_us(o, n->name, holds_least(hist, n->percent, 0));
        if (n->percent_name)
            set(intervals, n->percent_name, interval_json(hist, n->percent));
    }
    set(o, "intervals", intervals);
    return o;
}

/* With what of each number was the generator's, and what of the rest may not be the server's. */
static json_t *response_json(const struct result *r, const struct class_stats *stats)
{
    json_t *o = latency_json(&stats->response), *taken = json_object(), *rest = json_object();

    for (int i = 0; i < LATENCY_NUMBERS; i++) {
        const char *name = latency_numbers[i].name;
        double percent = latency_numbers[i].percent;

        set_us(taken, name,
               holds_least(&stats->raw, percent, 0) - holds_least(&stats->response, percent, 0));
        set_us(rest, name, refusals_uncertainty_ns(r, stats, percent));
    }
    set(o, "taken_out", taken);
    set(o, "uncertain", rest);
    return o;
}

json_t *kinds_json(const uint64_t counts[ERRORS])
{
    json_t *o = json_object();

    for (int i = 0; i < ERRORS; i++)
        set_count(o, error_name(i), counts[i]);
    return o;
}

static json_t *status_json(const uint64_t status[6])
{
    static const char *const keys[] = {NULL, "1xx", "2xx", "3xx", "4xx", "5xx"};
    json_t *o = json_object();

    for (int i = 1; i < 6; i++)
        set_count(o, keys[i], status[i]);
    return o;
}

static json_t *deliveries_json(const struct delivery_stats *stats)
{
    json_t *o = json_object();

    set_count(o, "published", stats->published);
    set_count(o, "delivered", stats->delivered);
    set_count(o, "lost", stats->lost);
    set_count(o, "away", stats->away);
    set_count(o, "doubled", stats->doubled);
    set_count(o, "disordered", stats->disordered);
    set(o, "latency", latency_json(&stats->latency));
    return o;
}

/* Null: its requests have replies. */
static json_t *one_way_json(const struct result *r, const struct class_stats *stats, int class)
{
    json_t *o;

    if (class < 0 || !r->plan->class[class].one_way)
        return json_null();
    o = json_object();
    set_count(o, "written", stats->good);
    set_count(o, "confirmed", stats->confirmed);
    set(o, "rate", number(r->duration_s > 0 ? (double)stats->good / r->duration_s : 0));
    set(o, "gather_s", number((double)r->plan->class[class].gather_ns / 1e9));
    return o;
}

/* Null: its rate is not modulated. */
static json_t *bursts_json(const struct result *r, int class)
{
    const struct modulation *m;
    json_t *o;

    if (class < 0 || r->plan->workload.class[class].modulation.load <= 0)
        return json_null();
    m = &r->plan->workload.class[class].modulation;
    o = json_object();
    set(o, "load", number(m->load));
    set(o, "length_s", number((double)m->length_ns / 1e9));
    set(o, "share", number(m->share));
    return o;
}

json_t *class_json(const struct result *r, const struct class_stats *stats, int class,
                   double weight)
{
    json_t *o = json_object();
    int64_t deadline_ns = class < 0 ? 0 : r->plan->class[class].deadline_ns;

    set(o, "weight", number(weight));
    set_count(o, "requests", stats->requests);
    set_count(o, "answered", stats->answered);
    set_count(o, "good", stats->good);
    set_count(o, "errors", class_stats_errors(stats));
    set_positive(o, "deadline_us", (double)deadline_ns / 1e3);
    set_count(o, "missed", stats->missed);
    set_count(o, "attempts", stats->attempts);
    set_count(o, "retries", stats->retries);
    set_count(o, "rescued", stats->rescued);
    set_count(o, "denied", stats->denied);
    set(o, "failed_attempts", kinds_json(stats->failed));
    set(o, "status", status_json(stats->status));
    set(o, "response", response_json(r, stats));
    set(o, "service", latency_json(&stats->service));
    set(o, "lag", latency_json(&stats->lag));
    set(o, "deliveries",
        stats->deliveries.published ? deliveries_json(&stats->deliveries) : json_null());
    set(o, "one_way", one_way_json(r, stats, class));
    set(o, "bursts", bursts_json(r, class));
    return o;
}
