#include "cell/report.h"
#include "cell/memory.h"
#include "common/base/util.h"

#include <stdio.h>

static json_t *core_list(const cpu_set_t *set)
{
    json_t *list = json_array();
    for (int core = 0; core < CPU_SETSIZE; core++)
        if (CPU_ISSET(core, set))
            json_array_append_new(list, json_integer(core));
    return list;
}

/* `realtime` is what the generator was granted, not what it was asked to do. */
static json_t *placement(const struct cores *cores, const json_t *load)
{
    const json_t *realtime = json_object_get(json_object_get(load, "generator"), "realtime");
    return json_pack("{ss so so sb}", "mode", cores->shared ? "shared" : "split", "server_cores",
                     core_list(&cores->server), "generator_cores", core_list(&cores->generator),
                     "realtime", json_is_true(realtime));
}

static json_t *counters(const struct trial *trial)
{
    json_t *object = json_object();
    for (int i = 0; i < COUNTERS; i++)
        json_object_set_new(object, counter_name((enum counter)i),
                            json_integer(trial_grown(trial, (enum counter)i)));
    return object;
}

/* How the workers shared: for each slot the connections it holds at the end, and the requests it
 * answered. Null when there are too many to tell apart, as with a thread for each connection, and
 * when the slots at the end are those of another process. */
static json_t *by_slot(const struct trial *trial)
{
    const struct observation *a = &trial->begin, *b = &trial->end;
    if (b->slots > SLOTS_LISTED || trial->killing.restarted)
        return json_null();
    json_t *list = json_array();
    for (uint32_t i = 0; i < b->slots; i++) {
        const int64_t *before = a->slot[i].value, *after = b->slot[i].value;
        json_array_append_new(
            list,
            json_pack("{sI sI}", "connections",
                      (json_int_t)(after[COUNTER_connections] - after[COUNTER_closed]), "requests",
                      (json_int_t)(after[COUNTER_requests] - before[COUNTER_requests])));
    }
    return list;
}

static json_t *ratio(double dividend, int64_t divisor)
{
    return divisor > 0 ? json_real(dividend / (double)divisor) : json_null();
}

static json_t *known(int64_t n)
{
    return n < 0 ? json_null() : json_integer(n);
}

/* As the kernel adds up, in a cgroup, what the server's processes used; null where that is not to be
 * had. */
static json_t *cgroup(const struct trial *trial)
{
    int64_t begin_ns = trial->begin.cgroup_cpu_ns, end_ns = trial->end.cgroup_cpu_ns;
    bool known_cpu = begin_ns >= 0 && end_ns >= 0;
    double cpu_ns = (double)(end_ns - begin_ns);
    if (!known_cpu && trial->memory_peak_kb < 0)
        return json_null();
    return json_pack("{so so so}", "cpu_s",
                     known_cpu ? json_real(cpu_ns / NSEC_PER_SEC) : json_null(),
                     "cpu_us_per_request",
                     known_cpu ? ratio(cpu_ns / NSEC_PER_USEC, trial_grown(trial, COUNTER_requests))
                               : json_null(),
                     "memory_peak_kb", known(trial->memory_peak_kb));
}

/* Requests are the server's own count, read at the same moments as its CPU time: the generator
 * counts by the edges of its window, which are not quite the same. */
static json_t *cost(const struct trial *trial)
{
    struct proc_usage used = trial_usage(trial);
    int64_t requests = trial_grown(trial, COUNTER_requests);
    return json_pack("{sf so so sI sI so si so}", "cpu_s", (double)used.cpu_ns / NSEC_PER_SEC,
                     "cpu_us_per_request", ratio((double)used.cpu_ns / NSEC_PER_USEC, requests),
                     "cores_used", ratio((double)used.cpu_ns, used.at_ns), "switches_voluntary",
                     (json_int_t)used.voluntary, "switches_involuntary",
                     (json_int_t)used.involuntary, "switches_per_request",
                     ratio((double)(used.voluntary + used.involuntary), requests), "tasks",
                     used.tasks, "cgroup", cgroup(trial));
}

static json_t *memory_state(const struct proc_memory *memory)
{
    return json_pack("{sI sI sI sI si}", "user_kb", (json_int_t)memory->user_kb, "page_tables_kb",
                     (json_int_t)memory->page_tables_kb, "kernel_stacks_kb",
                     (json_int_t)memory->kernel_stacks_kb, "sockets_kb",
                     (json_int_t)memory->sockets.kb, "time_waits", memory->time_waits);
}

static json_t *memory_per_connection(const struct memory_growth *grown)
{
    int64_t n = grown->connections;
    return json_pack("{so so so so so}", "user_kb", ratio(grown->user, n), "page_tables_kb",
                     ratio(grown->page_tables, n), "kernel_stacks_kb",
                     ratio(grown->kernel_stacks, n), "sockets_kb",
                     grown->sockets_weighed ? ratio(grown->sockets, n) : json_null(), "total_kb",
                     grown->total_weighed ? ratio(grown->total, n) : json_null());
}

static json_t *memory(const struct trial *trial)
{
    struct memory_growth grown = memory_growth(trial);
    return json_pack("{sI so so so}", "connections", (json_int_t)grown.connections, "before",
                     memory_state(&trial->before), "during", memory_state(&trial->during),
                     "per_connection", memory_per_connection(&grown));
}

static json_t *host(const struct trial *trial)
{
    const struct host_counts *a = &trial->begin.host, *b = &trial->end.host;
    double hash_rate = (trial->hash_rate_before + trial->hash_rate_after) / 2;
    return json_pack("{so sf sf sI sI so}", "steal",
                     ratio((double)(b->steal_ticks - a->steal_ticks), b->all_ticks - a->all_ticks),
                     "others", trial->others, "held", trial->holds.share, "listen_overflows",
                     (json_int_t)(b->listen_overflows - a->listen_overflows), "listen_drops",
                     (json_int_t)(b->listen_drops - a->listen_drops), "hash_units_per_ms",
                     trial->hash_rate_after > 0 ? json_real(hash_rate) : json_null());
}

/* Null when none was killed. */
static json_t *killing(const struct trial *trial)
{
    const struct killing *killing = &trial->killing;
    if (killing->victim == VICTIM_NONE)
        return json_null();
    static const char *const victims[] = {[VICTIM_WORKER] = "worker",
                                          [VICTIM_SERVER] = "server",
                                          [VICTIM_COMPONENT] = "component",
                                          [VICTIM_UPSTREAM] = "upstream"};
    return json_pack("{sf si ss sb so}", "at_s", killing->at_s, "count", killing->count, "pid_was",
                     victims[killing->victim], "restarted", killing->restarted, "back_s",
                     killing->restarted ? json_real(killing->back_s) : json_null());
}

/* Null when the workload calls none. */
static json_t *upstream(const struct trial_setup *setup, const struct trial *trial)
{
    int64_t cpu_ns = trial->end.upstream_cpu_ns - trial->begin.upstream_cpu_ns;
    if (!setup->upstream)
        return json_null();
    return json_pack("{ss so so sO?}", "options", setup->upstream, "cpu_s",
                     trial->measured ? json_real((double)cpu_ns / NSEC_PER_SEC) : json_null(),
                     "memory_peak_kb",
                     trial->measured ? known(trial->upstream_memory_peak_kb) : json_null(), "final",
                     trial->upstream_final);
}

/* Null when the workload uses none. */
static json_t *book(const struct trial_setup *setup, const struct trial *trial)
{
    const struct book_check *book = &trial->book;
    if (!setup->uses_books || !book->replayed)
        return json_null();
    return json_pack("{sI so sI sI sI sb}", "entries", (json_int_t)book->total.entries, "digest",
                     json_sprintf("%016llx", (unsigned long long)book->total.digest), "filled",
                     (json_int_t)book->total.filled, "unfilled", (json_int_t)book->total.unfilled,
                     "skipped", (json_int_t)book->skipped, "agrees", book->agrees);
}

/* What a workload asks for, and by what it was played: the real program, or the upstream in its place. */
static json_t *component(const struct trial_setup *setup, const struct trial *trial,
                         enum component i)
{
    const struct component_trial *component = &trial->component[i];
    const struct observation *a = &trial->begin, *b = &trial->end;
    bool real = setup->has_component[i];
    int64_t cpu_ns = real ? b->component_cpu_ns[i] - a->component_cpu_ns[i]
                          : b->upstream_cpu_ns - a->upstream_cpu_ns;
    int64_t peak_kb = real ? component->memory_peak_kb : trial->upstream_memory_peak_kb;
    const char *program = json_string_value(json_object_get(component->final, "program"));
    if (!trial->measured)
        return json_pack("{ss ss?}", "name", component_name(i), "program",
                         real ? program : "bundled");
    return json_pack("{ss ss? sf so so sO?}", "name", component_name(i), "program",
                     real ? program : "bundled", "cpu_s", (double)cpu_ns / NSEC_PER_SEC,
                     "cores_used", ratio((double)cpu_ns, b->usage.at_ns - a->usage.at_ns),
                     "memory_peak_kb", known(peak_kb), "final",
                     real ? component->final : trial->upstream_final);
}

static json_t *components(const struct trial_setup *setup, const struct trial *trial)
{
    json_t *list = json_array();
    for (enum component i = 0; i < COMPONENTS; i++)
        if (setup->components & 1u << i)
            json_array_append_new(list, component(setup, trial, i));
    return list;
}

json_t *report_trial(const struct trial_setup *setup, const struct trial *trial)
{
    bool measured = trial->measured;
    bool valid = json_array_size(trial->reasons) == 0;
    json_t *object = json_object();
    json_object_set_new(object, "placement", placement(&setup->cores, trial->load));
    json_object_set_new(object, "command",
                        json_pack("{sO? sO? sO?}", "server", trial->server_command, "loadgen",
                                  trial->loadgen_command, "upstream", trial->upstream_command));
    json_object_set_new(object, "load", json_pack("O?", trial->load));
    json_object_set_new(object, "counters", measured ? counters(trial) : json_null());
    json_object_set_new(object, "slots", measured ? by_slot(trial) : json_null());
    json_object_set_new(object, "cost", measured ? cost(trial) : json_null());
    json_object_set_new(object, "memory", measured ? memory(trial) : json_null());
    json_object_set_new(object, "upstream", upstream(setup, trial));
    json_object_set_new(object, "components", components(setup, trial));
    json_object_set_new(object, "book", book(setup, trial));
    json_object_set_new(object, "kill", killing(trial));
    json_object_set_new(object, "host", measured ? host(trial) : json_null());
    json_object_set_new(object, "exit",
                        json_pack("{si sf sO?}", "status", trial->status, "stopped_s",
                                  trial->stopped_s, "final", trial->final));
    json_object_set_new(object, "validity",
                        json_pack("{ss sO sO}", "verdict", valid ? "VALID" : "INVALID", "reasons",
                                  trial->reasons, "refused", trial->refused));
    return object;
}
