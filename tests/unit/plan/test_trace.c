/* Tests of loadgen/plan/trace.c: what a trace file says, in which order, and its mistakes. */
#include "common/base/util.h"
#include "loadgen/plan/trace.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char error[512];

static const struct workload workload = {
    .class_count = 3,
    .class = {{.name = "io"}, {.name = "cpu"}, {.name = "slow_one"}},
};

/* Load `text` as a file. The name of the file is replaced by FILE in `error`. */
static bool load(struct trace *trace, const char *text)
{
    char path[] = "/tmp/archbench-trace-XXXXXX", raw[512] = "";
    int fd = mkstemp(path);
    bool loaded;

    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    loaded = trace_load(trace, path, &workload, raw, sizeof raw);
    unlink(path);
    snprintf(error, sizeof error, "%s%s", *raw ? "FILE" : "",
             strncmp(raw, path, strlen(path)) == 0 ? raw + strlen(path) : raw);
    return loaded;
}

static void expect(const struct trace *trace, const struct trace_entry *wanted, size_t count)
{
    cr_assert_eq(trace->count, count);
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(trace->entry[i].at_ns, wanted[i].at_ns, "entry %zu is at %ld", i,
                     trace->entry[i].at_ns);
        cr_assert_eq(trace->entry[i].class, wanted[i].class, "entry %zu is of class %d", i,
                     trace->entry[i].class);
    }
}

Test(trace, says_what_the_file_says)
{
    static const struct trace_entry wanted[] = {
        {0, 0}, {500000000, 1}, {1001000000, 2}, {60000000000, 0}};
    struct trace trace;

    cr_assert(load(&trace, "time_s,class\n0,io\n.5,cpu\n1.001,slow_one\n6e1,io\n"), "%s", error);
    expect(&trace, wanted, 4);
    trace_free(&trace);
    cr_assert_eq(trace.count, 0);
    cr_assert_null(trace.entry);
}

Test(trace, comments_and_empty_lines_and_a_missing_end_do_not_count)
{
    static const struct trace_entry wanted[] = {{1000000000, 1}, {2000000000, 0}};
    struct trace trace;

    cr_assert(load(&trace, "# recorded\n\ntime_s,class\r\n1,cpu\r\n# the end\n2,io"), "%s", error);
    expect(&trace, wanted, 2);
    trace_free(&trace);
}

Test(trace, names_of_columns_are_not_needed)
{
    struct trace trace;

    cr_assert(load(&trace, "3,cpu\n"), "%s", error);
    expect(&trace, &(struct trace_entry){3000000000, 1}, 1);
    trace_free(&trace);
}

Test(trace, is_sorted_by_time_and_else_as_in_the_file)
{
    static const struct trace_entry wanted[] = {{1000000000, 2}, {2000000000, 1}, {2000000000, 0},
                                                {2000000000, 2}, {3000000000, 0}, {4000000000, 1}};
    struct trace trace;

    cr_assert(load(&trace, "4,cpu\n2,cpu\n3,io\n2,io\n1,slow_one\n2,slow_one\n"), "%s", error);
    expect(&trace, wanted, 6);
    trace_free(&trace);
}

struct mistake {
    const char *text, *complaint;
};

static const struct mistake mistakes[] = {
    {"", "FILE: there is no arrival in it"},
    {"time_s,class\n# nothing\n", "FILE: there is no arrival in it"},
    {"0,io\n1,disk\n", "FILE:2: the workload has no class 'disk'"},
    {"0,io\n1,\n", "FILE:2: the workload has no class ''"},
    {"0,io\n1,io,3\n", "FILE:2: the workload has no class 'io,3'"},
    {"0,io\n1, io\n", "FILE:2: the workload has no class ' io'"},
    {"0,io\n\n# x\n-1,io\n", "FILE:4: '-1' is not a number of seconds from 0 to 1000000"},
    {"1s,io\n", "FILE:1: '1s' is not a number"},
    {",io\n", "FILE:1: '' is not a number"},
    {".,io\n", "FILE:1: '.' is not a number"},
    {"nan,io\n", "FILE:1: 'nan' is not a number"},
    {"inf,io\n", "FILE:1: 'inf' is not a number"},
    {" 1,io\n", "FILE:1: ' 1' is not a number"},
    {"1e999,io\n", "FILE:1: '1e999' is not a number"},
    {"1700000000,io\n", "FILE:1: '1700000000' is not a number"},
    {"1 io\n", "FILE:1: '1 io' is not seconds,class"},
    {"0,io\ntime_s,class\n", "FILE:2: 'time_s' is not a number"},
};

Test(trace, mistakes_are_named_with_their_line)
{
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        struct trace trace;

        cr_assert_not(load(&trace, mistakes[i].text), "accepted: %s", mistakes[i].text);
        cr_assert_eq(strncmp(error, mistakes[i].complaint, strlen(mistakes[i].complaint)), 0,
                     "for %s\nexpected: %s\n     got: %s", mistakes[i].text, mistakes[i].complaint,
                     error);
        cr_assert_null(trace.entry);
    }
}

Test(trace, a_missing_file_is_an_error)
{
    struct trace trace;
    char reason[256];

    cr_assert_not(trace_load(&trace, "/nowhere/x.csv", &workload, reason, sizeof reason));
    cr_assert_str_eq(reason, "/nowhere/x.csv: No such file or directory");
}

/* Times that fall, rise and repeat. The class tells which of two with the same time was first. The
 * bound is many times what it takes, and far below what a quadratic sort would. */
Test(trace, a_large_file_is_read_fast_and_sorted)
{
    enum { LINES = 300000 };
    char path[] = "/tmp/archbench-trace-XXXXXX", reason[256];
    FILE *file = fdopen(mkstemp(path), "w");
    struct trace trace;
    int64_t took_ns;
    bool loaded;

    for (int i = 0; i < LINES; i++)
        fprintf(file, "%d.%06d,%s\n", (int)(i * 7919LL % 1000), i % 1000 * 977,
                workload.class[i * 3LL / LINES].name);
    fclose(file);
    took_ns = -now_ns();
    loaded = trace_load(&trace, path, &workload, reason, sizeof reason);
    took_ns += now_ns();
    unlink(path);
    cr_assert(loaded, "%s", reason);
    cr_assert_eq(trace.count, LINES);
    for (int i = 1; i < LINES; i++) {
        const struct trace_entry *last = &trace.entry[i - 1], *entry = &trace.entry[i];

        cr_assert(last->at_ns < entry->at_ns ||
                  (last->at_ns == entry->at_ns && last->class <= entry->class));
    }
    cr_assert_lt(took_ns, NSEC_PER_SEC * (getenv("SLOW") ? atoi(getenv("SLOW")) : 1), "%ld ms",
                 took_ns / NSEC_PER_MSEC);
    trace_free(&trace);
}
