/* Tests of cell/memory.c: what connections weigh is said where it can be weighed, and refused where
 * something else may have changed the scales. */
#include "cell/memory.h"
#include "common/base/util.h"

#include <criterion/criterion.h>

static const char *const SOCKETS = "memory_sockets_kb_per_connection";
static const char *const TOTAL = "memory_total_kb_per_connection";

/* A trial whose `connections` took sockets_kb and stacks_kb, and nothing came in between. */
static struct trial make(int connections, int64_t sockets_kb, int64_t stacks_kb)
{
    struct trial trial = {.memory_at_rest = true, .refused = json_object()};
    trial.end.counter[COUNTER_connections] = connections + 7;
    trial.end.counter[COUNTER_closed] = 7;
    trial.before = (struct proc_memory){.user_kb = 900, .sockets.kb = 40000, .time_waits = 50};
    trial.during = (struct proc_memory){.user_kb = 900,
                                        .kernel_stacks_kb = stacks_kb,
                                        .sockets.kb = 40000 + sockets_kb,
                                        .time_waits = 50};
    return trial;
}

static void expect_refused(struct trial *trial, bool sockets, bool total, const char *what)
{
    memory_judge(trial);
    cr_expect_eq(json_object_get(trial->refused, SOCKETS) != NULL, sockets, "%s", what);
    cr_expect_eq(json_object_get(trial->refused, TOTAL) != NULL, total, "%s", what);
    trial_free(trial);
}

Test(memory, growth_of_each_kind)
{
    struct trial trial = make(1000, 6000, 16000);
    struct memory_growth grown = memory_growth(&trial);
    cr_expect_eq(grown.connections, 1000);
    cr_expect_float_eq(grown.user, 0, 1e-9);
    cr_expect_float_eq(grown.sockets, 6000, 1e-9);
    cr_expect_float_eq(grown.kernel_stacks, 16000, 1e-9);
    cr_expect_float_eq(grown.total, 22000, 1e-9);
    cr_expect(grown.sockets_weighed && grown.total_weighed);
    expect_refused(&trial, false, false, "a quiet trial");
}

/* The kernel's own ups and downs are as much as the sockets of a few connections, however much that
 * seems to be; but not as much as the stacks of their threads. */
Test(memory, few_connections_are_not_weighed)
{
    struct trial few = make(64, 4000, 0), threads = make(128, 900, 2048);
    struct memory_growth grown = memory_growth(&few), grown_threads = memory_growth(&threads);
    cr_expect_not(grown.sockets_weighed || grown.total_weighed);
    cr_expect(!grown_threads.sockets_weighed && grown_threads.total_weighed);
    few.during.time_waits = 20000;
    expect_refused(&few, false, false, "what is not said cannot be refused");
    trial_free(&threads);
}

Test(memory, sockets_that_wait)
{
    struct trial gone = make(1000, 6000, 0), came = make(1000, 6000, 0), few = make(1000, 6000, 0);
    gone.before.time_waits = 1100;
    expect_refused(&gone, true, true, "1,050 gone are 0.6 MiB of 6");
    came.during.time_waits = 1100;
    expect_refused(&came, true, true, "as many that came");
    few.before.time_waits = 950;
    expect_refused(&few, false, false, "900 gone are 0.5 MiB of 6");
    struct trial stacks = make(1000, 6000, 16000);
    stacks.before.time_waits = 1100;
    expect_refused(&stacks, true, false, "0.6 MiB of 22");
}

Test(memory, buffers_that_the_kernel_does_not_count_exactly)
{
    struct trial many = make(10000, 90000, 0), few = make(1000, 9000, 0);
    many.during.sockets.unsure_kb = few.during.sockets.unsure_kb = 2048;
    expect_refused(&many, false, false, "2 MiB of 88");
    expect_refused(&few, true, true, "2 MiB of 9");
}

Test(memory, less_than_the_sockets_take)
{
    struct trial negative = make(1000, -8000, 0), little = make(1000, 3900, 0);
    expect_refused(&negative, true, true, "memory cannot have shrunk");
    expect_refused(&little, true, true, "two sockets take more");
    struct trial enough = make(1000, 4100, 0), stacks = make(1000, 3900, 64000);
    expect_refused(&enough, false, false, "two sockets take so much");
    expect_refused(&stacks, true, false, "of 68 MiB, 6 are less than a tenth");
}

Test(memory, a_kernel_that_is_busy)
{
    struct trial busy = make(1000, 6000, 0), few = make(10, 60, 0);
    busy.memory_at_rest = few.memory_at_rest = false;
    expect_refused(&busy, true, true, "it may still give back");
    expect_refused(&few, false, false, "nothing was said");
}
