/* Tests of loadgen/output/timeline.c and loadgen/books/sample.c: two workers whose counts are made up between
 * rows. Files of real runs are tested by tests/test_output.py. */
#include "loadgen/output/timeline.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const int64_t BEGIN_NS = 7000000000;

struct fixture {
    struct plan plan;
    struct shared *shared;
    struct timeline *timeline;
    char path[64];
    char text[4096];
};

static struct fixture *begin(const char *suffix)
{
    struct fixture *f = calloc(1, sizeof *f);

    f->plan = (struct plan){.workers = 2, .class_count = 2, .duration_ns = 1000000000};
    f->plan.class[0].name = "io";
    f->plan.class[1].name = "cpu";
    f->shared = shared_create(2);
    snprintf(f->path, sizeof f->path, "/tmp/archbench-series-%d%s", getpid(), suffix);
    f->timeline = timeline_create(&f->plan, f->shared, f->path, false);
    timeline_begin(f->timeline, BEGIN_NS);
    return f;
}

/* One good request of `ms` milliseconds and `bad` failed ones; each was tried again once. */
static void count(struct fixture *f, int worker, int class, int ms, int bad)
{
    struct worker_stats *w = &f->shared->worker[worker];
    struct class_stats *stats = &w->class[class];

    stats->requests += 1 + (uint64_t)bad;
    stats->good++;
    w->good_in_window++;
    hist_add(&stats->response, ms * INT64_C(1000000));
    stats->errors[ERROR_closed] += (uint64_t)bad;
    stats->retries += (uint64_t)bad;
    stats->missed += 2 * (uint64_t)bad;
    for (int i = 0; i < bad; i++)
        hist_add_infinite(&stats->response);
}

/* Without its end: what is in the file now. */
static const char *text(struct fixture *f)
{
    FILE *file = fopen(f->path, "r");

    f->text[fread(f->text, 1, sizeof f->text - 1, file)] = '\0';
    fclose(file);
    return f->text;
}

static void discard(struct fixture *f)
{
    timeline_free(f->timeline);
    unlink(f->path);
    shared_free(f->shared, 2);
    free(f);
}

Test(timeline, a_row_is_the_difference_to_the_row_before)
{
    struct fixture *f = begin(".csv");

    count(f, 0, 0, 1, 0);
    count(f, 1, 1, 1, 1);
    timeline_row(f->timeline, BEGIN_NS + 500000000);
    count(f, 1, 0, 2, 3);
    f->shared->worker[0].good_in_window++; /* a reply to the warm-up */
    timeline_row(f->timeline, BEGIN_NS + 1000000000);
    timeline_row(f->timeline, BEGIN_NS + 1000000000); /* no time has passed */
    timeline_row(f->timeline, BEGIN_NS + 1250000000); /* nothing has happened */
    cr_assert_str_eq(text(f),
                     "time_s,offered,achieved,errors,p50_us,p99_us,retries,missed,p99_known\n"
                     "0.500,6.0,4.0,1,1000.4,inf,1,2,0\n" /* the slot's top */
                     "1.000,8.0,4.0,3,inf,inf,3,6,0\n"
                     "1.250,0.0,0.0,0,,,0,0,0\n");
    discard(f);
}

Test(timeline, a_p99_of_enough_replies_is_known)
{
    struct fixture *f = begin(".csv");

    for (int i = 0; i < 367; i++)
        count(f, 0, 0, 1, 0);
    timeline_row(f->timeline, BEGIN_NS + 500000000);
    for (int i = 0; i < 368; i++)
        count(f, 0, 0, 1, 0);
    timeline_row(f->timeline, BEGIN_NS + 1000000000);
    cr_assert_not_null(strstr(text(f), "0,0,0\n1.000"));
    cr_assert_not_null(strstr(f->text, "0,0,1\n"));
    discard(f);
}

Test(timeline, json_lines_have_the_classes)
{
    struct fixture *f = begin(".jsonl");

    count(f, 0, 0, 1, 0);
    count(f, 1, 1, 2, 1);
    timeline_row(f->timeline, BEGIN_NS + 500000000);
    cr_assert_not_null(strstr(text(f),
                              "\"retries\":1,\"missed\":2,\"p99_known\":false,\"histogram\":"
                              "[[1048.576,1],[2097.152,1],[null,1]],\"classes\":{\"io\":{"));
    cr_assert_not_null(strstr(f->text, "\"cpu\":{\"offered\":4.0,\"achieved\":2.0,\"errors\":1,"));
    cr_assert_not_null(strstr(f->text,
                              "\"p99_us\":null,\"retries\":1,\"missed\":2,\"p99_known\":false,"
                              "\"histogram\":[[2097.152,1],[null,1]]}}}\n"));
    discard(f);
}

/* The class `cpu` stands last in a line. */
Test(timeline, a_histogram_is_of_its_interval)
{
    struct fixture *f = begin(".jsonl");

    count(f, 0, 1, 1, 2);
    timeline_row(f->timeline, BEGIN_NS + 250000000);
    count(f, 0, 1, 1, 0);
    count(f, 1, 1, 1, 0);
    count(f, 1, 1, 100, 0);
    timeline_row(f->timeline, BEGIN_NS + 500000000);
    timeline_row(f->timeline, BEGIN_NS + 750000000);
    cr_assert_not_null(strstr(text(f), "\"histogram\":[[1048.576,1],[null,2]]}}}\n"));
    cr_assert_not_null(strstr(f->text, "\"histogram\":[[1048.576,2],[100663.296,1]]}}}\n"));
    cr_assert_not_null(strstr(f->text, "\"histogram\":[]}}}\n"));
    discard(f);
}

Test(timeline, the_halves)
{
    struct fixture *f = begin(".csv");
    struct drift drift;

    cr_assert_not(timeline_drift(f->timeline).known);
    count(f, 0, 0, 1, 0);
    timeline_half(f->timeline, BEGIN_NS + 500000000);
    cr_assert_not(timeline_drift(f->timeline).known, "the second half has not been seen");
    count(f, 0, 0, 3, 0);
    count(f, 1, 1, 3, 2);
    timeline_row(f->timeline, BEGIN_NS + 750000000);
    drift = timeline_drift(f->timeline);
    cr_assert(drift.known);
    cr_assert_eq(drift.first.requests, 1);
    cr_assert_eq(drift.second.requests, 4);
    cr_assert_eq(drift.second.errors, 2);
    cr_assert_float_eq(drift.second.seconds, 0.25, 1e-9);
    cr_assert_float_eq(drift.second.rate, 8, 1e-9);
    discard(f);
}

Test(timeline, without_a_file_only_the_halves_are_kept)
{
    struct plan plan = {.workers = 1, .class_count = 1};
    struct shared *shared = shared_create(1);
    struct timeline *timeline = timeline_create(&plan, shared, NULL, false);

    timeline_begin(timeline, BEGIN_NS);
    timeline_row(timeline, BEGIN_NS + 1);
    timeline_free(timeline);
    shared_free(shared, 1);
}

Test(timeline, a_file_that_cannot_be_made, .exit_code = 2)
{
    struct plan plan = {.workers = 1, .class_count = 1};
    struct shared *shared = shared_create(1);

    timeline_create(&plan, shared, "/nowhere/x.csv", false);
}
