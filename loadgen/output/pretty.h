/* pretty: numbers as people read them. */
#ifndef ARCHBENCH_PRETTY_H
#define ARCHBENCH_PRETTY_H

#include <stddef.h>

enum { PRETTY_TIME = 16 }; /* bytes that hold any time, with its 0 */

/* Nanoseconds with three significant digits: "1.23ms", "45.6us". "inf" and "-" (for NAN) when it is
 * no number. Returns `text`. */
const char *pretty_time(char text[PRETTY_TIME], double ns);

#endif
