#include "common/work/calibration.h"
#include "common/base/net.h"
#include "common/base/util.h"
#include "common/serve/serve.h"
#include "common/work/task_cost.h"
#include "common/work/work.h"

#include <jansson.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SCHEMA "archbench-calibration/1"

enum { ROUNDS = 101, ROUNDS_NOW = 5, REQUESTS = 1000, REQUEST_ROUNDS = 15, CORES_MAX = 256 };

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, by_value);
    return values[n / 2];
}

/* Units per millisecond of this thread's CPU time: the median of many short rounds, so that a
 * moment's disturbance does not define the machine. CPU time, not wall time: on a busy machine
 * the core is shared, but the work it does is not changed. */
static double work_rate(enum work_kind kind, int rounds)
{
    static const uint64_t units[] = {2000, 1000, 100, 200}; /* one to three milliseconds */
    double rates[ROUNDS];
    for (int i = 0; i < rounds; i++) {
        int64_t begin = thread_cpu_ns();
        work_perform(kind, (uint64_t)i, units[kind]);
        rates[i] = (double)units[kind] * 1e6 / (double)(thread_cpu_ns() - begin);
    }
    return median(rates, rounds);
}

static void *hash_on_core(void *rate)
{
    *(double *)rate = work_rate(WORK_HASH, ROUNDS);
    return NULL;
}

/* The mean rate of a core while all usable cores work. */
static double parallel_hash_rate(void)
{
    pthread_t threads[CORES_MAX];
    double rates[CORES_MAX], sum = 0;
    int cores = usable_cores() < CORES_MAX ? usable_cores() : CORES_MAX;
    for (int i = 0; i < cores; i++)
        if (pthread_create(&threads[i], NULL, hash_on_core, &rates[i]))
            die("cannot start a thread to calibrate");
    for (int i = 0; i < cores; i++) {
        pthread_join(threads[i], NULL);
        sum += rates[i];
    }
    return sum / cores;
}

/* A connection to ourselves, whose serving side is measured. */
struct echo {
    int served, asking; /* descriptors of its two ends */
    struct service service;
    double cost_us; /* of a request, to the serving thread */
};

static void *ask(void *argument)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: calibration\r\n\r\n";
    const struct echo *echo = argument;
    char reply[1024];
    for (int i = 0; i < REQUESTS; i++)
        if (send(echo->asking, request, sizeof request - 1, MSG_NOSIGNAL) < 0 ||
            recv(echo->asking, reply, sizeof reply, 0) <= 0)
            break;
    shutdown(echo->asking, SHUT_WR);
    return NULL;
}

static void *serve(void *argument)
{
    struct echo *echo = argument;
    int64_t begin = thread_cpu_ns();
    serve_blocking(echo->served, &echo->service, counters_claim(echo->service.counters));
    echo->cost_us = (double)(thread_cpu_ns() - begin) / 1e3 / REQUESTS;
    return NULL;
}

static pthread_t start_on(int core, void *(*run)(void *), void *argument)
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

static void connect_to_self(struct echo *echo)
{
    struct sockaddr_in address;
    int port = 0, reserve = -1;
    int listener = net_listen("127.0.0.1", &port, 1);
    net_resolve("127.0.0.1", port, &address);
    echo->asking = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (echo->asking < 0 || connect(echo->asking, (struct sockaddr *)&address, sizeof address))
        die_errno("cannot connect to myself to calibrate");
    echo->served = net_accept(listener, 0, &reserve);
    if (echo->served < 0)
        die("cannot accept myself to calibrate");
    close(listener);
}

/* CPU microseconds that a blocking server spends on a trivial request. On one and the same core it
 * costs a third of what it does across two, where each message wakes the other: where they run must
 * not be left to chance. */
static double request_cost_us(void)
{
    double cost[REQUEST_ROUNDS];
    struct echo echo = {.service = {.counters = counters_create(NULL),
                                    .idle_timeout_ns = 10 * NSEC_PER_SEC,
                                    .header_timeout_ns = 10 * NSEC_PER_SEC}};
    for (int i = 0; i < REQUEST_ROUNDS; i++) {
        connect_to_self(&echo);
        pthread_t server = start_on(usable_core(false), serve, &echo);
        pthread_t asker = start_on(usable_core(true), ask, &echo);
        pthread_join(asker, NULL);
        pthread_join(server, NULL);
        cost[i] = echo.cost_us;
        close(echo.served);
        close(echo.asking);
    }
    return median(cost, REQUEST_ROUNDS);
}

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

static bool read_file(const char *path, struct calibration *calibration)
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

/* Appears under its name only when whole. */
static void write_file(const char *path, const struct calibration *calibration)
{
    char model[256], temporary[4096 + 32];
    json_t *units = json_object();
    cpu_model(model, sizeof model);
    snprintf(temporary, sizeof temporary, "%s.%d", path, (int)getpid());
    for (int kind = 0; kind < WORK_KINDS; kind++)
        json_object_set_new(units, work_name(kind), json_real(calibration->units_per_ms[kind]));
    json_t *json = json_pack(
        "{s:s, s:s, s:o, s:f, s:f, s:f, s:o, s:o}", "schema", SCHEMA, "cpu_model", model,
        "units_per_ms", units, "request_us", calibration->request_us, "parallel",
        calibration->parallel, "connection_kib", (double)sizeof(struct conn) / 1024, "thread",
        of_task(&calibration->thread), "process", of_task(&calibration->process));
    if (!json || json_dump_file(json, temporary, JSON_INDENT(2)) || rename(temporary, path))
        die_errno("cannot write the calibration '%s'", path);
    json_decref(json);
}

static struct calibration measure(void)
{
    struct calibration result;
    for (int kind = 0; kind < WORK_KINDS; kind++)
        result.units_per_ms[kind] = work_rate((enum work_kind)kind, ROUNDS);
    result.parallel = parallel_hash_rate() / result.units_per_ms[WORK_HASH];
    if (result.parallel > 1)
        result.parallel = 1;
    result.request_us = request_cost_us();
    result.thread = task_cost(false);
    result.process = task_cost(true);
    return result;
}

static void *hash_now(void *rate)
{
    *(double *)rate = work_rate(WORK_HASH, ROUNDS_NOW);
    return NULL;
}

double calibration_hash_rate(int core)
{
    double rate;
    pthread_join(start_on(core, hash_now, &rate), NULL);
    return rate;
}

struct calibration calibration_renew(const char *path)
{
    char fallback[4096];
    build_file("calibration.json", "ARCHBENCH_CALIBRATION", fallback, sizeof fallback);
    struct calibration result = measure();
    write_file(path ? path : fallback, &result);
    return result;
}

struct calibration calibration_load(const char *path)
{
    char fallback[4096];
    struct calibration result = {0};
    build_file("calibration.json", "ARCHBENCH_CALIBRATION", fallback, sizeof fallback);
    if (path && access(path, R_OK))
        die_errno("cannot read the calibration '%s'", path);
    if (read_file(path ? path : fallback, &result))
        return result;
    return calibration_renew(path);
}
