/* workload_keys: which keys the sections of a workload file have, and what each of them takes. */
#ifndef ARCHBENCH_WORKLOAD_KEYS_H
#define ARCHBENCH_WORKLOAD_KEYS_H

#include "loadgen/plan/workload.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct key {
    const char *name;
    bool (*take)(const char *text, void *field); /* false: the text is nothing for the field */
    size_t field;          /* offset in the struct that the section describes */
    const char *complaint; /* what a text is that was not taken: "not a duration ..." */
};

/* What a run profile says about a workload. */
struct profile {
    char points[WORKLOAD_TARGET], servers[WORKLOAD_TARGET], twin[WORKLOAD_TARGET];
    int trials, connections;
    int64_t warmup_ns, duration_ns;
};

/* Of [workload] and a struct workload, of [class] and a struct workload_class, of [phase] and a
 * struct phase, and so on. Each ends with a key that has no name. */
extern const struct key workload_keys[], class_keys[], phase_keys[], profile_keys[];

/* NULL when there is none of that name. */
const struct key *key_find(const struct key *keys, const char *name);

/* The names of keys, up to a NULL, of the section [report] or [case]; NULL for another section. Their
 * values are for whatever plans the run and writes the report, so nothing here looks at them. */
const char *const *words_of_section(const char *section);

bool words_have(const char *const *words, const char *name);

#endif
