/* workload: see workload.h. libinih splits the lines, workload_keys.c knows the keys, and this file
 * the sections. */
#include "loadgen/plan/workload.h"
#include "common/base/util.h"
#include "loadgen/plan/workload_keys.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The state of reading one file. A point changes a copy of what is above it, so [workload], the
 * classes and the phases have to come before the first [point]. */
struct loader {
    FILE *file;
    char text[WORKLOAD_TARGET + 64]; /* of the line */
    const char *path, *wanted;       /* wanted: the point to read, or NULL */
    struct workload base;
    struct workload chosen;       /* base as changed by the wanted point */
    struct workload passing;      /* base as changed by another point: only checked */
    struct workload *target;      /* what keys of the current section change */
    struct workload_class *class; /* of the current [class], or NULL */
    struct phase *phase;          /* of the current [phase], or NULL */
    const char *const *words; /* keys of the section, where the values are for Python; or NULL */
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
    vsnprintf(reason, sizeof reason, format, args);
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
                           .timeout_ns = 2 * NSEC_PER_SEC,
                           .retry_after_ns = NSEC_PER_SEC};
}

/* Set a field of `object` as a table says. `of_what` completes the complaint that there is no such
 * key. */
static int set_key(struct loader *l, const struct key *keys, const char *of_what, void *object,
                   const char *name, const char *value)
{
    const struct key *key = key_find(keys, name);

    if (!key)
        return fail(l, "unknown key '%s'%s", name, of_what);
    if (!key->take(value, (char *)object + key->field))
        return fail(l, "%s: '%s' is %s", name, value, key->complaint);
    return 1;
}

static int set_workload(struct loader *l, struct workload *w, const char *key, const char *value)
{
    return set_key(l, workload_keys, "", w, key, value);
}

static int set_class(struct loader *l, struct workload_class *class, const char *key,
                     const char *value)
{
    return set_key(l, class_keys, " of a class", class, key, value);
}

/* What a profile says is the runner's business; its mistakes are reported all the same. */
static int check_profile(struct loader *l, const char *key, const char *value)
{
    struct profile ignored;

    return set_key(l, profile_keys, " of a profile", &ignored, key, value);
}

static struct workload_class *find_class(struct workload *w, const char *name, size_t len)
{
    for (int i = 0; i < w->class_count; i++) {
        if (strlen(w->class[i].name) == len && memcmp(w->class[i].name, name, len) == 0)
            return &w->class[i];
    }
    return NULL;
}

/* The class in CLASS.KEY, or NULL after a complaint. */
static struct workload_class *class_of_key(struct loader *l, struct workload *w, const char *key)
{
    struct workload_class *class = find_class(w, key, strcspn(key, "."));

    if (!class)
        fail(l, "'%s': there is no such class above", key);
    return class;
}

static int set_point(struct loader *l, const char *key, const char *value)
{
    const char *dot = strchr(key, '.');
    struct workload_class *class;

    if (!dot && !set_workload(l, l->target, key, value))
        return 0;
    if (strcmp(key, "arrivals") == 0)
        workload_change_arrivals(l->target, l->target->arrivals);
    if (!dot)
        return 1;
    class = class_of_key(l, l->target, key);
    return class ? set_class(l, class, dot + 1, value) : 0;
}

static int set_phase(struct loader *l, struct phase *phase, const char *name, const char *value)
{
    const struct key *load = key_find(phase_keys, "load");
    const char *dot = strchr(name, '.');
    const struct workload_class *class;
    ptrdiff_t index;

    if (!dot)
        return set_key(l, phase_keys, " of a phase", phase, name, value);
    class = class_of_key(l, &l->base, name);
    if (!class)
        return 0;
    if (strcmp(dot + 1, load->name) != 0)
        return fail(l, "'%s': a phase sets nothing but the load of a class", name);
    index = class - l->base.class;
    phase->has_class_load[index] = true;
    if (!load->take(value, &phase->class_load[index]))
        return fail(l, "%s: '%s' is %s", name, value, load->complaint);
    return 1;
}

static int take_key(void *user, const char *section, const char *key, const char *value)
{
    struct loader *l = user;

    if (l->failed)
        return 0;
    if (l->in_profile)
        return check_profile(l, key, value);
    if (l->words)
        return words_have(l->words, key) || fail(l, "unknown key '%s' of a %s", key, section);
    if (l->class)
        return set_class(l, l->class, key, value);
    if (l->phase)
        return set_phase(l, l->phase, key, value);
    if (l->target && l->target != &l->base)
        return set_point(l, key, value);
    if (l->target)
        return set_workload(l, l->target, key, value);
    return fail(l, "'%s' comes before any [section]", key);
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
        fail(l, "[class %s] must come before the first [point]", name);
    } else if (!is_name(name) || strcmp(name, "total") == 0) {
        fail(l, "'%s' cannot name a class", name);
    } else if (find_class(w, name, strlen(name))) {
        fail(l, "[class %s] is here twice", name);
    } else if (w->class_count == WORKLOAD_CLASSES) {
        fail(l, "more than %d classes", WORKLOAD_CLASSES);
    } else {
        l->class = &w->class[w->class_count++];
        *l->class = (struct workload_class){.weight = 1};
        strcpy(l->class->name, name);
    }
}

static struct phase *find_phase(struct workload *w, const char *name)
{
    for (int i = 0; i < w->phase_count; i++) {
        if (strcmp(w->phase[i].name, name) == 0)
            return &w->phase[i];
    }
    return NULL;
}

static void begin_phase(struct loader *l, const char *name)
{
    struct workload *w = &l->base;

    if (l->has_points) {
        fail(l, "[phase %s] must come before the first [point]", name);
    } else if (!is_name(name)) {
        fail(l, "'%s' cannot name a phase", name);
    } else if (find_phase(w, name)) {
        fail(l, "[phase %s] is here twice", name);
    } else if (w->phase_count == WORKLOAD_PHASES) {
        fail(l, "more than %d phases", WORKLOAD_PHASES);
    } else {
        l->phase = &w->phase[w->phase_count++];
        *l->phase = (struct phase){.load = {1, 1}};
        strcpy(l->phase->name, name);
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
        fail(l, "[point %s] is here twice", name);
    l->has_points = true;
    l->found |= wanted;
    snprintf(l->points + used, sizeof l->points - used, " %s", name);
    l->target = wanted ? &l->chosen : &l->passing;
    *l->target = l->base;
}

static void begin_section(struct loader *l, const char *name)
{
    l->target = NULL;
    l->class = NULL;
    l->phase = NULL;
    l->in_profile = false;
    l->words = words_of_section(name);
    if (l->words)
        return;
    if (strncmp(name, "class ", 6) == 0) {
        begin_class(l, name + 6);
    } else if (strncmp(name, "phase ", 6) == 0) {
        begin_phase(l, name + 6);
    } else if (strncmp(name, "point ", 6) == 0) {
        begin_point(l, name + 6);
    } else if (strcmp(name, "workload") == 0 && !l->has_points) {
        l->target = &l->base;
    } else if (strcmp(name, "workload") == 0) {
        fail(l, "[workload] must come before the first [point]");
    } else if (strcmp(name, "smoke") == 0 || strcmp(name, "quick") == 0 ||
               strcmp(name, "full") == 0) {
        l->in_profile = true;
    } else {
        fail(l, "unknown section [%s]", name);
    }
}

/* A line that is too long for the INI reader, which takes 200 bytes: split as it would do. */
static void take_long_line(struct loader *l, char *line)
{
    char *equals = strchr(line, '='), *end = line + strlen(line);
    char *value = equals ? equals + 1 : line, *comment;

    if (line[0] == ';' || line[0] == '#')
        return;
    if (!equals) {
        fail(l, "neither a [section] nor a key = value");
        return;
    }
    comment = strstr(value, " ;");
    if (comment)
        end = comment;
    while (end > value && isspace((unsigned char)end[-1]))
        end--;
    *end = '\0';
    value += strspn(value, " \t");
    for (end = equals; end > line && isspace((unsigned char)end[-1]); end--)
        ;
    *end = '\0';
    take_key(l, "", line, value);
}

static bool is_blank(const char *line)
{
    return line[strspn(line, " \t\r\n")] == '\0';
}

/* fgets for the INI reader. It cuts long lines, joins indented ones and keeps silent about a
 * section without keys, and a [point] without keys is a legal one: so these three are dealt with
 * here, where the line number is known too. So is the byte-order mark of some editors. */
static char *read_line(char *text, int size, void *stream)
{
    static const char mark[] = "\xef\xbb\xbf";
    struct loader *l = stream;
    char *line = l->text, *end;

    if (l->failed || !fgets(l->text, sizeof l->text, l->file))
        return NULL;
    if (l->line++ == 0 && strncmp(line, mark, strlen(mark)) == 0)
        line += strlen(mark);
    if (!strchr(line, '\n') && !feof(l->file)) {
        fail(l, "the line has more than %zu characters", sizeof l->text - 2);
    } else if (isblank((unsigned char)line[0]) && !is_blank(line)) {
        fail(l, "a line must not begin with a blank");
    } else if (line[0] == '[' && (end = strchr(line, ']')) != NULL) {
        *end = '\0';
        begin_section(l, line + 1);
        *end = ']';
    }
    if (l->failed)
        return NULL;
    if (strlen(line) >= (size_t)size) {
        take_long_line(l, line);
        line = "\n";
    }
    return strcpy(text, line);
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

static void check_classes(struct loader *l, const struct workload *w)
{
    double weights = 0;

    if (w->class_count == 0)
        fail(l, "there is no [class NAME]");
    for (int i = 0; i < w->class_count && check_class(l, w, i, &weights); i++)
        ;
    if (weights <= 0)
        fail(l, "no class has a weight or rate above 0");
}

static void check_phase(struct loader *l, const struct phase *phase)
{
    if (phase->length_ns == 0)
        fail(l, "[phase %s] has no duration", phase->name);
    if (phase->swing > 0 && phase->period_ns == 0)
        fail(l, "[phase %s] has a swing without a period", phase->name);
    if (phase->swing <= 0 && phase->period_ns > 0)
        fail(l, "[phase %s] has a period without a swing", phase->name);
}

static bool check_whole(struct loader *l, const struct workload *w)
{
    l->line = 0;
    check_classes(l, w);
    for (int i = 0; i < w->phase_count; i++)
        check_phase(l, &w->phase[i]);
    return !l->failed;
}

/* A workload names a file as seen from its own folder. `file`: WORKLOAD_PATH bytes. */
static bool find_file(struct loader *l, char *file)
{
    const char *slash = strrchr(l->path, '/');
    int folder = slash ? (int)(slash + 1 - l->path) : 0;
    char name[WORKLOAD_TARGET];

    if (file[0] == '\0' || file[0] == '/')
        return true;
    strcpy(name, file);
    if (snprintf(file, WORKLOAD_PATH, "%.*s%s", folder, l->path, name) >= WORKLOAD_PATH)
        fail(l, "the path of '%s' is too long", name);
    return !l->failed;
}

static bool find_files(struct loader *l, struct workload *w)
{
    for (int i = 0; i < w->class_count; i++)
        if (!find_file(l, w->class[i].body_file))
            return false;
    return find_file(l, w->trace) && find_file(l, w->schema);
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
    return find_files(&l, w);
}
