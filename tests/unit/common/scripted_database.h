/* A database of the test's own, which speaks PostgreSQL's protocol (version 3.0) message by message, and calls
 * of a pool that connects to it. */
#ifndef ARCHBENCH_TEST_DATABASE_H
#define ARCHBENCH_TEST_DATABASE_H

#include "tests/unit/common/scripted_upstream.h"

#include "common/upstream/sql_connection.h"

#include <arpa/inet.h>
#include <stdlib.h>

static struct statements statements;
static struct sql_database database;

enum { SELECT, INSERT }; /* the statements below */

static inline void open_database(int limit, int64_t timeout_ns)
{
    char conninfo[96], error[256];
    char *text = must_strdup("-- name: get\nselect 1\n-- name: put\ninsert $1 $2 $3\n");
    cr_assert(statements_parse(&statements, "a.sql", text, error, sizeof error), "%s", error);
    snprintf(conninfo, sizeof conninfo, "host=localhost port=%d user=u dbname=d", port);
    upstream_turns_init(&turns);
    sql_database_init(&database, conninfo, &statements);
    upstream_init_database(&pool, &turns, &database, limit, timeout_ns);
}

/* --- the database's side ----------------------------------------------------------------------- */

#define BYTES(text)    (text), sizeof text - 1
#define AUTHENTICATED  "R\0\0\0\10\0\0\0\0"
#define READY          "Z\0\0\0\5I"
#define IN_TRANSACTION "Z\0\0\0\5T"
#define PARSED         "1\0\0\0\4"
#define BOUND          "2\0\0\0\4"
#define NO_ROWS        "n\0\0\0\4"
#define DONE           "C\0\0\0\17INSERT 0 1\0"
/* A row of one column "a" of text, with the value "7". */
#define ONE_ROW                                                                                    \
    "T\0\0\0\32\0\1a\0\0\0\0\0\0\0\0\0\0\31\377\377\377\377\377\377\0\0"                           \
    "D\0\0\0\13\0\1\0\0\0\1"                                                                       \
    "7"
#define SELECTED "C\0\0\0\15SELECT 1\0"
#define NOTICE   "N\0\0\0\13SNOTE\0\0"
/* 4 bytes of length, "SERROR", "VERROR", a SQLSTATE of five characters, "Mno", each with a zero, and a
 * zero. */
#define ERROR(state) "E\0\0\0\36SERROR\0VERROR\0C" state "\0Mno\0\0"

static inline void say_bytes(int fd, const char *bytes, size_t len)
{
    cr_assert_eq(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

static inline uint32_t hear_length(int fd)
{
    uint32_t len;
    cr_assert_eq(recv(fd, &len, sizeof len, MSG_WAITALL), (ssize_t)sizeof len);
    return ntohl(len) - (uint32_t)sizeof len;
}

static inline void hear_startup(int fd)
{
    char text[1024];
    uint32_t len = hear_length(fd);
    cr_assert_lt(len, sizeof text);
    cr_assert_eq(recv(fd, text, len, MSG_WAITALL), (ssize_t)len);
    cr_assert_eq(memcmp(text, "\0\3\0\0user\0u", 11), 0, "no request for TLS comes first");
}

/* One message, into `text`. Returns its kind. */
static inline char hear(int fd, char *text, size_t size, uint32_t *len)
{
    char kind;
    cr_assert(is_readable(fd, PATIENCE_MS), "nothing is said");
    cr_assert_eq(recv(fd, &kind, 1, 0), 1);
    *len = hear_length(fd);
    cr_assert_leq(*len, size);
    if (*len) /* to receive nothing would be a wait */
        cr_assert_eq(recv(fd, text, *len, MSG_WAITALL), (ssize_t)*len);
    return kind;
}

/* Messages up to a Sync: their kinds, as "PPS". What Bind says stays in `bound`. */
static char bound[512];
static uint32_t bound_len;

static inline void expect_kinds(int fd, const char *kinds)
{
    char heard[16] = "", text[512];
    for (int i = 0; i < 15; i++) {
        uint32_t len;
        heard[i] = hear(fd, text, sizeof text, &len);
        if (heard[i] == 'B') {
            memcpy(bound, text, len);
            bound_len = len;
        }
        if (heard[i] == 'S')
            break;
    }
    cr_assert_str_eq(heard, kinds);
    cr_assert(!is_readable(fd, 0), "more is said");
}

/* --- the caller's ------------------------------------------------------------------------------ */

/* Until the database is told something. */
static inline void drive(struct upstream_call *call, int fd)
{
    while (!is_readable(fd, 0))
        cr_assert_eq(go_on(call), -EAGAIN);
}

/* Until the call is over. */
static inline int finish(struct upstream_call *call)
{
    int result = -EAGAIN;
    while (result == -EAGAIN)
        result = go_on(call);
    cr_assert_eq(upstream_advance(call), result, "the end is another the second time");
    return result;
}

static inline void begin_statement(struct upstream_call *call, int statement)
{
    static const struct client_message message = {.id = {(char *)"m1", 2},
                                                  .payload = {(char *)"a\0b", 3}};
    struct upstream_command command = {
        .statement = statement, .name = "room", .message = statement ? &message : NULL};
    upstream_begin(call, &pool, slot, command);
    cr_assert_eq(upstream_advance(call), -EAGAIN);
}

/* A new connection, up to where the database is to say whether it has prepared the statements. */
static inline int connect_call(struct upstream_call *call, int statement)
{
    begin_statement(call, statement);
    int fd = take_connection();
    drive(call, fd);
    hear_startup(fd);
    say_bytes(fd, BYTES(AUTHENTICATED READY));
    drive(call, fd);
    expect_kinds(fd, "PPS");
    return fd;
}

/* ... up to where the statement's own answer is awaited. */
static inline int ask(struct upstream_call *call, int statement)
{
    int fd = connect_call(call, statement);
    say_bytes(fd, BYTES(PARSED PARSED READY));
    drive(call, fd);
    expect_kinds(fd, "BDES");
    return fd;
}

static inline void ask_again(struct upstream_call *call, int fd)
{
    begin_statement(call, SELECT);
    drive(call, fd);
    expect_kinds(fd, "BDES");
}

#endif
