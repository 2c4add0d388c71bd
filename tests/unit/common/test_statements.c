/* Files of statements: what is read, what is refused, and at which line. */
#include "common/base/util.h"
#include "common/upstream/statements.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct statements statements;
static char error[256];

static bool parses(const char *text)
{
    return statements_parse(&statements, "a.sql", must_strdup(text), error, sizeof error);
}

Test(statements, names_texts_and_times)
{
    cr_assert(parses("-- What a chat asks for.\n"
                     "\n"
                     "-- name: add_message  stand-in: 100ms\n"
                     "insert into message\n"
                     "values ($1, $2, $3);\n"
                     "-- name: count-1\n"
                     "-- a remark\n"
                     "select count(*) from message where room = $1"),
              "%s", error);
    cr_assert_eq(statements.count, 2);
    cr_assert_str_eq(statements.statement[0].name, "add_message");
    cr_assert_str_eq(statements.statement[0].text, "insert into message\nvalues ($1, $2, $3);");
    cr_assert_eq(statements.statement[0].stand_in_ns, 100 * NSEC_PER_MSEC);
    cr_assert_eq(statements.statement[0].parameters, 3);
    for (int i = 0; i < STATEMENT_PARAMETERS_MAX; i++) {
        cr_assert(statements.statement[0].mentions[i]);
        cr_assert_eq(statements.statement[1].mentions[i], i == 0);
    }
    cr_assert_str_eq(statements.statement[1].text,
                     "-- a remark\nselect count(*) from message where room = $1");
    cr_assert_eq(statements.statement[1].stand_in_ns, 0);
    cr_assert_eq(statements.statement[1].parameters, 1);
    cr_assert_eq(statements_find(&statements, "add_message"), 0);
    cr_assert_eq(statements_find(&statements, "count-1"), 1);
    cr_assert_eq(statements_find(&statements, "count"), -1);
    cr_assert_eq(statements_find(&statements, ""), -1);
    statements_free(&statements);
    cr_assert_eq(statements_find(&statements, "count-1"), -1);
}

Test(statements, lines_of_other_systems)
{
    cr_assert(parses("\r\n-- name: a stand-in: 2s\r\nselect 1\r\n"), "%s", error);
    cr_assert_str_eq(statements.statement[0].name, "a");
    cr_assert_eq(statements.statement[0].stand_in_ns, 2 * NSEC_PER_SEC);
    statements_free(&statements);
}

static const struct {
    const char *text;
    int parameters;
} mentions[] = {
    {"select 1", 0},
    {"select $1", 1},
    {"select $2", 2},
    {"select $3, $1, $1", 3},
    {"select $0", 0},
    {"select $1::int+$2", 2},
    {"select '$3', $1", 1},
    {"select 'it''s $3', $1", 1},
    {"select \"$3\", $2", 2},
    {"select 1 -- $3", 0},
    {"select 1 -- $3\n, $1", 1},
    {"select 1 /* $3\n$2 */, $1", 1},
    {"select a$3, $1", 1},
    {"select 'open $3", 0},
    {"select 1 /* open $3", 0},
    {"select $", 0},
};

Test(statements, parameters_are_the_highest_that_is_mentioned)
{
    for (size_t i = 0; i < sizeof mentions / sizeof *mentions; i++) {
        char text[128];
        snprintf(text, sizeof text, "-- name: a\n%s\n-- name: b\nselect 1\n", mentions[i].text);
        cr_assert(parses(text), "%s: %s", mentions[i].text, error);
        cr_assert_eq(statements.statement[0].parameters, mentions[i].parameters, "%s: %d",
                     mentions[i].text, statements.statement[0].parameters);
        cr_assert_eq(statements.count, 2);
        statements_free(&statements);
    }
}

static const struct {
    const char *text, *error;
} mistakes[] = {
    {"", "a.sql:0: no statement: each begins with a line -- name: NAME"},
    {"-- only a remark\n", "a.sql:1: no statement: each begins with a line -- name: NAME"},
    {"\nselect 1\n", "a.sql:2: a statement begins with a line -- name: NAME"},
    {"-- name:\nselect 1\n", "a.sql:1: a statement has a name of 1 to 31 letters, digits, _ and -"},
    {"-- name: a.b\nselect 1\n",
     "a.sql:1: a statement has a name of 1 to 31 letters, digits, _ and -"},
    {"-- name: 12345678901234567890123456789012\nselect 1\n",
     "a.sql:1: a statement has a name of 1 to 31 letters, digits, _ and -"},
    {"-- name: a\nselect 1\n\n-- name: a\nselect 2\n",
     "a.sql:4: there is a statement of this name already"},
    {"-- name: a\n-- name: b\nselect 1\n", "a.sql:1: the statement is empty"},
    {"-- name: a\nselect 1\n-- name: b\n-- a remark\n /* and */\n",
     "a.sql:3: the statement is empty"},
    {"-- name: a\nselect 1\n-- name: b", "a.sql:3: the statement is empty"},
    {"-- name: a\nselect 1\n\n-- name: b\n\nselect $4\n",
     "a.sql:4: the parameters are $1 (the argument), $2 (the message's ID) and $3 (its payload)"},
    {"-- name: a\nselect $99999999999999999999\n",
     "a.sql:1: the parameters are $1 (the argument), $2 (the message's ID) and $3 (its payload)"},
#define BEHIND "behind the name nothing may follow but stand-in: TIME, such as 100ms, 60s at most"
    {"-- name: a stand-in\nselect 1\n", "a.sql:1: " BEHIND},
    {"-- name: a stand-in:\nselect 1\n", "a.sql:1: " BEHIND},
    {"-- name: a stand-in: 100\nselect 1\n", "a.sql:1: " BEHIND},
    {"-- name: a stand-in: 61s\nselect 1\n", "a.sql:1: " BEHIND},
    {"-- name: a stand-in: 1s 2s\nselect 1\n", "a.sql:1: " BEHIND},
    {"-- name: a stand-by: 1s\nselect 1\n", "a.sql:1: " BEHIND},
#undef BEHIND
};

Test(statements, mistakes_have_a_line)
{
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        cr_assert_not(parses(mistakes[i].text), "%s", mistakes[i].text);
        cr_assert_str_eq(error, mistakes[i].error, "'%s' gave '%s'", mistakes[i].text, error);
        cr_assert_null(statements.text);
    }
}

/* Any beginning of a file is read or refused, and never read beyond. */
Test(statements, cut_at_every_byte)
{
    static const char text[] = "-- x\n-- name: a stand-in: 1ms\nselect '$1', $2 /* \"*/\n"
                               "-- name: b\nselect \"$3\" -- $1\n";
    for (size_t len = 0; len < sizeof text; len++) {
        char *part = must_calloc(1, len + 1);
        memcpy(part, text, len);
        if (statements_parse(&statements, "a.sql", part, error, sizeof error))
            statements_free(&statements);
    }
    cr_assert(parses(text));
    cr_assert_eq(statements.statement[0].parameters, 2);
    cr_assert_eq(statements.statement[1].parameters, 0);
}

Test(statements, sixty_four_are_the_most)
{
    char text[64 * STATEMENTS_MAX] = "";
    size_t len = 0;
    for (int i = 0; i < STATEMENTS_MAX; i++)
        len += (size_t)sprintf(text + len, "-- name: s%d\nselect %d\n", i, i);
    cr_assert(parses(text), "%s", error);
    cr_assert_eq(statements.count, STATEMENTS_MAX);
    statements_free(&statements);
    sprintf(text + len, "-- name: more\nselect 1\n");
    cr_assert_not(parses(text));
    cr_assert_str_eq(error, "a.sql:129: 64 statements are the most");
}

static bool reads(const char *text, size_t len)
{
    char path[] = "/tmp/archbench-statements-XXXXXX";
    int fd = mkstemp(path);
    cr_assert_eq(write(fd, text, len), (ssize_t)len);
    close(fd);
    bool read = statements_read(&statements, path, error, sizeof error);
    unlink(path);
    return read;
}

Test(statements, from_a_file)
{
    static char large[STATEMENTS_BYTES_MAX + 1];
    const char head[] = "-- name: a\nselect 1";
    memset(large, ' ', sizeof large);
    memcpy(large, head, sizeof head - 1);
    cr_assert(reads(head, sizeof head - 1), "%s", error);
    statements_free(&statements);
    cr_assert(reads(large, STATEMENTS_BYTES_MAX), "%s", error);
    statements_free(&statements);
    cr_assert_not(reads(large, STATEMENTS_BYTES_MAX + 1));
    cr_assert(strstr(error, "64 KiB"), "%s", error);
    cr_assert_not(reads(head, sizeof head), "with a zero");
    cr_assert_not(statements_read(&statements, "/no/such/file", error, sizeof error));
    cr_assert_str_eq(error, "cannot open /no/such/file: No such file or directory");
}
