/* report: a run that is over, as files for programs. */
#ifndef ARCHBENCH_REPORT_H
#define ARCHBENCH_REPORT_H

#include "loadgen/judge/result.h"

/* The whole result as JSON (docs/loadgen-json.md); "-" is stdout. Dies when the file cannot be
 * written. */
void report_json(const struct result *, const char *path);

/* PREFIX.CLASS.hgrm for each class: response times, as hist_write_hgrm. Dies when a file cannot be
 * written. */
void report_hgrm(const struct result *, const char *prefix);

#endif
