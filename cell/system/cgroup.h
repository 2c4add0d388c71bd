/* cgroup: what a program's whole tree of processes used, as the kernel adds it up itself: CPU time
 * and the peak of memory, with what /proc does not tell of single processes (kernel memory,
 * sockets, pages of files; processes that ended unseen). Beside proc.h, where the system lets us
 * have it: cgroup v2 with a folder that we may write to; for memory with its controller there, or
 * with that of v1 (a hybrid system). docs/method.md tells how the two sums differ.
 *
 * The folder is archbench.PID.NAME, beside that of this process (controllers are enabled there if
 * anywhere), or in it. It is removed at the end; one that was left behind by a cell that was killed
 * is removed by the next. */
#ifndef ARCHBENCH_CGROUP_H
#define ARCHBENCH_CGROUP_H

#include <stdint.h>

struct cgroup {
    char unified[512], memory[512]; /* folders; empty: there is none */
};

/* Make the folders for `name`, as far as we are let. */
void cgroup_open(struct cgroup *, const char *name);
/* In a child before it executes its program: enter them, with all that it starts. */
void cgroup_join(const struct cgroup *);
/* All processes in it have ended. */
void cgroup_close(struct cgroup *);

/* CPU time of the tree so far, user and system, in nanoseconds; -1: not known. */
int64_t cgroup_cpu_ns(const struct cgroup *);
/* The most memory that it has had at a time, in KiB; -1: not known. */
int64_t cgroup_memory_peak_kb(const struct cgroup *);

#endif
