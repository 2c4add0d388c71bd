#include "common/work/task_cost.h"
#include "common/base/util.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* 512 that wait 10 ms are what the workload `io` makes of a server. */
enum { TASKS = 512, WAITS = 40, WARM_WAITS = 5 };
static const struct timespec WAIT = {.tv_nsec = 10 * NSEC_PER_MSEC};

/* Where all tasks leave what they found: memory that processes share. */
struct sleepers {
    int64_t cpu_ns[TASKS];     /* of WAITS waits */
    int64_t memory_kib[TASKS]; /* of a process; threads are weighed together */
};

/* The number behind `key` in a file of lines "key: number", or 0. */
static int64_t field(const char *path, const char *key)
{
    char line[256];
    int64_t value = 0;
    FILE *file = fopen(path, "re");
    while (file && !value && fgets(line, sizeof line, file))
        if (strncmp(line, key, strlen(key)) == 0)
            value = strtoll(line + strlen(key), NULL, 10);
    if (file)
        fclose(file);
    return value;
}

/* What this process alone has in memory, but for kernel stacks. */
static int64_t own_memory_kib(void)
{
    return field("/proc/self/smaps_rollup", "Private_Dirty:") +
           field("/proc/self/status", "VmPTE:");
}

static void *sleep_often(void *cpu_ns)
{
    int64_t begin = 0;
    for (int i = 0; i < WARM_WAITS + WAITS; i++) {
        if (i == WARM_WAITS)
            begin = thread_cpu_ns();
        nanosleep(&WAIT, NULL);
    }
    *(int64_t *)cpu_ns = thread_cpu_ns() - begin;
    return NULL;
}

/* The number of threads that ran. The memory of all is put down as that of the first. */
static int run_threads(struct sleepers *sleepers)
{
    pthread_t threads[TASKS];
    int count = 0;
    int64_t before_kib = own_memory_kib();
    while (count < TASKS &&
           pthread_create(&threads[count], NULL, sleep_often, &sleepers->cpu_ns[count]) == 0)
        count++;
    sleepers->memory_kib[0] = own_memory_kib() - before_kib;
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    return count;
}

static int run_processes(struct sleepers *sleepers)
{
    pid_t pids[TASKS];
    int count = 0;
    for (; count < TASKS && (pids[count] = fork()) >= 0; count++)
        if (pids[count] == 0) {
            sleep_often(&sleepers->cpu_ns[count]);
            sleepers->memory_kib[count] = own_memory_kib();
            _exit(0);
        }
    for (int i = 0; i < count; i++)
        while (waitpid(pids[i], NULL, 0) < 0 && errno == EINTR)
            continue;
    return count;
}

/* From here on the calling thread, and what it starts, runs on one core. Returns what it had. */
static cpu_set_t stay_on_one_core(void)
{
    cpu_set_t usable, one;
    sched_getaffinity(0, sizeof usable, &usable);
    CPU_ZERO(&one);
    CPU_SET(usable_core(false), &one);
    sched_setaffinity(0, sizeof one, &one);
    return usable;
}

static double mean(const int64_t *values)
{
    double sum = 0;
    for (int i = 0; i < TASKS; i++)
        sum += (double)values[i];
    return sum / TASKS;
}

struct task_cost task_cost(bool processes)
{
    struct task_cost cost = {0};
    struct sleepers *sleepers =
        mmap(NULL, sizeof *sleepers, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (sleepers == MAP_FAILED)
        die_errno("no memory to calibrate");
    cpu_set_t before = stay_on_one_core();
    int count = processes ? run_processes(sleepers) : run_threads(sleepers);
    sched_setaffinity(0, sizeof before, &before);
    if (count == TASKS)
        cost = (struct task_cost){.wait_us = mean(sleepers->cpu_ns) / 1e3 / WAITS,
                                  .memory_kib = mean(sleepers->memory_kib) + KERNEL_STACK_KIB};
    munmap(sleepers, sizeof *sleepers);
    return cost;
}
