/* Calls to the upstream, against one that the test plays itself, step by step: the pool's bound and
 * order, every cut of a reply, and everything that can go wrong on the way. */
#include "tests/unit/common/scripted_upstream.h"

#include <hiredis/hiredis.h>

TestSuite(upstream, .init = setup, .timeout = 60);

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
    upstream_begin(&call, &pool, slot, (struct upstream_command){.verb = UPSTREAM_WAIT});
    go_to_reply(&call);
    int fd = take_connection();
    expect(fd, "*1\r\n$4\r\nPING\r\n");
    say(fd, "+PONG\r\n");
    cr_assert_eq(go_on(&call), 0);
}

/* --- commands -------------------------------------------------------------------------------- */

static const struct client_message message = {
    .opcode = OPCODE_TEXT, .id = {(char *)"m1", 2}, .payload = {(char *)"\0\r\n", 3}};
static const struct client_message without_payload = {
    .opcode = OPCODE_TEXT, .id = {(char *)"-", 1}, .payload = {(char *)"", 0}};

#define FIXED "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const struct {
    struct upstream_command command;
    struct span text;
} formats[] = {
#define TEXT(text)                                                                                 \
    {                                                                                              \
        (char *)text, sizeof text - 1                                                              \
    }
    {{.verb = UPSTREAM_GET, .name = "a"}, TEXT("*2\r\n$3\r\nGET\r\n$11\r\narchbench:a\r\n")},
    {{.verb = UPSTREAM_GET, .name = "1234567890123456789012345678901"},
     TEXT("*2\r\n$3\r\nGET\r\n$41\r\narchbench:1234567890123456789012345678901\r\n")},
    {{.verb = UPSTREAM_INCR, .name = "b-"}, TEXT("*2\r\n$4\r\nINCR\r\n$12\r\narchbench:b-\r\n")},
    {{.verb = UPSTREAM_SET, .name = "a"},
     TEXT("*3\r\n$3\r\nSET\r\n$11\r\narchbench:a\r\n$64\r\n" FIXED "\r\n")},
    {{.verb = UPSTREAM_SET, .name = "a", .message = &message},
     TEXT("*3\r\n$3\r\nSET\r\n$11\r\narchbench:a\r\n$3\r\n\0\r\n\r\n")},
    {{.verb = UPSTREAM_SET, .name = "a", .message = &without_payload},
     TEXT("*3\r\n$3\r\nSET\r\n$11\r\narchbench:a\r\n$0\r\n\r\n")},
    {{.verb = UPSTREAM_PUBLISH, .name = "a"},
     TEXT("*3\r\n$7\r\nPUBLISH\r\n$11\r\narchbench:a\r\n$2\r\n-\n\r\n")},
    {{.verb = UPSTREAM_PUBLISH, .name = "a", .message = &message},
     TEXT("*3\r\n$7\r\nPUBLISH\r\n$11\r\narchbench:a\r\n$6\r\nm1\n\0\r\n\r\n")},
    {{.verb = UPSTREAM_WAIT, .duration_ns = 50 * NSEC_PER_MSEC}, TEXT(BLPOP_50MS)},
#undef TEXT
};

Test(upstream, commands_are_written_in_resp)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        char *text = NULL;
        size_t len = upstream_command_format(&formats[i].command, &text);
        cr_assert_eq(len, formats[i].text.len, "%s", text);
        cr_assert(memcmp(text, formats[i].text.data, len) == 0, "%s", text);
        redisFreeCommand(text);
    }
}

Test(upstream, verbs_have_names)
{
    enum upstream_verb verb;
    for (enum upstream_verb v = UPSTREAM_GET; v <= UPSTREAM_PUBLISH; v++) {
        const char *name = upstream_verb_name(v);
        cr_assert(upstream_verb_of(name, strlen(name), &verb) && verb == v);
        cr_assert(!upstream_verb_of(name, strlen(name) - 1, &verb));
    }
    cr_assert(!upstream_verb_of("", 0, &verb));
}

/* Any reply is as good as another, but an error. */
Test(upstream, replies_to_commands)
{
    static const char *const replies[] = {"+OK\r\n", ":7\r\n", "$-1\r\n", "$3\r\na\r\n\r\n",
                                          "-OOM command not allowed\r\n"};
    static const int results[] = {0, 0, 0, 0, -EREMOTEIO};
    open_pool(1, 10 * NSEC_PER_SEC);
    int fd = -1;
    for (int i = 0; i < 5; i++) {
        struct upstream_call call;
        upstream_begin(&call, &pool, slot, formats[0].command);
        go_to_reply(&call);
        fd = fd < 0 ? take_connection() : fd;
        expect(fd, formats[0].text.data);
        say(fd, replies[i]);
        cr_assert_eq(go_on(&call), results[i], "%s", replies[i]);
    }
    cr_assert_eq(counted(COUNTER_upstream_connects), 1);
}

/* Where somebody always follows: the number 0 is a failure, of a PUBLISH and of nothing else. The connection is as
 * good as before. */
Test(upstream, a_publish_that_nobody_hears)
{
    static const struct {
        bool expects;
        enum upstream_verb verb;
        const char *reply;
        int result;
    } cases[] = {{true, UPSTREAM_PUBLISH, ":0\r\n", -ENOLINK},
                 {true, UPSTREAM_PUBLISH, ":1\r\n", 0},
                 {true, UPSTREAM_INCR, ":0\r\n", 0},
                 {false, UPSTREAM_PUBLISH, ":0\r\n", 0},
                 {true, UPSTREAM_PUBLISH, "-ERR no\r\n", -EREMOTEIO}};
    char got[256];
    int fd = -1;
    open_pool(1, 10 * NSEC_PER_SEC);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct upstream_call call;
        pool.expects_followers = cases[i].expects;
        upstream_begin(&call, &pool, slot,
                       (struct upstream_command){.verb = cases[i].verb, .name = "a"});
        go_to_reply(&call);
        fd = fd < 0 ? take_connection() : fd;
        cr_assert_gt(recv(fd, got, sizeof got, 0), 0);
        say(fd, cases[i].reply);
        cr_assert_eq(go_on(&call), cases[i].result, "case %zu", i);
    }
    cr_assert_eq(counted(COUNTER_upstream_connects), 1);
    cr_assert_eq(counted(COUNTER_upstream_failed), 2);
    cr_assert_str_eq(upstream_reason(&pool, -ENOLINK), "nobody follows this channel");
}

/* Sent and received in many pieces. */
Test(upstream, a_long_value_both_ways)
{
    enum { LEN = 65536 };
    static char payload[LEN], got[LEN + 64];
    struct client_message long_message = {.id = {(char *)"-", 1}, .payload = {payload, LEN}};
    struct upstream_command set = {.verb = UPSTREAM_SET, .name = "a", .message = &long_message};
    struct upstream_call call;
    memset(payload, 'x', LEN);
    open_pool(1, 10 * NSEC_PER_SEC);
    upstream_begin(&call, &pool, slot, set);
    go_to_reply(&call);
    int fd = take_connection();
    int head = sprintf(got, "*3\r\n$3\r\nSET\r\n$11\r\narchbench:a\r\n$%d\r\n", LEN);
    cr_assert_eq(recv(fd, got, (size_t)head + LEN + 2, MSG_WAITALL), head + LEN + 2);
    cr_assert(memcmp(got + head, payload, LEN) == 0);
    head = sprintf(got, "$%d\r\n", LEN);
    memcpy(got + head, payload, LEN);
    strcpy(got + head + LEN, "\r\n");
    int result = -EAGAIN;
    for (int i = 0; i < head + LEN + 2; i += 1000) {
        cr_assert_eq(result, -EAGAIN);
        int n = head + LEN + 2 - i < 1000 ? head + LEN + 2 - i : 1000;
        cr_assert_eq(send(fd, got + i, (size_t)n, MSG_NOSIGNAL), n);
        result = go_on(&call);
    }
    cr_assert_eq(result, 0);
}

/* --- failures -------------------------------------------------------------------------------- */

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
    cr_assert_str_eq(upstream_reason(&pool, result), upstream_reason(&pool, error));
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
    struct net_address address;
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
    int grants = upstream_grants_fd(&turns);
    begin(&call);
    go_to_reply(&call);
    int fd = take_connection(), ours = upstream_fd(&call);
    expect(fd, BLPOP_50MS);
    upstream_abandon(&call);
    expect_end(fd);
    cr_assert_eq(fcntl(ours, F_GETFD), FD_CLOEXEC, "its number is free");
    cr_assert(is_readable(grants, 0));
    cr_assert_null(upstream_next_granted(&turns));
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
