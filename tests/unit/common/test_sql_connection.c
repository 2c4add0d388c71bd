/* Connections to a database, against one that the test plays itself, message by message: what is prepared,
 * every cut of an answer, and everything that can go wrong. */
#include "tests/unit/common/scripted_database.h"

#include <sys/mman.h>

static int said; /* what is printed on stderr */

static void begin_test(void)
{
    setup();
    said = memfd_create("stderr", MFD_CLOEXEC);
    dup2(said, STDERR_FILENO);
}

TestSuite(sql_connection, .init = begin_test, .timeout = 60);

/* --- what goes well ---------------------------------------------------------------------------- */

Test(sql_connection, statements_are_prepared_in_one_round_trip)
{
    struct upstream_call call;
    open_database(1, 10 * NSEC_PER_SEC);
    int fd = ask(&call, SELECT);
    say_bytes(fd, BYTES(BOUND ONE_ROW SELECTED READY));
    cr_assert_eq(finish(&call), 0);
    ask_again(&call, fd);
    say_bytes(fd, BYTES(BOUND ONE_ROW SELECTED READY));
    cr_assert_eq(finish(&call), 0);
    cr_assert_eq(counted(COUNTER_database_connects), 1);
    cr_assert_eq(counted(COUNTER_database_calls), 2);
    cr_assert_eq(counted(COUNTER_database_failed), 0);
    upstream_free(&pool);
    uint32_t len;
    cr_assert_eq(hear(fd, (char[8]){0}, 8, &len), 'X', "it says farewell");
    expect_end(fd);
}

Test(sql_connection, what_came_with_the_request_is_bound)
{
    static const char wanted[] = "\0put\0\0\3\0\0\0\0\0\1\0\3"
                                 "\0\0\0\4room\0\0\0\2m1\0\0\0\3a\0b\0\1";
    struct upstream_call call;
    open_database(1, 10 * NSEC_PER_SEC);
    int fd = ask(&call, INSERT);
    cr_assert_geq(bound_len, sizeof wanted - 1);
    cr_assert_eq(memcmp(bound, wanted, sizeof wanted - 1), 0);
    say_bytes(fd, BYTES(BOUND NO_ROWS DONE READY));
    cr_assert_eq(finish(&call), 0);
}

Test(sql_connection, answers_are_read_at_every_cut)
{
    static const struct {
        const char *bytes;
        size_t len;
        int result;
    } answers[] = {
        {BYTES(BOUND NO_ROWS DONE READY), 0},
        {BYTES(BOUND NOTICE ONE_ROW SELECTED READY), 0},
        {BYTES(BOUND NO_ROWS ERROR("23505") READY), -EREMOTEIO},
        {BYTES(ERROR("22012") READY), -EREMOTEIO},
        {BYTES(ERROR("53100") READY), -ENOSPC},
    };
    struct upstream_call call;
    open_database(1, 10 * NSEC_PER_SEC);
    int fd = ask(&call, SELECT);
    say_bytes(fd, BYTES(BOUND ONE_ROW SELECTED READY));
    cr_assert_eq(finish(&call), 0);
    for (int i = 0; i < 5; i++) {
        for (size_t cut = 1; cut < answers[i].len; cut++) {
            ask_again(&call, fd);
            say_bytes(fd, answers[i].bytes, cut);
            cr_assert_eq(go_on(&call), -EAGAIN, "%d cut at %zu", i, cut);
            say_bytes(fd, answers[i].bytes + cut, answers[i].len - cut);
            cr_assert_eq(finish(&call), answers[i].result, "%d cut at %zu", i, cut);
        }
    }
    cr_assert_eq(counted(COUNTER_database_connects), 1, "all on one connection, errors too");
}

/* Nor does it matter how a connection comes to be. */
Test(sql_connection, the_beginning_is_read_at_every_cut)
{
    static const char hello[] = AUTHENTICATED READY, prepared[] = PARSED PARSED READY;
    for (size_t cut = 1; cut < sizeof hello - 1; cut++) {
        struct upstream_call call;
        open_database(1, 10 * NSEC_PER_SEC);
        begin_statement(&call, SELECT);
        int fd = take_connection();
        drive(&call, fd);
        hear_startup(fd);
        say_bytes(fd, hello, cut);
        cr_assert_eq(go_on(&call), -EAGAIN);
        say_bytes(fd, hello + cut, sizeof hello - 1 - cut);
        drive(&call, fd);
        expect_kinds(fd, "PPS");
        size_t other = cut < sizeof prepared - 1 ? cut : 1;
        say_bytes(fd, prepared, other);
        cr_assert_eq(go_on(&call), -EAGAIN);
        say_bytes(fd, prepared + other, sizeof prepared - 1 - other);
        drive(&call, fd);
        expect_kinds(fd, "BDES");
        upstream_abandon(&call);
        close(fd);
        sql_database_free(&database);
        statements_free(&statements);
    }
}

Test(sql_connection, a_long_payload_goes_out_in_pieces)
{
    enum { LEN = 4 << 20 };
    char *payload = must_calloc(1, LEN), *got = must_calloc(1, LEN);
    struct client_message message = {.id = {(char *)"-", 1}, .payload = {payload, LEN}};
    struct upstream_command command = {.statement = INSERT, .name = "", .message = &message};
    struct upstream_call call;
    open_database(1, 10 * NSEC_PER_SEC);
    int fd = ask(&call, SELECT);
    say_bytes(fd, BYTES(BOUND ONE_ROW SELECTED READY));
    cr_assert_eq(finish(&call), 0);
    upstream_begin(&call, &pool, slot, command);
    cr_assert_eq(upstream_advance(&call), -EAGAIN);
    cr_assert_eq(upstream_events(&call), POLLIN | POLLOUT, "both directions, until all is out");
    for (ssize_t n = 0, sum = 0; sum < LEN; sum += n) {
        cr_assert(is_readable(fd, PATIENCE_MS));
        n = recv(fd, got, LEN, 0);
        cr_assert_gt(n, 0);
        upstream_advance(&call);
    }
    while (upstream_events(&call) & POLLOUT)
        cr_assert_eq(go_on(&call), -EAGAIN);
    while (is_readable(fd, 50))
        cr_assert_gt(recv(fd, got, LEN, 0), 0);
    say_bytes(fd, BYTES(BOUND NO_ROWS DONE READY));
    cr_assert_eq(finish(&call), 0);
}

/* --- what does not ----------------------------------------------------------------------------- */

static void fails(struct upstream_call *call, int fd, int error, const char *reason)
{
    int result = finish(call);
    cr_assert_eq(result, error, "%d", result);
    cr_assert_str_eq(upstream_reason(&pool, result), reason);
    close(fd);
    cr_assert_eq(pool.open, 0);
}

Test(sql_connection, a_database_that_takes_no_more_connections)
{
    static const struct {
        const char *bytes;
        size_t len;
        int error;
        const char *reason;
    } refusals[] = {
        {BYTES(ERROR("53300")), -ENOSPC, "the database is full: of connections, memory or disk"},
        {BYTES(ERROR("28000")), -EACCES, "the database refuses connections"},
        {BYTES(ERROR("3D000")), -EACCES, "the database refuses connections"},
        {BYTES(ERROR("57P03")), -ECONNREFUSED, "cannot connect to the database"},
        {BYTES(""), -ECONNREFUSED, "cannot connect to the database"},
    };
    for (int i = 0; i < 5; i++) {
        struct upstream_call call;
        open_database(1, 10 * NSEC_PER_SEC);
        begin_statement(&call, SELECT);
        int fd = take_connection();
        drive(&call, fd);
        hear_startup(fd);
        say_bytes(fd, refusals[i].bytes, refusals[i].len);
        shutdown(fd, SHUT_WR);
        fails(&call, fd, refusals[i].error, refusals[i].reason);
        cr_assert_eq(counted(COUNTER_database_failed), i + 1);
    }
    cr_assert_eq(counted(COUNTER_database_connects), 0);
}

Test(sql_connection, nobody_listens)
{
    struct upstream_call call;
    open_database(1, 10 * NSEC_PER_SEC);
    close(listener);
    for (int i = 0; i < 3; i++) {
        upstream_begin(&call, &pool, slot, (struct upstream_command){.name = ""});
        cr_assert_eq(upstream_perform(&call), -ECONNREFUSED);
    }
    cr_assert_eq(pool.open, 0);
    cr_assert_eq(counted(COUNTER_database_failed), 3);
}

Test(sql_connection, a_statement_that_cannot_be_prepared_is_said_once)
{
    char text[512] = "";
    for (int i = 0; i < 2; i++) {
        struct upstream_call call;
        if (i == 0)
            open_database(1, 10 * NSEC_PER_SEC);
        int fd = connect_call(&call, SELECT);
        say_bytes(fd, BYTES(PARSED ERROR("42P01") READY));
        fails(&call, fd, -ENOEXEC, "the database cannot prepare the statements");
    }
    cr_assert_gt(pread(said, text, sizeof text - 1, 0), 0);
    cr_assert_str_eq(text, "database: cannot prepare put: no\n");
    cr_assert_eq(counted(COUNTER_database_connects), 0);
}

/* A second attempt could carry it out twice. */
Test(sql_connection, a_statement_without_an_answer_is_not_sent_again)
{
    struct upstream_call call;
    open_database(1, 10 * NSEC_PER_SEC);
    int fd = ask(&call, INSERT);
    shutdown(fd, SHUT_RDWR);
    fails(&call, fd, -ECONNRESET, "the database closed the connection");
    cr_assert(!is_readable(listener, 0), "it connects anew");
    fd = ask(&call, INSERT);
    say_bytes(fd, BYTES(ERROR("57P01")));
    shutdown(fd, SHUT_RDWR);
    fails(&call, fd, -ECONNRESET, "the database closed the connection");
    fd = connect_call(&call, INSERT);
    shutdown(fd, SHUT_RDWR);
    fails(&call, fd, -ECONNRESET, "the database closed the connection");
    cr_assert_eq(counted(COUNTER_database_failed), 3);
}

Test(sql_connection, a_late_answer_reaches_nobody)
{
    struct upstream_call call;
    open_database(1, 200 * NSEC_PER_MSEC);
    int fd = ask(&call, INSERT);
    int64_t begin_ns = now_ns();
    cr_assert_eq(upstream_perform(&call), -ETIMEDOUT);
    cr_assert_lt(now_ns() - begin_ns, 3 * NSEC_PER_SEC);
    cr_assert_str_eq(upstream_reason(&pool, -ETIMEDOUT), "the database did not answer in time");
    expect_end(fd);
    cr_assert_eq(counted(COUNTER_database_late), 1);
    cr_assert_eq(counted(COUNTER_database_failed), 0);
}

Test(sql_connection, a_connection_that_died_in_the_pool_is_replaced)
{
    struct upstream_call call;
    open_database(1, 10 * NSEC_PER_SEC);
    for (int i = 0; i < 3; i++) {
        int fd = ask(&call, SELECT);
        say_bytes(fd, BYTES(BOUND ONE_ROW SELECTED READY));
        cr_assert_eq(finish(&call), 0);
        say_bytes(fd, BYTES(ERROR("57P01"))); /* a restart */
        close(fd);
    }
    cr_assert_eq(counted(COUNTER_database_connects), 3);
    cr_assert_eq(counted(COUNTER_database_failed), 0);
    cr_assert_eq(pool.open, 1);
}

/* What the next call must not be part of, or cannot use. */
Test(sql_connection, some_answers_cost_their_connection)
{
    static const struct {
        const char *bytes;
        size_t len;
        int result;
    } answers[] = {
        {BYTES(BOUND NO_ROWS DONE IN_TRANSACTION), 0},
        {BYTES(ERROR("26000") READY), -EREMOTEIO},
        {BYTES(ERROR("0A000") READY), -EREMOTEIO},
        {BYTES(BOUND NO_ROWS "G\0\0\0\7\0\0\0"), -EPROTO}, /* the beginning of a COPY */
        {BYTES("?\0\0\0\4"), -EPROTO},
    };
    struct upstream_call call;
    open_database(1, 10 * NSEC_PER_SEC);
    for (int i = 0; i < 5; i++) {
        int fd = ask(&call, SELECT);
        say_bytes(fd, answers[i].bytes, answers[i].len);
        int result = finish(&call);
        cr_assert_eq(result, answers[i].result, "%d: %d", i, result);
        cr_assert_eq(pool.open, 0, "%d", i);
        close(fd);
    }
}

/* libpq closes its own descriptor when it sees the end; the one that a loop watches stays. */
Test(sql_connection, what_a_loop_watches_is_the_loops_to_close)
{
    struct upstream_call call;
    open_database(1, 10 * NSEC_PER_SEC);
    int grants = upstream_grants_fd(&turns);
    int fd = ask(&call, SELECT), ours = upstream_fd(&call);
    close(fd);
    cr_assert_eq(finish(&call), -ECONNRESET);
    cr_assert_eq(fcntl(ours, F_GETFD), FD_CLOEXEC, "its number is free");
    cr_assert(is_readable(grants, 0));
    cr_assert_null(upstream_next_granted(&turns));
    cr_assert_eq(fcntl(ours, F_GETFD), -1);
}

/* --- where it is -------------------------------------------------------------------------------- */

Test(sql_connection, states_are_found_in_messages)
{
    static const char *const with[] = {
        "FATAL:  53300: sorry, too many clients already\nLOCATION:  x",
        "connection to server at \"::1\", port 5432 failed: FATAL:  28P01: password\n",
        "SCHWERWIEGEND:  3D000: Datenbank"};
    static const char *const states[] = {"53300", "28P01", "3D000"};
    static const char *const without[] = {"",
                                          "FATAL:  no",
                                          "Connection refused",
                                          "a:  5330: b",
                                          "a:  533000: b",
                                          "a: 53300: b",
                                          "a:  53300"};
    for (int i = 0; i < 3; i++) {
        const char *state = sql_state_in(with[i]);
        cr_assert(state && strncmp(state, states[i], 5) == 0, "%s", with[i]);
    }
    for (int i = 0; i < 7; i++)
        cr_assert_null(sql_state_in(without[i]), "%s", without[i]);
}

#define DIES(name, conninfo)                                                                       \
    Test(sql_connection, name, .exit_code = 2)                                                     \
    {                                                                                              \
        sql_database_init(&database, conninfo, &statements);                                       \
    }

DIES(a_word_that_libpq_does_not_know, "hosts=127.0.0.1")
DIES(no_pair, "127.0.0.1")
DIES(two_hosts, "host=127.0.0.1,127.0.0.2 user=a")
DIES(a_host_without_address, "host=no.such.host. user=a")
DIES(a_port_that_is_none, "host=127.0.0.1 port=0 user=a")

Test(sql_connection, sockets_in_a_folder_have_no_address)
{
    sql_database_init(&database, "host=/tmp user=a", &statements);
    cr_assert_null(database.address);
    sql_database_free(&database);
    sql_database_init(&database, "postgresql://u@[::1]:5433/d", &statements);
    cr_assert_str_eq(database.address, "::1");
    sql_database_free(&database);
}
