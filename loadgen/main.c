/* loadgen: sends requests by a schedule of its own and tells what became of them.
 *
 * Open loop (-r RATE): requests are due whatever the server does, as those of many independent
 * users are. Response times count from the moment a request was due, so a server that stalls
 * cannot hide it. Closed loop: each connection sends when its reply has come.
 *
 *   build/loadgen -c 64 -d 5s -r 1000 http://127.0.0.1:8080/
 *   build/loadgen --workload workloads/mix.ini --json out.json http://127.0.0.1:8080/ */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/options.h"
#include "common/util.h"
#include "loadgen/crew.h"
#include "loadgen/plan.h"
#include "loadgen/report.h"
#include "loadgen/timeline.h"
#include "loadgen/verdict.h"

struct settings {
    struct wishes wishes;
    const char *json, *hgrm, *timeseries;
    int control;
    bool quiet;
};

static void read_options(struct settings *s, int argc, char **argv)
{
    struct wishes *w = &s->wishes;
    const struct option_row rows[] = {
        {"connections", 'c', OPTION_INT, &w->connections, "CONNS",
         "connections over all workers (the workload's, or 10)", 1, 1e7},
        {"workers", 'w', OPTION_INT, &w->workers, "WORKERS", "worker processes", 1, 1024},
        {"duration", 'd', OPTION_DURATION, &w->duration_ns, "TIME", "length of the window", 0, 0},
        {"warmup", 0, OPTION_DURATION, &w->warmup_ns, "TIME", "load before the window", 0, 0},
        {"rate", 'r', OPTION_TEXT, &w->rate, "RATE",
         "open loop: requests per second, or % of the calibrated capacity", 0, 0},
        {"arrivals", 0, OPTION_CHOICE, &w->arrivals, "default|closed|constant|poisson",
         "default: the workload's; without one, poisson with a rate and closed without", 0, 0},
        {"workload", 0, OPTION_TEXT, &w->workload, "FILE.ini", "what to ask for", 0, 0},
        {"point", 0, OPTION_TEXT, &w->point, "NAME", "which point of the workload", 0, 0},
        {"server-cores", 0, OPTION_INT, &w->server_cores, "N",
         "cores of the server, for rates in % (all)", 1, 4096},
        {"timeout", 0, OPTION_DURATION, &w->timeout_ns, "TIME",
         "give a reply up after this (the workload's, or 2s)", 0, 0},
        {"drain", 0, OPTION_DURATION, &w->drain_ns, "TIME",
         "collect stragglers after the window, at most the timeout", 0, 0},
        {"json", 0, OPTION_TEXT, &s->json, "FILE", "write the result as JSON (-: stdout)", 0, 0},
        {"hgrm", 0, OPTION_TEXT, &s->hgrm, "PREFIX", "write PREFIX.CLASS.hgrm percentiles", 0, 0},
        {"timeseries", 0, OPTION_TEXT, &s->timeseries, "FILE", "write a CSV row per second", 0, 0},
        {"control", 0, OPTION_INT, &s->control, "FD",
         "tell begin and end of the window there, then wait for a byte", -1, 1e6},
        {"cpus", 0, OPTION_TEXT, &w->cpus, "LIST", "pin the workers to these cores: 1 or 0,1", 0,
         0},
        {"realtime", 0, OPTION_FLAG, &w->realtime, NULL, "real-time priority, where allowed", 0, 0},
        {"seed", 0, OPTION_INT, &w->seed, "N", "of the random arrivals", 0, 2147483647},
        {"calibration", 0, OPTION_TEXT, &w->calibration, "FILE", "the server's calibration", 0, 0},
        {"quiet", 'q', OPTION_FLAG, &s->quiet, NULL, "no progress and no summary", 0, 0},
        {0},
    };
    const struct options options = {
        .program = "loadgen",
        .arguments = "URL",
        .about = "Send HTTP requests by an open or closed schedule and measure the replies.",
        .own = rows,
    };
    int first = options_parse(&options, argc, argv);

    if (first != argc - 1)
        die("one URL is needed, such as http://127.0.0.1:8080/ (--help lists the options)");
    w->url = argv[first];
}

static double duration_s(const struct shared *shared)
{
    int64_t ns = shared->schedule.end_ns - shared->schedule.begin_ns;

    return ns > 0 ? (double)ns / 1e9 : 0;
}

static void write_files(const struct settings *s, const struct result *result)
{
    if (s->json)
        report_json(result, s->json);
    if (s->hgrm)
        report_hgrm(result, s->hgrm);
    if (!s->quiet)
        report_summary(result, stdout);
}

int main(int argc, char **argv)
{
    struct settings settings = {.control = -1};
    struct wishes *wishes = &settings.wishes;
    struct timeline *timeline;
    struct totals *totals;
    struct plan plan;
    struct crew crew;

    wishes->workers = 1;
    wishes->duration_ns = 10 * NSEC_PER_SEC;
    wishes->warmup_ns = NSEC_PER_SEC;
    wishes->drain_ns = NSEC_PER_SEC;
    wishes->seed = 1;
    read_options(&settings, argc, argv);
    plan_make(&plan, wishes);
    crew_start(&crew, &plan);
    timeline = timeline_create(&plan, crew.shared, settings.timeseries,
                               !settings.quiet && isatty(STDERR_FILENO));
    crew_watch(&crew, timeline, settings.control);
    timeline_free(timeline);
    crew_end(&crew);

    totals = totals_of(crew.shared, plan.workers, plan.class_count);
    struct result result = {.plan = &plan,
                            .shared = crew.shared,
                            .totals = totals,
                            .duration_s = duration_s(crew.shared),
                            .lost = crew.lost};
    verdict_judge(&result);
    write_files(&settings, &result);

    free(totals);
    crew_free(&crew);
    plan_free(&plan);
    return 0;
}
