/* trace: see trace.h. */
#include "loadgen/plan/trace.h"
#include "common/base/util.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double MAX_SECONDS = 1e6; /* more is a date rather than a time since the start */

struct reader {
    FILE *file;
    const char *path;
    const struct workload *workload;
    struct trace *trace;
    size_t room; /* for entries of the trace */
    int line;    /* 0: the complaint is about the whole file */
    char *error;
    size_t error_size;
};

/* Returns false, for its caller to return. */
__attribute__((format(printf, 2, 3))) static bool fail(struct reader *r, const char *format, ...)
{
    char reason[256];
    va_list args;

    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    if (r->line > 0)
        snprintf(r->error, r->error_size, "%s:%d: %s", r->path, r->line, reason);
    else
        snprintf(r->error, r->error_size, "%s: %s", r->path, reason);
    return false;
}

static bool find_class(const struct workload *w, const char *name, int *class)
{
    for (int i = 0; i < w->class_count; i++) {
        if (strcmp(w->class[i].name, name) == 0) {
            *class = i;
            return true;
        }
    }
    return false;
}

static bool parse_seconds(const char *text, int64_t *ns)
{
    char *end;
    double seconds;

    if (!isdigit((unsigned char)text[0]) && text[0] != '.')
        return false; /* strtod would take signs, blanks, inf and nan */
    seconds = strtod(text, &end);
    if (end == text || *end || seconds > MAX_SECONDS)
        return false;
    *ns = (int64_t)(seconds * (double)NSEC_PER_SEC + 0.5);
    return true;
}

static void append(struct reader *r, struct trace_entry entry)
{
    struct trace *trace = r->trace;

    if (trace->count == r->room) {
        r->room = r->room ? 2 * r->room : 1024;
        trace->entry = reallocarray(trace->entry, r->room, sizeof *trace->entry);
        if (!trace->entry)
            die("out of memory");
    }
    trace->entry[trace->count++] = entry;
}

/* A line without its end. */
static bool read_entry(struct reader *r, char *text)
{
    char *comma = strchr(text, ',');
    struct trace_entry entry;

    if (!comma)
        return fail(r, "'%s' is not seconds,class", text);
    *comma = '\0';
    if (!parse_seconds(text, &entry.at_ns))
        return fail(r, "'%s' is not a number of seconds from 0 to %.0f", text, MAX_SECONDS);
    if (!find_class(r->workload, comma + 1, &entry.class))
        return fail(r, "the workload has no class '%s'", comma + 1);
    append(r, entry);
    return true;
}

static bool read_entries(struct reader *r)
{
    char *text = NULL;
    size_t size = 0;
    bool good = true, names_allowed = true;

    while (good && getline(&text, &size, r->file) >= 0) {
        r->line++;
        text[strcspn(text, "\r\n")] = '\0';
        if (text[0] == '\0' || text[0] == '#')
            continue;
        if (!names_allowed || strcmp(text, "time_s,class") != 0)
            good = read_entry(r, text);
        names_allowed = false;
    }
    free(text);
    return good;
}

/* Join the sorted halves [0, middle) and [middle, count) by way of `spare`. */
static void merge(struct trace_entry *entry, size_t middle, size_t count, struct trace_entry *spare)
{
    size_t left = 0, right = middle;

    if (entry[middle - 1].at_ns <= entry[middle].at_ns)
        return; /* all the time, with most traces */
    for (size_t i = 0; i < count; i++) {
        bool from_left =
            left < middle && (right == count || entry[left].at_ns <= entry[right].at_ns);

        spare[i] = entry[from_left ? left++ : right++];
    }
    memcpy(entry, spare, count * sizeof *entry);
}

/* A merge sort, since qsort does not promise to leave entries of the same time in their order. */
static void sort(struct trace_entry *entry, size_t count, struct trace_entry *spare)
{
    size_t middle = count / 2;

    if (count < 2)
        return;
    sort(entry, middle, spare);
    sort(entry + middle, count - middle, spare);
    merge(entry, middle, count, spare);
}

static void sort_trace(struct trace *trace)
{
    struct trace_entry *spare = must_calloc(trace->count, sizeof *spare);

    sort(trace->entry, trace->count, spare);
    free(spare);
}

static bool read_file(struct reader *r)
{
    if (!read_entries(r))
        return false;
    r->line = 0;
    if (ferror(r->file))
        return fail(r, "%s", strerror(errno));
    if (r->trace->count == 0)
        return fail(r, "there is no arrival in it");
    sort_trace(r->trace);
    return true;
}

bool trace_load(struct trace *trace, const char *path, const struct workload *workload, char *error,
                size_t size)
{
    struct reader r = {
        .path = path, .workload = workload, .trace = trace, .error = error, .error_size = size};
    bool good;

    *trace = (struct trace){0};
    r.file = fopen(path, "re");
    if (!r.file)
        return fail(&r, "%s", strerror(errno));
    good = read_file(&r);
    fclose(r.file);
    if (!good)
        trace_free(trace);
    return good;
}

void trace_free(struct trace *trace)
{
    free(trace->entry);
    *trace = (struct trace){0};
}
