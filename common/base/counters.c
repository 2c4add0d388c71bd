#include "common/base/counters.h"
#include "common/base/util.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct description {
    const char *name, *type, *suffix, *help;
};

#define counter_suffix "_total"
#define gauge_suffix   ""
static const struct description descriptions[COUNTERS] = {
#define X(name, type, help) {#name, #type, type##_suffix, help},
    COUNTER_LIST(X)
#undef X
};

struct counters_file *counters_create(const char *path)
{
    int fd = -1, flags = MAP_SHARED | MAP_ANONYMOUS;
    if (path) {
        flags = MAP_SHARED;
        fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (fd < 0 || ftruncate(fd, sizeof(struct counters_file)))
            die_errno("cannot write the stats file '%s'", path);
    }
    void *area = mmap(NULL, sizeof(struct counters_file), PROT_READ | PROT_WRITE, flags, fd, 0);
    if (area == MAP_FAILED)
        die_errno("cannot map the counters");
    if (fd >= 0)
        close(fd);
    return area;
}

const struct counters_file *counters_open(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    void *area = mmap(NULL, sizeof(struct counters_file), PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    return area == MAP_FAILED ? NULL : area;
}

static pid_t own_copy;

void counters_claim_as(pid_t copy)
{
    own_copy = copy;
}

static struct counter_slot *claimed(struct counters_file *file, uint32_t n)
{
    __atomic_store_n(&file->copy[n], own_copy, __ATOMIC_RELAXED);
    return &file->slot[n];
}

struct counter_slot *counters_claim(struct counters_file *file)
{
    uint32_t n = __atomic_fetch_add(&file->next_slot, 1, __ATOMIC_RELAXED);
    return claimed(file, n % COUNTER_SLOTS);
}

struct counter_slot *counters_claim_alone(struct counters_file *file)
{
    uint32_t n = __atomic_load_n(&file->next_slot, __ATOMIC_RELAXED);
    while (n < COUNTER_SLOTS)
        if (__atomic_compare_exchange_n(&file->next_slot, &n, n + 1, false, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED))
            return claimed(file, n);
    return NULL;
}

void counters_bury(struct counter_slot *slot)
{
    const int64_t *value = slot->value;
    count_add(slot, COUNTER_closed, value[COUNTER_connections] - value[COUNTER_closed]);
}

void counters_bury_copy(struct counters_file *file, pid_t copy)
{
    for (int i = 0; i < COUNTER_SLOTS; i++)
        if (file->copy[i] == copy)
            counters_bury(&file->slot[i]);
}

int64_t counters_sum(const struct counters_file *file, enum counter which)
{
    int64_t sum = 0;
    for (int i = 0; i < COUNTER_SLOTS; i++)
        sum += __atomic_load_n(&file->slot[i].value[which], __ATOMIC_RELAXED);
    return sum;
}

void counters_retire(struct counter_slot *slot, const struct rusage *usage)
{
    count_add(slot, COUNTER_switches_voluntary, usage->ru_nvcsw);
    count_add(slot, COUNTER_switches_involuntary, usage->ru_nivcsw);
}

void counters_retire_thread(struct counter_slot *slot)
{
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    counters_retire(slot, &usage);
}

/* The length that it has, or would have: as snprintf. */
static size_t describe(const struct description *d, int64_t value, char *text, size_t size)
{
    static const char format[] = "# HELP archbench_%s%s %s\n"
                                 "# TYPE archbench_%s%s %s\n"
                                 "archbench_%s%s %lld\n";
    return (size_t)snprintf(text, size, format, d->name, d->suffix, d->help, d->name, d->suffix,
                            d->type, d->name, d->suffix, (long long)value);
}

size_t counters_report_begin(struct counters_report *report, const struct counters_file *file)
{
    char text[COUNTERS_PIECE_MIN];
    size_t len = 0;
    report->next = 0;
    for (int i = 0; i < COUNTERS; i++) {
        report->value[i] = counters_sum(file, (enum counter)i);
        len += describe(&descriptions[i], report->value[i], text, sizeof text);
    }
    return len;
}

size_t counters_report_piece(struct counters_report *report, char *text, size_t size)
{
    size_t len = 0;
    for (; report->next < COUNTERS; report->next++) {
        const struct description *description = &descriptions[report->next];
        size_t n = describe(description, report->value[report->next], text + len, size - len);
        if (n >= size - len)
            break; /* a whole one or none */
        len += n;
    }
    return len;
}

size_t own_counter_metrics(const struct own_counter *own, char *text, size_t size)
{
    bool is_gauge = strcmp(own->type, "gauge") == 0;
    const struct description description = {own->name, own->type,
                                            is_gauge ? gauge_suffix : counter_suffix, own->help};
    size_t len = describe(&description, own->value, text, size);
    return len < size ? len : 0;
}

size_t counters_json(const struct counters_file *file, char *text, size_t size)
{
    size_t len = 0;
    for (int i = 0; i < COUNTERS; i++) {
        int n = snprintf(text + len, size - len, "%s\"%s\":%lld", i ? "," : "",
                         descriptions[i].name, (long long)counters_sum(file, (enum counter)i));
        if (n < 0 || (size_t)n >= size - len)
            break;
        len += (size_t)n;
    }
    return len;
}

const char *counter_name(enum counter which)
{
    return descriptions[which].name;
}
