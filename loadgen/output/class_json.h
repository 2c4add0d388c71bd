/* class_json: what became of the requests of a class, in the report. The keys are described in docs/loadgen-json.md.
 * Each function returns a new object, which is the caller's. */
#ifndef ARCHBENCH_CLASS_JSON_H
#define ARCHBENCH_CLASS_JSON_H

#include "loadgen/books/stats.h"
#include "loadgen/judge/result.h"

#include <jansson.h>

/* `stats` of the class with this number, or of all (-1). */
json_t *class_json(const struct result *, const struct class_stats *stats, int class,
                   double weight);
json_t *latency_json(const struct hist *);
/* A count for each kind of error. */
json_t *kinds_json(const uint64_t counts[ERRORS]);

#endif
