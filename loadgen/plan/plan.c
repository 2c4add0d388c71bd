/* plan: see plan.h. */
#include "loadgen/plan/plan.h"
#include "common/base/util.h"
#include "loadgen/plan/addresses.h"
#include "loadgen/plan/rates.h"
#include "loadgen/plan/requests.h"

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
                              .retry_after_ns = -1,
                              .warmup_ns = NSEC_PER_SEC,
                              .drain_ns = -1,
                              .interval_ns = NSEC_PER_SEC,
                              .spin_ns = SPIN_NS,
                              .idle = -1,
                              .churn = -1,
                              .retry_base_ns = 10 * NSEC_PER_MSEC,
                              .retry_budget = 20,
                              .seed = 1};
}

/* Without a workload file there is one class, `all`, that asks for the URLs' own paths. */
static void default_class(struct plan *plan)
{
    struct workload *w = &plan->workload;

    for (int i = 0; i < plan->target_count; i++) {
        const char *path = plan->target[i].url.target;

        if (strcmp(path, plan->target[0].url.target) != 0 &&
            (strstr(path, "cpu=") || strstr(plan->target[0].url.target, "cpu=")))
            die("URLs that ask for different work would have different digests: use a --workload");
    }
    w->class_count = 1;
    w->class[0] = (struct workload_class){.name = "all", .weight = 1, .method = "GET"};
    strcpy(w->class[0].target, plan->target[0].url.target);
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
        workload_change_arrivals(w, (enum arrivals_kind)(wishes->arrivals - 1));
    else if (wishes->trace)
        w->arrivals = ARRIVALS_TRACE;
    else if (wishes->rate && w->arrivals == ARRIVALS_CLOSED)
        w->arrivals = wishes->burst > 0 ? ARRIVALS_BURSTS : ARRIVALS_POISSON;
    if (wishes->rate && (!workload_parse_rate(wishes->rate, &w->rate) || w->rate.value <= 0))
        die("-r: '%s' is neither requests per second nor a percentage", wishes->rate);
    if (wishes->think && !workload_parse_think(wishes->think, &w->think))
        die("--think: '%s' is not a time such as 100ms or 'fixed 100ms'", wishes->think);
    if (wishes->retry_after_ns >= 0)
        w->retry_after_ns = wishes->retry_after_ns;
    if (wishes->burst > 0)
        w->burst = wishes->burst;
    else if (w->arrivals == ARRIVALS_BURSTS && w->burst == 0)
        w->burst = BURST_DEFAULT;
}

/* Contradictions of the command line in its own words, then those that the workload may have part
 * in. */
static void check_arrivals(const struct plan *plan, const struct wishes *wishes)
{
    const struct workload *w = &plan->workload;
    bool closed = w->arrivals == ARRIVALS_CLOSED, trace = w->arrivals == ARRIVALS_TRACE;
    char error[256];

    if (wishes->rate && closed)
        die("a closed loop has no rate: it sends when a reply has come");
    if (wishes->rate && trace)
        die("a trace has its own rate");
    if (wishes->burst > 0 && w->arrivals != ARRIVALS_BURSTS)
        die("--burst belongs to arrivals 'bursts'");
    if (!plan->workload_path && !closed && !trace && !w->rate.given)
        die("%s arrivals need a rate: -r RATE", arrivals_name(w->arrivals));
    if (!plan->workload_path && trace != (w->trace[0] != '\0'))
        die("a trace file and arrivals 'trace' belong together: --trace FILE");
    if (!workload_agrees(w, error, sizeof error))
        die("%s%s%s", plan->workload_path ? plan->workload_path : "",
            plan->workload_path ? ": " : "", error);
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
    plan->drain_ns = plan->workload.drain_ns ? plan->workload.drain_ns : PLAN_DRAIN_NS;
    if (wishes->drain_ns >= 0)
        plan->drain_ns = wishes->drain_ns;
    if (plan->drain_ns > plan->timeout_ns)
        plan->drain_ns = plan->timeout_ns;
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

/* On a WebSocket requests are written when they are sent, and the handshake now. */
static void build_request(struct plan *plan, struct plan_class *class,
                          const struct workload_class *from, const struct option_list *headers,
                          int number)
{
    const struct target *target = &plan->target[number];
    const char *path = plan->workload_path ? from->target : target->url.target;
    struct request_parts parts = {.body_bytes = class->body_bytes,
                                  .file = from->body_file[0] ? from->body_file : NULL};

    if (class->websocket)
        parts = (struct request_parts){.fields = SOCKET_HANDSHAKE};
    request_build(&class->request[number], target, class->websocket ? "/ws" : path, from->method,
                  headers, &parts);
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
    class->websocket = from->websocket;
    class->one_way = from->one_way;
    class->gather_ns = from->gather_ns;
    class->publishes = workload_class_publishes(from);
    class->path = from->target;
    class->body_bytes = (size_t)from->body_bytes;
    for (int i = 0; i < plan->target_count; i++)
        build_request(plan, class, from, headers, i);
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

/* The classes that share connections have to agree on what these are. */
static void set_protocol(struct plan *plan, struct plan_pool *pool, int class)
{
    const struct workload_class *from = &plan->workload.class[class];

    if (pool->named && (pool->websocket != from->websocket || pool->rooms != from->rooms))
        die("classes %s and %s share connections, but not their protocol and rooms",
            plan->class[pool->class].name, from->name);
    if (from->rooms > 0 && pool->connections / from->rooms > PLAN_ROOM_MAX)
        die("class %s: a room has %d connections at most: use more rooms", from->name,
            PLAN_ROOM_MAX);
    pool->named = true;
    pool->deaf = from->deaf && from->connections > 0;
    pool->class = class;
    pool->websocket = from->websocket;
    pool->rooms = from->rooms;
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
        if (carried)
            set_protocol(plan, &plan->pool[plan->class[i].pool], i);
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

void plan_make(struct plan *plan, const struct wishes *wishes)
{
    *plan = (struct plan){0};
    addresses_read_targets(plan, wishes);
    read_workload(plan, wishes);
    wish_arrivals(&plan->workload, wishes);
    wish_connections(&plan->workload, wishes);
    check_arrivals(plan, wishes);
    copy_numbers(plan, wishes);
    read_trace(plan);
    set_duration(plan, wishes);
    read_cpus(plan, wishes->cpus);
    requests_check_headers(&wishes->headers);
    add_classes(plan, &wishes->headers);
    addresses_read_sources(plan, wishes->sources);
    check_workers(plan);
    rates_set(plan, wishes);
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
