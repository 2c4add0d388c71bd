/* report: see report.h. The keys are described in docs/loadgen-json.md. */
#include "loadgen/output/report.h"
#include "common/base/util.h"
#include "loadgen/judge/verdict.h"
#include "loadgen/output/class_json.h"
#include "loadgen/output/json.h"

#include <stdlib.h>
#include <string.h>

static json_t *urls_json(const struct plan *plan)
{
    json_t *urls = json_array();

    for (int i = 0; i < plan->target_count; i++)
        append(urls, json_string(plan->target[i].url.shown));
    return urls;
}

static json_t *phases_json(const struct workload *w)
{
    json_t *phases = json_array();

    for (int i = 0; i < w->phase_count; i++) {
        const struct phase *phase = &w->phase[i];
        json_t *o = json_object();

        set_text(o, "name", phase->name);
        set(o, "length_s", number((double)phase->length_ns / 1e9));
        set(o, "load_from", number(phase->load.from));
        set(o, "load_to", number(phase->load.to));
        append(phases, o);
    }
    return phases;
}

static json_t *retries_json(const struct retry *retry)
{
    json_t *o;

    if (retry->limit == 0)
        return json_null();
    o = json_object();
    set(o, "limit", json_integer(retry->limit));
    set(o, "base_s", number((double)retry->base_ns / 1e9));
    set(o, "budget", number(retry->budget));
    return o;
}

static void set_run(json_t *root, const struct plan *plan)
{
    set_text(root, "schema", "archbench-loadgen/1");
    set_text(root, "url", plan->target[0].url.shown);
    set(root, "urls", urls_json(plan));
    set_text(root, "workload", plan->workload_path);
    set_text(root, "point", plan->point);
    set_text(root, "arrivals", arrivals_name(plan->arrivals));
    set(root, "connections", json_integer(plan->connections));
    set(root, "workers", json_integer(plan->workers));
    set(root, "seed", json_integer(plan->seed));
    set(root, "warmup_s", number((double)plan->warmup_ns / 1e9));
}

static void set_shape(json_t *root, const struct plan *plan)
{
    const struct workload *w = &plan->workload;
    bool thinks = w->think.mean_ns > 0, closed = plan->arrivals == ARRIVALS_CLOSED;

    set_positive(root, "think_s", (double)w->think.mean_ns / 1e9);
    set_positive(root, "retry_after_s", closed ? (double)w->retry_after_ns / 1e9 : 0);
    set_text(root, "think", !thinks ? NULL : w->think.fixed ? "fixed" : "exponential");
    set_positive(root, "burst", plan->arrivals == ARRIVALS_BURSTS ? w->burst : 0);
    set_text(root, "trace", plan->arrivals == ARRIVALS_TRACE ? w->trace : NULL);
    set_positive(root, "churn", w->churn);
    set_positive(root, "ramp", w->ramp);
    set(root, "phases", phases_json(w));
    set(root, "retries", retries_json(&plan->retry));
}

static void set_rates(json_t *root, const struct result *r)
{
    const struct class_stats *all = &r->totals->all;
    bool open = r->plan->arrivals != ARRIVALS_CLOSED;
    double offered = result_offered_rate(r);

    set(root, "duration_s", number(r->duration_s));
    set(root, "target_rate", open ? number(r->plan->rate) : json_null());
    set(root, "offered_rate", number(offered));
    set(root, "offered_rate_with_retries", number(offered * (1 + result_load_added(r))));
    set(root, "achieved_rate", number(result_achieved_rate(r)));
    set_count(root, "requests", all->requests);
    set_count(root, "answered", all->answered);
    set_count(root, "good", all->good);
    set(root, "errors", kinds_json(all->errors));
}

static void set_classes(json_t *root, const struct result *r)
{
    json_t *classes = json_object();
    double weights = 0;

    for (int i = 0; i < r->plan->class_count; i++) {
        const struct plan_class *class = &r->plan->class[i];
        const struct class_stats *stats = &r->totals->class[i];

        weights += class->weight;
        set(classes, class->name, class_json(r, stats, i, class->weight));
    }
    set(root, "total", class_json(r, &r->totals->all, -1, weights));
    set(root, "classes", classes);
}

static void set_connections(json_t *root, const struct result *r)
{
    const struct totals *totals = r->totals;
    json_t *o = json_object();

    set(o, "asked", json_integer(r->plan->connections));
    set(o, "idle", json_integer(r->plan->workload.idle));
    set(o, "sources", json_integer(r->plan->source_count ? r->plan->source_count : 1));
    set(o, "open", json_integer(totals->open));
    set(o, "used", json_integer(totals->used));
    set_count(o, "idle_lost", totals->idle_lost);
    set_count(o, "reconnects", totals->reconnects);
    set_count(o, "churned", totals->churned);
    set(o, "paused", number(r->duration_s > 0 ? totals->paused_s / r->duration_s : 0));
    set(root, "connection_use", o);
    set(root, "connect", latency_json(&totals->connect));
}

static void set_generator(json_t *root, const struct result *r)
{
    json_t *o = json_object(), *busy = json_array(), *spin = json_array();

    for (int i = 0; i < r->plan->workers; i++) {
        append(busy, number(worker_busy(&r->shared->worker[i])));
        append(spin, number(worker_spin(&r->shared->worker[i])));
    }
    set(o, "busy", busy);
    set(o, "busy_max", number(r->totals->busy_max));
    set(o, "spin", spin);
    set(o, "spin_max", number(r->totals->spin_max));
    set(o, "held", number(r->totals->holds.share));
    set(o, "preempted_per_s", number(r->totals->holds.per_s));
    set(o, "realtime", json_boolean(r->totals->realtime));
    set_count(o, "backlog_max", r->totals->backlog_max);
    set_count(o, "reconnects", r->totals->reconnects);
    set(o, "saturated", json_boolean(r->totals->saturated));
    set(root, "generator", o);
}

static json_t *half_json(const struct half *half)
{
    json_t *o = json_object();

    set(o, "duration_s", number(half->seconds));
    set_count(o, "requests", half->requests);
    set_count(o, "good", half->good);
    set_count(o, "errors", half->errors);
    set(o, "rate", number(half->rate));
    set_us(o, "p50_us", half->p50_ns);
    set_us(o, "p99_us", half->p99_ns);
    return o;
}

static json_t *drift_json(const struct drift *drift)
{
    const struct half *first = &drift->first, *second = &drift->second;
    json_t *o;

    if (!drift->known)
        return json_null();
    o = json_object();
    set(o, "first", half_json(first));
    set(o, "second", half_json(second));
    set(o, "rate_change", number(drift_change(first->rate, second->rate)));
    set(o, "p50_change", number(drift_change(first->p50_ns, second->p50_ns)));
    set(o, "p99_change", number(drift_change(first->p99_ns, second->p99_ns)));
    return o;
}

static json_t *little_json(const struct result *r)
{
    struct littles_law law;
    json_t *o;

    if (!littles_law(r, &law))
        return json_null();
    o = json_object();
    set(o, "connections", number(law.connections));
    set(o, "rate_x_latency", number(law.rate_x_latency));
    set(o, "error", number(law.error));
    return o;
}

static json_t *sentences_json(const struct sentences *sentences)
{
    json_t *list = json_array();

    for (int i = 0; i < sentences->count; i++)
        append(list, json_string(sentences->text[i]));
    return list;
}

static json_t *refusals_json(const struct refusals *refusals)
{
    json_t *o = json_object();

    for (int i = 0; i < refusals->count; i++)
        set_text(o, refusals->refusal[i].metric, refusals->refusal[i].reason);
    return o;
}

static void set_checks(json_t *root, const struct result *r)
{
    json_t *digest = json_object(), *validity = json_object();

    set(root, "littles_law", little_json(r));
    set(root, "drift", drift_json(&r->drift));
    set_count(digest, "checked", result_digests_checked(r));
    set_count(digest, "wrong", result_digests_wrong(r));
    set(root, "digest", digest);
    set(root, "notes", sentences_json(&r->notes));
    set_text(validity, "verdict", r->verdict.count == 0 ? "VALID" : "INVALID");
    set(validity, "reasons", sentences_json(&r->verdict));
    set(validity, "reach", number(r->reach));
    set(validity, "refused", refusals_json(&r->refusals));
    set(root, "validity", validity);
}

static json_t *steps_json(const struct search *search)
{
    json_t *steps = json_array();

    for (int i = 0; i < search->step_count; i++) {
        const struct search_step *step = &search->step[i];
        json_t *o = json_object();

        set(o, "rate", number(step->rate));
        set_text(o, "outcome", search_outcome_name(step->outcome));
        set_text(o, "why", step->why);
        append(steps, o);
    }
    return steps;
}

static json_t *search_json(const struct search *search)
{
    json_t *o;

    if (!search)
        return json_null();
    o = json_object();
    set_positive(o, "low", search->low);
    set(o, "high", number(search->high));
    set(o, "precision", number(search->precision));
    set_text(o, "stopped", search->why);
    set(o, "steps", steps_json(search));
    return o;
}

void report_json(const struct result *r, const char *path)
{
    bool to_stdout = strcmp(path, "-") == 0;
    FILE *file = to_stdout ? stdout : fopen(path, "we");
    json_t *root = json_object();
    bool written;

    if (!file)
        die_errno("cannot write '%s'", path);
    set_run(root, r->plan);
    set_shape(root, r->plan);
    set_rates(root, r);
    set_classes(root, r);
    set_connections(root, r);
    set_generator(root, r);
    set_checks(root, r);
    set(root, "search", search_json(r->search));
    written = json_dumpf(root, file, JSON_INDENT(2) | JSON_REAL_PRECISION(10)) == 0;
    written = fputc('\n', file) != EOF && written;
    written = (to_stdout ? fflush(file) : fclose(file)) == 0 && written;
    json_decref(root);
    if (!written)
        die_errno("cannot write '%s'", path);
}

void report_hgrm(const struct result *r, const char *prefix)
{
    for (int i = 0; i < r->plan->class_count; i++) {
        char *path;
        bool written;
        FILE *file;

        if (asprintf(&path, "%s.%s.hgrm", prefix, r->plan->class[i].name) < 0)
            die("out of memory");
        file = fopen(path, "we");
        written = file && hist_write_hgrm(&r->totals->class[i].response, file);
        if (!file || fclose(file) != 0 || !written)
            die_errno("cannot write '%s'", path);
        free(path);
    }
}
