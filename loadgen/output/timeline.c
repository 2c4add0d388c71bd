/* timeline: see timeline.h. */
#include "loadgen/output/timeline.h"
#include "common/base/util.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* More than a line with every class and every bin of its histogram takes. */
enum { LINE_BYTES = 128 * 1024 };

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), n = strlen(end);

    return length >= n && strcmp(text + length - n, end) == 0;
}

static void open_file(struct timeline *t, const char *path)
{
    t->file = fopen(path, "we");
    if (!t->file)
        die_errno("cannot write '%s'", path);
    t->buffer = must_calloc(1, LINE_BYTES);
    setvbuf(t->file, t->buffer, _IOLBF, LINE_BYTES); /* a reader can follow, in whole lines */
    t->json = ends_with(path, ".jsonl");
    if (!t->json)
        fprintf(t->file, "time_s,offered,achieved,errors,p50_us,p99_us,retries,missed,p99_known\n");
}

struct timeline *timeline_create(const struct plan *plan, const struct shared *shared,
                                 const char *path, bool progress)
{
    struct timeline *t = must_calloc(1, sizeof *t);

    t->plan = plan;
    t->shared = shared;
    t->now = sample_create(plan);
    t->before = sample_create(plan);
    t->half = sample_create(plan);
    if (progress)
        t->display = display_create(STDERR_FILENO, (double)plan->duration_ns / 1e9);
    if (path)
        open_file(t, path);
    return t;
}

void timeline_begin(struct timeline *t, int64_t now_ns)
{
    t->begin_ns = t->last_ns = now_ns;
}

static double seconds_since_begin(const struct timeline *t, int64_t when_ns)
{
    return (double)(when_ns - t->begin_ns) / 1e9;
}

/* An infinite percentile is written `inf`, an unknown one is left out. */
static void print_us(FILE *file, double ns)
{
    if (isinf(ns))
        fprintf(file, ",inf");
    else if (isnan(ns))
        fprintf(file, ",");
    else
        fprintf(file, ",%.1f", ns / 1e3);
}

static void write_csv(FILE *file, double time_s, const struct period *p)
{
    fprintf(file, "%.3f,%.1f,%.1f,%llu", time_s, p->offered, p->achieved,
            (unsigned long long)p->errors);
    print_us(file, p->p50_ns);
    print_us(file, p->p99_ns);
    fprintf(file, ",%llu,%llu,%d\n", (unsigned long long)p->retries, (unsigned long long)p->missed,
            p->p99_known);
}

/* JSON has no infinity. */
static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *bin_json(json_t *upper_us, uint64_t count)
{
    return json_pack("[o, I]", upper_us, (json_int_t)count);
}

/* Most bins are empty, and are left out. */
static json_t *histogram_json(const struct hist *hist)
{
    json_t *list = json_array();

    for (unsigned bin = 0; bin < HIST_BINS; bin++) {
        uint64_t count = hist_bin_count(hist, bin);

        if (count > 0)
            json_array_append_new(list,
                                  bin_json(json_real((double)hist_bin_end(bin) / 1e3), count));
    }
    if (hist->infinite > 0)
        json_array_append_new(list, bin_json(json_null(), hist->infinite));
    return list;
}

/* `responses`: what ended in the period. */
static json_t *period_json(const struct period *p, const struct hist *responses)
{
    return json_pack("{s:o, s:o, s:I, s:o, s:o, s:I, s:I, s:b, s:o}", "offered", number(p->offered),
                     "achieved", number(p->achieved), "errors", (json_int_t)p->errors, "p50_us",
                     number(p->p50_ns / 1e3), "p99_us", number(p->p99_ns / 1e3), "retries",
                     (json_int_t)p->retries, "missed", (json_int_t)p->missed, "p99_known",
                     p->p99_known, "histogram", histogram_json(responses));
}

/* `t->since` holds the responses of all classes, and is used up. */
static void write_json(struct timeline *t, double time_s, double span_s, const struct period *all)
{
    json_t *line = json_pack("{s:f}", "time_s", time_s), *classes = json_object();
    json_t *total = period_json(all, &t->since);

    for (int i = 0; i < t->plan->class_count; i++) {
        struct period p = sample_period(&t->now[i], &t->before[i], span_s, &t->since);

        json_object_set_new(classes, t->plan->class[i].name, period_json(&p, &t->since));
    }
    if (json_object_update_new(line, total) || json_object_set_new(line, "classes", classes))
        die("out of memory");
    json_dumpf(line, t->file, JSON_COMPACT | JSON_REAL_PRECISION(12));
    fputc('\n', t->file);
    json_decref(line);
}

void timeline_row(struct timeline *t, int64_t now_ns)
{
    int all = t->plan->class_count;
    double span_s = (double)(now_ns - t->last_ns) / 1e9;
    double time_s = seconds_since_begin(t, now_ns);
    struct sample *seen = t->before;
    struct period period;

    if (now_ns <= t->last_ns)
        return;
    sample_take(t->now, t->plan, t->shared);
    period = sample_period(&t->now[all], &t->before[all], span_s, &t->since);
    if (t->file && t->json)
        write_json(t, time_s, span_s, &period);
    else if (t->file)
        write_csv(t->file, time_s, &period);
    if (t->display)
        display_draw(t->display, time_s, &period, t->now[all].errors);
    t->before = t->now;
    t->now = seen;
    t->last_ns = now_ns;
}

void timeline_half(struct timeline *t, int64_t now_ns)
{
    t->half_ns = now_ns;
    sample_take(t->half, t->plan, t->shared);
}

struct drift timeline_drift(const struct timeline *t)
{
    int all = t->plan->class_count;

    if (t->half_ns == 0 || t->last_ns <= t->half_ns)
        return (struct drift){.known = false};
    return drift_between(&t->half[all], &t->before[all], seconds_since_begin(t, t->half_ns),
                         (double)(t->last_ns - t->half_ns) / 1e9);
}

void timeline_free(struct timeline *t)
{
    if (t->display)
        display_free(t->display);
    if (t->file) {
        bool failed = ferror(t->file) != 0;

        if (fclose(t->file) != 0 || failed)
            die_errno("cannot write the time series");
        free(t->buffer);
    }
    free(t->now);
    free(t->before);
    free(t->half);
    free(t);
}
