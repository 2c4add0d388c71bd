/* calibration: how much work a millisecond is on this machine. See docs/formats.md. */
#ifndef ARCHBENCH_CALIBRATION_H
#define ARCHBENCH_CALIBRATION_H

#include "common/work/task_cost.h"
#include "common/work/work.h"

struct calibration {
    double units_per_ms[WORK_KINDS]; /* on one otherwise idle core */
    double request_us;               /* CPU microseconds of a trivial request, server side */
    double parallel;                 /* share of its speed a core keeps while all cores work */
    /* A thread or process for each connection. Only measured and written: models read them. */
    struct task_cost thread, process;
};

/* Read the calibration from `path` (NULL: $ARCHBENCH_CALIBRATION, or calibration.json in the
 * build folder). When there is none for this CPU model, measure it, which takes about two seconds,
 * and save it there for all others: one machine, one meaning of a millisecond. */
struct calibration calibration_load(const char *path);

/* Units of hash per millisecond of CPU time that this core does now, from about 10 ms of work.
 * Against units_per_ms it says how fast the machine is at the moment: hosts change their clock, and
 * what a neighbour computes on the other thread of a core slows this one down. */
double calibration_hash_rate(int core);

/* Measure afresh and save. */
struct calibration calibration_renew(const char *path);

#endif
