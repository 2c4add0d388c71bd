/* proc: what a tree of processes has used, read from /proc. A process tree is a root and everything
 * descended from it; the difference of two samples is what the tree used in between. */
#ifndef ARCHBENCH_PROC_H
#define ARCHBENCH_PROC_H

#include "cell/system/host.h"

#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

/* Use so far. Monotonic for a tree whose dead children are reaped. */
struct proc_usage {
    int64_t at_ns;       /* when cpu_ns was read, on CLOCK_MONOTONIC */
    int64_t cpu_ns;      /* user + system, of the living, their dead threads and reaped children */
    int64_t voluntary;   /* context switches of the threads alive: see counters_retire for others */
    int64_t involuntary; /* preemptions, likewise */
    int64_t held_ns;     /* threads alive were ready to run without a core; the sum, in which more
                            than one counts at a time. -1: of so many threads nobody asks */
    int64_t others_ns;   /* CPU time of all processes of the host but this one and those below it,
                            to 10 ms for each that ran; what they had reaped is in it */
    int tasks;           /* threads of all processes */
};

/* Read the tree below `root`, root included. All zero when there is no such process. The CPU time
 * comes first and takes microseconds per process; the switches take longer, and cost
 * a file per thread. */
struct proc_usage proc_usage(pid_t root);

/* Bytes that the processes of the tree had fetched from disks, or sent there. */
int64_t proc_disk_bytes(pid_t root);

/* The child of `parent` that was started last and has not ended; 0: it has none. */
pid_t proc_youngest_child(pid_t parent);
/* The same of the one that was started first. */
pid_t proc_oldest_child(pid_t parent);

/* CPU time of the whole tree; what was reaped to 10 ms. */
int64_t proc_tree_cpu_ns(pid_t root);

/* CPU time of this process alone, its dead threads included, to the nanosecond; 0: there is none. */
int64_t proc_cpu_ns(pid_t);
/* The same of one that has been waited for. */
int64_t proc_rusage_cpu_ns(const struct rusage *);

/* Memory now, in KiB. */
struct proc_memory {
    int64_t user_kb;             /* PSS: pages shared by n processes count 1/n for each */
    int64_t page_tables_kb;      /* VmPTE */
    int64_t kernel_stacks_kb;    /* one fixed-size stack per task */
    struct host_sockets sockets; /* of the whole host */
    int time_waits;              /* host_time_waits(), then */
};

struct proc_memory proc_memory(pid_t root);

#endif
