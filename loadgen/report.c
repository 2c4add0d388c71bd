/* report: see report.h. */
#include "loadgen/report.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"

/* Summary. */

/* "1.23ms" right-aligned in 10 columns. */
static void print_time(FILE *file, double ns)
{
    char text[32];

    if (isnan(ns))
        snprintf(text, sizeof(text), "-");
    else if (isinf(ns))
        snprintf(text, sizeof(text), "inf");
    else if (ns < 1e6)
        snprintf(text, sizeof(text), "%.1fus", ns / 1e3);
    else if (ns < 1e9)
        snprintf(text, sizeof(text), "%.2fms", ns / 1e6);
    else
        snprintf(text, sizeof(text), "%.2fs", ns / 1e9);
    fprintf(file, "%10s", text);
}

static void print_class(FILE *file, const char *name, const struct class_stats *stats)
{
    static const double percents[] = {50, 90, 99, 100};

    fprintf(file, "  %-16s%10llu%10llu%8llu", name, (unsigned long long)stats->requests,
            (unsigned long long)stats->good, (unsigned long long)class_stats_errors(stats));
    for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++)
        print_time(file, hist_percentile(&stats->response, percents[i]));
    fprintf(file, "\n");
}

static double offered_rate(const struct result *r)
{
    return r->duration_s > 0 ? (double)r->totals->all.requests / r->duration_s : 0;
}

static double achieved_rate(const struct result *r)
{
    return r->duration_s > 0 ? (double)r->totals->good_in_window / r->duration_s : 0;
}

static void print_what(const struct result *r, FILE *file)
{
    const struct plan *plan = r->plan;

    fprintf(file, "%s", plan->url);
    if (plan->workload_path)
        fprintf(file, "  %s, point %s", plan->workload_path, plan->point);
    fprintf(file, "\n  %s%s, %d connections, %d worker%s, %.2f s after %.2f s of warm-up\n",
            arrivals_name(plan->arrivals),
            plan->arrivals == ARRIVALS_CLOSED ? " loop" : " arrivals", plan->connections,
            plan->workers, plan->workers > 1 ? "s" : "", r->duration_s,
            (double)plan->warmup_ns / 1e9);
    fprintf(file, "  ");
    if (plan->arrivals != ARRIVALS_CLOSED)
        fprintf(file, "asked for %.1f/s, ", plan->rate);
    fprintf(file, "offered %.1f/s, achieved %.1f/s\n", offered_rate(r), achieved_rate(r));
}

static void print_errors(const struct class_stats *all, FILE *file)
{
    if (class_stats_errors(all) == 0)
        return;
    fprintf(file, "  errors:");
    for (int i = 0; i < ERRORS; i++) {
        if (all->errors[i] > 0)
            fprintf(file, " %s %llu", error_name(i), (unsigned long long)all->errors[i]);
    }
    fprintf(file, "\n");
}

static void print_generator(const struct result *r, FILE *file)
{
    fprintf(file, "  generator: busy %.0f %%, p99 lag", 100 * r->totals->busy_max);
    print_time(file, hist_percentile(&r->totals->all.lag, 99));
    fprintf(file, ", backlog up to %llu%s%s\n", (unsigned long long)r->totals->backlog_max,
            r->totals->saturated ? " (saturated)" : "",
            r->totals->realtime ? ", real-time priority" : "");
}

void report_summary(const struct result *r, FILE *file)
{
    print_what(r, file);
    fprintf(file, "  %-16s%10s%10s%8s%10s%10s%10s%10s\n", "response of", "requests", "good",
            "errors", "p50", "p90", "p99", "max");
    for (int i = 0; i < r->plan->class_count; i++)
        print_class(file, r->plan->class[i].name, &r->totals->class[i]);
    if (r->plan->class_count > 1)
        print_class(file, "total", &r->totals->all);
    print_errors(&r->totals->all, file);
    print_generator(r, file);
    fprintf(file, "  %s\n", r->verdict.count == 0 ? "VALID" : "INVALID:");
    for (int i = 0; i < r->verdict.count; i++)
        fprintf(file, "  - %s\n", r->verdict.reason[i]);
}

/* JSON. */

/* JSON has no infinity: null stands for it. */
static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static void set(json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value))
        die("out of memory");
}

static void set_count(json_t *object, const char *key, uint64_t value)
{
    set(object, key, json_integer((json_int_t)value));
}

static void set_text(json_t *object, const char *key, const char *text)
{
    set(object, key, text ? json_string(text) : json_null());
}

static json_t *latency_json(const struct hist *hist)
{
    json_t *o = json_object();

    set_count(o, "count", hist_total(hist));
    set(o, "min_us", number(hist_min(hist) / 1e3));
    set(o, "mean_us", number(hist_mean(hist) / 1e3));
    set(o, "max_us", number(hist_percentile(hist, 100) / 1e3));
    set(o, "p50_us", number(hist_percentile(hist, 50) / 1e3));
    set(o, "p75_us", number(hist_percentile(hist, 75) / 1e3));
    set(o, "p90_us", number(hist_percentile(hist, 90) / 1e3));
    set(o, "p99_us", number(hist_percentile(hist, 99) / 1e3));
    set(o, "p999_us", number(hist_percentile(hist, 99.9) / 1e3));
    return o;
}

static json_t *class_json(const struct class_stats *stats, double weight)
{
    json_t *o = json_object();

    set(o, "weight", number(weight));
    set_count(o, "requests", stats->requests);
    set_count(o, "answered", stats->answered);
    set_count(o, "good", stats->good);
    set_count(o, "errors", class_stats_errors(stats));
    set(o, "response", latency_json(&stats->response));
    set(o, "service", latency_json(&stats->service));
    set(o, "lag", latency_json(&stats->lag));
    return o;
}

static void set_run(json_t *root, const struct plan *plan)
{
    set_text(root, "schema", "archbench-loadgen/1");
    set_text(root, "url", plan->url);
    set_text(root, "workload", plan->workload_path);
    set_text(root, "point", plan->point);
    set_text(root, "arrivals", arrivals_name(plan->arrivals));
    set(root, "connections", json_integer(plan->connections));
    set(root, "workers", json_integer(plan->workers));
    set(root, "seed", json_integer(plan->seed));
    set(root, "warmup_s", number((double)plan->warmup_ns / 1e9));
}

static void set_rates(json_t *root, const struct result *r)
{
    const struct class_stats *all = &r->totals->all;
    bool open = r->plan->arrivals != ARRIVALS_CLOSED;
    json_t *errors = json_object();

    set(root, "duration_s", number(r->duration_s));
    set(root, "target_rate", open ? number(r->plan->rate) : json_null());
    set(root, "offered_rate", number(offered_rate(r)));
    set(root, "achieved_rate", number(achieved_rate(r)));
    set_count(root, "requests", all->requests);
    set_count(root, "answered", all->answered);
    set_count(root, "good", all->good);
    for (int i = 0; i < ERRORS; i++)
        set_count(errors, error_name(i), all->errors[i]);
    set(root, "errors", errors);
}

static void set_classes(json_t *root, const struct result *r)
{
    json_t *classes = json_object();
    double weights = 0;

    for (int i = 0; i < r->plan->class_count; i++) {
        const struct plan_class *class = &r->plan->class[i];

        weights += class->weight;
        set(classes, class->name, class_json(&r->totals->class[i], class -> weight));
    }
    set(root, "total", class_json(&r->totals->all, weights));
    set(root, "classes", classes);
}

static void set_generator(json_t *root, const struct result *r)
{
    json_t *o = json_object(), *busy = json_array();

    for (int i = 0; i < r->plan->workers; i++)
        json_array_append_new(busy, number(worker_busy(&r->shared->worker[i])));
    set(o, "busy", busy);
    set(o, "busy_max", number(r->totals->busy_max));
    set(o, "realtime", json_boolean(r->totals->realtime));
    set_count(o, "backlog_max", r->totals->backlog_max);
    set_count(o, "reconnects", r->totals->reconnects);
    set(o, "saturated", json_boolean(r->totals->saturated));
    set(root, "generator", o);
}

static void set_checks(json_t *root, const struct result *r)
{
    json_t *digest = json_object(), *validity = json_object(), *reasons = json_array();
    json_t *little = json_null();
    struct littles_law law;

    if (littles_law(r, &law)) {
        little = json_object();
        set(little, "connections", number(law.connections));
        set(little, "rate_x_latency", number(law.rate_x_latency));
        set(little, "error", number(law.error));
    }
    set(root, "littles_law", little);
    set_count(digest, "checked", digests_checked(r));
    set_count(digest, "wrong", r->totals->all.errors[ERROR_digest]);
    set(root, "digest", digest);
    set_text(validity, "verdict", r->verdict.count == 0 ? "VALID" : "INVALID");
    for (int i = 0; i < r->verdict.count; i++)
        json_array_append_new(reasons, json_string(r->verdict.reason[i]));
    set(validity, "reasons", reasons);
    set(root, "validity", validity);
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
    set_rates(root, r);
    set_classes(root, r);
    set_generator(root, r);
    set_checks(root, r);
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
