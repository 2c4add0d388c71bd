/* Two pools of one process: each has its bound and its counters; a loop hears of both at one place. */
#include "tests/unit/common/scripted_upstream.h"

#include "common/upstream/calls.h"

TestSuite(pools, .init = setup, .timeout = 60);

static struct upstream_pool stand_in;

static void open_both(int64_t timeout_ns)
{
    open_pool(1, timeout_ns);
    upstream_init_stand_in(&stand_in, &pool, 1, timeout_ns);
}

static void begin_in(struct upstream_pool *where, struct upstream_call *call)
{
    struct upstream_command wait = {.verb = UPSTREAM_WAIT, .duration_ns = 50 * NSEC_PER_MSEC};
    upstream_begin(call, where, slot, wait);
}

/* Two calls in each pool, of which one has the only connection. */
static void take_both(struct upstream_call first[2], struct upstream_call second[2], int *fd,
                      int *other)
{
    for (int i = 0; i < 2; i++) {
        begin_in(&pool, &first[i]);
        begin_in(&stand_in, &second[i]);
    }
    go_to_reply(&first[0]);
    *fd = take_connection();
    go_to_reply(&second[0]);
    *other = take_connection();
}

static void answer(int fd, struct upstream_call *call)
{
    expect(fd, BLPOP_50MS);
    say(fd, NIL);
    cr_assert_eq(go_on(call), 0);
}

Test(pools, each_has_its_bound)
{
    struct upstream_call first[2], second[2];
    int fd, other;
    open_both(10 * NSEC_PER_SEC);
    take_both(first, second, &fd, &other);
    cr_assert_eq(upstream_advance(&first[1]), -EAGAIN);
    cr_assert_eq(upstream_advance(&second[1]), -EAGAIN);
    answer(other, &second[0]);
    cr_assert_eq(upstream_advance(&first[1]), -EAGAIN);
    cr_assert_lt(upstream_fd(&first[1]), 0, "what is free in one pool is nothing to the other");
    go_to_reply(&second[1]);
    answer(other, &second[1]);
    answer(fd, &first[0]);
    go_to_reply(&first[1]);
    answer(fd, &first[1]);
    cr_assert(!is_readable(listener, 0), "a third connection");
}

Test(pools, a_loop_hears_of_both_at_one_place)
{
    struct upstream_call first[2], second[2];
    eventfd_t told;
    int fd, other;
    open_both(10 * NSEC_PER_SEC);
    int grants = upstream_grants_fd(&turns);
    take_both(first, second, &fd, &other);
    cr_assert(upstream_watch_turn(&first[1]) && upstream_watch_turn(&second[1]));
    answer(other, &second[0]);
    answer(fd, &first[0]);
    cr_assert(is_readable(grants, 0));
    eventfd_read(grants, &told);
    cr_assert_eq(upstream_next_granted(&turns), &second[1]);
    cr_assert_eq(upstream_next_granted(&turns), &first[1]);
    cr_assert_null(upstream_next_granted(&turns));
    go_to_reply(&first[1]);
    go_to_reply(&second[1]);
    int fds[] = {upstream_fd(&first[1]), upstream_fd(&second[1])};
    upstream_abandon(&first[1]);
    upstream_abandon(&second[1]);
    cr_assert(is_readable(grants, 0));
    cr_assert_null(upstream_next_granted(&turns));
    for (int i = 0; i < 2; i++)
        cr_assert_eq(fcntl(fds[i], F_GETFD), -1, "discarded, and closed by the loop");
}

Test(pools, each_has_its_counters)
{
    struct upstream_call call;
    open_both(100 * NSEC_PER_MSEC);
    begin_in(&stand_in, &call);
    go_to_reply(&call);
    int fd = take_connection();
    usleep(20000);
    answer(fd, &call);
    begin_in(&stand_in, &call);
    go_to_reply(&call);
    expect(fd, BLPOP_50MS);
    say(fd, "-ERR no\r\n");
    cr_assert_eq(go_on(&call), -EREMOTEIO);
    begin_in(&stand_in, &call);
    cr_assert_eq(upstream_perform(&call), -ETIMEDOUT);
    cr_assert_eq(counted(COUNTER_database_calls), 3);
    cr_assert_eq(counted(COUNTER_database_connects), 1);
    cr_assert_eq(counted(COUNTER_database_failed), 1);
    cr_assert_eq(counted(COUNTER_database_late), 1);
    cr_assert_eq(counted(COUNTER_database_waits), 0);
    int64_t busy_us = counted(COUNTER_database_busy_us);
    cr_assert_geq(busy_us, 120000, "%lld", (long long)busy_us);
    cr_assert_lt(busy_us, 3000000);
    for (enum counter c = COUNTER_upstream_calls; c <= COUNTER_upstream_late; c++)
        cr_assert_eq(counted(c), 0, "%s", counter_name(c));
}

/* Connections in use on average over a second: a call counts from the moment it has one. */
Test(pools, a_call_in_turn_is_not_busy)
{
    struct upstream_call call[2];
    open_both(10 * NSEC_PER_SEC);
    begin_in(&stand_in, &call[0]);
    begin_in(&stand_in, &call[1]);
    go_to_reply(&call[0]);
    int fd = take_connection();
    usleep(50000);
    answer(fd, &call[0]);
    go_to_reply(&call[1]);
    answer(fd, &call[1]);
    cr_assert_eq(counted(COUNTER_database_waits), 1);
    cr_assert_geq(counted(COUNTER_database_wait_us), 50000);
    cr_assert_geq(counted(COUNTER_database_busy_us), 50000);
    cr_assert_lt(counted(COUNTER_database_busy_us), 90000);
}

/* --- a job ------------------------------------------------------------------------------------ */

static void read_program(struct job *job, const char *target)
{
    const char *reason;
    cr_assert(program_parse(&job->program, target, strlen(target), &reason), "%s", reason);
}

Test(pools, a_statement_without_a_database_is_a_wait)
{
    struct statements statements;
    char error[256];
    struct job job = {.upstream = &pool, .database = &stand_in, .counters = slot};
    open_both(10 * NSEC_PER_SEC);
    cr_assert(statements_parse(&statements, "a.sql",
                               must_strdup("-- name: a stand-in: 50ms\nselect $1\n"
                                           "-- name: b\nselect 1\n"),
                               error, sizeof error));
    stand_in.statements = &statements;
    read_program(&job, "/work?io=sql:a:x&io=sql:b&io=timer:1ms");
    cr_assert_eq(job_start(&job, WAIT_UPSTREAM | WAIT_TIMER), WAIT_UPSTREAM);
    int fd = take_connection();
    while (job_wait_events(&job) == POLLOUT)
        cr_assert_eq(job_resume(&job, 0), WAIT_UPSTREAM);
    expect(fd, BLPOP_50MS);
    say(fd, NIL);
    cr_assert(is_readable(job_wait_fd(&job), PATIENCE_MS));
    cr_assert_eq(job_resume(&job, 0), WAIT_UPSTREAM);
    expect(fd, "*1\r\n$4\r\nPING\r\n");
    say(fd, "+PONG\r\n");
    cr_assert(is_readable(job_wait_fd(&job), PATIENCE_MS));
    cr_assert_eq(job_resume(&job, 0), WAIT_TIMER);
    cr_assert_eq(job_resume(&job, 0), WAIT_NONE);
    cr_assert_eq(job.error, 0);
    cr_assert_eq(counted(COUNTER_database_calls), 2);
    statements_free(&statements);
}

Test(pools, a_statement_that_is_not_there_fails_its_step)
{
    struct job job = {.upstream = &pool, .database = &stand_in, .counters = slot};
    open_both(10 * NSEC_PER_SEC);
    read_program(&job, "/work?io=timer:1ms&io=sql:a&io=timer:60s");
    cr_assert_eq(job_start(&job, WAIT_NONE), WAIT_NONE);
    cr_assert_eq(job.error, -ENOENT);
    cr_assert_eq(job.next, 1);
    cr_assert_eq(counted(COUNTER_database_calls), 0);
}

/* --- all of a process -------------------------------------------------------------------------- */

Test(pools, timeouts_are_longer_than_nothing, .exit_code = 2)
{
    struct calls calls;
    struct call_options options = call_options_default();
    options.database_ns = 0;
    calls_init(&calls, &options);
}

Test(pools, statements_are_read_with_and_without_a_database)
{
    struct calls calls;
    struct call_options options = call_options_default();
    options.database = NULL;
    calls_init(&calls, &options);
    cr_assert_null(calls.database.statements);
    calls_free(&calls);

    char path[] = "/tmp/archbench-statements-XXXXXX";
    int fd = mkstemp(path);
    cr_assert_eq(write(fd, "-- name: a\nselect 1\n", 20), 20);
    close(fd);
    static const char *const databases[] = {NULL, "", "host=127.0.0.1 user=a dbname=b"};
    options.sql = path;
    for (int i = 0; i < 3; i++) {
        options.database = databases[i];
        calls_init(&calls, &options);
        cr_assert_eq(calls.database.protocol == calls.upstream.protocol, i < 2);
        cr_assert_eq(calls.database.statements->count, 1);
        cr_assert_eq(calls.database.limit, 50);
        calls_free(&calls);
    }
    unlink(path);
}
