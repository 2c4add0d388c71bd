/* summary: a run that is over, for people. */
#ifndef ARCHBENCH_SUMMARY_H
#define ARCHBENCH_SUMMARY_H

#include "loadgen/judge/result.h"

#include <stdio.h>

/* A dozen lines of text, and one for each class, note and reason. A percentile that the requests
 * are too few for is marked with ~. */
void summary_print(const struct result *, FILE *);

#endif
