/* measure: one run from the first connection to the verdict. */
#ifndef ARCHBENCH_MEASURE_H
#define ARCHBENCH_MEASURE_H

#include "loadgen/crew.h"
#include "loadgen/judge/result.h"
#include "loadgen/plan/plan.h"

#include <stdbool.h>

struct measurement {
    struct crew crew;
    struct totals *totals;
    struct result result; /* points into the rest and to the plan */
};

/* Where a run tells of itself while it goes on. */
struct telling {
    const char *timeseries; /* file, or NULL */
    int control;            /* descriptor, or -1: see --control in docs/formats.md */
    bool display;           /* on the terminal */
};

/* Carry the plan out. The result is the caller's, to be freed by measurement_free before the plan
 * is. Dies when no connection can be made. */
struct measurement *measure(const struct plan *, const struct telling *);
void measurement_free(struct measurement *);

#endif
