/* refusals: which numbers of a run may be wrong by more than can be accepted, although the run as a
 * whole is sound. docs/method.md derives the bounds. */
#ifndef ARCHBENCH_REFUSALS_H
#define ARCHBENCH_REFUSALS_H

#include "loadgen/judge/result.h"

/* Nanoseconds by which a number of the response may at most be too long, because the generator sent
 * late, or because others held a core that it or the server wanted. `percent` as in holds_least().
 * NAN where the number is infinite, or nothing was measured. */
double refusals_uncertainty_ns(const struct result *, const struct class_stats *, double percent);

/* Fill in result->refusals from the rest. */
void refusals_judge(struct result *);

/* Are the rates of this run not sure, because a worker was busy or, in a closed loop, held? */
bool refusals_of_rates(const struct result *);

/* Does one of these conditions ask for a number that is refused? Then why. */
bool refusals_concern(const struct result *, const struct criteria *, char *why, size_t size);

#endif
