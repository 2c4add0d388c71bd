/* workload: one .ini file, one question. The format is described in docs/formats.md. */
#ifndef ARCHBENCH_WORKLOAD_H
#define ARCHBENCH_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WORKLOAD_CLASSES = 16,
    WORKLOAD_NAME = 32,    /* bytes of a class or point name, with its 0 */
    WORKLOAD_TARGET = 192, /* the INI reader takes no longer line than 200 */
};

/* When the next request is due: after a reply, or whatever the server does. */
enum arrivals_kind { ARRIVALS_CLOSED, ARRIVALS_CONSTANT, ARRIVALS_POISSON };

enum placement { PLACEMENT_SHARED, PLACEMENT_SPLIT };

/* Requests per second, or a percentage of the calibrated capacity. */
struct rate {
    bool given, percent;
    double value;
};

struct workload_class {
    char name[WORKLOAD_NAME];
    double weight; /* relative frequency; ignored when the classes have rates */
    struct rate rate;
    char method[WORKLOAD_NAME];
    char target[WORKLOAD_TARGET]; /* path and query; empty: not stated */
};

struct workload {
    char question[WORKLOAD_TARGET];
    enum arrivals_kind arrivals;
    int connections;
    struct rate rate;
    enum placement placement;
    int64_t timeout_ns;
    int class_count;
    struct workload_class class[WORKLOAD_CLASSES];
};

/* What holds where a file says nothing: a closed loop over 10 connections without classes. */
void workload_defaults(struct workload *);

/* Read `path` as `point` sees it. NULL stands for the only point, `base`, of a file without [point]
 * sections. Returns false with a sentence in `error` that names the file and, where there is one,
 * the line. */
bool workload_load(struct workload *, const char *path, const char *point, char *error,
                   size_t size);

/* "250", "1200.5" or "70%". Returns false when the text is no rate. */
bool workload_parse_rate(const char *text, struct rate *);

/* The classes have rates of their own, and the one of the whole workload does not matter. */
bool workload_has_class_rates(const struct workload *);

const char *arrivals_name(enum arrivals_kind);

#endif
