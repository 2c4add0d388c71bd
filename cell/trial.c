#include "cell/trial.h"
#include "cell/components.h"
#include "cell/run.h"
#include "common/base/util.h"
#include "common/work/calibration.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const int64_t CONNECT_LIMIT_NS = 15 * NSEC_PER_SEC;  /* before warm-up, and beside ... */
static const int64_t CONNECT_EACH_NS = 100 * NSEC_PER_USEC; /* ... so much for each connection,
                                                               which is closed again in the drain */
static const int64_t WINDOW_SLACK_NS = 5 * NSEC_PER_SEC;
static const int64_t DRAIN_LIMIT_NS = 15 * NSEC_PER_SEC; /* of the generator */
static const int64_t SETTLE_LIMIT_NS = 70 * NSEC_PER_SEC;
static const int64_t REST_LIMIT_NS = NSEC_PER_SEC;
static const int64_t REST_NS = 30 * NSEC_PER_MSEC;
static const int64_t REST_KB = 64; /* two samples REST_NS apart differ by no more */
enum { MANY = 50000 };             /* connections; with fewer, nobody waits for older ones to go */

/* The upstream, if the workload calls one. Where the generator has cores to itself the upstream is
 * there too: both are the outside world, whose work must not take time from the server, and the
 * server's cores are what is measured. Where cores are shared nothing is set apart. */
static bool start_upstream(struct run *run)
{
    const struct cores *cores = &run->setup->cores;
    if (!run->setup->upstream)
        return true;
    run->trial->upstream_command = command_of_upstream(run);
    return child_start(run, &run->upstream, run->trial->upstream_command,
                       cores->shared ? cores->server : cores->generator, -1);
}

static bool start_server(struct run *run)
{
    run->trial->server_command = command_of_server(run);
    if (!child_start(run, &run->server, run->trial->server_command, run->setup->cores.server,
                     run->stats))
        return false;
    run->counters = mmap(NULL, sizeof *run->counters, PROT_READ, MAP_SHARED, run->stats, 0);
    if (run->counters == MAP_FAILED)
        die_errno("cannot map the counters");
    return true;
}

static void start_loadgen(struct run *run)
{
    int control[2], log = run_open_log(run, "loadgen.log");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control))
        die_errno("cannot make a socket pair");
    run->control = control[0];
    run->trial->loadgen_command = command_of_loadgen(run, control[1]);
    run->loadgen = run_start(
        run, run->trial->loadgen_command,
        (struct command){
            .cores = run->setup->cores.generator, .out = log, .err = log, .keep = control[1]});
    close(control[1]);
    close(log);
    run->loadgen_end = pidfd_open(run->loadgen, 0);
}

static struct observation observe(const struct run *run)
{
    struct observation seen;
    for (int i = 0; i < COUNTERS; i++)
        seen.counter[i] = run->gone.counter[i] + counters_sum(run->counters, (enum counter)i);
    seen.usage = proc_usage(run->server.pid);
    seen.usage.cpu_ns += run->gone.usage.cpu_ns;
    seen.usage.voluntary += run->gone.usage.voluntary;
    seen.usage.involuntary += run->gone.usage.involuntary;
    seen.upstream_cpu_ns = run->gone.upstream_cpu_ns;
    if (run->upstream.pid)
        seen.upstream_cpu_ns += proc_cpu_ns(run->upstream.pid);
    for (enum component i = 0; i < COMPONENTS; i++)
        seen.component_cpu_ns[i] = components_cpu_ns(run, i);
    seen.disk_bytes = run->setup->reads_disk ? proc_disk_bytes(run->server.pid) : 0;
    seen.cgroup_cpu_ns = cgroup_cpu_ns(&run->server.cgroup);
    seen.slots = run->counters->next_slot;
    for (int i = 0; i < SLOTS_LISTED; i++)
        seen.slot[i] = run->counters->slot[i];
    seen.host = host_counts();
    return seen;
}

/* Wait until the generator says `word`. */
static bool hear_loadgen(struct run *run, const char *word, int64_t limit_ns)
{
    char line[16] = "", late[64];
    snprintf(late, sizeof late, "the generator never said '%.*s'", (int)strlen(word) - 1, word);
    if (!run_went_well(run, run_await(run, run->control, now_ns() + limit_ns), late))
        return false;
    if (recv(run->control, line, strlen(word), MSG_WAITALL) > 0 && strcmp(line, word) == 0)
        return true;
    run_add_reason(run, "the generator ended too early (see loadgen.log)");
    return false;
}

/* Keep the accounts of a dead server: its successor begins at 0. Its connections ended with it, it
 * has no workers and no queue. Switches of threads that ended are in its counters already. */
static void inherit(struct run *run, const struct rusage *usage)
{
    int64_t own[COUNTERS], *counter = run->gone.counter;
    struct proc_usage *gone = &run->gone.usage;
    for (int i = 0; i < COUNTERS; i++) {
        own[i] = counters_sum(run->counters, (enum counter)i);
        counter[i] += own[i];
    }
    counter[COUNTER_closed] = counter[COUNTER_connections];
    counter[COUNTER_workers] = counter[COUNTER_queued] = 0;
    gone->cpu_ns += proc_rusage_cpu_ns(usage);
    gone->voluntary += usage->ru_nvcsw - own[COUNTER_switches_voluntary];
    gone->involuntary += usage->ru_nivcsw - own[COUNTER_switches_involuntary];
}

/* What a supervisor does: the same command once more, on the same port. It clears the counters. */
static bool restart_server(struct run *run)
{
    struct rusage usage;
    child_reap(run, &run->server, &usage);
    inherit(run, &usage);
    json_t *command = command_of_server(run);
    bool ready = child_start(run, &run->server, command, run->setup->cores.server, run->stats);
    json_decref(command);
    return ready;
}

/* A server that works with child processes loses the youngest, or the oldest; one that is a single process
 * dies, and must be back before the window closes, because it is looked at again there. */
static bool kill_server(struct run *run, int64_t begin_ns)
{
    struct killing *killing = &run->trial->killing;
    bool oldest = run->setup->kill_what == KILL_OLDEST;
    pid_t server = run->server.pid;
    pid_t worker = oldest ? proc_oldest_child(server) : proc_youngest_child(server);
    int64_t killed_ns = now_ns();
    kill(worker ? worker : server, SIGKILL);
    if (killing->count == 1)
        killing->victim = worker ? VICTIM_WORKER : VICTIM_SERVER;
    if (worker)
        return true;
    killing->restarted = restart_server(run);
    if (killing->count == 1)
        killing->back_s = (double)(now_ns() - killed_ns) / NSEC_PER_SEC;
    if (killing->restarted && now_ns() > begin_ns + run->setup->duration_ns)
        run_add_reason(run, "the killed server was not back before the window closed");
    return killing->restarted;
}

static bool kill_one(struct run *run, int64_t begin_ns, int64_t at_ns)
{
    struct killing *killing = &run->trial->killing;
    enum outcome outcome = run_await(run, -1, at_ns);
    if (outcome != OUTCOME_LATE)
        return run_went_well(run, outcome, "");
    if (killing->count++ == 0)
        killing->at_s = (double)(now_ns() - begin_ns) / NSEC_PER_SEC;
    switch (run->setup->kill_what) {
    case KILL_SERVER:
    case KILL_OLDEST: return kill_server(run, begin_ns);
    case KILL_REDIS: return components_kill(run, COMPONENT_REDIS);
    case KILL_POSTGRESQL: return components_kill(run, COMPONENT_POSTGRESQL);
    }
    return true;
}

/* All that are due before the window closes. */
static bool kill_all(struct run *run, int64_t begin_ns)
{
    int64_t end_ns = begin_ns + run->setup->duration_ns, at_ns = begin_ns + run->setup->kill_ns;
    do {
        if (!kill_one(run, begin_ns, at_ns))
            return false;
        at_ns += run->setup->kill_period_ns;
    } while (run->setup->kill_period_ns > 0 && at_ns < end_ns);
    return true;
}

/* How fast the server's first core is, while it has nothing to do. */
static double hash_rate(const struct run *run)
{
    int core = 0;
    while (!CPU_ISSET(core, &run->setup->cores.server))
        core++;
    return calibration_hash_rate(core);
}

/* The sockets of a cell before this one may not be gone yet: where so many are to be weighed, their
 * end would be taken for memory given back. They go within a minute. */
static bool settle(struct run *run)
{
    int64_t until_ns = now_ns() + SETTLE_LIMIT_NS;
    while (run->setup->open >= MANY && host_time_waits() > run->setup->open &&
           now_ns() < until_ns) {
        enum outcome outcome = run_await(run, -1, now_ns() + NSEC_PER_SEC);
        if (outcome != OUTCOME_LATE)
            return run_went_well(run, outcome, "");
    }
    return true;
}

/* What ended before this trial, a server of a thousand processes for example, is not gone when its
 * parent has been told: the kernel gives back what is left in steps, within some 50 ms. */
static bool await_rest(struct run *run)
{
    int64_t until_ns = now_ns() + REST_LIMIT_NS, kb = host_sockets().kb, earlier_kb;
    do {
        enum outcome outcome = run_await(run, -1, now_ns() + REST_NS);
        if (outcome != OUTCOME_LATE)
            return run_went_well(run, outcome, "");
        earlier_kb = kb;
        kb = host_sockets().kb;
        run->trial->memory_at_rest = llabs(kb - earlier_kb) <= REST_KB;
    } while (!run->trial->memory_at_rest && now_ns() < until_ns);
    return true;
}

/* The whole reason for this program: both ends of the window, and what the connections weigh. */
static bool measure(struct run *run)
{
    struct trial *trial = run->trial;
    if (!settle(run))
        return false;
    trial->hash_rate_before = hash_rate(run); /* here it gives the kernel time to rest */
    if (!await_rest(run))
        return false;
    trial->before = proc_memory(run->server.pid);
    start_loadgen(run);
    if (!hear_loadgen(run, "begin\n",
                      run->setup->warmup_ns + CONNECT_LIMIT_NS +
                          run->setup->open * CONNECT_EACH_NS))
        return false;
    int64_t begin_ns = now_ns();
    trial->begin = observe(run);
    if (run->setup->kill_ns > 0 && !kill_all(run, begin_ns))
        return false;
    if (!hear_loadgen(run, "end\n", run->setup->duration_ns + WINDOW_SLACK_NS))
        return false;
    trial->end = observe(run);
    trial->during = proc_memory(run->server.pid);
    trial->memory_peak_kb = cgroup_memory_peak_kb(&run->server.cgroup);
    trial->upstream_memory_peak_kb = cgroup_memory_peak_kb(&run->upstream.cgroup);
    for (enum component i = 0; i < COMPONENTS; i++)
        trial->component[i].memory_peak_kb = cgroup_memory_peak_kb(&run->component[i].cgroup);
    trial->measured = true;
    trial->holds = judge_holds(run);
    return true;
}

/* Let the generator go, and read what it measured. */
static bool collect_load(struct run *run)
{
    char path[4096];
    const struct holds *holds = &run->trial->holds;
    dprintf(run->control, "held %f %f %f %f\n", holds->share, holds->per_s, holds->busy,
            holds->hands);
    close(run->control);
    run->control = -1;
    if (!run_went_well(run,
                       run_await(run, run->loadgen_end,
                                 now_ns() + DRAIN_LIMIT_NS + run->setup->open * CONNECT_EACH_NS),
                       "the generator did not end"))
        return false;
    run->trial->hash_rate_after = hash_rate(run);
    snprintf(path, sizeof path, "%s/load.json", run->setup->folder);
    run->trial->load = json_load_file(path, 0, NULL);
    unlink(path);
    if (!run->trial->load)
        run_add_reason(run, "the generator left no result (see loadgen.log)");
    return run->trial->load != NULL;
}

static void stop_server(struct run *run)
{
    struct trial *trial = run->trial;
    int64_t asked_ns = now_ns();
    trial->status = child_stop(run, &run->server);
    trial->stopped_s = (double)(now_ns() - asked_ns) / NSEC_PER_SEC;
    trial->final = child_final(&run->server);
    books_check(run);
}

/* After the server, which may be in a call. */
static void stop_others(struct run *run)
{
    if (run->upstream.pid) {
        child_stop(run, &run->upstream);
        run->trial->upstream_final = child_final(&run->upstream);
    }
    for (enum component i = 0; i < COMPONENTS; i++) {
        if (run->component[i].pid) {
            child_stop(run, &run->component[i]);
            run->trial->component[i].final = child_final(&run->component[i]);
        }
    }
}

/* A step failed: the generator need not go on. */
static void abandon_load(struct run *run)
{
    if (run->loadgen)
        kill(run->loadgen, SIGTERM);
    if (run->control >= 0)
        close(run->control);
    run->control = -1;
}

static void close_open(int fd)
{
    if (fd >= 0)
        close(fd);
}

/* It is not started yet. */
static void begin_child(struct child *child, const char *name)
{
    *child = (struct child){.name = name, .end = -1, .out = -1, .log = -1};
    cgroup_open(&child->cgroup, name);
}

static void end_child(struct child *child)
{
    cgroup_close(&child->cgroup);
    close_open(child->end);
    close_open(child->out);
    close_open(child->log);
}

static void release(struct run *run)
{
    group_close(&run->group);
    end_child(&run->server);
    end_child(&run->upstream);
    for (enum component i = 0; i < COMPONENTS; i++)
        end_child(&run->component[i]);
    close_open(run->stats);
    close_open(run->control);
    close_open(run->loadgen_end);
    close_open(run->journal);
    if (run->counters)
        munmap((void *)run->counters, sizeof *run->counters);
}

struct trial trial_run(const struct trial_setup *setup)
{
    struct trial trial = {.started = time(NULL), .reasons = json_array(), .refused = json_object()};
    struct run run = {.setup = setup,
                      .trial = &trial,
                      .stats = memfd_create("counters", MFD_CLOEXEC),
                      .journal = -1,
                      .control = -1,
                      .loadgen_end = -1};
    if (run.stats < 0 || ftruncate(run.stats, sizeof *run.counters))
        die_errno("cannot make a memory file");
    books_open(&run);
    group_open(&run.group);
    begin_child(&run.server, "server");
    begin_child(&run.upstream, "upstream");
    for (enum component i = 0; i < COMPONENTS; i++)
        begin_child(&run.component[i], component_name(i));
    if (start_upstream(&run) && components_start(&run) && start_server(&run) && measure(&run) &&
        collect_load(&run))
        judge_load(&run);
    else
        abandon_load(&run);
    if (trial.measured)
        judge_trial(&run);
    if (!trial.interrupted && run.server.pid)
        stop_server(&run);
    if (!trial.interrupted)
        stop_others(&run);
    release(&run);
    return trial;
}

int64_t trial_grown(const struct trial *trial, enum counter which)
{
    return trial->end.counter[which] - trial->begin.counter[which];
}

/* Threads that ended took their switches along, and left them in the counters. */
struct proc_usage trial_usage(const struct trial *trial)
{
    const struct proc_usage *a = &trial->begin.usage, *b = &trial->end.usage;
    bool held = a->held_ns >= 0 && b->held_ns >= 0;
    return (struct proc_usage){
        .at_ns = b->at_ns - a->at_ns,
        .cpu_ns = b->cpu_ns - a->cpu_ns,
        .voluntary = b->voluntary - a->voluntary + trial_grown(trial, COUNTER_switches_voluntary),
        .involuntary =
            b->involuntary - a->involuntary + trial_grown(trial, COUNTER_switches_involuntary),
        .held_ns = held ? b->held_ns - a->held_ns : -1,
        .others_ns = b->others_ns > a->others_ns ? b->others_ns - a->others_ns : 0,
        .tasks = b->tasks};
}

void trial_free(struct trial *trial)
{
    json_decref(trial->upstream_command);
    json_decref(trial->server_command);
    json_decref(trial->loadgen_command);
    json_decref(trial->load);
    json_decref(trial->final);
    json_decref(trial->upstream_final);
    for (enum component i = 0; i < COMPONENTS; i++) {
        json_decref(trial->component[i].command);
        json_decref(trial->component[i].final);
    }
    json_decref(trial->reasons);
    json_decref(trial->refused);
}
