/* report: a trial as the JSON of a cell (docs/formats.md, "Cell"). */
#ifndef ARCHBENCH_REPORT_H
#define ARCHBENCH_REPORT_H

#include "cell/trial.h"

/* The parts of cell.json that a trial tells: placement, command, load, counters, cost, memory,
 * upstream, kill, host, exit, validity. The caller owns the object; it keeps references to the
 * trial's own JSON. What was not measured is null. */
json_t *report_trial(const struct trial_setup *, const struct trial *);

#endif
