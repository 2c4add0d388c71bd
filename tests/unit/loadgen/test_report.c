/* Tests of loadgen/output/report.c and loadgen/output/summary.c: each count of a made-up result under its key and
 * in its line. That keys are documented and numbers real is tested by tests/test_output.py. */
#include "loadgen/output/report.h"
#include "loadgen/output/summary.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* 100 requests of class io, 90 of them good, and of all that may happen a different number. */
struct fixture {
    struct plan plan;
    struct totals totals;
    struct shared *shared;
    struct result result;
    json_t *json;
    char *text; /* the summary */
};

static void fill_class(struct class_stats *stats)
{
    *stats = (struct class_stats){.requests = 100,
                                  .answered = 95,
                                  .good = 90,
                                  .missed = 12,
                                  .attempts = 113,
                                  .retries = 20,
                                  .rescued = 6,
                                  .denied = 3,
                                  .status = {0, 1, 80, 10, 4, 5}};
    stats->errors[ERROR_cut] = stats->errors[ERROR_status_5xx] = 5;
    stats->failed[ERROR_cut] = 17;
    for (int i = 1; i <= 90; i++)
        hist_add(&stats->response, 10 * i); /* below 2048 ns they are exact */
    for (int i = 0; i < 10; i++)
        hist_add_infinite(&stats->response);
}

static struct fixture *eventful(void)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct totals *totals = &f->totals;

    f->shared = shared_create(1);
    f->shared->worker[0].wall_ns = 1000;
    f->shared->worker[0].cpu_ns = 700;
    f->shared->worker[0].spin_ns = 400;
    f->plan = (struct plan){.arrivals = ARRIVALS_POISSON,
                            .rate = 50,
                            .connections = 8,
                            .workers = 1,
                            .target_count = 2,
                            .class_count = 1,
                            .retry = {.limit = 3, .base_ns = 20000000, .budget = 0.25}};
    strcpy(f->plan.target[0].url.shown, "http://a/");
    strcpy(f->plan.target[1].url.shown, "http://b/");
    f->plan.class[0] = (struct plan_class){.name = "io", .weight = 1, .deadline_ns = 80000};
    fill_class(&totals->class[0]);
    totals->all = totals->class[0];
    totals->good_in_window = 88;
    totals->reconnects = 2;
    totals->open = 11;
    totals->used = 7;
    totals->busy_max = 0.3;
    totals->spin_max = 0.4;
    f->result =
        (struct result){.plan = &f->plan, .shared = f->shared, .totals = totals, .duration_s = 2};
    return f;
}

/* Write the result both ways, and read the JSON again. */
static void write_result(struct fixture *f)
{
    char path[] = "/tmp/archbench-report-XXXXXX";
    FILE *file;
    size_t size;

    close(mkstemp(path));
    report_json(&f->result, path);
    f->json = json_load_file(path, 0, NULL);
    unlink(path);
    cr_assert_not_null(f->json);
    file = open_memstream(&f->text, &size);
    summary_print(&f->result, file);
    fclose(file);
}

static void discard(struct fixture *f)
{
    shared_free(f->shared, 1);
    json_decref(f->json);
    free(f->text);
    free(f);
}

/* The value at `path`, keys and indices separated by dots. */
static json_t *at(const struct fixture *f, const char *path)
{
    char copy[128], *rest = copy, *key;
    json_t *value = f->json;

    snprintf(copy, sizeof copy, "%s", path);
    while ((key = strsep(&rest, ".")))
        value = json_is_array(value) ? json_array_get(value, (size_t)atoi(key))
                                     : json_object_get(value, key);
    cr_assert_not_null(value, "there is no %s", path);
    return value;
}

struct expected {
    const char *path;
    double value;
};

static void expect_numbers(const struct fixture *f, const struct expected *e)
{
    for (; e->path; e++) {
        json_t *value = at(f, e->path);

        cr_assert(json_is_number(value), "%s is no number", e->path);
        cr_assert_float_eq(json_number_value(value), e->value, 1e-6, "%s is %g", e->path,
                           json_number_value(value));
    }
}

static void expect_text(const struct fixture *f, const char *path, const char *text)
{
    cr_assert_str_eq(json_string_value(at(f, path)), text);
}

static void expect_line(const struct fixture *f, const char *line)
{
    cr_assert_not_null(strstr(f->text, line), "no '%s' in\n%s", line, f->text);
}

Test(report, messages_that_want_no_reply)
{
    static const struct expected numbers[] = {
        {"classes.io.one_way.written", 90}, {"classes.io.one_way.confirmed", 81},
        {"classes.io.one_way.rate", 45},    {"classes.io.one_way.gather_s", 0.0002},
        {"classes.io.bursts.load", 4},      {"classes.io.bursts.length_s", 0.05},
        {"classes.io.bursts.share", 0.125}, {0}};
    struct fixture *f = eventful();

    f->totals.class[0].confirmed = 81;
    f->plan.class[0].one_way = true;
    f->plan.class[0].gather_ns = 200000;
    f->plan.workload.class_count = 1;
    f->plan.workload.class[0].modulation =
        (struct modulation){.load = 4, .length_ns = 50000000, .share = 0.125};
    write_result(f);
    expect_numbers(f, numbers);
    cr_assert(json_is_null(at(f, "total.one_way")));
    cr_assert(json_is_null(at(f, "total.bursts")));
    expect_line(f, "one-way messages of io: 90 written, 45.0/s; the server has read 81 of them\n");
    discard(f);
}

Test(report, messages_and_bursts_are_not_in_other_runs)
{
    struct fixture *f = eventful();

    write_result(f);
    cr_assert(json_is_null(at(f, "classes.io.one_way")));
    cr_assert(json_is_null(at(f, "classes.io.bursts")));
    cr_assert_null(strstr(f->text, "one-way"));
    discard(f);
}

Test(report, counts_of_a_class)
{
    static const struct expected numbers[] = {{"classes.io.requests", 100},
                                              {"classes.io.answered", 95},
                                              {"classes.io.good", 90},
                                              {"classes.io.errors", 10},
                                              {"classes.io.deadline_us", 80},
                                              {"classes.io.missed", 12},
                                              {"classes.io.attempts", 113},
                                              {"classes.io.retries", 20},
                                              {"classes.io.rescued", 6},
                                              {"classes.io.denied", 3},
                                              {"classes.io.failed_attempts.cut", 17},
                                              {"classes.io.status.1xx", 1},
                                              {"classes.io.status.2xx", 80},
                                              {"classes.io.status.3xx", 10},
                                              {"classes.io.status.4xx", 4},
                                              {"classes.io.status.5xx", 5},
                                              {"total.missed", 12},
                                              {"errors.cut", 5},
                                              {0}};
    struct fixture *f = eventful();

    write_result(f);
    expect_numbers(f, numbers);
    cr_assert(json_is_null(at(f, "total.deadline_us")));
    expect_line(f, "errors: cut 5 status_5xx 5\n");
    expect_line(f, "missed their deadline: io 12 (12.0 %, 80.0us)\n");
    discard(f);
}

/* The 90th percentile is the last finite value; the interval around it reaches into infinity. */
Test(report, percentiles_and_intervals)
{
    static const struct expected numbers[] = {{"total.response.count", 100},
                                              {"total.response.p50_us", 0.5},
                                              {"total.response.mean_us", 0.455},
                                              {0}};
    struct fixture *f = eventful();
    double low, high;

    write_result(f);
    expect_numbers(f, numbers);
    low = json_number_value(at(f, "total.response.intervals.p50.0"));
    high = json_number_value(at(f, "total.response.intervals.p50.1"));
    cr_assert(low > 0.35 && low < 0.5 && high > 0.5 && high < 0.65, "%g to %g", low, high);
    cr_assert(json_is_number(at(f, "total.response.intervals.p90.0")));
    cr_assert(json_is_null(at(f, "total.response.intervals.p90.1")));
    cr_assert(json_is_null(at(f, "total.response.intervals.p999")));
    cr_assert(json_is_null(at(f, "total.response.p9999_us")));
    discard(f);
}

Test(report, rates_and_the_load_that_retries_add)
{
    static const struct expected numbers[] = {{"target_rate", 50},
                                              {"offered_rate", 50},
                                              {"offered_rate_with_retries", 60},
                                              {"achieved_rate", 44},
                                              {"retries.limit", 3},
                                              {"retries.base_s", 0.02},
                                              {"retries.budget", 0.25},
                                              {0}};
    struct fixture *f = eventful();

    write_result(f);
    expect_numbers(f, numbers);
    expect_line(f, "asked for 50.0/s, offered 50.0/s, achieved 44.0/s\n");
    expect_line(f,
                "retries: 20, 20.0 % on top of the load; 6 requests rescued, 3 retries denied\n");
    discard(f);
}

Test(report, connections)
{
    static const struct expected numbers[] = {{"connection_use.asked", 8},
                                              {"connection_use.idle", 4},
                                              {"connection_use.sources", 3},
                                              {"connection_use.open", 11},
                                              {"connection_use.used", 7},
                                              {"connection_use.idle_lost", 1},
                                              {"connection_use.reconnects", 2},
                                              {"connection_use.churned", 9},
                                              {"connect.count", 1},
                                              {"connect.max_us", 1.5},
                                              {"churn", 6},
                                              {"ramp", 2.5},
                                              {0}};
    struct fixture *f = eventful();

    f->plan.workload.idle = 4;
    f->plan.workload.churn = 6;
    f->plan.workload.ramp = 2.5;
    f->plan.source_count = 3;
    f->totals.idle_lost = 1;
    f->totals.churned = 9;
    hist_add(&f->totals.connect, 1500);
    write_result(f);
    expect_numbers(f, numbers);
    expect_line(f, "connections: 11 of 12 open, 7 used, 4 idle (1 lost), 9 churned, 2 reconnects; "
                   "connect p50 1.50us, p99 1.50us\n");
    discard(f);
}

Test(report, the_generator_s_spin)
{
    static const struct expected numbers[] = {{"generator.busy.0", 0.3},
                                              {"generator.busy_max", 0.3},
                                              {"generator.spin.0", 0.4},
                                              {"generator.spin_max", 0.4},
                                              {0}};
    struct fixture *f = eventful();

    write_result(f);
    expect_numbers(f, numbers);
    expect_line(f, "busy 30 % (and 40 % spinning)");
    discard(f);
}

Test(report, what_the_load_looked_like)
{
    static const struct expected numbers[] = {{"burst", 16},
                                              {"phases.1.length_s", 1.5},
                                              {"phases.1.load_from", 0.5},
                                              {"phases.1.load_to", 2},
                                              {0}};
    struct fixture *f = eventful();

    f->plan.arrivals = ARRIVALS_BURSTS;
    f->plan.workload.burst = 16;
    f->plan.workload.phase_count = 2;
    f->plan.workload.phase[1] =
        (struct phase){.name = "rise", .length_ns = 1500000000, .load = {0.5, 2}};
    write_result(f);
    expect_numbers(f, numbers);
    expect_text(f, "phases.1.name", "rise");
    expect_text(f, "arrivals", "bursts");
    expect_text(f, "urls.1", "http://b/");
    expect_line(f, "http://a/ and 1 more\n");
    cr_assert(json_is_null(at(f, "trace")));
    discard(f);
}

Test(report, a_trace_and_a_think_time)
{
    struct fixture *f = eventful();

    f->plan.arrivals = ARRIVALS_TRACE;
    f->plan.workload.burst = 16;
    strcpy(f->plan.workload.trace, "x.csv");
    f->plan.workload.think = (struct think){.fixed = false, .mean_ns = 100000000};
    write_result(f);
    expect_text(f, "trace", "x.csv");
    expect_text(f, "think", "exponential");
    cr_assert_float_eq(json_real_value(at(f, "think_s")), 0.1, 1e-9);
    cr_assert(json_is_null(at(f, "burst")));
    discard(f);
}

Test(report, drift_notes_and_verdict)
{
    static const struct expected numbers[] = {
        {"drift.first.duration_s", 1}, {"drift.first.requests", 40}, {"drift.first.good", 39},
        {"drift.first.errors", 1},     {"drift.first.rate", 39},     {"drift.first.p50_us", 2},
        {"drift.second.p50_us", 3},    {"drift.p50_change", 0.5},    {0}};
    struct fixture *f = eventful();

    f->result.drift = (struct drift){
        .known = true,
        .first = {1, 40, 39, 1, 39, 2000, 9000, {0}},
        .second = {1, 60, 51, 9, 51, 3000, INFINITY, {0}},
    };
    sentences_add(&f->result.notes, "%s", "remember this");
    sentences_add(&f->result.verdict, "%s", "do not trust this");
    write_result(f);
    expect_numbers(f, numbers);
    cr_assert(json_is_null(at(f, "drift.p99_change")));
    expect_text(f, "notes.0", "remember this");
    expect_text(f, "validity.verdict", "INVALID");
    expect_text(f, "validity.reasons.0", "do not trust this");
    expect_line(f, "note: remember this\n  INVALID:\n  - do not trust this\n");
    discard(f);
}

Test(report, what_is_not_known_is_null)
{
    struct fixture *f = eventful();

    f->plan.retry.limit = 0;
    f->totals.reconnects = 0;
    f->plan.class[0].deadline_ns = 0;
    write_result(f);
    cr_assert(json_is_null(at(f, "drift")));
    cr_assert(json_is_null(at(f, "retries")));
    cr_assert(json_is_null(at(f, "churn")));
    cr_assert(json_is_null(at(f, "classes.io.deadline_us")));
    cr_assert(json_is_null(at(f, "littles_law")));
    cr_assert_null(strstr(f->text, "retries"));
    cr_assert_null(strstr(f->text, "connections:"));
    cr_assert_null(strstr(f->text, "deadline"));
    discard(f);
}
