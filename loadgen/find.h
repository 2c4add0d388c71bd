/* find: the runs that a search for the highest sustainable rate asks for. */
#ifndef ARCHBENCH_FIND_H
#define ARCHBENCH_FIND_H

#include "loadgen/judge/criteria.h"
#include "loadgen/judge/search.h"
#include "loadgen/measure.h"
#include "loadgen/plan/plan.h"

#include <stdio.h>

/* Run the plan, an open loop, at one rate after the other until the highest is known at which all
 * conditions hold, and tell of each step on `out` (NULL: be quiet). Returns the best run: the one at
 * the highest rate that held, or, when none did, the last one, with the plan at its rate. It is the
 * caller's, to be freed by measurement_free. SIGINT ends the search. */
struct measurement *find_rate(struct search *, struct plan *, const struct criteria *, FILE *out);

#endif
