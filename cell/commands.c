#include "cell/run.h"
#include "common/base/util.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { OTHER_FILES = 256 }; /* descriptors that a worker has beside its connections */

/* Fine enough to see a surge of a second; long enough for the p99 of 2000 requests/s. */
static const char TIMESERIES_INTERVAL[] = "250ms";

static void append(json_t *list, const char *option, json_t *value)
{
    json_array_append_new(list, json_string(option));
    json_array_append_new(list, value);
}

/* Words separated by blanks. */
static void append_words(json_t *list, const char *text)
{
    char *copy = must_strdup(text), *rest = copy, *word;
    while ((word = strtok_r(rest, " \t", &rest)))
        json_array_append_new(list, json_string(word));
    free(copy);
}

json_t *command_of_server(const struct run *run)
{
    const struct trial_setup *setup = run->setup;
    json_t *list = json_pack("[o]", json_sprintf("%s/servers/%s", setup->build, setup->server));
    append(list, "--port", json_sprintf("%d", run->server.port));
    append(list, "--stats-file", json_sprintf("/dev/fd/%d", run->stats));
    const struct child *redis =
        setup->has_component[COMPONENT_REDIS] ? &run->component[COMPONENT_REDIS] : &run->upstream;
    if (redis->port)
        append(list, "--upstream-address", json_sprintf("127.0.0.1:%d", redis->port));
    if (setup->has_component[COMPONENT_POSTGRESQL])
        append(list, "--database",
               json_sprintf("host=127.0.0.1 port=%d user=archbench dbname=archbench",
                            run->component[COMPONENT_POSTGRESQL].port));
    if (setup->sql[0])
        append(list, "--sql", json_string(setup->sql));
    if (run->journal >= 0) /* by our number: it is not inherited */
        append(list, "--book-journal", json_sprintf("/proc/%d/fd/%d", getpid(), run->journal));
    append_words(list, setup->server_options);
    for (char *const *extra = setup->extra; *extra; extra++)
        json_array_append_new(list, json_string(*extra));
    return list;
}

json_t *command_of_upstream(const struct run *run)
{
    json_t *list = json_pack("[o]", json_sprintf("%s/upstream", run->setup->build));
    append(list, "--port", json_sprintf("%d", run->upstream.port));
    append_words(list, run->setup->upstream);
    return list;
}

static json_t *seconds(int64_t ns)
{
    return json_sprintf("%.6gs", (double)ns / NSEC_PER_SEC);
}

/* A worker for each core of the generator; more where so many connections are more than that many
 * processes may have. */
static int generator_workers(const struct trial_setup *setup)
{
    struct rlimit limit;
    int cores = CPU_COUNT(&setup->cores.generator), needed = 1;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max != RLIM_INFINITY &&
        limit.rlim_max > OTHER_FILES)
        needed += setup->open / (int)(limit.rlim_max - OTHER_FILES);
    return needed > cores ? needed : cores;
}

json_t *command_of_loadgen(const struct run *run, int control)
{
    const struct trial_setup *setup = run->setup;
    int workers = generator_workers(setup);
    char cores[1024];
    json_t *list = json_pack("[o]", json_sprintf("%s/loadgen", setup->build));
    append(list, "--workload", json_string(setup->workload));
    append(list, "--point", json_string(setup->point));
    append(list, "-w", json_sprintf("%d", workers));
    append(list, "--cpus", json_string(cores_list(&setup->cores.generator, cores, sizeof cores)));
    append(list, "--server-cores", json_sprintf("%d", CPU_COUNT(&setup->cores.server)));
    append(list, "--warmup", seconds(setup->warmup_ns));
    append(list, "-d", seconds(setup->duration_ns));
    if (setup->connections)
        append(list, "-c", json_sprintf("%d", setup->connections));
    if (setup->seed)
        append(list, "--seed", json_sprintf("%d", setup->seed));
    append(list, "--json", json_sprintf("%s/load.json", setup->folder));
    append(list, "--hgrm", json_sprintf("%s/response", setup->folder));
    append(list, "--timeseries", json_sprintf("%s/timeseries.jsonl", setup->folder));
    append(list, "--interval", json_string(TIMESERIES_INTERVAL));
    append(list, "--control", json_sprintf("%d", control));
    /* Of several on one core, one that never sleeps would keep the others waiting for good. */
    if (workers <= CPU_COUNT(&setup->cores.generator))
        json_array_append_new(list, json_string("--realtime"));
    /* Awake, it would take the core from the server, or from the upstream. */
    if (setup->cores.shared || setup->upstream || setup->components)
        append(list, "--spin", json_string("0"));
    json_array_append_new(list, json_string("--quiet"));
    json_array_append_new(list, json_sprintf("http://127.0.0.1:%d/", run->server.port));
    return list;
}
