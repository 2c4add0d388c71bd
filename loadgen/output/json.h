/* json: objects and lists are filled. Values are handed over; when memory is out, that is the end. */
#ifndef ARCHBENCH_JSON_H
#define ARCHBENCH_JSON_H

#include "common/base/util.h"

#include <jansson.h>
#include <math.h>

/* JSON has no infinity: null stands for it. */
static inline json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static inline void set(json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value))
        die("out of memory");
}

static inline void set_count(json_t *object, const char *key, uint64_t value)
{
    set(object, key, json_integer((json_int_t)value));
}

static inline void set_text(json_t *object, const char *key, const char *text)
{
    set(object, key, text ? json_string(text) : json_null());
}

/* 0 stands for "not asked for" or "none". */
static inline void set_positive(json_t *object, const char *key, double value)
{
    set(object, key, value > 0 ? number(value) : json_null());
}

static inline void append(json_t *array, json_t *value)
{
    if (json_array_append_new(array, value))
        die("out of memory");
}

/* Microseconds from nanoseconds. */
static inline void set_us(json_t *object, const char *key, double ns)
{
    set(object, key, number(ns / 1e3));
}

#endif
