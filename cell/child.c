#include "cell/run.h"
#include "common/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

static const int64_t READY_LIMIT_NS = 10 * NSEC_PER_SEC;
static const int64_t END_LIMIT_NS = 15 * NSEC_PER_SEC; /* after SIGTERM */

void run_add_reason(struct run *run, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    json_array_append_new(run->trial->reasons, json_vsprintf(format, arguments));
    va_end(arguments);
}

int run_open_log(const struct run *run, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", run->setup->folder, name);
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
            run_add_reason(run, "%s.log could not be written", child->name);
        child->said_len += (size_t)n;
        child->said[child->said_len] = 0;
    }
    close(child->out);
    child->out = -1;
}

enum { CHILDREN = 2 + COMPONENTS };

/* The server first. */
static struct child *child_number(struct run *run, int number)
{
    if (number < 2)
        return number ? &run->upstream : &run->server;
    return &run->component[number - 2];
}

/* Something to look at beside `wanted`. The same twice might be seen ready only the second time. */
static struct pollfd beside(int wanted, int fd)
{
    return (struct pollfd){fd == wanted ? -1 : fd, POLLIN, 0};
}

/* All that have said something are heard; the first that has ended is returned, or NULL. */
static struct child *look_after_children(struct run *run, const struct pollfd *outputs,
                                         const struct pollfd *ends)
{
    struct child *ended = NULL;
    for (int i = 0; i < CHILDREN; i++) {
        if (outputs[i].revents)
            hear(run, child_number(run, i));
        if (ends[i].revents && !ended)
            ended = child_number(run, i);
    }
    return ended;
}

enum outcome run_await(struct run *run, int wanted, int64_t deadline_ns)
{
    enum { WANTED, SIGNALS, OUTPUTS, ENDS = OUTPUTS + CHILDREN, COUNT = ENDS + CHILDREN };
    for (int64_t left; (left = deadline_ns - now_ns()) > 0;) {
        struct pollfd polled[COUNT] = {
            [WANTED] = {wanted, POLLIN, 0}, [SIGNALS] = {run->setup->signals, POLLIN, 0}};
        for (int i = 0; i < CHILDREN; i++) {
            polled[OUTPUTS + i] = beside(wanted, child_number(run, i)->out);
            polled[ENDS + i] = beside(wanted, child_number(run, i)->end);
        }
        if (poll(polled, COUNT, (int)(left / NSEC_PER_MSEC) + 1) < 0)
            continue;
        if (polled[SIGNALS].revents)
            return OUTCOME_INTERRUPTED;
        struct child *ended = look_after_children(run, polled + OUTPUTS, polled + ENDS);
        if (polled[WANTED].revents)
            return OUTCOME_OK;
        run->ended = ended;
        if (ended)
            return ended == &run->server ? OUTCOME_SERVER_ENDED : OUTCOME_OTHER_ENDED;
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

bool run_went_well(struct run *run, enum outcome outcome, const char *late)
{
    struct signalfd_siginfo info = {0};
    switch (outcome) {
    case OUTCOME_OK: return true;
    case OUTCOME_LATE: run_add_reason(run, "%s", late); break;
    case OUTCOME_SERVER_ENDED:
        run_add_reason(run, "the server ended too early (see server.log)");
        break;
    case OUTCOME_OTHER_ENDED:
        run_add_reason(run, "the %s ended too early (see %s.log)", run->ended->name,
                       run->ended->name);
        forget_end(run->ended); /* the server is to be waited for all the same */
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

pid_t run_start(struct run *run, const json_t *list, struct command command)
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

bool child_start(struct run *run, struct child *child, const json_t *command, cpu_set_t cores,
                 int keep)
{
    int out[2];
    char log[32], late[64];
    snprintf(log, sizeof log, "%s.log", child->name);
    snprintf(late, sizeof late, "the %s did not say that it is ready", child->name);
    child->log = run_open_log(run, log);
    child->cores = cores;
    if (pipe2(out, O_CLOEXEC))
        die_errno("cannot make a pipe");
    fcntl(out[0], F_SETFL, O_NONBLOCK);
    child->out = out[0];
    child->pid = run_start(run, command,
                           (struct command){.cores = cores,
                                            .out = out[1],
                                            .err = child->log,
                                            .cgroup = &child->cgroup,
                                            .keep = keep});
    close(out[1]);
    child->end = pidfd_open(child->pid, 0);

    int64_t deadline = now_ns() + READY_LIMIT_NS;
    while (!find_port(child)) {
        if (!run_went_well(run, run_await(run, child->out, deadline), late))
            return false;
        hear(run, child);
    }
    return true;
}

void child_reap(struct run *run, struct child *child, struct rusage *usage)
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

int child_stop(struct run *run, struct child *child)
{
    char late[80];
    int status = 0;
    snprintf(late, sizeof late, "the %s did not end after SIGTERM and was killed", child->name);
    kill(child->pid, SIGTERM);
    if (child->end >= 0 &&
        !run_went_well(run, run_await(run, child->end, now_ns() + END_LIMIT_NS), late))
        kill(child->pid, SIGKILL);
    waitpid(child->pid, &status, 0);
    child->pid = 0;
    forget_end(child);
    if (child->out >= 0)
        hear(run, child);
    status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    if (status > 0)
        run_add_reason(run, "the %s ended with status %d (see %s.log)", child->name, status,
                       child->name);
    if (status < 0)
        run_add_reason(run, "the %s died of signal %d", child->name, -status);
    return status;
}

json_t *child_final(struct child *child)
{
    char *said = child->said;
    size_t len = strlen(said);
    while (len && said[len - 1] == '\n')
        said[--len] = 0;
    const char *line = strrchr(said, '\n');
    return json_loads(line ? line + 1 : said, 0, NULL);
}
