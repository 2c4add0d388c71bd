/* crew: see crew.h. The coordinator speaks to the workers by closing pipes: it reaches all of them
 * at once, and happens by itself should the coordinator die. */
#include "loadgen/crew.h"
#include "common/base/util.h"
#include "loadgen/books/deliveries.h"
#include "loadgen/judge/limits.h"
#include "loadgen/worker/client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* From "go" to the first request: all workers have to have woken up. */
static const int64_t LEAD_NS = 5 * NSEC_PER_MSEC;
/* An early end lies this far ahead, so that every worker knows it before it comes. */
static const int64_t NOTICE_NS = 150 * NSEC_PER_MSEC;

/* Workers must answer within microseconds, also on a core that the server keeps busy. What they
 * might start must not inherit that. */
enum { WORKER_PRIORITY = 1, PARENT_PRIORITY };

static bool become_realtime(int priority)
{
    struct sched_param param = {.sched_priority = priority};

    return sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &param) == 0;
}

static void pin(const struct plan *plan, int worker)
{
    cpu_set_t set;
    int cpu;

    if (plan->cpu_count == 0)
        return;
    cpu = plan->cpus[worker % plan->cpu_count];
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set))
        die_errno("cannot run on core %d", cpu);
}

/* The child. Signals are the coordinator's business, but its death is the end. */
_Noreturn static void be_worker(const struct crew *crew, int worker, pid_t parent,
                                const struct client_signals *signals)
{
    struct worker_stats *stats = &crew->shared->worker[worker];

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    close(crew->go);
    close(crew->leave);
    close(crew->reports);
    pin(crew->plan, worker);
    stats->realtime = crew->plan->realtime && become_realtime(WORKER_PRIORITY);
    client_run(crew->plan, worker, &crew->shared->schedule, stats, crew->published, signals);
    _exit(0);
}

static void make_pipe(int *read_end, int *write_end)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC))
        die_errno("cannot make a pipe");
    *read_end = ends[0];
    *write_end = ends[1];
}

/* Signals become readable, so that one poll waits for everything. */
static int open_signals(void)
{
    sigset_t set;
    int fd;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        die_errno("cannot receive signals");
    return fd;
}

static void reap(struct crew *crew)
{
    for (int i = 0; i < crew->plan->workers; i++) {
        if (crew->pids[i] == 0 || waitpid(crew->pids[i], NULL, WNOHANG) != crew->pids[i])
            continue;
        crew->pids[i] = 0;
        crew->alive--;
        crew->lost += !crew->shared->worker[i].finished;
    }
}

static void interrupt(struct crew *crew)
{
    struct schedule *schedule = &crew->shared->schedule;
    int64_t end_ns = now_ns() + NOTICE_NS;

    crew->interrupts++;
    if (end_ns < schedule->end_ns)
        __atomic_store_n(&schedule->end_ns, end_ns, __ATOMIC_RELEASE);
    for (int i = 0; i < crew->plan->workers && crew->interrupts > 1; i++) {
        if (crew->pids[i] > 0)
            kill(crew->pids[i], SIGKILL);
    }
}

static void take_signals(struct crew *crew)
{
    struct signalfd_siginfo info;

    while (read(crew->signals, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGCHLD)
            reap(crew);
        else
            interrupt(crew);
    }
}

/* Sleep until `when_ns`, a report, a signal, or `extra` (or -1) can be read. Returns whether
 * `extra` can. */
static bool crew_sleep(struct crew *crew, int64_t when_ns, int extra)
{
    struct pollfd fds[] = {
        {crew->signals, POLLIN, 0}, {crew->reports, POLLIN, 0}, {extra, POLLIN, 0}};
    int64_t rest = when_ns - now_ns();
    struct timespec timeout = {0};
    char bytes[64];

    if (rest > 0)
        timeout = (struct timespec){rest / NSEC_PER_SEC, rest % NSEC_PER_SEC};
    if (ppoll(fds, 3, when_ns == INT64_MAX ? NULL : &timeout, NULL) <= 0)
        return false;
    if (fds[0].revents)
        take_signals(crew);
    /* Only to be woken: the milestones are in shared memory. At the end of the file no worker is left to report. */
    if (fds[1].revents && read(crew->reports, bytes, sizeof bytes) == 0) {
        close(crew->reports);
        crew->reports = -1;
    }
    return fds[2].revents != 0;
}

static int count_connected(const struct crew *crew)
{
    int connected = 0;

    for (int i = 0; i < crew->plan->workers; i++)
        connected += __atomic_load_n(&crew->shared->worker[i].connected, __ATOMIC_ACQUIRE);
    return connected;
}

static bool all_finished(const struct crew *crew)
{
    for (int i = 0; i < crew->plan->workers; i++) {
        if (crew->pids[i] && !__atomic_load_n(&crew->shared->worker[i].finished, __ATOMIC_ACQUIRE))
            return false;
    }
    return true;
}

/* When no connection was ever made there is nothing to measure. One that the server ended at once
 * counts: what it does to the requests is the result. */
static void check_start(struct crew *crew)
{
    int error = 0, lost = crew->lost;
    bool connected = false;
    char cause[LIMITS_TEXT];

    for (int i = 0; i < crew->plan->workers; i++) {
        connected |= hist_total(&crew->shared->worker[i].connect) > 0;
        if (crew->shared->worker[i].connect_errno)
            error = crew->shared->worker[i].connect_errno;
    }
    if (lost == 0 && (connected || crew->interrupts > 0))
        return;
    crew_end(crew);
    if (lost > 0)
        exit(2); /* the worker has said why */
    die("cannot connect to %s: %s", crew->plan->target[0].url.host,
        limits_of_connecting(cause, error ? error : ETIMEDOUT));
}

static void fork_workers(struct crew *crew, const struct client_signals *signals)
{
    pid_t parent = getpid();

    fflush(NULL); /* what is buffered now would be written by every child */
    for (int i = 0; i < crew->plan->workers; i++) {
        pid_t pid = fork();

        if (pid < 0)
            die_errno("cannot fork worker %d", i);
        if (pid == 0)
            be_worker(crew, i, parent, signals);
        crew->pids[i] = pid;
        crew->alive++;
    }
}

/* NULL: none subscribes. */
static uint32_t *share_published(const struct plan *plan)
{
    int connections = 0, rooms = 0;

    for (int i = 0; i < plan->pool_count; i++) {
        connections += plan->pool[i].connections;
        rooms += plan->pool[i].rooms;
    }
    return rooms > 0 ? deliveries_share(connections) : NULL;
}

void crew_start(struct crew *crew, const struct plan *plan)
{
    struct client_signals signals;

    *crew = (struct crew){
        .plan = plan, .shared = shared_create(plan->workers), .published = share_published(plan)};
    crew->shared->schedule.end_ns = INT64_MAX;
    crew->pids = must_calloc((size_t)plan->workers, sizeof *crew->pids);
    crew->signals = open_signals();
    signal(SIGPIPE, SIG_IGN);
    make_pipe(&signals.go, &crew->go);
    make_pipe(&signals.leave, &crew->leave);
    make_pipe(&crew->reports, &signals.report);
    fork_workers(crew, &signals);
    close(signals.go);
    close(signals.leave);
    close(signals.report);
    while (count_connected(crew) < plan->workers && crew->lost == 0 && crew->interrupts == 0)
        crew_sleep(crew, INT64_MAX, -1);
    check_start(crew);
}

static void set_schedule(struct crew *crew)
{
    struct schedule *schedule = &crew->shared->schedule;

    schedule->start_ns = now_ns() + LEAD_NS;
    schedule->begin_ns = schedule->start_ns + crew->plan->warmup_ns;
    schedule->end_ns = schedule->begin_ns + crew->plan->duration_ns;
    if (crew->interrupts > 0)
        schedule->end_ns = schedule->start_ns; /* nothing is sent any more */
    close(crew->go);
    crew->go = -1;
}

/* Sleep through to `when_ns`, or to the end if it is moved before that. Returns false then, or
 * when no worker is left. */
static bool sleep_until(struct crew *crew, int64_t when_ns)
{
    while (now_ns() < when_ns) {
        crew_sleep(crew, when_ns, -1);
        if (crew->alive == 0 || crew->shared->schedule.end_ns < when_ns)
            return false;
    }
    return true;
}

static void tell(int control, const char *line)
{
    if (control >= 0 && write(control, line, strlen(line)) < 0)
        fprintf(stderr, "nobody reads the control descriptor: %s\n", strerror(errno));
}

static void watch_window(struct crew *crew, struct timeline *timeline)
{
    const struct schedule *schedule = &crew->shared->schedule;
    int64_t row_ns = schedule->begin_ns + crew->plan->interval_ns;
    int64_t half_ns = schedule->begin_ns + crew->plan->duration_ns / 2;

    timeline_begin(timeline, schedule->begin_ns);
    while (crew->alive > 0) {
        int64_t next_ns = half_ns < row_ns ? half_ns : row_ns;

        if (next_ns >= schedule->end_ns || !sleep_until(crew, next_ns))
            break;
        if (next_ns == half_ns) {
            timeline_half(timeline, half_ns);
            half_ns = INT64_MAX;
        } else {
            timeline_row(timeline, row_ns);
            row_ns += crew->plan->interval_ns;
        }
    }
    while (crew->alive > 0 && now_ns() < schedule->end_ns)
        sleep_until(crew, schedule->end_ns); /* which may move forward meanwhile */
    timeline_row(timeline, schedule->end_ns);
}

/* "held SHARE PER_S BUSY HANDS", or the end of file. */
static void listen_to(int control, struct holds *server)
{
    struct holds told;
    char line[128];
    ssize_t n = read(control, line, sizeof line - 1);

    line[n > 0 ? n : 0] = 0;
    if (sscanf(line, "held %lf %lf %lf %lf", &told.share, &told.per_s, &told.busy, &told.hands) ==
        4)
        *server = told;
}

/* The other side samples memory while the connections stand, then lets us go on. */
static void hold(struct crew *crew, int control)
{
    int before = crew->interrupts;

    while (control >= 0 && crew->alive > 0 && crew->interrupts == before) {
        if (crew_sleep(crew, INT64_MAX, control)) {
            listen_to(control, &crew->server);
            return;
        }
    }
}

void crew_watch(struct crew *crew, struct timeline *timeline, int control)
{
    bool opened;

    /* So begin and end are told in time though a worker never sleeps. */
    if (crew->plan->realtime)
        become_realtime(PARENT_PRIORITY);
    set_schedule(crew);
    opened = sleep_until(crew, crew->shared->schedule.begin_ns);
    if (opened) {
        tell(control, "begin\n");
        watch_window(crew, timeline);
        tell(control, "end\n");
    }
    while (!all_finished(crew))
        crew_sleep(crew, INT64_MAX, -1);
    if (opened)
        hold(crew, control);
}

void crew_end(struct crew *crew)
{
    if (crew->go >= 0)
        close(crew->go);
    crew->go = -1;
    close(crew->leave);
    while (crew->alive > 0) {
        for (int i = 0; i < crew->plan->workers && !all_finished(crew); i++) {
            if (crew->pids[i])
                kill(crew->pids[i], SIGKILL); /* only when the start failed */
        }
        crew_sleep(crew, INT64_MAX, -1);
        reap(crew);
    }
    if (crew->reports >= 0)
        close(crew->reports);
    close(crew->signals);
}

void crew_free(struct crew *crew)
{
    shared_free(crew->shared, crew->plan->workers);
    free(crew->pids);
}
