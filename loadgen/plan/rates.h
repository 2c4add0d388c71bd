/* rates: how many requests per second a plan asks for, where they are a share of what the server can
 * do, and which digests their replies must have. */
#ifndef ARCHBENCH_RATES_H
#define ARCHBENCH_RATES_H

#include "loadgen/plan/plan.h"

/* Fill in the rates of a plan and of its classes, and the digests to expect. Loads the calibration
 * only where something depends on it. Dies when that cannot be read. */
void rates_set(struct plan *, const struct wishes *);

#endif
