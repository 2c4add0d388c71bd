/* workload: see workload.h. libinih splits the lines; this file knows the keys. */
#include "loadgen/workload.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"

enum { MAX_CONNECTIONS = 10 * 1000 * 1000 };

/* The state of reading one file. A point changes a copy of what stands above it, so [workload]
 * and the classes have to come before the first [point]. */
struct loader {
    FILE *file;
    const char *path, *wanted; /* wanted: the point to read, or NULL */
    struct workload base;
    struct workload chosen;       /* base as changed by the wanted point */
    struct workload passing;      /* base as changed by another point: only checked */
    struct workload *target;      /* what keys of the current section change */
    struct workload_class *class; /* of the current [class], or NULL */
    bool in_profile, found, has_points;
    int line;
    char points[256]; /* names of all points, for the error that lists them */
    char *error;
    size_t error_size;
    bool failed;
};

/* Keep the first complaint; the reader cannot be stopped at once. Returns 0, its word for "bad". */
__attribute__((format(printf, 2, 3))) static int fail(struct loader *l, const char *format, ...)
{
    char reason[256];
    va_list args;

    if (l->failed)
        return 0;
    l->failed = true;
    va_start(args, format);
    vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    if (l->line > 0)
        snprintf(l->error, l->error_size, "%s:%d: %s", l->path, l->line, reason);
    else
        snprintf(l->error, l->error_size, "%s: %s", l->path, reason);
    return 0;
}

void workload_defaults(struct workload *w)
{
    *w = (struct workload){.arrivals = ARRIVALS_CLOSED,
                           .connections = 10,
                           .placement = PLACEMENT_SHARED,
                           .timeout_ns = 2 * NSEC_PER_SEC};
}

bool workload_has_class_rates(const struct workload *w)
{
    return w->class_count > 0 && w->class[0].rate.given;
}

const char *arrivals_name(enum arrivals_kind kind)
{
    switch (kind) {
    case ARRIVALS_CLOSED: return "closed";
    case ARRIVALS_CONSTANT: return "constant";
    case ARRIVALS_POISSON: return "poisson";
    }
    return "?";
}

static bool parse_real(const char *text, const char *unit, double *value)
{
    char *end;

    if (!isdigit((unsigned char)text[0]) && text[0] != '.')
        return false; /* strtod would take signs, blanks, inf and nan */
    *value = strtod(text, &end);
    return end != text && isfinite(*value) && strcmp(end, unit) == 0;
}

bool workload_parse_rate(const char *text, struct rate *rate)
{
    rate->given = true;
    rate->percent = strchr(text, '%') != NULL;
    return parse_real(text, rate->percent ? "%" : "", &rate->value);
}

static bool parse_word(const char *text, const char *const *words, int count, int *index)
{
    for (int i = 0; i < count; i++) {
        if (strcmp(text, words[i]) == 0) {
            *index = i;
            return true;
        }
    }
    return false;
}

static bool copy_text(char *into, size_t size, const char *text)
{
    return (size_t)snprintf(into, size, "%s", text) < size;
}

/* "GET /path?query" or "/path?query". */
static bool parse_request(const char *text, struct workload_class *class)
{
    const char *target = strchr(text, '/');
    size_t method = target ? (size_t)(target - text) : 0;

    if (!target || target[strcspn(target, " \t")] != '\0' || method > 16)
        return false;
    strcpy(class->method, "GET");
    if (method > 0) {
        if (text[method - 1] != ' ')
            return false;
        for (size_t i = 0; i < method - 1; i++) {
            if (!isupper((unsigned char)text[i]))
                return false;
        }
        snprintf(class->method, sizeof(class->method), "%.*s", (int)method - 1, text);
    }
    return copy_text(class->target, sizeof(class->target), target);
}

static int set_workload(struct loader *l, struct workload *w, const char *key, const char *value)
{
    static const char *const kinds[] = {"closed", "constant", "poisson"};
    static const char *const placements[] = {"shared", "split"};
    int index;
    long number;

    if (strcmp(key, "question") == 0) {
        if (!copy_text(w->question, sizeof(w->question), value))
            return fail(l, "question: too long");
    } else if (strcmp(key, "arrivals") == 0) {
        if (!parse_word(value, kinds, 3, &index))
            return fail(l, "arrivals: '%s' is not closed, constant or poisson", value);
        w->arrivals = (enum arrivals_kind)index;
    } else if (strcmp(key, "placement") == 0) {
        if (!parse_word(value, placements, 2, &index))
            return fail(l, "placement: '%s' is not shared or split", value);
        w->placement = (enum placement)index;
    } else if (strcmp(key, "connections") == 0) {
        if (!parse_integer(value, 1, MAX_CONNECTIONS, &number))
            return fail(l, "connections: '%s' is not a whole number from 1", value);
        w->connections = (int)number;
    } else if (strcmp(key, "rate") == 0) {
        if (!workload_parse_rate(value, &w->rate) || w->rate.value <= 0)
            return fail(l, "rate: '%s' is neither requests per second nor a percentage", value);
    } else if (strcmp(key, "timeout") == 0) {
        if (!parse_duration(value, strlen(value), &w->timeout_ns) || w->timeout_ns == 0)
            return fail(l, "timeout: '%s' is not a duration such as 500ms or 2s", value);
    } else {
        return fail(l, "unknown key '%s'", key);
    }
    return 1;
}

static int set_class(struct loader *l, struct workload_class *class, const char *key,
                     const char *value)
{
    if (strcmp(key, "weight") == 0) {
        if (!parse_real(value, "", &class->weight))
            return fail(l, "weight: '%s' is not a number from 0", value);
    } else if (strcmp(key, "rate") == 0) {
        if (!workload_parse_rate(value, &class->rate))
            return fail(l, "rate: '%s' is neither requests per second nor a percentage", value);
    } else if (strcmp(key, "request") == 0) {
        if (!parse_request(value, class))
            return fail(l, "request: '%s' is not [METHOD] /path?query", value);
    } else {
        return fail(l, "unknown key '%s' of a class", key);
    }
    return 1;
}

/* What a profile says is the runner's business; its mistakes are reported all the same. */
static int check_profile(struct loader *l, const char *key, const char *value)
{
    int64_t ns;
    long number;

    if (strcmp(key, "points") == 0)
        return 1;
    if (strcmp(key, "trials") == 0 || strcmp(key, "connections") == 0) {
        if (!parse_integer(value, 1, MAX_CONNECTIONS, &number))
            return fail(l, "%s: '%s' is not a whole number from 1", key, value);
        return 1;
    }
    if (strcmp(key, "warmup") == 0 || strcmp(key, "duration") == 0) {
        if (!parse_duration(value, strlen(value), &ns))
            return fail(l, "%s: '%s' is not a duration such as 500ms or 2s", key, value);
        return 1;
    }
    return fail(l, "unknown key '%s' of a profile", key);
}

static struct workload_class *find_class(struct workload *w, const char *name, size_t len)
{
    for (int i = 0; i < w->class_count; i++) {
        if (strlen(w->class[i].name) == len && memcmp(w->class[i].name, name, len) == 0)
            return &w->class[i];
    }
    return NULL;
}

static int set_point(struct loader *l, const char *key, const char *value)
{
    const char *dot = strchr(key, '.');
    struct workload_class *class;

    if (!dot)
        return set_workload(l, l->target, key, value);
    class = find_class(l->target, key, (size_t)(dot - key));
    if (!class)
        return fail(l, "'%s' speaks of a class that does not stand above", key);
    return set_class(l, class, dot + 1, value);
}

static int take_key(void *user, const char *section, const char *key, const char *value)
{
    struct loader *l = user;

    (void)section; /* read_line has noticed it */
    if (l->failed)
        return 0;
    if (l->in_profile)
        return check_profile(l, key, value);
    if (l->class)
        return set_class(l, l->class, key, value);
    if (l->target && l->target != &l->base)
        return set_point(l, key, value);
    if (l->target)
        return set_workload(l, l->target, key, value);
    return fail(l, "'%s' stands before any [section]", key);
}

static bool is_name(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

    return len > 0 && len < WORKLOAD_NAME && name[len] == '\0';
}

static void begin_class(struct loader *l, const char *name)
{
    struct workload *w = &l->base;

    if (l->has_points) {
        fail(l, "[class %s] has to stand before the first [point]", name);
    } else if (!is_name(name) || strcmp(name, "total") == 0) {
        fail(l, "'%s' cannot name a class", name);
    } else if (find_class(w, name, strlen(name))) {
        fail(l, "[class %s] stands here twice", name);
    } else if (w->class_count == WORKLOAD_CLASSES) {
        fail(l, "more than %d classes", WORKLOAD_CLASSES);
    } else {
        l->class = &w->class[w->class_count++];
        *l->class = (struct workload_class){.weight = 1};
        strcpy(l->class->name, name);
    }
}

static void begin_point(struct loader *l, const char *name)
{
    size_t used = strlen(l->points);
    bool wanted = l->wanted && strcmp(name, l->wanted) == 0;

    if (!is_name(name)) {
        fail(l, "'%s' cannot name a point", name);
        return;
    }
    if (wanted && l->found)
        fail(l, "[point %s] stands here twice", name);
    l->has_points = true;
    l->found |= wanted;
    snprintf(l->points + used, sizeof(l->points) - used, " %s", name);
    l->target = wanted ? &l->chosen : &l->passing;
    *l->target = l->base;
}

static void begin_section(struct loader *l, const char *name)
{
    l->target = NULL;
    l->class = NULL;
    l->in_profile = false;
    if (strncmp(name, "class ", 6) == 0) {
        begin_class(l, name + 6);
    } else if (strncmp(name, "point ", 6) == 0) {
        begin_point(l, name + 6);
    } else if (strcmp(name, "workload") == 0 && !l->has_points) {
        l->target = &l->base;
    } else if (strcmp(name, "workload") == 0) {
        fail(l, "[workload] has to stand before the first [point]");
    } else if (strcmp(name, "smoke") == 0 || strcmp(name, "quick") == 0 ||
               strcmp(name, "full") == 0) {
        l->in_profile = true;
    } else {
        fail(l, "unknown section [%s]", name);
    }
}

/* fgets for the INI reader. It cuts long lines, joins indented ones and keeps silent about a
 * section without keys, and a [point] without keys is a legal one: so these three are dealt with
 * here, where the line number is known too. */
static char *read_line(char *text, int size, void *stream)
{
    struct loader *l = stream;
    char *end;

    if (l->failed || !fgets(text, size, l->file))
        return NULL;
    l->line++;
    if (!strchr(text, '\n') && !feof(l->file))
        fail(l, "the line has more than %d characters", size - 2);
    else if (isblank((unsigned char)text[0]) && text[strspn(text, " \t\r\n")] != '\0')
        fail(l, "a line must not begin with a blank");
    else if (text[0] == '[' && (end = strchr(text, ']')) != NULL) {
        *end = '\0';
        begin_section(l, text + 1);
        *end = ']';
    }
    return l->failed ? NULL : text;
}

static bool check_class(struct loader *l, const struct workload *w, int i, double *weights)
{
    const struct workload_class *class = &w->class[i];

    if (class->target[0] == '\0')
        fail(l, "[class %s] has no request", class->name);
    else if (class->rate.given != w->class[0].rate.given)
        fail(l, "either every class has a rate or none: see [class %s]", class->name);
    *weights += class->rate.given ? class->rate.value : class->weight;
    return !l->failed;
}

static bool check_whole(struct loader *l, const struct workload *w)
{
    double weights = 0;

    l->line = 0;
    if (w->class_count == 0)
        fail(l, "there is no [class NAME]");
    for (int i = 0; i < w->class_count && check_class(l, w, i, &weights); i++)
        ;
    if (!l->failed && weights <= 0)
        fail(l, "no class has a weight or rate above 0");
    if (!l->failed && w->arrivals != ARRIVALS_CLOSED && !w->rate.given &&
        !workload_has_class_rates(w))
        fail(l, "%s arrivals need a rate", arrivals_name(w->arrivals));
    if (!l->failed && w->arrivals == ARRIVALS_CLOSED && workload_has_class_rates(w))
        fail(l, "classes with a rate need constant or poisson arrivals");
    return !l->failed;
}

/* Which of the copies was asked for, or NULL after a complaint. */
static const struct workload *choose_point(struct loader *l)
{
    l->line = 0;
    if (l->found)
        return &l->chosen;
    if (!l->has_points && (!l->wanted || strcmp(l->wanted, "base") == 0))
        return &l->base;
    if (l->wanted)
        fail(l, "no point '%s'; there is:%s", l->wanted, l->has_points ? l->points : " base");
    else
        fail(l, "choose a point; there is:%s", l->points);
    return NULL;
}

bool workload_load(struct workload *w, const char *path, const char *point, char *error,
                   size_t size)
{
    struct loader l = {.path = path, .wanted = point, .error = error, .error_size = size};
    const struct workload *chosen;

    workload_defaults(&l.base);
    l.file = fopen(path, "re");
    if (!l.file) {
        fail(&l, "%s", strerror(errno));
        return false;
    }
    int bad = ini_parse_stream(read_line, &l, take_key, &l);
    if (ferror(l.file))
        fail(&l, "%s", strerror(errno));
    fclose(l.file);
    if (bad != 0 && !l.failed) {
        l.line = bad;
        fail(&l, "neither a [section] nor a key = value");
    }
    chosen = l.failed ? NULL : choose_point(&l);
    if (!chosen || !check_whole(&l, chosen))
        return false;
    *w = *chosen;
    return true;
}
