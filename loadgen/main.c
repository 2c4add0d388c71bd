/* loadgen: sends requests by a schedule of its own and tells what became of them.
 *
 * Open loop (-r RATE): requests are due whatever the server does, as those of many independent
 * users are. Response times count from the moment a request was due, so a server that stalls
 * cannot hide it. Closed loop: each connection sends when its reply has come.
 *
 *   build/loadgen -c 64 -d 5s -r 1000 http://127.0.0.1:8080/
 *   build/loadgen --workload workloads/mix.ini --json out.json http://127.0.0.1:8080/
 *   build/loadgen --find-rate 'p99<5ms,errors<0.1%' http://127.0.0.1:8080/ */
#include "common/base/options.h"
#include "common/base/util.h"
#include "loadgen/find.h"
#include "loadgen/judge/criteria.h"
#include "loadgen/judge/refusals.h"
#include "loadgen/judge/search.h"
#include "loadgen/measure.h"
#include "loadgen/output/report.h"
#include "loadgen/output/summary.h"
#include "loadgen/plan/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_CONDITION_HELD = 3, EXIT_NOTHING_KNOWN = 4 };

static const int64_t SEARCH_DURATION_NS = 3 * NSEC_PER_SEC; /* of each run, if nobody says */

struct settings {
    struct wishes wishes;
    const char *json, *hgrm, *timeseries, *find_rate, *fail_if;
    int control;
    bool quiet;
};

/* The first rows fit a screen; --help-all and the manual page have the rest. */
static void read_options(struct settings *s, int argc, char **argv)
{
    struct wishes *w = &s->wishes;
    const struct option_row rows[] = {
        {"connections", 'c', OPTION_INT, &w->connections, "CONNS",
         "that carry requests, over all workers (10)", 1, 1e7},
        {"workers", 'w', OPTION_INT, &w->workers, "WORKERS", "processes that send", 1, 1024},
        {"duration", 'd', OPTION_DURATION, &w->duration_ns, "TIME", "length of the window (10s)", 0,
         0},
        {"warmup", 0, OPTION_DURATION, &w->warmup_ns, "TIME", "load before the window", 0, 0},
        {"rate", 'r', OPTION_TEXT, &w->rate, "RATE", "open loop: requests/s, or % of capacity", 0,
         0},
        {"arrivals", 0, OPTION_CHOICE, &w->arrivals, "default|closed|constant|poisson|bursts|trace",
         "poisson with a rate, else closed", 0, 0},
        {"think", 0, OPTION_TEXT, &w->think, "'TIME'", "closed loop: pause before the next request",
         0, 0},
        {"workload", 0, OPTION_TEXT, &w->workload, "FILE.ini", "what to ask for", 0, 0},
        {"point", 0, OPTION_TEXT, &w->point, "NAME", "which point of the workload", 0, 0},
        {"timeout", 0, OPTION_DURATION, &w->timeout_ns, "TIME", "give a reply up after this (2s)",
         0, 0},
        {"retries", 0, OPTION_INT, &w->retries, "N", "try a failed request up to N times more", 0,
         100},
        {"find-rate", 0, OPTION_TEXT, &s->find_rate, "CONDITIONS",
         "search the highest rate that meets them", 0, 0},
        {"fail-if", 0, OPTION_TEXT, &s->fail_if, "CONDITIONS", "exit with 3 when one holds", 0, 0},
        {"json", 0, OPTION_TEXT, &s->json, "FILE", "write the result as JSON (-: stdout)", 0, 0},
        {"hgrm", 0, OPTION_TEXT, &s->hgrm, "PREFIX", "write PREFIX.CLASS.hgrm percentiles", 0, 0},
        {"timeseries", 0, OPTION_TEXT, &s->timeseries, "FILE",
         "write a row per interval: CSV or .jsonl", 0, 0},
        {"quiet", 'q', OPTION_FLAG, &s->quiet, NULL, "no progress and no summary", 0, 0},
        {"", 0, OPTION_RARE, NULL, NULL, NULL, 0, 0},
        {"burst", 0, OPTION_INT, &w->burst, "N", "requests in a burst", 1, 1e6},
        {"retry-after", 0, OPTION_DURATION, &w->retry_after_ns, "TIME",
         "pause of a closed loop after a 503 (1s)", 0, 0},
        {"trace", 0, OPTION_TEXT, &w->trace, "FILE", "replay arrivals: lines of seconds,class", 0,
         0},
        {"ramp", 0, OPTION_REAL, &w->ramp, "N", "make N connections per second", 0, 0},
        {"idle", 0, OPTION_INT, &w->idle, "N", "hold N connections without requests", 0, 1e7},
        {"churn", 0, OPTION_INT, &w->churn, "N", "a new connection after N requests", 0, 1e9},
        {"sources", 0, OPTION_TEXT, &w->sources, "LIST", "connect from these addresses", 0, 0},
        {"server-cores", 0, OPTION_INT, &w->server_cores, "N",
         "cores of the server, for rates in % (all)", 1, 4096},
        {"drain", 0, OPTION_DURATION, &w->drain_ns, "TIME", "collect stragglers so long", 0, 0},
        {"retry-base", 0, OPTION_DURATION, &w->retry_base_ns, "TIME",
         "longest pause before the first retry", 0, 0},
        {"retry-budget", 0, OPTION_REAL, &w->retry_budget, "PERCENT",
         "retries for 100 requests at most", 0, 1e6},
        {"spin", 0, OPTION_DURATION, &w->spin_ns, "TIME", "poll so long before an arrival", 0, 0},
        {"interval", 0, OPTION_DURATION, &w->interval_ns, "TIME", "between rows of the time series",
         0, 0},
        {"control", 0, OPTION_INT, &s->control, "FD", "tell begin and end of the window there", -1,
         1e6},
        {"header", 'H', OPTION_LIST, &w->headers, "'NAME: VALUE'", "send this with every request",
         0, 0},
        {"cpus", 0, OPTION_TEXT, &w->cpus, "LIST", "pin the workers to cores: 1 or 0,1", 0, 0},
        {"realtime", 0, OPTION_FLAG, &w->realtime, NULL, "real-time priority, where allowed", 0, 0},
        {"seed", 0, OPTION_INT, &w->seed, "N", "of the random arrivals", 0, 2147483647},
        {"calibration", 0, OPTION_TEXT, &w->calibration, "FILE", "how much work a millisecond is",
         0, 0},
        {0},
    };
    const struct options options = {
        .program = "loadgen",
        .arguments = "URL...",
        .about = "Send HTTP requests by an open or closed schedule and measure the replies.",
        .own = rows,
    };
    int first = options_parse(&options, argc, argv);

    if (first >= argc)
        die("a URL is needed, such as http://127.0.0.1:8080/ (--help lists the options)");
    w->urls = argv + first;
    w->url_count = argc - first;
}

static void parse_conditions(const char *option, const char *text, const struct plan *plan,
                             struct criteria *criteria)
{
    const char *names[WORKLOAD_CLASSES];
    char error[CRITERIA_TEXT];

    for (int i = 0; i < plan->class_count; i++)
        names[i] = plan->class[i].name;
    if (!criteria_parse(criteria, text, names, plan->class_count, error, sizeof error))
        die("--%s: %s", option, error);
}

/* A search is an open loop whose rate it sets itself, after a first one. */
static void prepare_search(struct settings *s)
{
    if (s->timeseries || s->control >= 0)
        die("--find-rate makes many runs: --timeseries and --control belong to one");
    if (!s->wishes.rate && !s->wishes.workload)
        s->wishes.rate = "1000";
    if (s->wishes.duration_ns < 0)
        s->wishes.duration_ns = SEARCH_DURATION_NS;
}

/* Where people read; NULL: nowhere. JSON on the standard output wants it for itself. */
static FILE *text_output(const struct settings *s)
{
    if (s->quiet)
        return NULL;
    return s->json && strcmp(s->json, "-") == 0 ? stderr : stdout;
}

static struct measurement *run(const struct settings *s, struct plan *plan, struct search *search)
{
    struct telling telling = {.timeseries = s->timeseries,
                              .control = s->control,
                              .display = !s->quiet && isatty(STDERR_FILENO)};
    struct criteria conditions;

    if (!s->find_rate)
        return measure(plan, &telling);
    if (plan->arrivals == ARRIVALS_CLOSED || plan->arrivals == ARRIVALS_TRACE)
        die("--find-rate needs arrivals with a rate, and %s ones have none",
            arrivals_name(plan->arrivals));
    parse_conditions("find-rate", s->find_rate, plan, &conditions);
    return find_rate(search, plan, &conditions, text_output(s));
}

/* The summary first: a file that cannot be written must not lose the run. */
static void write_results(const struct settings *s, const struct result *result)
{
    if (text_output(s))
        summary_print(result, text_output(s));
    if (s->json)
        report_json(result, s->json);
    if (s->hgrm)
        report_hgrm(result, s->hgrm);
}

/* What an invalid run says about a condition means nothing. */
static int judge_exit(const struct result *result, const struct criteria *fail_if)
{
    struct criteria_input input = result_for_criteria(result);
    char why[CRITERIA_TEXT];

    if (result->verdict.count > 0) {
        fprintf(stderr, "loadgen: the run is INVALID, so --fail-if cannot be judged\n");
        return EXIT_NOTHING_KNOWN;
    }
    if (refusals_concern(result, fail_if, why, sizeof why)) {
        fprintf(stderr, "loadgen: --fail-if cannot be judged: %s\n", why);
        return EXIT_NOTHING_KNOWN;
    }
    if (!criteria_any(fail_if, &input, why, sizeof why))
        return 0;
    fprintf(stderr, "loadgen: failed: %s\n", why);
    return EXIT_CONDITION_HELD;
}

int main(int argc, char **argv)
{
    struct settings settings = {.control = -1};
    struct measurement *measurement;
    struct criteria fail_if;
    struct search search;
    struct plan plan;
    int status = 0;

    wishes_defaults(&settings.wishes);
    read_options(&settings, argc, argv);
    if (settings.find_rate)
        prepare_search(&settings);
    plan_make(&plan, &settings.wishes);
    if (settings.fail_if)
        parse_conditions("fail-if", settings.fail_if, &plan, &fail_if);
    measurement = run(&settings, &plan, &search);
    write_results(&settings, &measurement->result);
    if (settings.fail_if)
        status = judge_exit(&measurement->result, &fail_if);
    measurement_free(measurement);
    plan_free(&plan);
    return status;
}
