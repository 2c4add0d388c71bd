/* pretty: see pretty.h. */
#include "loadgen/output/pretty.h"

#include <math.h>
#include <stdio.h>

const char *pretty_time(char text[PRETTY_TIME], double ns)
{
    static const char *const units[] = {"us", "ms", "s"};
    double value = ns / 1e3;
    int unit = 0;

    if (!isfinite(ns)) {
        snprintf(text, PRETTY_TIME, "%s", isnan(ns) ? "-" : "inf");
        return text;
    }
    while (value >= 999.5 && unit < 2) { /* the limits are those of the rounding below */
        value /= 1e3;
        unit++;
    }
    snprintf(text, PRETTY_TIME, "%.*f%s",
             value < 9.995   ? 2
             : value < 99.95 ? 1
                             : 0,
             value, units[unit]);
    return text;
}
