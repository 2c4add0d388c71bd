/* moment: a request that says when it was due, so that whoever serves it knows how old it is. Its target
 * has WORKLOAD_TIME, in place of which digits are sent: always as many, so that no length changes and they can
 * be written over in the bytes of a request that is ready. */
#ifndef ARCHBENCH_MOMENT_H
#define ARCHBENCH_MOMENT_H

#include "loadgen/plan/workload.h"

#include <stddef.h>
#include <stdint.h>

enum {
    MOMENT_TARGET = WORKLOAD_TARGET + WORKLOAD_TIME_DIGITS
}; /* bytes of such a target, with its 0 */

/* Copy `target` into `out` (MOMENT_TARGET bytes), with the digits of 0 in place of WORKLOAD_TIME. Returns where they
 * begin, or 0 when there are none: a target begins with another character. */
size_t moment_expand(char *out, const char *target);

/* Write WORKLOAD_TIME_DIGITS digits, with zeros in front and no end of text. `ns` is from 0. */
void moment_write(char *digits, int64_t ns);

#endif
