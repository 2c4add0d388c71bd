#include "common/upstream/statements.h"
#include "common/base/util.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER "-- name:"

/* --- the parameters of a statement ------------------------------------------------------------ */

/* The end of what begins here and holds no parameters: a quoted text or name, or a comment. The same place:
 * nothing of that kind begins here. Inside quotes a quote is doubled, so each half ends and begins one. */
static const char *skip(const char *at)
{
    if (*at == '\'' || *at == '"') {
        const char *end = strchr(at + 1, *at);
        return end ? end + 1 : at + strlen(at);
    }
    if (strncmp(at, "--", 2) == 0)
        return at + strcspn(at, "\n");
    if (strncmp(at, "/*", 2) == 0) {
        const char *end = strstr(at + 2, "*/");
        return end ? end + 2 : at + strlen(at);
    }
    return at;
}

static bool is_of_name(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '$';
}

/* The numbers behind a $. */
static void find_parameters(struct statement *statement)
{
    char before = ' ';
    for (const char *at = statement->text; *at;) {
        const char *end = skip(at);
        if (end == at && *at == '$' && !is_of_name(before)) {
            long number = strtol(at + 1, NULL, 10);
            if (number > STATEMENT_PARAMETERS_MAX)
                number = STATEMENT_PARAMETERS_MAX + 1;
            if (number > statement->parameters)
                statement->parameters = (int)number;
            if (number >= 1 && number <= STATEMENT_PARAMETERS_MAX)
                statement->mentions[number - 1] = true;
        }
        before = *at;
        at = end > at ? end : at + 1;
    }
}

/* --- the file --------------------------------------------------------------------------------- */

static bool is_header(const char *line)
{
    return strncmp(line, HEADER, strlen(HEADER)) == 0;
}

/* The next word of a line, which is terminated and skipped; empty: there is none. */
static char *take_word(char **rest)
{
    char *word = *rest + strspn(*rest, " \t\r");
    char *end = word + strcspn(word, " \t\r");
    *rest = *end ? end + 1 : end;
    *end = 0;
    return word;
}

static const char *read_name(struct statements *statements, struct statement *statement,
                             const char *name)
{
    size_t len = strlen(name);
    bool plain =
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == len;
    if (!plain || len == 0 || len > STATEMENT_NAME_MAX)
        return "a statement has a name of 1 to 31 letters, digits, _ and -";
    if (statements_find(statements, name) >= 0)
        return "there is a statement of this name already";
    strcpy(statement->name, name);
    return NULL;
}

/* NAME, and perhaps stand-in: TIME. Returns what is wrong, or NULL. */
static const char *read_header(struct statements *statements, struct statement *statement,
                               char *line)
{
    char *rest = line + strlen(HEADER);
    const char *wrong = read_name(statements, statement, take_word(&rest));
    const char *key = take_word(&rest), *time = take_word(&rest);
    if (wrong || !*key)
        return wrong;
    if (strcmp(key, "stand-in:") != 0 || *take_word(&rest) ||
        !parse_duration(time, strlen(time), &statement->stand_in_ns) ||
        statement->stand_in_ns > STATEMENT_STAND_IN_MAX_S * NSEC_PER_SEC)
        return "behind the name nothing may follow but stand-in: TIME, such as 100ms, 60s at most";
    return NULL;
}

/* Is there anything but blanks and comments? */
static bool says_something(const char *text)
{
    for (const char *at = text; *at;) {
        const char *end = skip(at);
        bool quoted = *at == '\'' || *at == '"';
        if (quoted || (end == at && !isspace((unsigned char)*at)))
            return true;
        at = end > at ? end : at + 1;
    }
    return false;
}

/* Once its text has its end. */
static const char *check(struct statement *statement)
{
    find_parameters(statement);
    if (statement->parameters > STATEMENT_PARAMETERS_MAX)
        return "the parameters are $1 (the argument), $2 (the message's ID) and $3 (its payload)";
    return says_something(statement->text) ? NULL : "the statement is empty";
}

/* `text` is what follows the line. */
static const char *begin_statement(struct statements *statements, char *line, const char *text)
{
    if (statements->count == STATEMENTS_MAX)
        return "64 statements are the most";
    struct statement *statement = &statements->statement[statements->count];
    *statement = (struct statement){.text = text};
    const char *wrong = read_header(statements, statement, line);
    if (!wrong)
        statements->count++;
    return wrong;
}

/* The place in the text of the line after this one. */
static char *end_line(char *line)
{
    char *end = line + strcspn(line, "\n");
    if (!*end)
        return end;
    if (is_header(line))
        *end = 0;
    return end + 1;
}

static const char *read_line(struct statements *statements, char *line, const char *next)
{
    if (is_header(line)) {
        if (line > statements->text)
            line[-1] = 0; /* the end of the statement before */
        return begin_statement(statements, line, next);
    }
    bool stray =
        !statements->count && line[strspn(line, " \t\r")] != '\n' && strncmp(line, "--", 2) != 0;
    return stray ? "a statement begins with a line -- name: NAME" : NULL;
}

/* *number becomes the line that is wrong. */
static const char *parse_lines(struct statements *statements, int *number)
{
    int begin[STATEMENTS_MAX] = {0};
    const char *wrong = NULL;
    for (char *line = statements->text; *line && !wrong;) {
        char *next = end_line(line);
        ++*number;
        wrong = read_line(statements, line, next);
        if (statements->count && !begin[statements->count - 1])
            begin[statements->count - 1] = *number;
        line = next;
    }
    for (int i = 0; i < statements->count && !wrong; i++) {
        *number = begin[i];
        wrong = check(&statements->statement[i]);
    }
    return wrong;
}

bool statements_parse(struct statements *statements, const char *path, char *text, char *error,
                      size_t size)
{
    int number = 0;
    *statements = (struct statements){.path = path, .text = text};
    const char *wrong = parse_lines(statements, &number);
    if (!wrong && !statements->count)
        wrong = "no statement: each begins with a line -- name: NAME";
    if (!wrong)
        return true;
    snprintf(error, size, "%s:%d: %s", path, number, wrong);
    statements_free(statements);
    return false;
}

bool statements_read(struct statements *statements, const char *path, char *error, size_t size)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        snprintf(error, size, "cannot open %s: %s", path, strerror(errno));
        return false;
    }
    char *text = must_calloc(1, STATEMENTS_BYTES_MAX + 2);
    size_t len = fread(text, 1, STATEMENTS_BYTES_MAX + 1, file);
    bool failed = ferror(file);
    fclose(file);
    if (!failed && len <= STATEMENTS_BYTES_MAX && !memchr(text, 0, len))
        return statements_parse(statements, path, text, error, size);
    snprintf(error, size, "%s: no text file of 64 KiB at most", path);
    free(text);
    return false;
}

void statements_free(struct statements *statements)
{
    free(statements->text);
    *statements = (struct statements){0};
}

int statements_find(const struct statements *statements, const char *name)
{
    for (int i = 0; i < statements->count; i++)
        if (strcmp(statements->statement[i].name, name) == 0)
            return i;
    return -1;
}
