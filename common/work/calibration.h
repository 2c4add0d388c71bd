/* calibration: how much work a millisecond is on this machine. See docs/formats.md. */
#ifndef ARCHBENCH_CALIBRATION_H
#define ARCHBENCH_CALIBRATION_H

#include "common/work/task_cost.h"
#include "common/work/work.h"

#include <pthread.h>
#include <stdbool.h>

struct calibration {
    double units_per_ms[WORK_KINDS]; /* on one otherwise idle core */
    double request_us;               /* CPU microseconds of a trivial request, server side */
    double parallel;                 /* share of its speed a core keeps while all cores work */
    /* A thread or process for each connection. Only measured and written: models read them. */
    struct task_cost thread, process;
    double connection_kib; /* of a connection in user memory; likewise */
};

/* What the file at `path` says. False: there is none, or it is of another CPU model or version. */
bool calibration_read(const char *path, struct calibration *);
/* Write it, so that it appears under its name only when whole. Dies when it cannot. */
void calibration_write(const char *path, const struct calibration *);

/* Measure all but what a request and a connection cost, which common/serve/calibrate.h adds. */
struct calibration calibration_of_work(void);

/* Units of hash per millisecond of CPU time that this core does now, from about 10 ms of work.
 * Against units_per_ms it says how fast the machine is at the moment: hosts change their clock, and
 * what a neighbour computes on the other thread of a core slows this one down. */
double calibration_hash_rate(int core);

/* For what else is measured: a thread on this core, to be joined (dies when it cannot be had), and
 * the middle one of n values, which are sorted. */
pthread_t calibration_start_on(int core, void *(*run)(void *), void *argument);
double calibration_median(double *values, int n);

#endif
