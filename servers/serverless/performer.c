#include "servers/serverless/performer.h"
#include "common/websocket/websocket.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What goes over: a program, then the ID and the payload of the message that asked for it. Without
 * one the length of the ID is 0. */
struct about_message {
    size_t id_len;
    enum opcode opcode;
};

struct order {
    struct program program;
    struct about_message about;
    char text[MESSAGE_ID_MAX + WEBSOCKET_MESSAGE_MAX];
};

/* --- the child -------------------------------------------------------------------------------- */

/* All descriptors from `begin` to `end`. */
static void close_between(int begin, int end)
{
    if (begin <= end)
        close_range((unsigned)begin, (unsigned)end, 0);
}

/* `journal`: of the order books, which this process appends to; -1: there is none. */
static void isolate(int socket, int journal)
{
    int low = journal >= 0 && journal < socket ? journal : socket;
    int high = journal > socket ? journal : socket;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}); /* crashes are part of the exercise */
    close_between(STDERR_FILENO + 1, low - 1);
    close_between(low + 1, high - 1);
    close_range((unsigned)high + 1, ~0U, 0);
}

static int64_t own_cpu_us(void)
{
    struct timespec cpu;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    return (int64_t)cpu.tv_sec * 1000000 + cpu.tv_nsec / NSEC_PER_USEC;
}

/* The second number of /proc/self/statm is the resident set, in pages. */
static double resident_mib(int statm)
{
    char text[128];
    long pages = 0;
    ssize_t n = pread(statm, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = 0;
    sscanf(text, "%*d %ld", &pages);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

static bool say(int socket, int statm, const struct job *job)
{
    struct performer_report report = {.digest = job->digest,
                                      .error = job->error,
                                      .step = job->next,
                                      .cpu_us = own_cpu_us(),
                                      .resident_mib = resident_mib(statm)};
    return send(socket, &report, sizeof report, MSG_NOSIGNAL) == sizeof report;
}

/* The next program, and its message if it has one, which is in `order`. False: there is none. */
static bool take(int socket, struct order *order, struct job *job, struct client_message *message)
{
    ssize_t n = recv(socket, order, sizeof *order, 0);
    ssize_t text_len = n - (ssize_t)offsetof(struct order, text);
    if (text_len < 0)
        return false;
    size_t id_len = order->about.id_len;
    *message = (struct client_message){
        .opcode = order->about.opcode,
        .id = {order->text, id_len},
        .payload = {order->text + id_len, (size_t)text_len - id_len},
    };
    job->program = order->program;
    job->message = id_len ? message : NULL;
    return true;
}

static _Noreturn void perform(struct service *service, const struct performer_manner *manner,
                              int socket)
{
    struct timespec start_up = {manner->start_up_ns / NSEC_PER_SEC,
                                manner->start_up_ns % NSEC_PER_SEC};
    struct job job = {.calibration = &service->calibration,
                      .disk = &service->disk,
                      .upstream = &service->calls.upstream,
                      .database = &service->calls.database,
                      .market = &service->market,
                      .counters = counters_claim(service->counters)};
    isolate(socket, service->market.journal.fd);
    upstream_turns_init(&service->calls.turns); /* no loop closes connections here: see discard() */
    int statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    nanosleep(&start_up, NULL);
    bool heard = say(socket, statm, &job);
    struct client_message message;
    struct order order;
    while (heard && take(socket, &order, &job, &message)) {
        if ((int)arc4random_uniform(100) < manner->crash_percent)
            abort();
        job_start(&job, WAIT_NONE);
        heard = say(socket, statm, &job);
    }
    _exit(0);
}

/* --- the parent ------------------------------------------------------------------------------- */

bool performer_start(struct performer *performer, struct service *service,
                     const struct performer_manner *manner)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        return false;
    pid_t pid = fork();
    if (pid == 0)
        perform(service, manner, pair[1]);
    close(pair[1]);
    if (pid < 0)
        close(pair[0]);
    else
        *performer = (struct performer){.pid = pid, .socket = pair[0]};
    return pid > 0;
}

bool performer_give(const struct performer *performer, const struct program *program,
                    const struct client_message *message)
{
    _Static_assert(offsetof(struct order, about) == sizeof *program, "no gap between the parts");
    static const struct client_message none = {0};
    const struct client_message *sent = message ? message : &none;
    struct about_message about = {.id_len = sent->id.len, .opcode = sent->opcode};
    struct iovec parts[] = {{(void *)program, sizeof *program},
                            {&about, sizeof about},
                            {sent->id.data, sent->id.len},
                            {sent->payload.data, sent->payload.len}};
    struct msghdr whole = {.msg_iov = parts, .msg_iovlen = message ? 4 : 2};
    return sendmsg(performer->socket, &whole, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

enum performer_word performer_hear(const struct performer *performer,
                                   struct performer_report *report)
{
    ssize_t n = recv(performer->socket, report, sizeof *report, MSG_DONTWAIT);
    if (n == sizeof *report)
        return PERFORMER_REPORT;
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? PERFORMER_SILENT : PERFORMER_GONE;
}

void performer_kill(const struct performer *performer)
{
    kill(performer->pid, SIGKILL);
}

void performer_reap(struct performer *performer, struct rusage *usage)
{
    close(performer->socket);
    while (wait4(performer->pid, NULL, 0, usage) < 0 && errno == EINTR) {
    }
    performer->pid = 0;
}

int64_t performer_cpu_us(const struct rusage *usage)
{
    return (int64_t)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000 +
           usage->ru_utime.tv_usec + usage->ru_stime.tv_usec;
}
