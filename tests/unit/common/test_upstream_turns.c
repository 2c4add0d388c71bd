/* Turns: which call waits for a connection of a bounded pool, and which gets it. */
#include "tests/unit/common/scripted_upstream.h"

TestSuite(upstream_turns, .init = setup, .timeout = 60);

/* `count` calls on a pool that has room for one. */
static int crowd(struct upstream_call *call, int count)
{
    for (int i = 0; i < count; i++) {
        begin(&call[i]);
        if (i)
            cr_assert_eq(upstream_advance(&call[i]), -EAGAIN);
        else
            go_to_reply(&call[i]);
        cr_assert_eq(upstream_fd(&call[i]) < 0, i > 0);
    }
    return take_connection();
}

static void answer(int fd, struct upstream_call *call)
{
    go_to_reply(call);
    expect(fd, BLPOP_50MS);
    say(fd, NIL);
    cr_assert_eq(go_on(call), 0);
}

Test(upstream_turns, the_pool_is_bounded_and_first_come_is_first_served)
{
    enum { CALLS = 5 };
    struct upstream_call call[CALLS];
    open_pool(1, 10 * NSEC_PER_SEC);
    int fd = crowd(call, CALLS);
    usleep(20000);
    for (int i = 0; i < CALLS; i++) {
        answer(fd, &call[i]);
        for (int later = i + 2; later < CALLS; later++)
            cr_assert_eq(upstream_advance(&call[later]), -EAGAIN);
    }
    cr_assert(!is_readable(listener, 0), "a second connection");
    cr_assert_eq(counted(COUNTER_upstream_waits), CALLS - 1);
    cr_assert_geq(counted(COUNTER_upstream_wait_us), (CALLS - 1) * 20000);
}

Test(upstream_turns, newcomers_do_not_overtake)
{
    struct upstream_call call[2], newcomer;
    open_pool(1, 10 * NSEC_PER_SEC);
    int fd = crowd(call, 2);
    answer(fd, &call[0]); /* granted to the second, who has not come to take it */
    begin(&newcomer);
    cr_assert_eq(upstream_advance(&newcomer), -EAGAIN);
    cr_assert_eq(upstream_fd(&newcomer), -1);
    answer(fd, &call[1]);
    answer(fd, &newcomer);
}

Test(upstream_turns, a_loop_is_told_of_turns_in_their_order)
{
    enum { CALLS = 4 };
    struct upstream_call call[CALLS];
    eventfd_t told;
    open_pool(1, 10 * NSEC_PER_SEC);
    int grants = upstream_grants_fd(&turns), fd = crowd(call, CALLS);
    for (int i = 1; i < CALLS; i++)
        cr_assert(upstream_watch_turn(&call[i]));
    for (int i = 0; i < CALLS; i++) {
        cr_assert_null(upstream_next_granted(&turns));
        cr_assert(!is_readable(grants, 0));
        answer(fd, &call[i]);
        if (i + 1 == CALLS)
            break;
        cr_assert(is_readable(grants, 0));
        eventfd_read(grants, &told);
        cr_assert_eq(upstream_next_granted(&turns), &call[i + 1]);
    }
}

Test(upstream_turns, a_turn_that_came_before_it_was_watched_is_not_told)
{
    struct upstream_call call[2];
    open_pool(1, 10 * NSEC_PER_SEC);
    int grants = upstream_grants_fd(&turns), fd = crowd(call, 2);
    answer(fd, &call[0]);
    cr_assert(!upstream_watch_turn(&call[1]));
    cr_assert(!is_readable(grants, 0));
    cr_assert_null(upstream_next_granted(&turns));
    answer(fd, &call[1]);
}

/* After its deadline a call may be another thread's: the loop must not be told of it. */
Test(upstream_turns, a_turn_that_is_no_longer_watched_is_not_told)
{
    struct upstream_call call[3];
    open_pool(1, 10 * NSEC_PER_SEC);
    upstream_grants_fd(&turns);
    int fd = crowd(call, 3);
    cr_assert(upstream_watch_turn(&call[1]) && upstream_watch_turn(&call[2]));
    upstream_unwatch_turn(&call[1]);
    answer(fd, &call[0]);
    cr_assert_null(upstream_next_granted(&turns), "unwatched before the grant");
    answer(fd, &call[1]);
    upstream_unwatch_turn(&call[2]);
    cr_assert_null(upstream_next_granted(&turns), "unwatched after the grant");
    answer(fd, &call[2]);
}

/* The deadline's timer may be first to have the call looked at. */
Test(upstream_turns, a_turn_that_was_taken_untold_is_not_told)
{
    struct upstream_call call[2];
    open_pool(1, 10 * NSEC_PER_SEC);
    upstream_grants_fd(&turns);
    int fd = crowd(call, 2);
    cr_assert(upstream_watch_turn(&call[1]));
    answer(fd, &call[0]);
    answer(fd, &call[1]);
    cr_assert_null(upstream_next_granted(&turns));
}

/* The right to connect is a turn like any other. */
Test(upstream_turns, a_connection_that_died_makes_room_for_the_next)
{
    struct upstream_call call[2];
    open_pool(1, 10 * NSEC_PER_SEC);
    int fd = crowd(call, 2);
    expect(fd, BLPOP_50MS);
    close(fd);
    cr_assert_eq(go_on(&call[0]), -ECONNRESET);
    go_to_reply(&call[1]);
    answer(take_connection(), &call[1]);
    cr_assert_eq(pool.open, 1);
}

/* --- giving up ------------------------------------------------------------------------------- */

Test(upstream_turns, who_gives_up_in_turn_is_passed_over)
{
    struct upstream_call call[4];
    open_pool(1, 10 * NSEC_PER_SEC);
    int fd = crowd(call, 4);
    upstream_abandon(&call[1]);
    answer(fd, &call[0]);
    cr_assert_eq(upstream_advance(&call[3]), -EAGAIN);
    cr_assert_lt(upstream_fd(&call[3]), 0);
    answer(fd, &call[2]);
    answer(fd, &call[3]);
    cr_assert_eq(upstream_advance(&call[1]), -ECANCELED);
}

Test(upstream_turns, who_gives_up_after_the_grant_passes_it_on)
{
    struct upstream_call call[5];
    open_pool(1, 10 * NSEC_PER_SEC);
    upstream_grants_fd(&turns);
    int fd = crowd(call, 5);
    cr_assert(upstream_watch_turn(&call[1]) && upstream_watch_turn(&call[2]));
    answer(fd, &call[0]);
    upstream_abandon(&call[1]); /* granted, and the loop has not looked yet */
    cr_assert_eq(upstream_next_granted(&turns), &call[2], "the first is off the list");
    upstream_abandon(&call[2]); /* told, and not taken */
    cr_assert_null(upstream_next_granted(&turns));
    upstream_abandon(&call[3]); /* nobody was to be told */
    answer(fd, &call[4]);
    cr_assert_eq(counted(COUNTER_upstream_connects), 1, "the connection was as good as before");
    upstream_abandon(&call[4]); /* over: nothing to give up */
    cr_assert_eq(upstream_advance(&call[4]), 0);
}

Test(upstream_turns, who_gives_up_on_a_connection_closes_it)
{
    struct upstream_call call[2];
    open_pool(1, 10 * NSEC_PER_SEC);
    int fd = crowd(call, 2);
    expect(fd, BLPOP_50MS);
    upstream_abandon(&call[0]);
    expect_end(fd);
    go_to_reply(&call[1]);
    answer(take_connection(), &call[1]);
}

/* A deadline that passes in turn: while it waits, and between the grant and its use. */
Test(upstream_turns, deadlines_hold_in_turn)
{
    struct upstream_call call[3];
    open_pool(1, 100 * NSEC_PER_MSEC);
    int fd = crowd(call, 2);
    call[0].deadline_ns += 60 * NSEC_PER_SEC;
    cr_assert_eq(upstream_perform(&call[1]), -ETIMEDOUT);
    begin(&call[1]);
    begin(&call[2]);
    call[2].deadline_ns += 60 * NSEC_PER_SEC;
    answer(fd, &call[0]);
    usleep(110000);
    cr_assert_eq(upstream_advance(&call[1]), -ETIMEDOUT);
    answer(fd, &call[2]);
    cr_assert_eq(counted(COUNTER_upstream_late), 2);
    cr_assert_eq(counted(COUNTER_upstream_connects), 1);
    cr_assert_eq(pool.open, 1);
}

/* --- asleep ---------------------------------------------------------------------------------- */

static void *call_many(void *failed)
{
    for (int i = 0; i < 50; i++) {
        struct upstream_call call;
        begin(&call);
        if (upstream_perform(&call))
            __atomic_fetch_add((int *)failed, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

/* Answer whatever comes on any of two connections until `commands` have come. */
static void serve(int commands)
{
    struct pollfd pollfd[3] = {{.fd = listener, .events = POLLIN}};
    int connections = 0;
    while (commands) {
        cr_assert_gt(poll(pollfd, 1 + (nfds_t)connections, PATIENCE_MS), 0);
        for (int i = 1; i <= connections; i++) {
            char command[sizeof BLPOP_50MS - 1];
            if (!(pollfd[i].revents & POLLIN))
                continue;
            cr_assert_eq(recv(pollfd[i].fd, command, sizeof command, MSG_WAITALL),
                         (ssize_t)sizeof command);
            say(pollfd[i].fd, NIL);
            commands--;
        }
        if (pollfd[0].revents) {
            cr_assert_lt(connections, 2, "a third connection");
            pollfd[++connections] = (struct pollfd){.fd = take_connection(), .events = POLLIN};
        }
    }
}

Test(upstream_turns, threads_share_two_connections)
{
    enum { THREADS = 6 };
    pthread_t thread[THREADS];
    int failed = 0;
    open_pool(2, 30 * NSEC_PER_SEC);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&thread[i], NULL, call_many, &failed);
    serve(THREADS * 50);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    cr_assert_eq(failed, 0);
    cr_assert_leq(pool.open, 2);
    cr_assert(TAILQ_EMPTY(&pool.waiting));
    upstream_free(&pool);
}

/* --- as a step of a job ---------------------------------------------------------------------- */

Test(upstream_turns, a_job_hands_its_waits_back)
{
    static const char target[] = "/work?io=upstream:50ms&io=timer:1ms";
    struct job job = {.upstream = &pool, .counters = slot};
    const char *reason;
    open_pool(1, 10 * NSEC_PER_SEC);
    cr_assert(program_parse(&job.program, target, sizeof target - 1, &reason));
    cr_assert_eq(job_start(&job, WAIT_UPSTREAM | WAIT_TIMER), WAIT_UPSTREAM);
    int fd = take_connection();
    cr_assert_gt(job_deadline_ns(&job), now_ns());
    while (job_wait_events(&job) == POLLOUT)
        cr_assert_eq(job_resume(&job, 0), WAIT_UPSTREAM);
    expect(fd, BLPOP_50MS);
    cr_assert_eq(job_resume(&job, 0), WAIT_UPSTREAM, "nothing has come");
    say(fd, NIL);
    cr_assert(is_readable(job_wait_fd(&job), PATIENCE_MS));
    cr_assert_eq(job_resume(&job, 0), WAIT_TIMER);
    cr_assert_eq(job_resume(&job, 0), WAIT_NONE);
    cr_assert_eq(job.error, 0);
}

/* A redis step waits as any call does, and takes what it stores from the message that asked. */
Test(upstream_turns, a_job_calls_with_its_message)
{
    static const char target[] = "/work?io=redis:set:k&io=timer:1ms&io=redis:publish:c";
    struct client_message message = {.id = {(char *)"m", 1}, .payload = {(char *)"text", 4}};
    struct job job = {.upstream = &pool, .counters = slot, .message = &message};
    const char *reason;
    open_pool(1, 10 * NSEC_PER_SEC);
    cr_assert(program_parse(&job.program, target, sizeof target - 1, &reason));
    cr_assert_eq(job_start(&job, WAIT_UPSTREAM), WAIT_UPSTREAM);
    int fd = take_connection();
    while (job_wait_events(&job) == POLLOUT)
        cr_assert_eq(job_resume(&job, 0), WAIT_UPSTREAM);
    expect(fd, "*3\r\n$3\r\nSET\r\n$11\r\narchbench:k\r\n$4\r\ntext\r\n");
    say(fd, "+OK\r\n");
    cr_assert(is_readable(job_wait_fd(&job), PATIENCE_MS));
    cr_assert_eq(job_resume(&job, 0), WAIT_UPSTREAM);
    while (job_wait_events(&job) == POLLOUT)
        cr_assert_eq(job_resume(&job, 0), WAIT_UPSTREAM);
    expect(fd, "*3\r\n$7\r\nPUBLISH\r\n$11\r\narchbench:c\r\n$6\r\nm\ntext\r\n");
    say(fd, "-ERR no\r\n");
    cr_assert(is_readable(job_wait_fd(&job), PATIENCE_MS));
    cr_assert_eq(job_resume(&job, 0), WAIT_NONE);
    cr_assert_eq(job.error, -EREMOTEIO);
    cr_assert_eq(job.next, 2);
}

Test(upstream_turns, a_failed_call_is_the_last_step)
{
    static const char target[] = "/work?io=upstream:1ms&io=timer:60s";
    struct job job = {.upstream = &pool, .counters = slot};
    const char *reason;
    open_pool(1, 10 * NSEC_PER_SEC);
    close(listener);
    cr_assert(program_parse(&job.program, target, sizeof target - 1, &reason));
    cr_assert_eq(job_start(&job, WAIT_NONE), WAIT_NONE);
    cr_assert_eq(job.error, -ECONNREFUSED);
    cr_assert_eq(job.next, 0);
    enum wait wait = job_start(&job, WAIT_UPSTREAM);
    while (wait == WAIT_UPSTREAM) {
        job_block(&job); /* handed back, and performed on a thread all the same */
        wait = job_resume(&job, 0);
    }
    cr_assert_eq(wait, WAIT_NONE);
    cr_assert_eq(job.error, -ECONNREFUSED);
    cr_assert_eq(counted(COUNTER_upstream_failed), 2);
}

Test(upstream_turns, an_address_is_needed, .exit_code = 2)
{
    upstream_init(&pool, &turns, "127.0.0.1", 1, NSEC_PER_SEC);
}
