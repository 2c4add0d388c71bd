#include "common/work/calibration.h"
#include "common/base/util.h"

#include <jansson.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SCHEMA "archbench-calibration/1"

enum { ROUNDS = 101, ROUNDS_NOW = 5, CORES_MAX = 256 };

/* --- measuring ------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double calibration_median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, by_value);
    return values[n / 2];
}

/* Units per millisecond of this thread's CPU time: the median of many short rounds, so that a
 * moment's disturbance does not define the machine. CPU time, not wall time: on a busy machine
 * the core is shared, but the work it does is not changed. */
static double work_rate(enum work_kind kind, int rounds)
{
    static const uint64_t units[] = {2000, 1000, 100, 200, 10000}; /* one to three milliseconds */
    double rates[ROUNDS];
    for (int i = 0; i < rounds; i++) {
        int64_t begin = thread_cpu_ns();
        work_perform(kind, (uint64_t)i, units[kind]);
        rates[i] = (double)units[kind] * 1e6 / (double)(thread_cpu_ns() - begin);
    }
    return calibration_median(rates, rounds);
}

/* A rate to be measured by a thread of its own. */
struct hash_rate {
    int rounds;
    double units_per_ms;
};

static void *measure_hash(void *argument)
{
    struct hash_rate *rate = argument;
    rate->units_per_ms = work_rate(WORK_HASH, rate->rounds);
    return NULL;
}

/* The mean rate of a core while all usable cores work. */
static double parallel_hash_rate(void)
{
    pthread_t threads[CORES_MAX];
    struct hash_rate rates[CORES_MAX];
    double sum = 0;
    int cores = usable_cores() < CORES_MAX ? usable_cores() : CORES_MAX;
    for (int i = 0; i < cores; i++) {
        rates[i].rounds = ROUNDS;
        if (pthread_create(&threads[i], NULL, measure_hash, &rates[i]))
            die("cannot start a thread to calibrate");
    }
    for (int i = 0; i < cores; i++) {
        pthread_join(threads[i], NULL);
        sum += rates[i].units_per_ms;
    }
    return sum / cores;
}

pthread_t calibration_start_on(int core, void *(*run)(void *), void *argument)
{
    pthread_attr_t attributes;
    pthread_t thread;
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET(core, &one);
    pthread_attr_init(&attributes);
    pthread_attr_setaffinity_np(&attributes, sizeof one, &one);
    if (pthread_create(&thread, &attributes, run, argument))
        die("cannot start a thread to calibrate");
    pthread_attr_destroy(&attributes);
    return thread;
}

double calibration_hash_rate(int core)
{
    struct hash_rate rate = {.rounds = ROUNDS_NOW};
    pthread_join(calibration_start_on(core, measure_hash, &rate), NULL);
    return rate.units_per_ms;
}

struct calibration calibration_of_work(void)
{
    struct calibration result = {0};
    for (int kind = 0; kind < WORK_KINDS; kind++)
        result.units_per_ms[kind] = work_rate((enum work_kind)kind, ROUNDS);
    result.parallel = parallel_hash_rate() / result.units_per_ms[WORK_HASH];
    if (result.parallel > 1)
        result.parallel = 1;
    result.thread = task_cost(false);
    result.process = task_cost(true);
    return result;
}

/* --- the file -------------------------------------------------------------------------------- */

static void cpu_model(char *model, size_t size)
{
    FILE *file = fopen("/proc/cpuinfo", "re");
    char line[256];
    snprintf(model, size, "unknown");
    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, "model name", 10) == 0 && strchr(line, ':')) {
            snprintf(model, size, "%s", strchr(line, ':') + 2);
            model[strcspn(model, "\n")] = 0;
            break;
        }
    }
    if (file)
        fclose(file);
}

static bool read_units(json_t *object, double *units_per_ms)
{
    for (int kind = 0; kind < WORK_KINDS; kind++) {
        units_per_ms[kind] = json_number_value(json_object_get(object, work_name(kind)));
        if (units_per_ms[kind] <= 0)
            return false;
    }
    return true;
}

bool calibration_read(const char *path, struct calibration *calibration)
{
    char model[256];
    const char *schema, *of;
    json_error_t error;
    json_t *json = json_load_file(path, 0, &error), *units;
    cpu_model(model, sizeof model);
    bool good = json &&
                json_unpack(json, "{s:s, s:s, s:o, s:F, s:F}", "schema", &schema, "cpu_model", &of,
                            "units_per_ms", &units, "request_us", &calibration->request_us,
                            "parallel", &calibration->parallel) == 0 &&
                strcmp(schema, SCHEMA) == 0 && strcmp(of, model) == 0 &&
                read_units(units, calibration->units_per_ms);
    json_decref(json);
    return good;
}

static json_t *of_task(const struct task_cost *cost)
{
    return json_pack("{s:f, s:f}", "wait_us", cost->wait_us, "memory_kib", cost->memory_kib);
}

void calibration_write(const char *path, const struct calibration *calibration)
{
    char model[256], temporary[4096 + 32];
    json_t *units = json_object();
    cpu_model(model, sizeof model);
    snprintf(temporary, sizeof temporary, "%s.%d", path, (int)getpid());
    for (int kind = 0; kind < WORK_KINDS; kind++)
        json_object_set_new(units, work_name(kind), json_real(calibration->units_per_ms[kind]));
    json_t *json =
        json_pack("{s:s, s:s, s:o, s:f, s:f, s:f, s:o, s:o}", "schema", SCHEMA, "cpu_model", model,
                  "units_per_ms", units, "request_us", calibration->request_us, "parallel",
                  calibration->parallel, "connection_kib", calibration->connection_kib, "thread",
                  of_task(&calibration->thread), "process", of_task(&calibration->process));
    if (!json || json_dump_file(json, temporary, JSON_INDENT(2)) || rename(temporary, path))
        die_errno("cannot write the calibration '%s'", path);
    json_decref(json);
}
