/* respawn: when a worker process that has ended is to be followed by the next one.
 *
 * At once, if it lived for a while. One that dies young is followed after a pause, a longer one
 * each time: a fault that every worker meets at its start would otherwise turn the parent into a
 * program that forks without end. */
#ifndef ARCHBENCH_RESPAWN_H
#define ARCHBENCH_RESPAWN_H

#include "common/base/util.h"

#define RESPAWN_YOUNG_NS NSEC_PER_SEC           /* a shorter life calls for a pause */
#define RESPAWN_FIRST_NS (100 * NSEC_PER_MSEC)  /* the first pause; each further one is doubled */
#define RESPAWN_LAST_NS  (6400 * NSEC_PER_MSEC) /* and no pause is longer */

/* One place for a worker. Zeroed: nobody has been there, and the first one may come. */
struct respawn {
    int64_t begin_ns; /* of the last life */
    int64_t pause_ns; /* after it */
    int64_t due_ns;   /* when the next one may begin */
};

/* A worker starts, or has ended, now. One that could not be started did both. */
void respawn_begin(struct respawn *, int64_t now_ns);
void respawn_end(struct respawn *, int64_t now_ns);

#endif
