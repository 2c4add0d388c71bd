/* timeline: what happened in each interval of the window, as lines of a file and on the terminal.
 * Reads the workers' counts while they write them. */
#ifndef ARCHBENCH_TIMELINE_H
#define ARCHBENCH_TIMELINE_H

#include "loadgen/books/drift.h"
#include "loadgen/books/sample.h"
#include "loadgen/books/stats.h"
#include "loadgen/output/display.h"
#include "loadgen/plan/plan.h"

#include <stdbool.h>
#include <stdio.h>

struct timeline {
    const struct plan *plan;
    const struct shared *shared;
    FILE *file;              /* owned; NULL: no file */
    char *buffer;            /* of the file; owned with it */
    bool json;               /* it has a JSON object on each line; else it is a CSV table */
    struct display *display; /* owned; NULL: show nothing */
    int64_t begin_ns, half_ns, last_ns; /* half_ns 0: it was not reached */
    struct sample *now, *before, *half; /* owned; sample_create */
    struct hist since;                  /* scratch */
};

/* `path` NULL: no file; one that ends in .jsonl becomes JSON lines, any other CSV. `progress` shows
 * each interval on stderr, a terminal. The caller owns the result. Dies when the file cannot be
 * made. */
struct timeline *timeline_create(const struct plan *, const struct shared *, const char *path,
                                 bool progress);
/* The window opens at `now_ns`. */
void timeline_begin(struct timeline *, int64_t now_ns);
/* A line about the time since the line before, or since the start. Written through to the file at
 * once. The last call has to be at the end of the window. */
void timeline_row(struct timeline *, int64_t now_ns);
/* Half of the window is over. */
void timeline_half(struct timeline *, int64_t now_ns);
/* The halves of the window, after its last row. */
struct drift timeline_drift(const struct timeline *);
/* Dies when the file could not be written. */
void timeline_free(struct timeline *);

#endif
