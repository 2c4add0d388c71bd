#include "common/serve/workers.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

void workers_init(struct workers *workers)
{
    workers->worker = must_calloc((size_t)workers->count, sizeof *workers->worker);
    for (int i = 0; i < workers->count; i++)
        workers->worker[i].counters = workers->server->counters;
    server_hold_signals(&workers->signals);
}

/* The place is vacant from now on. */
static void vacate(struct worker *worker)
{
    int64_t at_ns = now_ns();
    worker->pid = 0;
    worker->pause_ns = workers_pause_ns(at_ns - worker->begin_ns, worker->pause_ns);
    worker->due_ns = at_ns + worker->pause_ns;
}

static void spawn(struct workers *workers, int index)
{
    struct worker *worker = &workers->worker[index];
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        server_end_with_parent(parent);
        workers->work(workers, index);
        _exit(0);
    }
    worker->begin_ns = now_ns();
    if (pid < 0) {
        vacate(worker);
        return;
    }
    worker->pid = pid;
    workers->alive++;
    count_add(worker->counters, COUNTER_spawned, 1);
    count_add(worker->counters, COUNTER_workers, 1);
}

/* A worker for each vacant place that may have one. Returns when the next one may; INT64_MAX: none
 * is vacant. */
static int64_t spawn_due(struct workers *workers)
{
    int64_t next_ns = INT64_MAX;
    for (int i = 0; i < workers->count; i++) {
        struct worker *worker = &workers->worker[i];
        if (!worker->pid && worker->due_ns <= now_ns())
            spawn(workers, i);
        if (!worker->pid && worker->due_ns < next_ns)
            next_ns = worker->due_ns;
    }
    return next_ns;
}

void workers_start(struct workers *workers)
{
    if (spawn_due(workers) != INT64_MAX)
        die("the system has no room for so many processes");
}

/* Keep the accounts of a dead worker, since /proc forgets them. */
static void account(struct workers *workers, pid_t pid, int status, const struct rusage *usage)
{
    for (int i = 0; i < workers->count; i++) {
        struct worker *worker = &workers->worker[i];
        if (worker->pid != pid)
            continue;
        counters_retire(worker->counters, usage);
        count_add(worker->counters, COUNTER_workers, -1);
        count_add(worker->counters, COUNTER_crashed, WIFSIGNALED(status));
        if (!WIFEXITED(status))
            workers->bury(workers, i);
        vacate(worker);
        workers->alive--;
    }
}

/* Take note of the dead; `options` as for wait4(). */
static void reap(struct workers *workers, int options)
{
    struct rusage usage;
    int status;
    pid_t pid;
    while (workers->alive && (pid = wait4(-1, &status, options, &usage)) > 0) {
        account(workers, pid, status, &usage);
        if (WIFEXITED(status) && WEXITSTATUS(status))
            die("a worker could not start"); /* it has said why */
    }
}

void workers_supervise(struct workers *workers)
{
    for (;;) {
        switch (server_take_signal(&workers->signals, spawn_due(workers))) {
        case SIGCHLD: reap(workers, WNOHANG); break;
        case SIGTERM:
        case SIGINT: return;
        }
    }
}

void workers_end(struct workers *workers)
{
    for (int i = 0; i < workers->count; i++)
        if (workers->worker[i].pid)
            kill(workers->worker[i].pid, SIGTERM);
    reap(workers, 0);
    free(workers->worker);
}
