/* plan: see plan.h. */
#include "loadgen/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/calibration.h"
#include "common/net.h"
#include "common/program.h"
#include "common/util.h"

/* http://host[:port][/path]: fills host and address, returns the path. */
static const char *read_url(struct plan *plan, const char *url)
{
    const char *host = url + strlen("http://"), *path;
    char name[256];
    char *colon;
    long port = 80;

    if (strncmp(url, "http://", strlen("http://")) != 0)
        die("'%s' is not a URL of the form http://host:port/path", url);
    path = host + strcspn(host, "/?");
    if (path == host || (size_t)(path - host) >= sizeof(plan->host) || *path == '?')
        die("'%s' is not a URL of the form http://host:port/path", url);
    snprintf(plan->host, sizeof(plan->host), "%.*s", (int)(path - host), host);
    strcpy(name, plan->host);
    colon = strchr(name, ':');
    if (colon) {
        *colon = '\0';
        if (!parse_integer(colon + 1, 1, 65535, &port))
            die("'%s' is not a port", colon + 1);
    }
    if (!net_resolve(name, (int)port, &plan->address))
        die("cannot resolve host '%s'", name);
    return *path ? path : "/";
}

/* Without a workload file there is one class, `all`, that asks for the URL's path. */
static void default_class(struct workload *w, const char *path)
{
    struct workload_class *class = &w->class[0];

    if (strlen(path) >= sizeof(class->target) || path[strcspn(path, " \t")] != '\0')
        die("the path '%s' is too long or has blanks; a workload file may say more", path);
    w->class_count = 1;
    *class = (struct workload_class){.name = "all", .weight = 1, .method = "GET"};
    strcpy(class->target, path);
}

static void read_workload(struct plan *plan, const struct wishes *wishes, const char *path)
{
    char error[512];

    if (!wishes->workload) {
        if (wishes->point)
            die("--point belongs to a --workload");
        workload_defaults(&plan->workload);
        default_class(&plan->workload, path);
        return;
    }
    if (!workload_load(&plan->workload, wishes->workload, wishes->point, error, sizeof(error)))
        die("%s", error);
    plan->workload_path = wishes->workload;
    plan->point = wishes->point ? wishes->point : "base";
}

/* The command line has the last word. A rate alone means an open loop. */
static void apply_wishes(struct plan *plan, const struct wishes *wishes)
{
    struct workload *w = &plan->workload;

    if (wishes->arrivals > 0)
        w->arrivals = (enum arrivals_kind)(wishes->arrivals - 1);
    else if (wishes->rate && w->arrivals == ARRIVALS_CLOSED)
        w->arrivals = ARRIVALS_POISSON;
    if (wishes->rate && (!workload_parse_rate(wishes->rate, &w->rate) || w->rate.value <= 0))
        die("-r: '%s' is neither requests per second nor a percentage", wishes->rate);
    if (wishes->rate && w->arrivals == ARRIVALS_CLOSED)
        die("a closed loop has no rate: it sends when a reply has come");
    if (w->arrivals != ARRIVALS_CLOSED && !w->rate.given && !workload_has_class_rates(w))
        die("%s arrivals need a rate: -r RATE", arrivals_name(w->arrivals));
    if (wishes->connections > 0)
        w->connections = wishes->connections;
    if (wishes->timeout_ns > 0)
        w->timeout_ns = wishes->timeout_ns;
    plan->arrivals = w->arrivals;
    plan->connections = w->connections;
    plan->timeout_ns = w->timeout_ns;
}

static void copy_numbers(struct plan *plan, const struct wishes *wishes)
{
    plan->url = wishes->url;
    plan->workers = wishes->workers;
    plan->seed = wishes->seed;
    plan->realtime = wishes->realtime;
    plan->warmup_ns = wishes->warmup_ns;
    plan->duration_ns = wishes->duration_ns;
    plan->drain_ns = wishes->drain_ns < plan->timeout_ns ? wishes->drain_ns : plan->timeout_ns;
    if (plan->duration_ns <= 0)
        die("-d has to be longer than 0");
    if (plan->workers > plan->connections)
        die("%d workers cannot share %d connections: use -w %d or less", plan->workers,
            plan->connections, plan->connections);
}

/* "1" or "0,1". */
static void read_cpus(struct plan *plan, const char *list)
{
    while (list && *list) {
        size_t len = strcspn(list, ",");
        char number[16];
        long cpu;

        snprintf(number, sizeof(number), "%.*s", (int)len, list);
        if (len >= sizeof(number) || !parse_integer(number, 0, 1023, &cpu) || plan->cpu_count == 64)
            die("--cpus: '%s' is not a list of core numbers such as 0,1", list);
        plan->cpus[plan->cpu_count++] = (int)cpu;
        list += len + (list[len] == ',');
    }
}

static void build_request(const struct plan *plan, struct plan_class *class,
                          const struct workload_class *from)
{
    bool has_body = strcmp(from->method, "POST") == 0 || strcmp(from->method, "PUT") == 0;
    int len = asprintf(&class->request, "%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", from->method,
                       from->target, plan->host, has_body ? "Content-Length: 0\r\n" : "");

    if (len < 0)
        die("out of memory");
    class->request_len = (size_t)len;
    class->head = strcmp(from->method, "HEAD") == 0;
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
    double sum = 0;

    for (int i = 0; i < plan->class_count; i++) {
        struct plan_class *class = &plan->class[i];

        class->rate = requests_per_s(&plan->workload.class[i].rate, costs->cores, costs->cpu_s[i]);
        class->weight = class->rate;
        sum += class->rate;
    }
    plan->rate = sum;
}

static void set_total_rate(struct plan *plan, const struct costs *costs)
{
    double weights = 0, cpu_s = 0;

    for (int i = 0; i < plan->class_count; i++) {
        weights += plan->class[i].weight;
        cpu_s += plan->class[i].weight * costs->cpu_s[i];
    }
    plan->rate = requests_per_s(&plan->workload.rate, costs->cores, cpu_s / weights);
}

static void set_rates(struct plan *plan, const struct wishes *wishes, const struct costs *costs)
{
    double wanted;

    if (plan->arrivals == ARRIVALS_CLOSED)
        return;
    if (!workload_has_class_rates(&plan->workload)) {
        set_total_rate(plan, costs);
        return;
    }
    set_class_rates(plan, costs);
    if (!wishes->rate)
        return;
    /* -r over such a workload scales it: the shares stay. */
    set_total_rate(plan, costs);
    wanted = plan->rate;
    set_class_rates(plan, costs);
    for (int i = 0; i < plan->class_count; i++)
        plan->class[i].rate *= wanted / plan->rate;
    plan->rate = wanted;
}

static void add_classes(struct plan *plan)
{
    plan->class_count = plan->workload.class_count;
    for (int i = 0; i < plan->class_count; i++) {
        const struct workload_class *from = &plan->workload.class[i];

        plan->class[i].name = from->name;
        plan->class[i].weight = from->weight;
        build_request(plan, &plan->class[i], from);
    }
}

void plan_make(struct plan *plan, const struct wishes *wishes)
{
    struct costs costs = {.cores = wishes->server_cores ? wishes->server_cores : usable_cores()};
    struct calibration calibration;
    const char *path;

    *plan = (struct plan){0};
    path = read_url(plan, wishes->url);
    read_workload(plan, wishes, path);
    apply_wishes(plan, wishes);
    copy_numbers(plan, wishes);
    read_cpus(plan, wishes->cpus);
    add_classes(plan);
    read_programs(plan, &costs);
    if (needs_calibration(plan, &costs)) {
        calibration = calibration_load(wishes->calibration);
        compute_costs(plan, &costs, &calibration);
        compute_digests(plan, &costs, &calibration);
    }
    set_rates(plan, wishes, &costs);
}

int plan_connections_of(const struct plan *plan, int worker)
{
    return plan->connections / plan->workers + (worker < plan->connections % plan->workers);
}

void plan_free(struct plan *plan)
{
    for (int i = 0; i < plan->class_count; i++)
        free(plan->class[i].request);
}
