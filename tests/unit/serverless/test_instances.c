/* Processes that perform programs: what they report, what they cost, and how they end. */
#include "servers/serverless/instances.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PLACES = 3 };

static struct service service;
static struct counter_slot *slot;
static struct instances instances;
static struct function function;

static void setup(void)
{
    struct performer_manner manner = {.start_up_ns = 20 * NSEC_PER_MSEC};
    service = (struct service){.calibration = {.units_per_ms = {100, 100, 100, 100}},
                               .counters = counters_create(NULL)};
    slot = counters_claim(service.counters);
    disk_init(&service.disk, "/nowhere/disk.data");
    instances_init(&instances, &service, slot, PLACES);
    function_init(&function, "f", &manner);
}

static void cleanup(void)
{
    instances_end_all(&instances);
    cr_assert(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD, "a child is left");
    cr_assert_eq(counters_sum(service.counters, COUNTER_workers), 0);
}

TestSuite(instances, .init = setup, .fini = cleanup, .timeout = 30);

/* The next news; fails when there is none for ten seconds. */
static struct news await(void)
{
    struct pollfd pollfd = {.fd = instances.fd, .events = POLLIN};
    struct news news;
    while ((news = instances_next(&instances)).kind == NEWS_NONE)
        cr_assert_eq(poll(&pollfd, 1, 10000), 1, "no news");
    return news;
}

static struct program program_of(const char *target)
{
    struct program program;
    const char *reason;
    cr_assert(program_parse(&program, target, strlen(target), &reason), "%s", target);
    return program;
}

static struct instance *started(void)
{
    cr_assert(instances_start(&instances, &function));
    cr_assert_eq(function.starting, 1);
    struct news news = await();
    cr_assert_eq(news.kind, NEWS_READY);
    cr_assert_eq(news.function, &function);
    cr_assert_null(news.task);
    cr_assert_eq(news.instance->state, INSTANCE_IDLE);
    cr_assert_eq(function.starting, 0);
    return news.instance;
}

Test(instances, perform_programs_and_report)
{
    struct program program = program_of("/work?cpu=hash:2ms&io=timer:5ms");
    int task;
    struct instance *instance = started();
    for (int i = 1; i <= 3; i++) {
        cr_assert(instances_give(&function, &program, NULL, &task));
        cr_assert(LIST_EMPTY(&function.idle));
        struct news news = await();
        cr_assert_eq(news.kind, NEWS_DONE);
        cr_assert(news.instance == instance && news.task == &task && !news.report.error);
        cr_assert_eq(news.report.digest, program_digest(&program, &service.calibration));
        cr_assert_eq(function.account[ACCOUNT_invocations], i);
        cr_assert_geq(function.account[ACCOUNT_billed_us], i * 5000);
    }
    cr_assert_eq(function.account[ACCOUNT_cold_starts], 1);
    cr_assert_geq(function.account[ACCOUNT_cold_start_us], 20000);
    cr_assert_gt(function.account[ACCOUNT_instance_cpu_us], 0);
    cr_assert_eq(counters_sum(service.counters, COUNTER_crashed), 0);
}

Test(instances, tell_of_a_step_that_failed)
{
    struct program program = program_of("/work?io=disk:4096");
    started();
    cr_assert(instances_give(&function, &program, NULL, &program));
    struct news news = await();
    cr_assert_eq(news.kind, NEWS_DONE);
    cr_assert_eq(news.report.error, -ENOENT);
}

Test(instances, one_that_dies_gives_its_task_back)
{
    struct program program = program_of("/work?io=timer:50s");
    int task;
    struct instance *instance = started();
    cr_assert(instances_give(&function, &program, NULL, &task));
    kill(instance->performer.pid, SIGKILL);
    struct news news = await();
    cr_assert(news.kind == NEWS_CRASHED && news.task == &task);
    cr_assert(function.alive == 0 && instances.taken == 0 && instances.clearing == 0);
    cr_assert_gt(function.account[ACCOUNT_billed_us], 0);
    cr_assert_eq(counters_sum(service.counters, COUNTER_crashed), 1);
}

Test(instances, one_that_dies_while_it_idles_takes_no_task)
{
    struct program program = program_of("/work");
    siginfo_t info;
    struct instance *instance = started();
    cr_assert(instances_give(&function, &program, NULL, &program));
    cr_assert_eq(await().kind, NEWS_DONE);
    kill(instance->performer.pid, SIGKILL);
    waitid(P_PID, (id_t)instance->performer.pid, &info, WEXITED | WNOWAIT);
    cr_assert(!instances_give(&function, &program, NULL, &program));
    cr_assert(LIST_EMPTY(&function.idle));
    struct news news = await();
    cr_assert(news.kind == NEWS_CRASHED && !news.task);
    cr_assert_eq(function.account[ACCOUNT_invocations], 1);
}

Test(instances, an_ended_one_is_no_crash)
{
    struct program slow = program_of("/work?io=timer:50s");
    int task;
    struct instance *instance = started();
    instances_end(&instances, instance);
    cr_assert(instances.clearing == 1 && instances.taken == 1 && LIST_EMPTY(&function.idle));
    struct news news = await();
    cr_assert(news.kind == NEWS_ENDED && !news.task);
    instance = started();
    cr_assert(instances_give(&function, &slow, NULL, &task));
    usleep(30000);
    instances_end(&instances, instance);
    news = await();
    cr_assert(news.kind == NEWS_ENDED && news.task == &task);
    cr_assert_geq(function.account[ACCOUNT_billed_us], 30000);
    cr_assert_eq(counters_sum(service.counters, COUNTER_crashed), 0);
    cr_assert_eq(counters_sum(service.counters, COUNTER_spawned), 2);
}

Test(instances, leave_signals_to_the_parent)
{
    struct program program = program_of("/work?io=timer:100ms");
    struct instance *instance = started();
    cr_assert(instances_give(&function, &program, NULL, &program));
    kill(instance->performer.pid, SIGTERM);
    kill(instance->performer.pid, SIGINT);
    cr_assert_eq(await().kind, NEWS_DONE);
}

Test(instances, places_are_used_again)
{
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < PLACES; i++)
            cr_assert(instances_start(&instances, &function));
        cr_assert_eq(function.starting, PLACES);
        for (int i = 0; i < PLACES; i++)
            cr_assert_eq(await().kind, NEWS_READY);
        for (int i = 0; i < PLACES; i++)
            instances_end(&instances, &instances.place[i]);
        for (int i = 0; i < PLACES; i++)
            cr_assert_eq(await().kind, NEWS_ENDED);
        cr_assert(instances.taken == 0 && instances.clearing == 0 && function.alive == 0);
    }
}

Test(instances, a_crash_can_be_had)
{
    struct program program = program_of("/work");
    function.manner.crash_percent = 100;
    started();
    cr_assert(instances_give(&function, &program, NULL, &program));
    cr_assert_eq(await().kind, NEWS_CRASHED);
}

Test(instances, memory_costs_as_long_as_they_live)
{
    started();
    double resident_mib = LIST_FIRST(&function.idle)->resident_mib;
    cr_assert_gt(resident_mib, 0.1);
    int64_t begin_ns = now_ns();
    instances_charge(&instances);
    double before = function.account[ACCOUNT_instance_memory_mib_ms];
    usleep(50000);
    instances_charge(&instances);
    double mib_ms = function.account[ACCOUNT_instance_memory_mib_ms] - before;
    cr_assert_geq(mib_ms, 49 * resident_mib);
    cr_assert_leq(mib_ms, (double)(now_ns() - begin_ns) / NSEC_PER_MSEC * resident_mib);
}

Test(instances, others_may_be_watched)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    instances_watch(&instances, ends[0]);
    cr_assert_eq(instances_next(&instances).kind, NEWS_NONE);
    cr_assert_eq(write(ends[1], "x", 1), 1);
    cr_assert_eq(await().kind, NEWS_OTHER);
    cr_assert_eq(instances_next(&instances).kind, NEWS_NONE); /* the others' turn */
    cr_assert_eq(await().kind, NEWS_OTHER);
}
