/* Calls to the upstream, against one that the test plays itself, step by step: the pool's bound and
 * order, every cut of a reply, and everything that can go wrong on the way. */
#include "common/base/net.h"
#include "common/base/util.h"
#include "common/work/job.h"
#include "common/work/upstream.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PATIENCE_MS = 5000 };
#define NIL        "*-1\r\n"
#define BLPOP_50MS "*3\r\n$5\r\nBLPOP\r\n$14\r\narchbench:none\r\n$11\r\n0.050000000\r\n"

static int listener, port;
static struct upstream_pool pool;
static struct counters_file *counters;
static struct counter_slot *slot;

static void setup(void)
{
    listener = net_listen("127.0.0.1", &port, 64);
    counters = counters_create(NULL);
    slot = counters_claim(counters);
}

TestSuite(upstream, .init = setup, .timeout = 60);

static void open_pool(int limit, int64_t timeout_ns)
{
    char where[32];
    snprintf(where, sizeof where, "127.0.0.1:%d", port);
    upstream_init(&pool, where, limit, timeout_ns);
}

static void begin(struct upstream_call *call)
{
    upstream_begin(call, &pool, slot, 50 * NSEC_PER_MSEC);
}

static bool is_readable(int fd, int timeout_ms)
{
    return poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, timeout_ms) > 0;
}

/* --- the upstream's side ---------------------------------------------------------------------- */

static int take_connection(void)
{
    cr_assert(is_readable(listener, PATIENCE_MS), "nobody connects");
    return accept(listener, NULL, NULL);
}

static void expect(int fd, const char *command)
{
    char text[256] = {0};
    size_t len = strlen(command);
    cr_assert(is_readable(fd, PATIENCE_MS), "no command");
    cr_assert_eq(recv(fd, text, len, MSG_WAITALL), (ssize_t)len);
    cr_assert_str_eq(text, command);
    cr_assert(!is_readable(fd, 0), "it says more than the command");
}

static void say(int fd, const char *text)
{
    cr_assert_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void expect_end(int fd)
{
    char byte;
    cr_assert(is_readable(fd, PATIENCE_MS), "the connection is still open");
    cr_assert_leq(recv(fd, &byte, 1, 0), 0);
    close(fd);
}

/* --- the caller's ---------------------------------------------------------------------------- */

/* One wait, as a loop would do it, and what follows. */
static int go_on(struct upstream_call *call)
{
    struct pollfd pollfd = {.fd = upstream_fd(call), .events = upstream_events(call)};
    cr_assert_geq(pollfd.fd, 0, "it waits for its turn");
    cr_assert_eq(poll(&pollfd, 1, PATIENCE_MS), 1);
    return upstream_advance(call);
}

/* Up to where the reply is waited for. */
static void go_to_reply(struct upstream_call *call)
{
    int result = upstream_advance(call);
    while (result == -EAGAIN && call->state != UPSTREAM_RECEIVING)
        result = go_on(call);
    cr_assert_eq(result, -EAGAIN, "%d", result);
    cr_assert_eq(upstream_events(call), POLLIN);
}

/* A whole call on a new connection; the upstream's end of it. */
static int call_once(void)
{
    struct upstream_call call;
    begin(&call);
    go_to_reply(&call);
    int fd = take_connection();
    expect(fd, BLPOP_50MS);
    say(fd, NIL);
    cr_assert_eq(go_on(&call), 0);
    return fd;
}

static int64_t counted(enum counter which)
{
    return counters_sum(counters, which);
}

/* --- one call -------------------------------------------------------------------------------- */

Test(upstream, nothing_is_connected_before_the_first_call)
{
    open_pool(4, NSEC_PER_SEC);
    cr_assert(!is_readable(listener, 50));
    close(call_once());
    cr_assert_eq(counted(COUNTER_upstream_calls), 1);
    cr_assert_eq(counted(COUNTER_upstream_connects), 1);
    cr_assert_eq(counted(COUNTER_upstream_waits), 0);
}

Test(upstream, replies_are_read_at_every_cut)
{
    static const char *const replies[] = {NIL, "*2\r\n$1\r\na\r\n$2\r\nbb\r\n", "-ERR no\r\n"};
    static const int results[] = {0, 0, -EREMOTEIO};
    open_pool(1, 10 * NSEC_PER_SEC);
    int fd = call_once();
    for (int i = 0; i < 3; i++) {
        for (size_t cut = 1; cut < strlen(replies[i]); cut++) {
            struct upstream_call call;
            char first[64] = {0};
            memcpy(first, replies[i], cut);
            begin(&call);
            go_to_reply(&call);
            expect(fd, BLPOP_50MS);
            say(fd, first);
            cr_assert_eq(go_on(&call), -EAGAIN, "%s", first);
            say(fd, replies[i] + cut);
            cr_assert_eq(go_on(&call), results[i]);
            cr_assert_eq(upstream_advance(&call), results[i], "the end is another the second time");
        }
    }
    cr_assert_eq(counted(COUNTER_upstream_connects), 1, "all on one connection, errors too");
    cr_assert_eq(counted(COUNTER_upstream_failed), (int64_t)strlen(replies[2]) - 1);
    cr_assert_eq(counted(COUNTER_upstream_late), 0);
}

Test(upstream, no_time_at_all_is_a_ping)
{
    struct upstream_call call;
    open_pool(1, NSEC_PER_SEC);
    upstream_begin(&call, &pool, slot, 0);
    go_to_reply(&call);
    int fd = take_connection();
    expect(fd, "*1\r\n$4\r\nPING\r\n");
    say(fd, "+PONG\r\n");
    cr_assert_eq(go_on(&call), 0);
}

static void fails_with(const char *before_the_end, int error)
{
    struct upstream_call call;
    begin(&call);
    go_to_reply(&call);
    int fd = take_connection();
    say(fd, before_the_end);
    if (error == -ECONNRESET) {
        recv(fd, (char[256]){0}, 256,
             0); /* closed unread it would be reset before the bytes come */
        close(fd);
    }
    int result = -EAGAIN;
    while (result == -EAGAIN)
        result = go_on(&call);
    cr_assert_eq(result, error, "%d after '%s'", result, before_the_end);
    cr_assert_str_eq(upstream_reason(result), upstream_reason(error));
    if (error != -ECONNRESET) {
        recv(fd, (char[256]){0}, 256, 0);
        expect_end(fd);
    }
}

Test(upstream, a_broken_connection_fails_its_call_and_no_other)
{
    open_pool(1, 10 * NSEC_PER_SEC);
    fails_with("", -ECONNRESET);
    fails_with("*-", -ECONNRESET);
    fails_with("what?\r\n", -EPROTO);
    fails_with("$99999999999999999999\r\n", -EPROTO);
    close(call_once());
    cr_assert_eq(counted(COUNTER_upstream_failed), 4);
    cr_assert_eq(counted(COUNTER_upstream_connects), 5);
}

Test(upstream, what_follows_a_reply_goes_to_nobody)
{
    struct upstream_call call;
    open_pool(1, 10 * NSEC_PER_SEC);
    begin(&call);
    go_to_reply(&call);
    int fd = take_connection();
    expect(fd, BLPOP_50MS);
    say(fd, NIL NIL);
    cr_assert_eq(go_on(&call), 0);
    expect_end(fd);

    fd = call_once();
    say(fd, NIL); /* late: the connection is in the pool already */
    close(call_once());
    expect_end(fd);
}

Test(upstream, nobody_listens)
{
    struct upstream_call call;
    open_pool(1, 10 * NSEC_PER_SEC);
    close(listener);
    for (int i = 0; i < 3; i++) {
        begin(&call);
        cr_assert_eq(upstream_perform(&call), -ECONNREFUSED);
    }
    cr_assert_eq(counted(COUNTER_upstream_connects), 0);
    cr_assert_eq(counted(COUNTER_upstream_failed), 3);
    cr_assert_eq(pool.open, 0);
}

Test(upstream, a_stalled_upstream_costs_the_timeout)
{
    struct upstream_call call;
    open_pool(1, 100 * NSEC_PER_MSEC);
    int64_t begin_ns = now_ns();
    begin(&call);
    cr_assert_eq(upstream_perform(&call), -ETIMEDOUT);
    int64_t lasted_ns = now_ns() - begin_ns;
    cr_assert_geq(lasted_ns, 100 * NSEC_PER_MSEC);
    cr_assert_lt(lasted_ns, 3 * NSEC_PER_SEC);
    cr_assert_eq(counted(COUNTER_upstream_late), 1);
    cr_assert_eq(counted(COUNTER_upstream_failed), 0);
    int fd = take_connection();
    recv(fd, (char[256]){0}, 256, 0);
    expect_end(fd); /* never used again: a reply may still come */
}

/* Nobody accepts, and the queue for it is full: the connection is never made. */
Test(upstream, a_connect_that_hangs_is_late_too)
{
    struct upstream_call call;
    int full_port = 0;
    struct sockaddr_in address;
    net_listen("127.0.0.1", &full_port, 0);
    net_resolve("127.0.0.1", full_port, &address);
    for (int i = 0; i < 4; i++)
        net_connect(&address, NULL, 0);
    port = full_port;
    open_pool(1, 100 * NSEC_PER_MSEC);
    begin(&call);
    cr_assert_eq(upstream_perform(&call), -ETIMEDOUT);
    cr_assert_eq(counted(COUNTER_upstream_connects), 0);
}

/* With a loop, which may watch it still, a descriptor is closed by the loop alone. */
Test(upstream, a_discarded_connection_is_the_loops_to_close)
{
    struct upstream_call call;
    open_pool(1, 10 * NSEC_PER_SEC);
    int grants = upstream_grants_fd(&pool);
    begin(&call);
    go_to_reply(&call);
    int fd = take_connection(), ours = upstream_fd(&call);
    expect(fd, BLPOP_50MS);
    upstream_abandon(&call);
    expect_end(fd);
    cr_assert_eq(fcntl(ours, F_GETFD), FD_CLOEXEC, "its number is free");
    cr_assert(is_readable(grants, 0));
    cr_assert_null(upstream_next_granted(&pool));
    cr_assert_eq(fcntl(ours, F_GETFD), -1);
}

/* A loop that was busy learns of the reply only after the deadline: it is there, and taken. */
Test(upstream, a_reply_that_is_there_is_never_late)
{
    struct upstream_call call;
    open_pool(1, 50 * NSEC_PER_MSEC);
    begin(&call);
    go_to_reply(&call);
    say(take_connection(), NIL);
    usleep(60000);
    cr_assert_eq(go_on(&call), 0);
}

Test(upstream, a_connection_that_was_closed_while_idle_is_replaced)
{
    open_pool(1, 10 * NSEC_PER_SEC);
    close(call_once());
    for (int i = 0; i < 3; i++)
        close(call_once()); /* a restarted upstream: nobody notices */
    cr_assert_eq(counted(COUNTER_upstream_connects), 4);
    cr_assert_eq(counted(COUNTER_upstream_failed), 0);
    cr_assert_eq(pool.open, 1);
}

/* --- turns ----------------------------------------------------------------------------------- */

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

Test(upstream, the_pool_is_bounded_and_first_come_is_first_served)
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

Test(upstream, newcomers_do_not_overtake)
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

Test(upstream, a_loop_is_told_of_turns_in_their_order)
{
    enum { CALLS = 4 };
    struct upstream_call call[CALLS];
    eventfd_t told;
    open_pool(1, 10 * NSEC_PER_SEC);
    int grants = upstream_grants_fd(&pool), fd = crowd(call, CALLS);
    for (int i = 1; i < CALLS; i++)
        cr_assert(upstream_watch_turn(&call[i]));
    for (int i = 0; i < CALLS; i++) {
        cr_assert_null(upstream_next_granted(&pool));
        cr_assert(!is_readable(grants, 0));
        answer(fd, &call[i]);
        if (i + 1 == CALLS)
            break;
        cr_assert(is_readable(grants, 0));
        eventfd_read(grants, &told);
        cr_assert_eq(upstream_next_granted(&pool), &call[i + 1]);
    }
}

Test(upstream, a_turn_that_came_before_it_was_watched_is_not_told)
{
    struct upstream_call call[2];
    open_pool(1, 10 * NSEC_PER_SEC);
    int grants = upstream_grants_fd(&pool), fd = crowd(call, 2);
    answer(fd, &call[0]);
    cr_assert(!upstream_watch_turn(&call[1]));
    cr_assert(!is_readable(grants, 0));
    cr_assert_null(upstream_next_granted(&pool));
    answer(fd, &call[1]);
}

/* After its deadline a call may be another thread's: the loop must not be told of it. */
Test(upstream, a_turn_that_is_no_longer_watched_is_not_told)
{
    struct upstream_call call[3];
    open_pool(1, 10 * NSEC_PER_SEC);
    upstream_grants_fd(&pool);
    int fd = crowd(call, 3);
    cr_assert(upstream_watch_turn(&call[1]) && upstream_watch_turn(&call[2]));
    upstream_unwatch_turn(&call[1]);
    answer(fd, &call[0]);
    cr_assert_null(upstream_next_granted(&pool), "unwatched before the grant");
    answer(fd, &call[1]);
    upstream_unwatch_turn(&call[2]);
    cr_assert_null(upstream_next_granted(&pool), "unwatched after the grant");
    answer(fd, &call[2]);
}

/* The deadline's timer may be first to have the call looked at. */
Test(upstream, a_turn_that_was_taken_untold_is_not_told)
{
    struct upstream_call call[2];
    open_pool(1, 10 * NSEC_PER_SEC);
    upstream_grants_fd(&pool);
    int fd = crowd(call, 2);
    cr_assert(upstream_watch_turn(&call[1]));
    answer(fd, &call[0]);
    answer(fd, &call[1]);
    cr_assert_null(upstream_next_granted(&pool));
}

/* The right to connect is a turn like any other. */
Test(upstream, a_connection_that_died_makes_room_for_the_next)
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

Test(upstream, who_gives_up_in_turn_is_passed_over)
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

Test(upstream, who_gives_up_after_the_grant_passes_it_on)
{
    struct upstream_call call[5];
    open_pool(1, 10 * NSEC_PER_SEC);
    upstream_grants_fd(&pool);
    int fd = crowd(call, 5);
    cr_assert(upstream_watch_turn(&call[1]) && upstream_watch_turn(&call[2]));
    answer(fd, &call[0]);
    upstream_abandon(&call[1]); /* granted, and the loop has not looked yet */
    cr_assert_eq(upstream_next_granted(&pool), &call[2], "the first is off the list");
    upstream_abandon(&call[2]); /* told, and not taken */
    cr_assert_null(upstream_next_granted(&pool));
    upstream_abandon(&call[3]); /* nobody was to be told */
    answer(fd, &call[4]);
    cr_assert_eq(counted(COUNTER_upstream_connects), 1, "the connection was as good as before");
    upstream_abandon(&call[4]); /* over: nothing to give up */
    cr_assert_eq(upstream_advance(&call[4]), 0);
}

Test(upstream, who_gives_up_on_a_connection_closes_it)
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
Test(upstream, deadlines_hold_in_turn)
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

Test(upstream, threads_share_two_connections)
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

Test(upstream, a_job_hands_its_waits_back)
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

Test(upstream, a_failed_call_is_the_last_step)
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

Test(upstream, an_address_is_needed, .exit_code = 2)
{
    upstream_init(&pool, "127.0.0.1", 1, NSEC_PER_SEC);
}
