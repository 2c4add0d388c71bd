/* util: time, text and dying, shared by every program of the suite. */
#ifndef ARCHBENCH_UTIL_H
#define ARCHBENCH_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NSEC_PER_SEC  INT64_C(1000000000)
#define NSEC_PER_MSEC INT64_C(1000000)
#define NSEC_PER_USEC INT64_C(1000)

/* The struct of this type that has what `pointer` points to as this member. */
#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

/* A run of bytes whose memory belongs to another part. */
struct span {
    char *data;
    size_t len;
};

/* Print "PROGRAM: message" on stderr and exit with 2: for a set-up that failed. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same, with ": strerror(errno)" behind it. */
_Noreturn void die_errno(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Nanoseconds of CLOCK_MONOTONIC. */
int64_t now_ns(void);
/* The same clock read from the kernel's last tick: cheap, up to some milliseconds behind. */
int64_t now_coarse_ns(void);
/* CPU time of the calling thread, user and system, in nanoseconds. */
int64_t thread_cpu_ns(void);
/* Nanoseconds in which the calling thread was ready to run and another had the core; the kernel's
 * own time to wake it is in it. 0 where the kernel does not count that. */
int64_t thread_held_ns(void);
/* The same of any thread, whose file /proc/PID/task/TID/schedstat is. */
int64_t held_ns_of(const char *schedstat);

/* "250us", "10ms", "1.5s", "2m" into nanoseconds. A bare number is refused except "0".
 * Returns false when the text is not a duration of 0 to 24 hours. */
bool parse_duration(const char *text, size_t len, int64_t *ns);
/* "512", "64k", "1m", "2g" (powers of 1024) into bytes. */
bool parse_size(const char *text, size_t len, uint64_t *bytes);
/* A whole decimal number from `min` to `max`, nothing around it. */
bool parse_integer(const char *text, long min, long max, long *value);

/* Allocation that dies when memory is out; the caller owns the result. */
void *must_calloc(size_t count, size_t size);
char *must_strdup(const char *text);

/* Cores that this process may use (its affinity mask), at least 1. */
int usable_cores(void);
/* The number of the first of them, or of the last. */
int usable_core(bool last);

/* Folder of the running executable without a trailing slash, into `path`. */
void executable_folder(char *path, size_t size);
/* $VARIABLE if it is set; else `name` in the build folder, as seen from BUILD/PROGRAM and from
 * BUILD/servers/PROGRAM. */
void build_file(const char *name, const char *variable, char *path, size_t size);

#endif
