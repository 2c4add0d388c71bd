/* notes: what a reader should know beside the numbers of a run. None of it makes them invalid. */
#ifndef ARCHBENCH_NOTES_H
#define ARCHBENCH_NOTES_H

#include "loadgen/judge/result.h"

/* Fill in result->notes from the rest. */
void notes_take(struct result *);

#endif
