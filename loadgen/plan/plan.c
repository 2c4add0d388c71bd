/* plan: see plan.h. */
#include "loadgen/plan/plan.h"
#include "common/base/net.h"
#include "common/base/util.h"
#include "common/serve/calibrate.h"
#include "common/work/program.h"
#include "loadgen/plan/arrivals.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t DURATION_NS = 10 * NSEC_PER_SEC; /* when nobody says how long */
static const int64_t SPIN_NS = 20 * NSEC_PER_USEC;    /* what a sleeper is late by, mostly */
static const int64_t INTERVAL_MIN_NS = 10 * NSEC_PER_MSEC;

void wishes_defaults(struct wishes *wishes)
{
    *wishes = (struct wishes){.workers = 1,
                              .duration_ns = -1,
                              .warmup_ns = NSEC_PER_SEC,
                              .drain_ns = NSEC_PER_SEC,
                              .interval_ns = NSEC_PER_SEC,
                              .spin_ns = SPIN_NS,
                              .idle = -1,
                              .churn = -1,
                              .retry_base_ns = 10 * NSEC_PER_MSEC,
                              .retry_budget = 20,
                              .seed = 1};
}

/* "http://host[:port][/path]" into its parts. The path ends where the URL does. */
static void read_url(struct target *target, const char *url)
{
    const char *host = url + strlen("http://");
    size_t len;
    char name[sizeof target->host];
    char *colon;
    long port = 80;

    if (strncmp(url, "http://", strlen("http://")) != 0)
        die("'%s' is not a URL of the form http://host:port/path", url);
    len = strcspn(host, "/?");
    if (len == 0 || len >= sizeof target->host || host[len] == '?')
        die("'%s' is not a URL of the form http://host:port/path", url);
    snprintf(target->host, sizeof target->host, "%.*s", (int)len, host);
    strcpy(name, target->host);
    colon = strchr(name, ':');
    if (colon) {
        *colon = '\0';
        if (!parse_integer(colon + 1, 1, 65535, &port))
            die("'%s' is not a port", colon + 1);
    }
    if (!net_resolve(name, (int)port, &target->address))
        die("cannot resolve host '%s'", name);
    target->url = url;
    target->path = host[len] ? host + len : "/";
}

static void read_targets(struct plan *plan, const struct wishes *wishes)
{
    if (wishes->url_count > PLAN_TARGETS)
        die("more than %d URLs", PLAN_TARGETS);
    plan->target_count = wishes->url_count;
    for (int i = 0; i < wishes->url_count; i++)
        read_url(&plan->target[i], wishes->urls[i]);
}

/* One address, or the first and the last of a row of them. */
static void add_sources(struct plan *plan, char *text)
{
    struct in_addr first, last;
    char *dash = strchr(text, '-');

    if (dash)
        *dash = '\0';
    if (inet_pton(AF_INET, text, &first) != 1 ||
        inet_pton(AF_INET, dash ? dash + 1 : text, &last) != 1)
        die("--sources: '%s' is not an address", text);
    for (uint32_t a = ntohl(first.s_addr); a <= ntohl(last.s_addr); a++) {
        if (plan->source_count == PLAN_SOURCES)
            die("--sources: more than %d addresses", PLAN_SOURCES);
        plan->source[plan->source_count++].s_addr = htonl(a);
    }
}

static void read_sources(struct plan *plan, const char *list)
{
    char *copy, *word, *rest;

    if (!list)
        return;
    copy = rest = strdup(list);
    if (!copy)
        die("out of memory");
    while ((word = strsep(&rest, ",")))
        add_sources(plan, word);
    free(copy);
    if (plan->source_count == 0)
        die("--sources: '%s' names no address, such as 127.0.0.1-127.0.0.8", list);
}

/* Without a workload file there is one class, `all`, that asks for the URLs' own paths. */
static void default_class(struct plan *plan)
{
    struct workload *w = &plan->workload;

    for (int i = 0; i < plan->target_count; i++) {
        const char *path = plan->target[i].path;

        if (strcmp(path, plan->target[0].path) != 0 &&
            (strstr(path, "cpu=") || strstr(plan->target[0].path, "cpu=")))
            die("URLs that ask for different work would have different digests: use a --workload");
        if (strlen(path) >= sizeof w->class[0].target || path[strcspn(path, " \t")] != '\0')
            die("the path '%s' is too long or has blanks; a workload file may say more", path);
    }
    w->class_count = 1;
    w->class[0] = (struct workload_class){.name = "all", .weight = 1, .method = "GET"};
    strcpy(w->class[0].target, plan->target[0].path);
}

static void read_workload(struct plan *plan, const struct wishes *wishes)
{
    char error[512];

    if (!wishes->workload) {
        if (wishes->point)
            die("--point belongs to a --workload");
        workload_defaults(&plan->workload);
        default_class(plan);
        return;
    }
    if (!workload_load(&plan->workload, wishes->workload, wishes->point, error, sizeof error))
        die("%s", error);
    plan->workload_path = wishes->workload;
    plan->point = wishes->point ? wishes->point : "base";
}

/* When requests come: the command line has the last word. A rate alone means an open loop. */
static void wish_arrivals(struct workload *w, const struct wishes *wishes)
{
    if (wishes->trace &&
        (size_t)snprintf(w->trace, sizeof w->trace, "%s", wishes->trace) >= sizeof w->trace)
        die("--trace: the name is too long");
    if (wishes->arrivals > 0)
        w->arrivals = (enum arrivals_kind)(wishes->arrivals - 1);
    else if (wishes->trace)
        w->arrivals = ARRIVALS_TRACE;
    else if (wishes->rate && w->arrivals == ARRIVALS_CLOSED)
        w->arrivals = wishes->burst > 0 ? ARRIVALS_BURSTS : ARRIVALS_POISSON;
    if (wishes->rate && (!workload_parse_rate(wishes->rate, &w->rate) || w->rate.value <= 0))
        die("-r: '%s' is neither requests per second nor a percentage", wishes->rate);
    if (wishes->think && !workload_parse_think(wishes->think, &w->think))
        die("--think: '%s' is not a time such as 100ms or 'fixed 100ms'", wishes->think);
    if (wishes->burst > 0)
        w->burst = wishes->burst;
}

static void check_arrivals(const struct workload *w, const struct wishes *wishes)
{
    bool closed = w->arrivals == ARRIVALS_CLOSED, trace = w->arrivals == ARRIVALS_TRACE;

    if (wishes->rate && closed)
        die("a closed loop has no rate: it sends when a reply has come");
    if (wishes->rate && trace)
        die("a trace has its own rate");
    if (trace != (w->trace[0] != '\0'))
        die("a trace file and arrivals 'trace' belong together: --trace FILE");
    if (!closed && !trace && !w->rate.given && !workload_has_class_rates(w))
        die("%s arrivals need a rate: -r RATE", arrivals_name(w->arrivals));
    if (!closed && w->think.mean_ns > 0)
        die("only a closed loop has a think time");
    if ((closed || trace) && w->phase_count > 0)
        die("phases multiply a rate, and %s arrivals have none", arrivals_name(w->arrivals));
    if (wishes->burst > 0 && w->arrivals != ARRIVALS_BURSTS)
        die("--burst belongs to arrivals 'bursts'");
}

static void wish_connections(struct workload *w, const struct wishes *wishes)
{
    if (wishes->connections > 0)
        w->connections = wishes->connections;
    if (wishes->ramp > 0)
        w->ramp = wishes->ramp;
    if (wishes->idle >= 0)
        w->idle = wishes->idle;
    if (wishes->churn >= 0)
        w->churn = wishes->churn;
    if (wishes->timeout_ns > 0)
        w->timeout_ns = wishes->timeout_ns;
}

static int64_t phases_length_ns(const struct workload *w)
{
    int64_t sum_ns = 0;

    for (int i = 0; i < w->phase_count; i++)
        sum_ns += w->phase[i].length_ns;
    return sum_ns;
}

/* What nobody has said follows from the phases or the trace, if there are any. */
static int64_t default_duration_ns(const struct plan *plan)
{
    if (plan->trace.count > 0)
        return plan->trace.entry[plan->trace.count - 1].at_ns + 1;
    if (plan->workload.phase_count > 0)
        return phases_length_ns(&plan->workload);
    return DURATION_NS;
}

static void read_trace(struct plan *plan)
{
    char error[512];

    if (plan->arrivals != ARRIVALS_TRACE)
        return;
    if (!trace_load(&plan->trace, plan->workload.trace, &plan->workload, error, sizeof error))
        die("%s", error);
}

static void copy_numbers(struct plan *plan, const struct wishes *wishes)
{
    plan->arrivals = plan->workload.arrivals;
    plan->timeout_ns = plan->workload.timeout_ns;
    plan->workers = wishes->workers;
    plan->seed = wishes->seed;
    plan->realtime = wishes->realtime;
    plan->warmup_ns = wishes->warmup_ns;
    plan->drain_ns = wishes->drain_ns < plan->timeout_ns ? wishes->drain_ns : plan->timeout_ns;
    plan->spin_ns = wishes->spin_ns;
    plan->interval_ns = wishes->interval_ns;
    plan->retry = (struct retry){.limit = wishes->retries,
                                 .base_ns = wishes->retry_base_ns,
                                 .budget = wishes->retry_budget / 100};
    if (plan->interval_ns < INTERVAL_MIN_NS)
        die("--interval has to be 10ms or longer");
}

static void set_duration(struct plan *plan, const struct wishes *wishes)
{
    plan->duration_ns = wishes->duration_ns >= 0 ? wishes->duration_ns : default_duration_ns(plan);
    if (plan->duration_ns == 0)
        die("-d has to be longer than 0");
}

/* "1" or "0,1". */
static void read_cpus(struct plan *plan, const char *list)
{
    while (list && *list) {
        size_t len = strcspn(list, ",");
        char number[16];
        long cpu;

        snprintf(number, sizeof number, "%.*s", (int)len, list);
        if (len >= sizeof number || !parse_integer(number, 0, 1023, &cpu) ||
            plan->cpu_count == PLAN_CPUS)
            die("--cpus: '%s' is not a list of core numbers such as 0,1", list);
        plan->cpus[plan->cpu_count++] = (int)cpu;
        list += len + (list[len] == ',');
    }
}

/* "Name: value", and nothing that would end the line. */
static void check_header(const char *header)
{
    size_t name = strcspn(header, ": \t");

    if (strpbrk(header, "\r\n"))
        die("-H: a header is one line");
    if (name == 0 || header[name] != ':')
        die("-H: '%s' is not a header of the form 'Name: value'", header);
}

static bool names_host(const struct option_list *headers)
{
    for (int i = 0; i < headers->count; i++) {
        if (strncasecmp(headers->text[i], "Host:", strlen("Host:")) == 0)
            return true;
    }
    return false;
}

static void write_request(FILE *out, const struct target *target, const char *path,
                          const char *method, const struct option_list *headers)
{
    fprintf(out, "%s %s HTTP/1.1\r\n", method, path);
    if (!names_host(headers))
        fprintf(out, "Host: %s\r\n", target->host);
    for (int i = 0; i < headers->count; i++)
        fprintf(out, "%s\r\n", headers->text[i]);
    if (strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0)
        fprintf(out, "Content-Length: 0\r\n");
    fprintf(out, "\r\n");
}

static void build_request(struct request *request, const struct target *target, const char *path,
                          const char *method, const struct option_list *headers)
{
    FILE *out = open_memstream(&request->bytes, &request->len);

    if (out)
        write_request(out, target, path, method, headers);
    if (!out || fclose(out) != 0)
        die("out of memory");
}

static void add_class(struct plan *plan, const struct workload_class *from,
                      const struct option_list *headers)
{
    struct plan_class *class = &plan->class[plan->class_count++];

    class->name = from->name;
    class->weight = from->weight;
    class->deadline_ns = from->deadline_ns;
    class->send_rate = from->send_rate;
    class->receive_rate = from->receive_rate;
    class->head = strcmp(from->method, "HEAD") == 0;
    for (int i = 0; i < plan->target_count; i++) {
        const struct target *target = &plan->target[i];

        build_request(&class->request[i], target, plan->workload_path ? from->target : target->path,
                      from->method, headers);
    }
}

static int add_pool(struct plan *plan, int connections, bool idle)
{
    plan->pool[plan->pool_count] = (struct plan_pool){.connections = connections, .idle = idle};
    if (!idle)
        plan->connections += connections;
    return plan->pool_count++;
}

/* In a closed loop a class without weight is never drawn, and connections of its own would idle. */
static bool is_carried(const struct plan *plan, const struct workload_class *class)
{
    return plan->arrivals != ARRIVALS_CLOSED || class->weight > 0;
}

static void add_classes(struct plan *plan, const struct option_list *headers)
{
    const struct workload *w = &plan->workload;
    int common = add_pool(plan, 0, false);

    for (int i = 0; i < w->class_count; i++) {
        const struct workload_class *from = &w->class[i];
        bool carried = is_carried(plan, from);

        add_class(plan, from, headers);
        plan->class[i].pool = common;
        if (from->connections > 0) {
            plan->class[i].pool = add_pool(plan, carried ? from->connections : 0, false);
        } else if (carried && plan->pool[common].connections == 0) {
            plan->pool[common].connections = w->connections;
            plan->connections += w->connections;
        }
    }
    if (w->idle > 0)
        add_pool(plan, w->idle, true);
}

/* Each worker has to have a connection of each pool, or its share of the requests would be stuck.
 */
static void check_workers(const struct plan *plan)
{
    for (int i = 0; i < plan->pool_count; i++) {
        const struct plan_pool *pool = &plan->pool[i];

        if (pool->connections > 0 && !pool->idle && plan->workers > pool->connections)
            die("%d workers cannot share %d connections: use -w %d or less", plan->workers,
                pool->connections, pool->connections);
    }
}

/* What the calibrated server needs for requests, per class. Requests that are not ours (another
 * server's URL) have no steps and count as trivial. */
struct costs {
    bool is_program[WORKLOAD_CLASSES];
    struct program program[WORKLOAD_CLASSES];
    double cpu_s[WORKLOAD_CLASSES];
    double cores;
};

static void read_programs(const struct plan *plan, struct costs *costs)
{
    const char *reason;

    for (int i = 0; i < plan->class_count; i++) {
        const char *target = plan->workload.class[i].target;

        costs->is_program[i] = strncmp(target, "/work", strlen("/work")) == 0 &&
                               program_parse(&costs->program[i], target, strlen(target), &reason);
    }
}

static bool needs_calibration(const struct plan *plan, const struct costs *costs)
{
    bool needed = plan->workload.rate.percent;

    for (int i = 0; i < plan->class_count; i++) {
        needed |= plan->workload.class[i].rate.percent;
        needed |= costs->is_program[i] && program_has_cpu(&costs->program[i]);
    }
    return needed;
}

static void compute_digests(struct plan *plan, const struct costs *costs,
                            const struct calibration *calibration)
{
    for (int i = 0; i < plan->class_count; i++) {
        struct plan_class *class = &plan->class[i];

        if (!costs->is_program[i] || !program_has_cpu(&costs->program[i]) || class->head)
            continue;
        class->has_digest = true;
        class->digest = program_digest(&costs->program[i], calibration);
    }
}

static void compute_costs(const struct plan *plan, struct costs *costs,
                          const struct calibration *calibration)
{
    for (int i = 0; i < plan->class_count; i++) {
        costs->cpu_s[i] = calibration->request_us * 1e-6;
        if (costs->is_program[i])
            costs->cpu_s[i] += program_cpu_seconds(&costs->program[i]);
    }
}

static double requests_per_s(const struct rate *rate, double cores, double mean_cpu_s)
{
    return rate->percent ? rate->value / 100 * cores / mean_cpu_s : rate->value;
}

/* Classes with rates of their own: a percentage of one is of the capacity for this class alone, so
 * that percentages of several classes add up to the share of the machine they use. */
static void set_class_rates(struct plan *plan, const struct costs *costs)
{
    for (int i = 0; i < plan->class_count; i++) {
        struct plan_class *class = &plan->class[i];

        class->rate = requests_per_s(&plan->workload.class[i].rate, costs->cores, costs->cpu_s[i]);
        class->weight = class->rate;
        plan->base_rate += class->rate;
    }
}

static double total_rate(const struct plan *plan, const struct costs *costs)
{
    double weights = 0, cpu_s = 0;

    for (int i = 0; i < plan->class_count; i++) {
        weights += plan->class[i].weight;
        cpu_s += plan->class[i].weight * costs->cpu_s[i];
    }
    return requests_per_s(&plan->workload.rate, costs->cores, cpu_s / weights);
}

static void scale_rates(struct plan *plan, double factor)
{
    for (int i = 0; i < plan->class_count; i++)
        plan->class[i].rate *= factor;
    plan->base_rate *= factor;
    plan->rate *= factor;
}

/* What the phases make of the base rate, on average over the window. */
static double mean_rate(const struct plan *plan)
{
    const struct workload *w = &plan->workload;
    double weights = 0, weighted = 0;

    for (int i = 0; i < plan->class_count; i++) {
        double weight = plan->class[i].weight;

        weights += weight;
        weighted +=
            weight * phases_mean_load(w->phase, w->phase_count, i, (double)plan->duration_ns / 1e9);
    }
    return plan->base_rate * weighted / weights;
}

/* The recorded arrivals that fall into the window. */
static double trace_rate(const struct plan *plan)
{
    size_t count = 0;

    while (count < plan->trace.count && plan->trace.entry[count].at_ns < plan->duration_ns)
        count++;
    return (double)count / ((double)plan->duration_ns / 1e9);
}

static void set_rates(struct plan *plan, const struct wishes *wishes, const struct costs *costs)
{
    if (plan->arrivals == ARRIVALS_CLOSED)
        return;
    if (plan->arrivals == ARRIVALS_TRACE) {
        plan->base_rate = plan->rate = trace_rate(plan);
        return;
    }
    if (!workload_has_class_rates(&plan->workload)) {
        plan->base_rate = total_rate(plan, costs);
    } else {
        set_class_rates(plan, costs);
        if (wishes->rate) /* -r over such a workload scales it: the shares stay */
            scale_rates(plan, total_rate(plan, costs) / plan->base_rate);
    }
    plan->rate = mean_rate(plan);
}

void plan_set_rate(struct plan *plan, double rate)
{
    scale_rates(plan, rate / plan->rate);
}

void plan_make(struct plan *plan, const struct wishes *wishes)
{
    struct costs costs = {.cores = wishes->server_cores ? wishes->server_cores : usable_cores()};
    struct calibration calibration;

    *plan = (struct plan){0};
    read_targets(plan, wishes);
    read_sources(plan, wishes->sources);
    read_workload(plan, wishes);
    wish_arrivals(&plan->workload, wishes);
    wish_connections(&plan->workload, wishes);
    check_arrivals(&plan->workload, wishes);
    copy_numbers(plan, wishes);
    read_trace(plan);
    set_duration(plan, wishes);
    read_cpus(plan, wishes->cpus);
    for (int i = 0; i < wishes->headers.count; i++)
        check_header(wishes->headers.text[i]);
    add_classes(plan, &wishes->headers);
    check_workers(plan);
    read_programs(plan, &costs);
    if (needs_calibration(plan, &costs)) {
        calibration = calibration_load(wishes->calibration);
        compute_costs(plan, &costs, &calibration);
        compute_digests(plan, &costs, &calibration);
    }
    set_rates(plan, wishes, &costs);
}

int plan_connections_of(const struct plan *plan, int worker, int pool)
{
    int connections = plan->pool[pool].connections;

    return connections / plan->workers + (worker < connections % plan->workers);
}

void plan_free(struct plan *plan)
{
    for (int i = 0; i < plan->class_count; i++) {
        for (int t = 0; t < plan->target_count; t++)
            free(plan->class[i].request[t].bytes);
    }
    trace_free(&plan->trace);
}
