#include "cell/group.h"
#include "common/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Deaf to what asks the cell to stop: the guard goes last. */
static _Noreturn void guard(int leash)
{
    char nothing;
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    prctl(PR_SET_NAME, "cell-guard");
    while (read(leash, &nothing, 1) < 0 && errno == EINTR)
        ;
    kill(0, SIGKILL);
    _exit(1);
}

void group_open(struct group *group)
{
    int leash[2];
    if (pipe2(leash, O_CLOEXEC) || prctl(PR_SET_CHILD_SUBREAPER, 1))
        die_errno("cannot prepare a guard");
    group->guard = fork();
    if (group->guard < 0)
        die_errno("cannot start the guard");
    if (group->guard == 0) {
        setpgid(0, 0);
        close(leash[1]);
        guard(leash[0]);
    }
    setpgid(group->guard, group->guard); /* in both, so that it holds for whoever goes on first */
    close(leash[0]);
    group->leash = leash[1];
}

static _Noreturn void become(const struct group *group, const struct command *command)
{
    sigset_t none;
    sigemptyset(&none);
    if (command->cgroup)
        cgroup_join(command->cgroup);
    int input = open("/dev/null", O_RDONLY);
    if (setpgid(0, group->guard) || sched_setaffinity(0, sizeof command->cores, &command->cores) ||
        dup2(input, STDIN_FILENO) < 0 || dup2(command->out, STDOUT_FILENO) < 0 ||
        dup2(command->err, STDERR_FILENO) < 0 ||
        (command->keep >= 0 && fcntl(command->keep, F_SETFD, 0))) {
        dprintf(command->err, "cannot set up %s: %s\n", command->argv[0], strerror(errno));
        _exit(127);
    }
    sigprocmask(SIG_SETMASK, &none, NULL);
    execv(command->argv[0], command->argv);
    dprintf(STDERR_FILENO, "cannot execute %s: %s\n", command->argv[0], strerror(errno));
    _exit(127);
}

pid_t group_start(const struct group *group, const struct command *command)
{
    pid_t pid = fork();
    if (pid < 0)
        die_errno("cannot start %s", command->argv[0]);
    if (pid == 0)
        become(group, command);
    setpgid(pid, group->guard); /* in both: a group_close() that comes at once must meet it */
    return pid;
}

void group_close(struct group *group)
{
    kill(-group->guard, SIGKILL);
    /* Orphans of the group come to us, the nearest subreaper, so that none is still dying later. */
    while (waitpid(-group->guard, NULL, 0) > 0 || errno == EINTR)
        ;
    close(group->leash);
}
