/* options: a command line read through a table that also prints --help. */
#ifndef ARCHBENCH_OPTIONS_H
#define ARCHBENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_kind {
    OPTION_FLAG,     /* bool *: present means true */
    OPTION_INT,      /* int *: a whole number from min to max */
    OPTION_REAL,     /* double *: from min to max */
    OPTION_DURATION, /* int64_t *: nanoseconds, written as 10ms, 2s */
    OPTION_SIZE,     /* size_t *: bytes, written as 64k */
    OPTION_TEXT,     /* const char **: points into argv */
    OPTION_LIST,     /* struct option_list *: may be given several times */
    OPTION_CHOICE,   /* int *: index into `choices`, words separated by | */
    OPTION_RARE,     /* no option: the rows after it in this table are for --help-all only */
};

enum { OPTION_LIST_MAX = 32 };

/* Texts in the order they were given; they point into argv. */
struct option_list {
    int count;
    const char *text[OPTION_LIST_MAX];
};

/* One option. `value` holds the default before options_parse, and is named in --help. */
struct option_row {
    const char *name; /* long name without the dashes; any text with OPTION_RARE */
    char letter;      /* short name, or 0 */
    enum option_kind kind;
    void *value;
    const char *argument; /* what --help calls the argument, or the choices */
    const char *help;
    double min, max; /* OPTION_INT and OPTION_REAL; both 0: any value that is not negative */
};

struct options {
    const char *program;          /* name in --help */
    const char *arguments;        /* what follows the options in the usage line, may be "" */
    const char *about;            /* one sentence */
    const struct option_row *own; /* ends with a row without name; may be NULL */
    const struct option_row *common;
};

/* Fill the rows' values from argv. A bad option dies with one line (exit 2). --help prints the
 * tables and exits 0; where a table has rare rows it leaves them out, and --help-all prints all.
 * Returns the index of the first operand. */
int options_parse(const struct options *, int argc, char **argv);

#endif
