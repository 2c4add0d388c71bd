/* Tests of loadgen/workload.c: what a workload file says, point by point, and its mistakes. */
#include "loadgen/workload.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char error[512];

/* Load `text` as a file. The name of the file is replaced by FILE in `error`. */
static bool load(struct workload *w, const char *text, const char *point)
{
    char path[] = "/tmp/archbench-workload-XXXXXX", raw[512] = "";
    int fd = mkstemp(path);
    bool loaded;

    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    loaded = workload_load(w, path, point, raw, sizeof(raw));
    unlink(path);
    snprintf(error, sizeof(error), "%s%s", *raw ? "FILE" : "",
             strncmp(raw, path, strlen(path)) == 0 ? raw + strlen(path) : raw);
    return loaded;
}

static const char mix[] = "; What does CPU work do?\n"
                          "[workload]\n"
                          "question    = What does CPU work do?\n"
                          "arrivals    = poisson ; a comment\n"
                          "connections = 64\n"
                          "rate        = 70%\n"
                          "placement   = split\n"
                          "timeout     = 1500ms\n"
                          "\n"
                          "[class io]\n"
                          "weight  = 70\n"
                          "request = /work?io=timer:10ms&class=io\n"
                          "[class cpu]\n"
                          "weight  = 30\n"
                          "request = HEAD /work?cpu=hash:5ms;x&class=cpu\n";

Test(workload, says_what_the_file_says)
{
    struct workload w;

    cr_assert(load(&w, mix, NULL), "%s", error);
    cr_assert_str_eq(w.question, "What does CPU work do?");
    cr_assert_eq(w.arrivals, ARRIVALS_POISSON);
    cr_assert_eq(w.connections, 64);
    cr_assert(w.rate.given && w.rate.percent);
    cr_assert_eq(w.rate.value, 70);
    cr_assert_eq(w.placement, PLACEMENT_SPLIT);
    cr_assert_eq(w.timeout_ns, 1500000000);
    cr_assert_eq(w.class_count, 2);
    cr_assert_str_eq(w.class[0].name, "io");
    cr_assert_eq(w.class[0].weight, 70);
    cr_assert_str_eq(w.class[0].method, "GET");
    cr_assert_str_eq(w.class[0].target, "/work?io=timer:10ms&class=io");
    cr_assert_str_eq(w.class[1].method, "HEAD");
    cr_assert_str_eq(w.class[1].target, "/work?cpu=hash:5ms;x&class=cpu");
    cr_assert_not(workload_has_class_rates(&w));
}

Test(workload, defaults_stand_where_the_file_is_silent)
{
    struct workload w;

    cr_assert(load(&w, "[class a]\nrequest = /\n", "base"), "%s", error);
    cr_assert_eq(w.arrivals, ARRIVALS_CLOSED);
    cr_assert_eq(w.connections, 10);
    cr_assert_eq(w.placement, PLACEMENT_SHARED);
    cr_assert_eq(w.timeout_ns, 2000000000);
    cr_assert_eq(w.class[0].weight, 1);
}

static const char sweep[] = "[workload]\narrivals = constant\nrate = 100\n"
                            "[class io]\nrequest = /io\n"
                            "[class cpu]\nrequest = /cpu\n"
                            "[point light]\nrate = 30%\ncpu.weight = 10\n"
                            "[point as_it_is]\n"
                            "[point heavy]\narrivals = closed\nio.weight = 0\ncpu.request = /more\n"
                            "[quick]\npoints = light heavy\ntrials = 3\nduration = 1500ms\n"
                            "[full]\nwarmup = 2s\nconnections = 100\n";

Test(workload, a_point_overrides_and_the_others_do_not)
{
    struct workload w;

    cr_assert(load(&w, sweep, "light"), "%s", error);
    cr_assert_eq(w.rate.value, 30);
    cr_assert(w.rate.percent);
    cr_assert_eq(w.class[1].weight, 10);
    cr_assert_eq(w.arrivals, ARRIVALS_CONSTANT);
    cr_assert_str_eq(w.class[1].target, "/cpu");

    cr_assert(load(&w, sweep, "heavy"), "%s", error);
    cr_assert_eq(w.arrivals, ARRIVALS_CLOSED);
    cr_assert_eq(w.rate.value, 100);
    cr_assert_eq(w.class[0].weight, 0);
    cr_assert_eq(w.class[1].weight, 1);
    cr_assert_str_eq(w.class[1].target, "/more");
}

Test(workload, a_point_without_keys_exists)
{
    struct workload w;

    cr_assert(load(&w, sweep, "as_it_is"), "%s", error);
    cr_assert_eq(w.rate.value, 100);
    cr_assert_eq(w.class[1].weight, 1);
}

Test(workload, classes_may_have_rates)
{
    struct workload w;

    cr_assert(load(&w,
                   "[workload]\narrivals = poisson\n[class a]\nrate = 50\nrequest = /a\n"
                   "[class b]\nrate = 2.5%\nrequest = POST /b\n",
                   NULL),
              "%s", error);
    cr_assert(workload_has_class_rates(&w));
    cr_assert_eq(w.class[0].rate.value, 50);
    cr_assert_not(w.class[0].rate.percent);
    cr_assert_eq(w.class[1].rate.value, 2.5);
    cr_assert(w.class[1].rate.percent);
}

struct mistake {
    const char *text, *point, *complaint;
};

#define CLASS "[class a]\nrequest = /\n"

static const struct mistake mistakes[] = {
    {"[workload]\nspeed = 1\n" CLASS, NULL, "FILE:2: unknown key 'speed'"},
    {"[workload]\narrivals = sometimes\n" CLASS, NULL, "FILE:2: arrivals: 'sometimes'"},
    {"[workload]\nconnections = 0\n" CLASS, NULL, "FILE:2: connections: '0'"},
    {"[workload]\nconnections = 5x\n" CLASS, NULL, "FILE:2: connections: '5x'"},
    {"[workload]\nrate = -5\n" CLASS, NULL, "FILE:2: rate: '-5'"},
    {"[workload]\nrate = nan\n" CLASS, NULL, "FILE:2: rate: 'nan'"},
    {"[workload]\nrate = 5 per second\n" CLASS, NULL, "FILE:2: rate"},
    {"[workload]\nrate = 5%%\n" CLASS, NULL, "FILE:2: rate"},
    {"[workload]\ntimeout = 5\n" CLASS, NULL, "FILE:2: timeout: '5'"},
    {"[workload]\nplacement = here\n" CLASS, NULL, "FILE:2: placement: 'here'"},
    {"[workload]\narrivals = poisson\n" CLASS, NULL, "FILE: poisson arrivals need a rate"},
    {"[workload]\njust words\n" CLASS, NULL, "FILE:2: neither"},
    {"[workloads]\nrate = 5\n" CLASS, NULL, "FILE:1: unknown section [workloads]"},
    {"rate = 5\n" CLASS, NULL, "FILE:1: 'rate' stands before any [section]"},
    {"[workload]\nrate = 5\n", NULL, "FILE: there is no [class NAME]"},
    {"[class a]\nweight = 1\n", NULL, "FILE: [class a] has no request"},
    {"[class a]\nrequest = work\n", NULL, "FILE:2: request: 'work'"},
    {"[class a]\nrequest = get /\n", NULL, "FILE:2: request: 'get /'"},
    {"[class a]\nrequest = / HTTP/1.1\n", NULL, "FILE:2: request"},
    {"[class a]\nweight = heavy\n", NULL, "FILE:2: weight: 'heavy'"},
    {"[class a]\nwait = 1\n", NULL, "FILE:2: unknown key 'wait' of a class"},
    {"[class a b]\nrequest = /\n", NULL, "FILE:1: 'a b' cannot name a class"},
    {"[class total]\nrequest = /\n", NULL, "FILE:1: 'total' cannot name a class"},
    {CLASS CLASS, NULL, "FILE:3: [class a] stands here twice"},
    {"[class a]\nweight = 0\nrequest = /\n", NULL, "FILE: no class has a weight"},
    {"[class a]\nrequest = /\nrate = 5\n[class b]\nrequest = /\n", NULL,
     "FILE: either every class has a rate or none"},
    {"[class a]\nrequest = /\nrate = 5\n", NULL, "FILE: classes with a rate need"},
    {CLASS "[point p]\nb.weight = 1\n", "p", "FILE:4: 'b.weight' speaks of a class"},
    {CLASS "[point p]\nspeed = 1\n", "p", "FILE:4: unknown key 'speed'"},
    {CLASS "[point p]\nspeed = 1\n[point q]\n", "q", "FILE:4: unknown key 'speed'"},
    {CLASS "[point p]\n[point q]\n", NULL, "FILE: choose a point; there is: p q"},
    {CLASS "[point p]\n[point q]\n", "r", "FILE: no point 'r'; there is: p q"},
    {CLASS, "r", "FILE: no point 'r'; there is: base"},
    {CLASS "[point p]\n[point p]\n", "p", "FILE:4: [point p] stands here twice"},
    {"[point p]\n" CLASS, "p", "FILE:2: [class a] has to stand before"},
    {CLASS "[point p]\n[workload]\nrate = 1\n", "p", "FILE:4: [workload] has to stand before"},
    {CLASS "[quick]\ntrials = none\n", NULL, "FILE:4: trials: 'none'"},
    {CLASS "[quick]\nduration = 3\n", NULL, "FILE:4: duration: '3'"},
    {CLASS "[quick]\nspeed = 3\n", NULL, "FILE:4: unknown key 'speed' of a profile"},
    {"[workload]\nquestion = one\n  two\n" CLASS, NULL, "FILE:3: a line must not begin"},
};

Test(workload, mistakes_are_named_with_their_line)
{
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        struct workload w;

        cr_assert_not(load(&w, mistakes[i].text, mistakes[i].point), "accepted: %s",
                      mistakes[i].text);
        cr_assert_eq(strncmp(error, mistakes[i].complaint, strlen(mistakes[i].complaint)), 0,
                     "for %s\nexpected: %s\n     got: %s", mistakes[i].text, mistakes[i].complaint,
                     error);
    }
}

Test(workload, a_line_too_long_is_an_error_and_not_cut)
{
    struct workload w;
    char text[600] = "[class a]\nrequest = /";

    memset(text + strlen(text), 'x', 400);
    cr_assert_not(load(&w, text, NULL));
    cr_assert_eq(strncmp(error, "FILE:2: the line has more than", 30), 0, "%s", error);
}

Test(workload, a_missing_file_is_an_error)
{
    struct workload w;
    char reason[256];

    cr_assert_not(workload_load(&w, "/nowhere/x.ini", NULL, reason, sizeof(reason)));
    cr_assert_str_eq(reason, "/nowhere/x.ini: No such file or directory");
}
