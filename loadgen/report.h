/* report: a finished run, for people and for programs. The formats are in docs/formats.md. */
#ifndef ARCHBENCH_REPORT_H
#define ARCHBENCH_REPORT_H

#include <stdio.h>

#include "loadgen/verdict.h"

/* About one screen of text. */
void report_summary(const struct result *, FILE *);

/* The whole result as JSON; "-" is stdout. Dies when the file cannot be written. */
void report_json(const struct result *, const char *path);

/* PREFIX.CLASS.hgrm for each class: response times. Dies when a file cannot be written. */
void report_hgrm(const struct result *, const char *prefix);

#endif
