#include "common/work/task_cost.h"

#include <criterion/criterion.h>
#include <sched.h>

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
enum { SHADOW = 64 }; /* sanitizers have memory of their own for each page of ours */
#else
enum { SHADOW = 1 };
#endif

/* Wide bounds, which hold on any machine: what they exclude is a wrong unit, a forgotten part, and
 * a thread taken for a process. */
Test(task_cost, threads)
{
    struct task_cost thread = task_cost(false);
    cr_assert_geq(thread.wait_us, 0.3, "%g", thread.wait_us);
    cr_assert_leq(thread.wait_us, 300, "%g", thread.wait_us);
    cr_assert_geq(thread.memory_kib, KERNEL_STACK_KIB + 4, "a stack: %g", thread.memory_kib);
    cr_assert_leq(thread.memory_kib, KERNEL_STACK_KIB + 64 * SHADOW, "%g", thread.memory_kib);
}

Test(task_cost, processes_have_an_address_space_each)
{
    struct task_cost thread = task_cost(false), process = task_cost(true);
    cr_assert_geq(process.wait_us, 0.3, "%g", process.wait_us);
    cr_assert_leq(process.wait_us, 300, "%g", process.wait_us);
    cr_assert_geq(process.memory_kib, thread.memory_kib + 16, "%g", process.memory_kib);
    cr_assert_leq(process.memory_kib, 1024 * SHADOW, "%g", process.memory_kib);
}

Test(task_cost, leaves_the_caller_where_it_was)
{
    cpu_set_t before, after;
    sched_getaffinity(0, sizeof before, &before);
    task_cost(false);
    sched_getaffinity(0, sizeof after, &after);
    cr_assert(CPU_EQUAL(&before, &after));
}
