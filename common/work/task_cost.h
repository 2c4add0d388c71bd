/* task_cost: what a thread or process for each connection costs, for the calibration. */
#ifndef ARCHBENCH_TASK_COST_H
#define ARCHBENCH_TASK_COST_H

#include <stdbool.h>

/* Of each task: THREAD_SIZE of x86-64 and arm64. /proc/meminfo has the sum for the host, but in
 * batches per core, too coarse to tell a few threads. */
enum { KERNEL_STACK_KIB = 16 };

/* Of one among hundreds, all on one core, which sleep for some milliseconds again and again. All
 * zero when so many cannot be started. */
struct task_cost {
    /* CPU microseconds, in kernel and program, of a wait: going to sleep, the switch to another,
     * waking up with caches that others have used since. */
    double wait_us;
    double memory_kib; /* pages that it alone has, page tables, kernel stack */
};

/* `processes`: with an address space each; else threads that share one. Takes half a second. */
struct task_cost task_cost(bool processes);

#endif
