#include "cell/trial.h"
#include "cell/about.h"
#include "cell/group.h"
#include "common/base/util.h"
#include "common/work/calibration.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const int64_t READY_LIMIT_NS = 10 * NSEC_PER_SEC;
static const int64_t CONNECT_LIMIT_NS = 15 * NSEC_PER_SEC; /* for all connections, before warm-up */
static const int64_t WINDOW_SLACK_NS = 5 * NSEC_PER_SEC;
static const int64_t DRAIN_LIMIT_NS = 15 * NSEC_PER_SEC; /* of the generator, then of the server */
static const double UPSTREAM_BUSY_LIMIT = 0.9; /* of a core; it has no second one */
/* Fine enough to see a surge of a second; long enough for the p99 of 2000 requests/s. */
static const char TIMESERIES_INTERVAL[] = "250ms";

enum { SAID_MAX = 16384 };

/* A program that says when it is ready, and at its end a line of JSON. */
struct child {
    const char *name;    /* in sentences */
    pid_t pid;           /* 0: not started, or waited for */
    int end;             /* pidfd: readable when it has ended */
    int out;             /* its stdout, non-blocking; -1 after its end */
    int log;             /* a copy goes here, and its stderr */
    char said[SAID_MAX]; /* the latest of it, a string */
    size_t said_len;
    int port;
};

/* A trial under way. */
struct run {
    const struct trial_setup *setup;
    struct trial *trial;
    struct group group;
    struct child server, upstream;
    int stats; /* memory file that the server maps its counters to */
    const struct counters_file *counters;
    struct observation gone; /* counter and usage of a server that was killed; else zero */
    pid_t loadgen;
    int loadgen_end; /* pidfd */
    int control;     /* socket to the generator, -1 when closed */
};

enum outcome {
    OUTCOME_OK,
    OUTCOME_LATE,
    OUTCOME_SERVER_ENDED,
    OUTCOME_UPSTREAM_ENDED,
    OUTCOME_INTERRUPTED,
};

static void __attribute__((format(printf, 2, 3)))
add_reason(struct run *run, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    json_array_append_new(run->trial->reasons, json_vsprintf(format, arguments));
    va_end(arguments);
}

static int open_log(const char *folder, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0)
        die_errno("cannot write %s", path);
    return fd;
}

/* Take over what it has printed. Of a talkative one we keep the latest half. */
static void hear(struct run *run, struct child *child)
{
    for (;;) {
        if (child->said_len > SAID_MAX / 2) {
            child->said_len -= SAID_MAX / 4;
            memmove(child->said, child->said + SAID_MAX / 4, child->said_len);
        }
        ssize_t n = read(child->out, child->said + child->said_len, SAID_MAX / 4);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            break;
        if (write(child->log, child->said + child->said_len, (size_t)n) != n)
            add_reason(run, "%s.log could not be written", child->name);
        child->said_len += (size_t)n;
        child->said[child->said_len] = 0;
    }
    close(child->out);
    child->out = -1;
}

/* Something to look at beside `wanted`. The same twice might be seen ready only the second time. */
static struct pollfd beside(int wanted, int fd)
{
    return (struct pollfd){fd == wanted ? -1 : fd, POLLIN, 0};
}

/* Wait until `wanted` is readable or a signal asks us to stop, listening to server and upstream
 * meanwhile. */
static enum outcome await(struct run *run, int wanted, int64_t deadline_ns)
{
    enum { WANTED, SIGNALS, OUTPUT, END, UPSTREAM_OUTPUT, UPSTREAM_END, COUNT };
    for (int64_t left; (left = deadline_ns - now_ns()) > 0;) {
        struct pollfd polled[] = {[WANTED] = {wanted, POLLIN, 0},
                                  [SIGNALS] = {run->setup->signals, POLLIN, 0},
                                  [OUTPUT] = beside(wanted, run->server.out),
                                  [END] = beside(wanted, run->server.end),
                                  [UPSTREAM_OUTPUT] = beside(wanted, run->upstream.out),
                                  [UPSTREAM_END] = beside(wanted, run->upstream.end)};
        if (poll(polled, COUNT, (int)(left / NSEC_PER_MSEC) + 1) < 0)
            continue;
        if (polled[SIGNALS].revents)
            return OUTCOME_INTERRUPTED;
        if (polled[OUTPUT].revents)
            hear(run, &run->server);
        if (polled[UPSTREAM_OUTPUT].revents)
            hear(run, &run->upstream);
        if (polled[WANTED].revents)
            return OUTCOME_OK;
        if (polled[END].revents)
            return OUTCOME_SERVER_ENDED;
        if (polled[UPSTREAM_END].revents)
            return OUTCOME_UPSTREAM_ENDED;
    }
    return OUTCOME_LATE;
}

/* Its end is known: look no more for it. */
static void forget_end(struct child *child)
{
    if (child->end >= 0)
        close(child->end);
    child->end = -1;
}

/* Say why a step failed; `late` is the sentence for a step that took too long. True when it did not
 * fail. */
static bool went_well(struct run *run, enum outcome outcome, const char *late)
{
    struct signalfd_siginfo info = {0};
    switch (outcome) {
    case OUTCOME_OK: return true;
    case OUTCOME_LATE: add_reason(run, "%s", late); break;
    case OUTCOME_SERVER_ENDED:
        add_reason(run, "the server ended too early (see server.log)");
        break;
    case OUTCOME_UPSTREAM_ENDED:
        add_reason(run, "the upstream ended too early (see upstream.log)");
        forget_end(&run->upstream); /* the server is to be waited for all the same */
        break;
    case OUTCOME_INTERRUPTED:
        if (read(run->setup->signals, &info, sizeof info) == sizeof info)
            run->trial->interrupted = (int)info.ssi_signo;
        break;
    }
    return false;
}

/* The list as an argv; the caller frees the array, the list keeps the texts. */
static char **argv_of(const json_t *list)
{
    size_t count = json_array_size(list);
    char **argv = must_calloc(count + 1, sizeof *argv);
    for (size_t i = 0; i < count; i++)
        argv[i] = (char *)json_string_value(json_array_get(list, i));
    return argv;
}

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

/* The first time on any free port, again on the same one. */
static json_t *server_command(const struct run *run)
{
    const struct trial_setup *setup = run->setup;
    json_t *list = json_pack("[o]", json_sprintf("%s/servers/%s", setup->build, setup->server));
    append(list, "--port", json_sprintf("%d", run->server.port));
    append(list, "--stats-file", json_sprintf("/dev/fd/%d", run->stats));
    if (setup->upstream)
        append(list, "--upstream-address", json_sprintf("127.0.0.1:%d", run->upstream.port));
    append_words(list, setup->server_options);
    for (char *const *extra = setup->extra; *extra; extra++)
        json_array_append_new(list, json_string(*extra));
    return list;
}

static json_t *upstream_command(const struct trial_setup *setup)
{
    json_t *list = json_pack("[o]", json_sprintf("%s/upstream", setup->build));
    append(list, "--port", json_string("0"));
    append_words(list, setup->upstream);
    return list;
}

static json_t *seconds(int64_t ns)
{
    return json_sprintf("%.6gs", (double)ns / NSEC_PER_SEC);
}

static json_t *loadgen_command(const struct run *run, int control)
{
    const struct trial_setup *setup = run->setup;
    char cores[1024];
    json_t *list = json_pack("[o]", json_sprintf("%s/loadgen", setup->build));
    append(list, "--workload", json_string(setup->workload));
    append(list, "--point", json_string(setup->point));
    append(list, "-w", json_sprintf("%d", CPU_COUNT(&setup->cores.generator)));
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
    json_array_append_new(list, json_string("--realtime"));
    /* Awake, it would take the core from the server, or from the upstream. */
    if (setup->cores.shared || setup->upstream)
        append(list, "--spin", json_string("0"));
    json_array_append_new(list, json_string("--quiet"));
    json_array_append_new(list, json_sprintf("http://127.0.0.1:%d/", run->server.port));
    return list;
}

static pid_t start(struct run *run, const json_t *list, struct command command)
{
    char **argv = argv_of(list);
    command.argv = argv;
    pid_t pid = group_start(&run->group, &command);
    free(argv);
    return pid;
}

/* The port of the line "ready NAME HOST:PORT", once it has been printed. */
static bool find_port(struct child *child)
{
    const char *line =
        strncmp(child->said, "ready ", 6) == 0 ? child->said : strstr(child->said, "\nready ");
    return line && strchr(line + 1, '\n') &&
           sscanf(line, " ready %*s %*[^: ]:%d", &child->port) == 1;
}

/* Start it and wait until it is ready. `keep`: a descriptor that it inherits, or -1. */
static bool start_child(struct run *run, struct child *child, const json_t *command,
                        cpu_set_t cores, int keep)
{
    int out[2];
    char log[32], late[64];
    snprintf(log, sizeof log, "%s.log", child->name);
    snprintf(late, sizeof late, "the %s did not say that it is ready", child->name);
    child->log = open_log(run->setup->folder, log);
    if (pipe2(out, O_CLOEXEC))
        die_errno("cannot make a pipe");
    fcntl(out[0], F_SETFL, O_NONBLOCK);
    child->out = out[0];
    child->pid =
        start(run, command,
              (struct command){.cores = cores, .out = out[1], .err = child->log, .keep = keep});
    close(out[1]);
    child->end = pidfd_open(child->pid, 0);

    int64_t deadline = now_ns() + READY_LIMIT_NS;
    while (!find_port(child)) {
        if (!went_well(run, await(run, child->out, deadline), late))
            return false;
        hear(run, child);
    }
    return true;
}

/* The upstream, if the workload calls one. Where the generator has cores to itself the upstream is
 * there too: both are the outside world, whose work must not take time from the server, and the
 * server's cores are what is measured. Where cores are shared nothing is set apart. */
static bool start_upstream(struct run *run)
{
    const struct cores *cores = &run->setup->cores;
    if (!run->setup->upstream)
        return true;
    run->trial->upstream_command = upstream_command(run->setup);
    return start_child(run, &run->upstream, run->trial->upstream_command,
                       cores->shared ? cores->server : cores->generator, -1);
}

static bool start_server(struct run *run)
{
    run->trial->server_command = server_command(run);
    if (!start_child(run, &run->server, run->trial->server_command, run->setup->cores.server,
                     run->stats))
        return false;
    run->counters = mmap(NULL, sizeof *run->counters, PROT_READ, MAP_SHARED, run->stats, 0);
    if (run->counters == MAP_FAILED)
        die_errno("cannot map the counters");
    return true;
}

static void start_loadgen(struct run *run)
{
    int control[2], log = open_log(run->setup->folder, "loadgen.log");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control))
        die_errno("cannot make a socket pair");
    run->control = control[0];
    run->trial->loadgen_command = loadgen_command(run, control[1]);
    run->loadgen = start(
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
    seen.upstream_cpu_ns = run->upstream.pid ? proc_cpu_ns(run->upstream.pid) : 0;
    seen.slots = run->counters->next_slot;
    for (int i = 0; i < SLOTS_LISTED; i++)
        seen.slot[i] = run->counters->slot[i];
    seen.host = proc_host();
    return seen;
}

/* Wait until the generator says `word`. */
static bool hear_loadgen(struct run *run, const char *word, int64_t limit_ns)
{
    char line[16] = "", late[64];
    snprintf(late, sizeof late, "the generator never said '%.*s'", (int)strlen(word) - 1, word);
    if (!went_well(run, await(run, run->control, now_ns() + limit_ns), late))
        return false;
    if (recv(run->control, line, strlen(word), MSG_WAITALL) > 0 && strcmp(line, word) == 0)
        return true;
    add_reason(run, "the generator ended too early (see loadgen.log)");
    return false;
}

static int64_t time_ns(struct timeval time)
{
    return time.tv_sec * NSEC_PER_SEC + time.tv_usec * NSEC_PER_USEC;
}

/* Keep the accounts of a dead server: its successor begins at 0. Its connections ended with it, it
 * has no workers and no queue. Switches of threads that ended are in its counters already. */
static void inherit(struct run *run, const struct rusage *usage)
{
    int64_t *counter = run->gone.counter;
    for (int i = 0; i < COUNTERS; i++)
        counter[i] = counters_sum(run->counters, (enum counter)i);
    counter[COUNTER_closed] = counter[COUNTER_connections];
    counter[COUNTER_workers] = counter[COUNTER_queued] = 0;
    run->gone.usage = (struct proc_usage){
        .cpu_ns = time_ns(usage->ru_utime) + time_ns(usage->ru_stime),
        .voluntary = usage->ru_nvcsw - counter[COUNTER_switches_voluntary],
        .involuntary = usage->ru_nivcsw - counter[COUNTER_switches_involuntary]};
}

/* Wait for the end of a child that was killed, and be ready to start it again. */
static void bury(struct run *run, struct child *child, struct rusage *usage)
{
    wait4(child->pid, NULL, 0, usage);
    child->pid = 0;
    if (child->out >= 0)
        hear(run, child);
    if (child->out >= 0)
        close(child->out);
    close(child->log);
    child->out = child->log = -1;
    forget_end(child);
    child->said_len = 0;
    child->said[0] = 0;
}

/* What a supervisor does: the same command once more, on the same port. It clears the counters. */
static bool restart_server(struct run *run)
{
    struct rusage usage;
    bury(run, &run->server, &usage);
    inherit(run, &usage);
    json_t *command = server_command(run);
    bool ready = start_child(run, &run->server, command, run->setup->cores.server, run->stats);
    json_decref(command);
    return ready;
}

/* A server that works with child processes loses the youngest; one that is a single process dies,
 * and must be back before the window closes, for that is where it is looked at again. */
static bool kill_one(struct run *run, int64_t begin_ns)
{
    struct killing *killing = &run->trial->killing;
    enum outcome outcome = await(run, -1, begin_ns + run->setup->kill_ns);
    if (outcome != OUTCOME_LATE)
        return went_well(run, outcome, "");
    pid_t worker = proc_youngest_child(run->server.pid);
    int64_t killed_ns = now_ns();
    kill(worker ? worker : run->server.pid, SIGKILL);
    killing->victim = worker ? VICTIM_WORKER : VICTIM_SERVER;
    killing->at_s = (double)(killed_ns - begin_ns) / NSEC_PER_SEC;
    if (worker)
        return true;
    killing->restarted = restart_server(run);
    killing->back_s = (double)(now_ns() - killed_ns) / NSEC_PER_SEC;
    if (killing->restarted && now_ns() > begin_ns + run->setup->duration_ns)
        add_reason(run, "the killed server was not back before the window closed");
    return killing->restarted;
}

/* How fast the server's first core is, while it has nothing to do. */
static double hash_rate(const struct run *run)
{
    int core = 0;
    while (!CPU_ISSET(core, &run->setup->cores.server))
        core++;
    return calibration_hash_rate(core);
}

/* The whole reason for this program: both ends of the window, and what the connections weigh. */
static bool measure(struct run *run)
{
    struct trial *trial = run->trial;
    trial->before = proc_memory(run->server.pid);
    trial->hash_rate_before = hash_rate(run);
    start_loadgen(run);
    if (!hear_loadgen(run, "begin\n", run->setup->warmup_ns + CONNECT_LIMIT_NS))
        return false;
    int64_t begin_ns = now_ns();
    trial->begin = observe(run);
    if (run->setup->kill_ns > 0 && !kill_one(run, begin_ns))
        return false;
    if (!hear_loadgen(run, "end\n", run->setup->duration_ns + WINDOW_SLACK_NS))
        return false;
    trial->end = observe(run);
    trial->during = proc_memory(run->server.pid);
    trial->measured = true;
    return true;
}

/* Let the generator go, and read what it measured. */
static bool collect_load(struct run *run)
{
    char path[4096];
    close(run->control);
    run->control = -1;
    if (!went_well(run, await(run, run->loadgen_end, now_ns() + DRAIN_LIMIT_NS),
                   "the generator did not end"))
        return false;
    run->trial->hash_rate_after = hash_rate(run);
    snprintf(path, sizeof path, "%s/load.json", run->setup->folder);
    run->trial->load = json_load_file(path, 0, NULL);
    unlink(path);
    if (!run->trial->load)
        add_reason(run, "the generator left no result (see loadgen.log)");
    return run->trial->load != NULL;
}

/* The last line, when it is the JSON that it owes us. */
static json_t *find_final(char *said)
{
    size_t len = strlen(said);
    while (len && said[len - 1] == '\n')
        said[--len] = 0;
    const char *line = strrchr(said, '\n');
    return json_loads(line ? line + 1 : said, 0, NULL);
}

/* Ask it to end, wait for that, and insist in the end. Returns its exit status, or minus the signal
 * that it died of. */
static int stop_child(struct run *run, struct child *child)
{
    char late[80];
    int status = 0;
    snprintf(late, sizeof late, "the %s did not end after SIGTERM and was killed", child->name);
    kill(child->pid, SIGTERM);
    if (child->end >= 0 && !went_well(run, await(run, child->end, now_ns() + DRAIN_LIMIT_NS), late))
        kill(child->pid, SIGKILL);
    waitpid(child->pid, &status, 0);
    child->pid = 0;
    forget_end(child);
    if (child->out >= 0)
        hear(run, child);
    status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    if (status > 0)
        add_reason(run, "the %s ended with status %d (see %s.log)", child->name, status,
                   child->name);
    if (status < 0)
        add_reason(run, "the %s died of signal %d", child->name, -status);
    return status;
}

static void stop_server(struct run *run)
{
    struct trial *trial = run->trial;
    int64_t asked_ns = now_ns();
    trial->status = stop_child(run, &run->server);
    trial->stopped_s = (double)(now_ns() - asked_ns) / NSEC_PER_SEC;
    trial->final = find_final(run->server.said);
}

/* After the server, which may be in a call. */
static void stop_upstream(struct run *run)
{
    stop_child(run, &run->upstream);
    run->trial->upstream_final = find_final(run->upstream.said);
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

static void judge_host(struct run *run)
{
    const struct proc_host *a = &run->trial->begin.host, *b = &run->trial->end.host;
    int64_t all = b->all_ticks - a->all_ticks;
    double steal = all > 0 ? (double)(b->steal_ticks - a->steal_ticks) / (double)all : 0;
    if (steal > STEAL_LIMIT)
        add_reason(run, "%.1f %% of the CPU time was stolen by the hypervisor", 100 * steal);
    if (b->listen_overflows > a->listen_overflows)
        add_reason(run, "an accept queue overflowed %lld times",
                   (long long)(b->listen_overflows - a->listen_overflows));
    else if (b->listen_drops > a->listen_drops)
        add_reason(run, "%lld connections were dropped before accept",
                   (long long)(b->listen_drops - a->listen_drops));
}

/* An upstream without time to spare answers late, and the server would be blamed. */
static void judge_upstream(struct run *run)
{
    const struct observation *a = &run->trial->begin, *b = &run->trial->end;
    double busy = (double)(b->upstream_cpu_ns - a->upstream_cpu_ns) /
                  (double)(b->usage.at_ns - a->usage.at_ns);
    if (busy > UPSTREAM_BUSY_LIMIT)
        add_reason(run, "the upstream was %.0f %% busy", 100 * busy);
}

static void adopt_verdict(struct run *run)
{
    const json_t *validity = json_object_get(run->trial->load, "validity");
    const char *verdict = json_string_value(json_object_get(validity, "verdict"));
    json_t *reasons = json_object_get(validity, "reasons");
    if (json_array_size(reasons))
        json_array_extend(run->trial->reasons, reasons);
    else if (!verdict || strcmp(verdict, "VALID") != 0)
        add_reason(run, "the generator gave no verdict");
}

static void release(struct run *run)
{
    group_close(&run->group);
    int fds[] = {run->server.end,   run->server.out,   run->server.log,
                 run->upstream.end, run->upstream.out, run->upstream.log,
                 run->stats,        run->control,      run->loadgen_end};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    if (run->counters)
        munmap((void *)run->counters, sizeof *run->counters);
}

struct trial trial_run(const struct trial_setup *setup)
{
    struct trial trial = {.started = time(NULL), .reasons = json_array()};
    struct run run = {.setup = setup,
                      .trial = &trial,
                      .server = {.name = "server", .end = -1, .out = -1, .log = -1},
                      .upstream = {.name = "upstream", .end = -1, .out = -1, .log = -1},
                      .stats = memfd_create("counters", MFD_CLOEXEC),
                      .control = -1,
                      .loadgen_end = -1};
    if (run.stats < 0 || ftruncate(run.stats, sizeof *run.counters))
        die_errno("cannot make a memory file");
    group_open(&run.group);
    if (start_upstream(&run) && start_server(&run) && measure(&run) && collect_load(&run))
        adopt_verdict(&run);
    else
        abandon_load(&run);
    if (trial.measured) {
        judge_host(&run);
        judge_upstream(&run);
    }
    if (!trial.interrupted && run.server.pid)
        stop_server(&run);
    if (!trial.interrupted && run.upstream.pid)
        stop_upstream(&run);
    release(&run);
    return trial;
}

void trial_free(struct trial *trial)
{
    json_decref(trial->upstream_command);
    json_decref(trial->server_command);
    json_decref(trial->loadgen_command);
    json_decref(trial->load);
    json_decref(trial->final);
    json_decref(trial->upstream_final);
    json_decref(trial->reasons);
}
