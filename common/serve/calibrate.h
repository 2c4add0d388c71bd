/* calibrate: the calibration of this machine, measured when nobody has measured it yet. It needs a
 * connection to be served, which is why it is not part of common/work/calibration.h. */
#ifndef ARCHBENCH_CALIBRATE_H
#define ARCHBENCH_CALIBRATE_H

#include "common/work/calibration.h"

/* Read the calibration from `path` (NULL: $ARCHBENCH_CALIBRATION, or calibration.json in the
 * build folder). When there is none for this CPU model, measure it, which takes about two seconds,
 * and save it there for all others: one machine, one meaning of a millisecond. */
struct calibration calibration_load(const char *path);

/* Measure afresh and save. */
struct calibration calibration_renew(const char *path);

#endif
