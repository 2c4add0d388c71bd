/* group: the programs of one cell, as one process group that cannot outlive the cell. Its leader is
 * a guard: a process that waits for its end of a pipe (the leash) to close, whatever ends the cell,
 * SIGKILL included, and then kills the group. As a member it keeps the group's number from being
 * reused, so the blow can hit nobody else. */
#ifndef ARCHBENCH_GROUP_H
#define ARCHBENCH_GROUP_H

#include "cell/system/cgroup.h"

#include <sched.h>
#include <sys/types.h>

struct group {
    pid_t guard; /* also the number of the group */
    int leash;   /* the writing end; nothing is ever written */
};

struct command {
    char *const *argv;           /* ends with NULL; argv[0] is the path */
    cpu_set_t cores;             /* where it may run */
    int out, err;                /* its stdout and stderr; stdin is /dev/null */
    const struct cgroup *cgroup; /* entered before it begins; NULL: that of the cell */
    int keep; /* one more descriptor that it inherits under the same number, or -1 */
};

/* Start the guard. Dies when it cannot. */
void group_open(struct group *);

/* Start a program in the group, with default signals. Returns its pid; the caller waits
 * for it. A program that cannot be executed ends with 127 and a line on `err`. */
pid_t group_start(const struct group *, const struct command *);

/* Kill whatever is left of the group and wait until all of it that is ours has ended. */
void group_close(struct group *);

#endif
