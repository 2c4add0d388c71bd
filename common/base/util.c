#include "common/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void complain(const char *format, va_list arguments, int error)
{
    char message[512];
    vsnprintf(message, sizeof message, format, arguments);
    fprintf(stderr, "%s: %s%s%s\n", program_invocation_short_name, message, error ? ": " : "",
            error ? strerror(error) : "");
}

void die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    complain(format, arguments, 0);
    va_end(arguments);
    exit(2);
}

void die_errno(const char *format, ...)
{
    int error = errno;
    va_list arguments;
    va_start(arguments, format);
    complain(format, arguments, error);
    va_end(arguments);
    exit(2);
}

static int64_t read_clock(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * NSEC_PER_SEC + t.tv_nsec;
}

int64_t now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t now_coarse_ns(void)
{
    return read_clock(CLOCK_MONOTONIC_COARSE);
}

int64_t thread_cpu_ns(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

/* The file is "RAN WAITED SLICES", nanoseconds (Documentation/scheduler/sched-stats.rst). */
int64_t held_ns_of(const char *schedstat)
{
    char text[96] = "";
    int fd = open(schedstat, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    const char *waited = n > 0 ? strchr(text, ' ') : NULL;
    return waited ? strtoll(waited, NULL, 10) : 0;
}

int64_t thread_held_ns(void)
{
    return held_ns_of("/proc/thread-self/schedstat");
}

/* A decimal number with an optional fraction at the start of text; *end is what follows it.
 * strtod would also take "inf", "0x1p3" and leading blanks. */
static bool parse_decimal(const char *text, size_t len, double *value, size_t *end)
{
    size_t i = 0;
    double v = 0, scale = 1;
    while (i < len && i < 15 && text[i] >= '0' && text[i] <= '9')
        v = v * 10 + (text[i++] - '0');
    if (i == 0)
        return false;
    if (i + 1 < len && text[i] == '.' && text[i + 1] >= '0' && text[i + 1] <= '9') {
        for (i++; i < len && text[i] >= '0' && text[i] <= '9'; i++)
            v += (text[i] - '0') * (scale /= 10);
    }
    *value = v;
    *end = i;
    return true;
}

struct unit {
    const char *name;
    double factor;
};

static bool unit_factor(const struct unit *units, const char *text, size_t len, double *factor)
{
    for (; units->name; units++) {
        if (strlen(units->name) == len && memcmp(units->name, text, len) == 0) {
            *factor = units->factor;
            return true;
        }
    }
    return false;
}

bool parse_duration(const char *text, size_t len, int64_t *ns)
{
    static const struct unit units[] = {{"ns", 1},   {"us", 1e3},   {"ms", 1e6}, {"s", 1e9},
                                        {"m", 60e9}, {"h", 3600e9}, {NULL, 0}};
    double value, factor;
    size_t end;
    if (!parse_decimal(text, len, &value, &end))
        return false;
    if (end == len && value == 0)
        factor = 1;
    else if (!unit_factor(units, text + end, len - end, &factor))
        return false;
    if (value * factor > 24 * 3600e9)
        return false;
    *ns = (int64_t)(value * factor + 0.5);
    return true;
}

bool parse_size(const char *text, size_t len, uint64_t *bytes)
{
    static const struct unit units[] = {
        {"", 1}, {"k", 1024}, {"m", 1048576}, {"g", 1073741824}, {NULL, 0}};
    double value, factor;
    size_t end;
    if (!parse_decimal(text, len, &value, &end) ||
        !unit_factor(units, text + end, len - end, &factor) || value * factor > 1e15)
        return false;
    *bytes = (uint64_t)(value * factor);
    return true;
}

bool parse_integer(const char *text, long min, long max, long *value)
{
    char *end;
    errno = 0;
    long v = strtol(text, &end, 10);
    if (errno || end == text || *end || v < min || v > max || *text == ' ' || *text == '+')
        return false;
    *value = v;
    return true;
}

void *must_calloc(size_t count, size_t size)
{
    void *p = calloc(count, size);
    if (!p)
        die("out of memory");
    return p;
}

char *must_strdup(const char *text)
{
    char *copy = strdup(text);
    if (!copy)
        die("out of memory");
    return copy;
}

int usable_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set))
        return 1;
    return CPU_COUNT(&set);
}

int usable_core(bool last)
{
    cpu_set_t set;
    int core = last ? CPU_SETSIZE - 1 : 0;
    if (sched_getaffinity(0, sizeof set, &set))
        die_errno("cannot tell which cores are ours");
    while (!CPU_ISSET(core, &set))
        core += last ? -1 : 1;
    return core;
}

void executable_folder(char *path, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", path, size - 1);
    if (n < 0)
        die_errno("cannot find my own executable");
    path[n] = 0;
    *strrchr(path, '/') = 0;
}

void build_file(const char *name, const char *variable, char *path, size_t size)
{
    const char *given = getenv(variable);
    if (given) {
        snprintf(path, size, "%s", given);
        return;
    }
    executable_folder(path, size);
    char *last = strrchr(path, '/');
    if (last && (strcmp(last, "/servers") == 0 || strcmp(last, "/tests") == 0))
        *last = 0;
    size_t len = strlen(path);
    snprintf(path + len, size - len, "/%s", name);
}
