/* timeline: what happened in each second of the window, as rows of a CSV file and as a line on the
 * terminal that is overwritten. Reads the workers' counts while they write them. */
#ifndef ARCHBENCH_TIMELINE_H
#define ARCHBENCH_TIMELINE_H

#include <stdbool.h>
#include <stdio.h>

#include "loadgen/plan.h"
#include "loadgen/stats.h"

struct timeline {
    const struct plan *plan;
    const struct shared *shared;
    FILE *csv;     /* owned; NULL: no file */
    bool progress; /* show a line on stderr */
    int64_t begin_ns, last_ns;
    uint64_t requests, good, errors; /* at the last row */
    struct hist now, before, since;
};

/* `path` NULL: no file. The caller owns the result. Dies when the file cannot be made. */
struct timeline *timeline_create(const struct plan *, const struct shared *, const char *path,
                                 bool progress);
/* The window opens at `now_ns`. */
void timeline_begin(struct timeline *, int64_t now_ns);
/* One row, about the time since the row before. */
void timeline_row(struct timeline *, int64_t now_ns);
/* Dies when the file could not be written. */
void timeline_free(struct timeline *);

#endif
