#include "common/base/options.h"
#include "common/base/util.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What getopt_long returns: a short name, a code below, or FIRST_CODE + the row of a long name. */
enum { MAX_ROWS = 64, HELP_ALL_CODE = 256, FIRST_CODE };

enum { HELP_COLUMN = 34 }; /* where the texts of --help begin, after the margin */

/* Both tables as one list, in the order that getopt's codes index. A program's own row stands for a
 * common one of the same name. */
struct table {
    const struct option_row *row[MAX_ROWS];
    bool rare[MAX_ROWS], any_rare;
    int count;
};

static bool table_has(const struct table *table, const char *name)
{
    for (int i = 0; i < table->count; i++)
        if (strcmp(table->row[i]->name, name) == 0)
            return true;
    return false;
}

static void table_append(struct table *table, const struct option_row *row)
{
    bool rare = false;
    for (; row && row->name && table->count < MAX_ROWS; row++) {
        if (row->kind == OPTION_RARE) {
            rare = table->any_rare = true;
            continue;
        }
        if (table_has(table, row->name))
            continue;
        table->rare[table->count] = rare;
        table->row[table->count++] = row;
    }
}

static int choice_index(const char *choices, const char *word)
{
    size_t len = strlen(word);
    for (int index = 0;; index++) {
        size_t n = strcspn(choices, "|");
        if (n == len && memcmp(choices, word, n) == 0)
            return index;
        if (!choices[n])
            return -1;
        choices += n + 1;
    }
}

static struct span choice_word(const char *choices, int index)
{
    while (index--)
        choices += strcspn(choices, "|") + 1;
    return (struct span){(char *)choices, strcspn(choices, "|")};
}

static bool store_real(const struct option_row *row, const char *text)
{
    char *end;
    double v = strtod(text, &end);
    bool bounded = row->min || row->max;
    if (end == text || *end || !(v >= (bounded ? row->min : 0)) || (bounded && v > row->max))
        return false;
    *(double *)row->value = v;
    return true;
}

static bool store_int(const struct option_row *row, const char *text)
{
    bool bounded = row->min || row->max;
    long v;
    if (!parse_integer(text, bounded ? (long)row->min : 0, bounded ? (long)row->max : INT32_MAX,
                       &v))
        return false;
    *(int *)row->value = (int)v;
    return true;
}

static bool store_list(struct option_list *list, const char *text)
{
    if (list->count == OPTION_LIST_MAX)
        return false;
    list->text[list->count++] = text;
    return true;
}

static bool store(const struct option_row *row, const char *text)
{
    uint64_t bytes;
    switch (row->kind) {
    case OPTION_FLAG: *(bool *)row->value = true; return true;
    case OPTION_INT: return store_int(row, text);
    case OPTION_REAL: return store_real(row, text);
    case OPTION_DURATION: return parse_duration(text, strlen(text), row->value);
    case OPTION_SIZE:
        if (!parse_size(text, strlen(text), &bytes))
            return false;
        *(size_t *)row->value = bytes;
        return true;
    case OPTION_TEXT: *(const char **)row->value = text; return true;
    case OPTION_LIST: return store_list(row->value, text);
    case OPTION_CHOICE: {
        int index = choice_index(row->argument, text);
        if (index < 0)
            return false;
        *(int *)row->value = index;
        return true;
    }
    case OPTION_RARE: break;
    }
    return false;
}

static void format_duration(char *text, size_t size, int64_t ns)
{
    if (ns % NSEC_PER_SEC == 0)
        snprintf(text, size, "%llds", (long long)(ns / NSEC_PER_SEC));
    else if (ns % NSEC_PER_MSEC == 0)
        snprintf(text, size, "%lldms", (long long)(ns / NSEC_PER_MSEC));
    else
        snprintf(text, size, "%lldus", (long long)(ns / NSEC_PER_USEC));
}

/* A number below what may be given stands for "not given", and no time for "no limit". */
static void format_default(const struct option_row *row, char *text, size_t size)
{
    *text = 0;
    switch (row->kind) {
    case OPTION_FLAG: break;
    case OPTION_INT:
        if (*(int *)row->value >= (row->min > 0 ? row->min : 0))
            snprintf(text, size, "%d", *(int *)row->value);
        break;
    case OPTION_REAL:
        if (*(double *)row->value >= row->min)
            snprintf(text, size, "%g", *(double *)row->value);
        break;
    case OPTION_DURATION:
        if (*(int64_t *)row->value > 0)
            format_duration(text, size, *(int64_t *)row->value);
        break;
    case OPTION_SIZE: snprintf(text, size, "%zu", *(size_t *)row->value); break;
    case OPTION_TEXT:
        if (*(const char **)row->value)
            snprintf(text, size, "%s", *(const char **)row->value);
        break;
    case OPTION_CHOICE: {
        struct span word = choice_word(row->argument, *(int *)row->value);
        snprintf(text, size, "%.*s", (int)word.len, word.data);
        break;
    }
    case OPTION_LIST:
    case OPTION_RARE: break;
    }
}

static void print_row(const struct option_row *row)
{
    char left[128], fallback[128];
    int length = snprintf(left, sizeof left, "%s%c%s--%s %s", row->letter ? "-" : " ",
                          row->letter ? row->letter : ' ', row->letter ? ", " : "  ", row->name,
                          row->argument ? row->argument : "");
    format_default(row, fallback, sizeof fallback);
    if (length > HELP_COLUMN) { /* a line of its own */
        printf("  %s\n", left);
        *left = 0;
    }
    printf("  %-*s %s%s%s%s\n", HELP_COLUMN, left, row->help, *fallback ? " [" : "", fallback,
           *fallback ? "]" : "");
}

_Noreturn static void print_help(const struct options *options, const struct table *table, bool all)
{
    printf("Usage: %s [options]%s%s\n%s\n\n", options->program, *options->arguments ? " " : "",
           options->arguments, options->about);
    for (int i = 0; i < table->count; i++) {
        if (all || !table->rare[i])
            print_row(table->row[i]);
    }
    printf("  %-*s %s\n", HELP_COLUMN, "-h, --help", "print this");
    if (table->any_rare)
        printf("  %-*s all options; man %s explains them\n", HELP_COLUMN, "    --help-all",
               options->program);
    exit(0);
}

/* The table as getopt_long wants it. ':' first: getopt stays silent, we report. */
static void fill_getopt(const struct table *table, char *shorts, struct option *longs)
{
    shorts += sprintf(shorts, ":h");
    for (int i = 0; i < table->count; i++) {
        const struct option_row *row = table->row[i];
        int argument = row->kind == OPTION_FLAG ? no_argument : required_argument;
        *longs++ = (struct option){row->name, argument, NULL, FIRST_CODE + i};
        if (row->letter)
            shorts += sprintf(shorts, "%c%s", row->letter, argument == no_argument ? "" : ":");
    }
    *longs++ = (struct option){"help", no_argument, NULL, 'h'};
    if (table->any_rare)
        *longs++ = (struct option){"help-all", no_argument, NULL, HELP_ALL_CODE};
}

int options_parse(const struct options *options, int argc, char **argv)
{
    struct table table = {.count = 0};
    struct option longs[MAX_ROWS + 3] = {{0}};
    char shorts[3 * MAX_ROWS + 4];

    table_append(&table, options->own);
    table_append(&table, options->common);
    fill_getopt(&table, shorts, longs);

    int code;
    while ((code = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        const struct option_row *row = NULL;
        if (code == 'h' || code == HELP_ALL_CODE)
            print_help(options, &table, code == HELP_ALL_CODE);
        if (code == ':')
            die("option '%s' needs a value (see --help)", argv[optind - 1]);
        if (code == '?')
            die("unknown option '%s' (see --help)", argv[optind - 1]);
        for (int i = 0; i < table.count && !row; i++)
            if (code == FIRST_CODE + i || (code < FIRST_CODE && code == table.row[i]->letter))
                row = table.row[i];
        if (!store(row, optarg))
            die("--%s: '%s' is not a valid value (see --help)", row->name, optarg);
    }
    return optind;
}
