/* statements: the SQL that steps io=sql:NAME ask for, from a file of the form that several libraries
 * read:
 *
 *     -- name: add_message  stand-in: 100ms
 *     insert into message (room, id, text) values ($1, $2, convert_from($3, 'UTF8'));
 *
 * A line "-- name: NAME" begins a statement, which goes on until the next such line. What each statement
 * costs where no database is at hand may be stated beside its name; without it nothing. */
#ifndef ARCHBENCH_STATEMENTS_H
#define ARCHBENCH_STATEMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    STATEMENTS_MAX = 64,
    STATEMENTS_BYTES_MAX = 65536, /* of the whole file */
    STATEMENT_NAME_MAX = 31,      /* letters, digits, _ and - */
    STATEMENT_STAND_IN_MAX_S = 60,
    STATEMENT_PARAMETERS_MAX = 3,
};

struct statement {
    char name[STATEMENT_NAME_MAX + 1];
    int64_t stand_in_ns;
    const char *text; /* terminated, in statements->text */
    int parameters;   /* $1 to $N: the highest N that it mentions, outside quotes and comments */
    bool mentions[STATEMENT_PARAMETERS_MAX]; /* $1, $2, $3 */
};

struct statements {
    const char *path; /* the caller's */
    char *text;       /* of the file, cut into pieces */
    int count;
    struct statement statement[STATEMENTS_MAX];
};

/* Read a file, which `path` names in messages too; or a text, which it takes over. False: *statements
 * holds nothing, and `error` says what is wrong as "FILE:LINE: reason". */
bool statements_read(struct statements *, const char *path, char *error, size_t size);
bool statements_parse(struct statements *, const char *path, char *text, char *error, size_t size);
void statements_free(struct statements *);

/* The place of a statement; -1: there is none of this name. */
int statements_find(const struct statements *, const char *name);

#endif
