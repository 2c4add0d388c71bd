/* calibrate: measure afresh how much work a millisecond is on this machine, and save it. */
#include "common/serve/calibrate.h"
#include "common/base/options.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    const char *path = NULL;
    bool keep = false;
    const struct option_row rows[] = {
        {"calibration", 0, OPTION_TEXT, &path, "FILE",
         "where to save it (default: calibration.json beside this program)", 0, 0},
        {"keep", 0, OPTION_FLAG, &keep, NULL,
         "only if it is missing, or of another machine or version", 0, 0},
        {0},
    };
    options_parse(
        &(struct options){"calibrate", "", "Measure how much work a millisecond is.", rows, NULL},
        argc, argv);
    struct calibration result = keep ? calibration_load(path) : calibration_renew(path);
    printf("{\"units_per_ms\": {");
    for (int kind = 0; kind < WORK_KINDS; kind++)
        printf("%s\"%s\": %.3f", kind ? ", " : "", work_name((enum work_kind)kind),
               result.units_per_ms[kind]);
    printf("}, \"request_us\": %.3f, \"parallel\": %.4f}\n", result.request_us, result.parallel);
    return 0;
}
