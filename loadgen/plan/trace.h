/* trace: recorded arrivals to be replayed, from a CSV file of seconds and class names. */
#ifndef ARCHBENCH_TRACE_H
#define ARCHBENCH_TRACE_H

#include "loadgen/plan/workload.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trace_entry {
    int64_t at_ns; /* after the trace's begin */
    int class;
};

/* In the order of time. */
struct trace {
    struct trace_entry *entry; /* owned */
    size_t count;
};

/* Read `path`, whose classes are those of the workload. Lines are `seconds,class`; `#` starts a
 * comment line, and a first line `time_s,class` may name the columns. Lines need not be in order.
 * Returns false with a sentence in `error` that names the file and the line. */
bool trace_load(struct trace *, const char *path, const struct workload *, char *error,
                size_t size);
void trace_free(struct trace *);

#endif
