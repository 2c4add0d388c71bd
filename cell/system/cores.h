/* cores: which cores the server may use, and which the generator. */
#ifndef ARCHBENCH_CORES_H
#define ARCHBENCH_CORES_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>

struct cores {
    bool
        shared; /* the generator's core is one of the server's: it needs real-time priority there */
    cpu_set_t server, generator;
};

/* Divide the cores of this process. From 4 cores on, the generator has the last quarter to itself.
 * With fewer it has the last one, which the server uses too when `share` is asked for, or there is
 * only one. */
struct cores cores_divide(bool share);

/* "0,1,5" into `text`; returns it. */
char *cores_list(const cpu_set_t *, char *text, size_t size);

#endif
