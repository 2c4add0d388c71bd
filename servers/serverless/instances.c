#include "servers/serverless/instances.h"

#include <stdlib.h>
#include <unistd.h>

void instances_init(struct instances *instances, struct service *service,
                    struct counter_slot *counters, int places)
{
    *instances = (struct instances){.service = service, .counters = counters, .places = places};
    instances->place = must_calloc((size_t)places, sizeof *instances->place);
    instances->fd = epoll_create1(EPOLL_CLOEXEC);
    if (instances->fd < 0)
        die_errno("cannot make an epoll set");
}

void instances_watch(struct instances *instances, int fd)
{
    epoll_ctl(instances->fd, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN});
}

static void set_state(struct instance *instance, enum instance_state state)
{
    struct function *function = instance->function;
    function->starting += (state == INSTANCE_STARTING) - (instance->state == INSTANCE_STARTING);
    function->alive += (state != INSTANCE_VACANT) - (instance->state != INSTANCE_VACANT);
    if (instance->state == INSTANCE_IDLE)
        LIST_REMOVE(instance, idle);
    if (state == INSTANCE_IDLE)
        LIST_INSERT_HEAD(&function->idle, instance, idle);
    instance->state = state;
    instance->since_ns = now_ns();
}

bool instances_start(struct instances *instances, struct function *function)
{
    struct instance *instance = instances->place;
    int64_t decided_ns = now_ns();
    while (instance->state != INSTANCE_VACANT)
        instance++;
    *instance = (struct instance){.function = function};
    if (!performer_start(&instance->performer, instances->service, &function->manner))
        return false;
    set_state(instance, INSTANCE_STARTING);
    instance->since_ns = instance->charged_ns = decided_ns; /* the fork is part of a cold start */
    epoll_ctl(instances->fd, EPOLL_CTL_ADD, instance->performer.socket,
              &(struct epoll_event){.events = EPOLLIN, .data.ptr = instance});
    instances->taken++;
    count_add(instances->counters, COUNTER_spawned, 1);
    count_add(instances->counters, COUNTER_workers, 1);
    return true;
}

bool instances_give(struct function *function, const struct program *program,
                    const struct client_message *message, void *task)
{
    struct instance *instance = LIST_FIRST(&function->idle);
    set_state(instance, INSTANCE_BUSY); /* billed from here on */
    bool given = performer_give(&instance->performer, program, message);
    instance->task = given ? task : NULL;
    function->account[ACCOUNT_invocations] += given;
    return given;
}

/* --- accounts --------------------------------------------------------------------------------- */

/* An instance costs its resident set for as long as it has a place, whether it is idle or not. */
static void charge_memory(struct instance *instance)
{
    int64_t at_ns = now_ns();
    instance->function->account[ACCOUNT_instance_memory_mib_ms] +=
        instance->resident_mib * (double)(at_ns - instance->charged_ns) / NSEC_PER_MSEC;
    instance->charged_ns = at_ns;
}

/* It costs CPU time from its first instruction on. `total_us`: what it has used in all its life. */
static void charge_cpu(struct instance *instance, int64_t total_us)
{
    if (total_us <= instance->cpu_us)
        return;
    instance->function->account[ACCOUNT_instance_cpu_us] += (double)(total_us - instance->cpu_us);
    instance->cpu_us = total_us;
}

/* An invocation is billed by its duration, even if its instance dies in it. */
static void bill(const struct instance *instance)
{
    int64_t ms = (now_ns() - instance->since_ns + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC;
    instance->function->account[ACCOUNT_billed_us] += (double)ms * 1000;
}

void instances_end(struct instances *instances, struct instance *instance)
{
    if (instance->state == INSTANCE_BUSY)
        bill(instance);
    performer_kill(&instance->performer);
    set_state(instance, INSTANCE_ENDING);
    instances->clearing++;
}

void instances_charge(struct instances *instances)
{
    for (int i = 0; i < instances->places; i++)
        if (instances->place[i].state != INSTANCE_VACANT)
            charge_memory(&instances->place[i]);
}

/* --- news ------------------------------------------------------------------------------------- */

/* The socket must be taken out of the epoll set explicitly: a child that has just been forked may
 * hold a copy of it, and then our close would not take it out. */
static void reap(struct instances *instances, struct instance *instance)
{
    struct rusage usage;
    epoll_ctl(instances->fd, EPOLL_CTL_DEL, instance->performer.socket, NULL);
    performer_reap(&instance->performer, &usage);
    charge_memory(instance);
    charge_cpu(instance, performer_cpu_us(&usage));
    counters_retire(instances->counters, &usage);
    count_add(instances->counters, COUNTER_workers, -1);
    instances->taken--;
    set_state(instance, INSTANCE_VACANT);
}

static struct news take_report(struct instance *instance, const struct performer_report *report)
{
    struct news news = {.instance = instance, .function = instance->function, .report = *report};
    double *account = instance->function->account;

    charge_memory(instance);
    charge_cpu(instance, report->cpu_us);
    instance->resident_mib = report->resident_mib;
    if (instance->state == INSTANCE_ENDING) /* the report comes too late */
        return news;
    if (instance->state == INSTANCE_STARTING) {
        news.kind = NEWS_READY;
        account[ACCOUNT_cold_starts]++;
        account[ACCOUNT_cold_start_us] += (double)(now_ns() - instance->since_ns) / NSEC_PER_USEC;
    } else {
        news.kind = NEWS_DONE;
        news.task = instance->task;
        instance->task = NULL;
        bill(instance);
    }
    set_state(instance, INSTANCE_IDLE);
    return news;
}

static struct news take_leave(struct instances *instances, struct instance *instance)
{
    struct news news = {
        .instance = instance, .function = instance->function, .task = instance->task};
    if (instance->state == INSTANCE_ENDING) {
        news.kind = NEWS_ENDED;
        instances->clearing--;
    } else {
        news.kind = NEWS_CRASHED;
        count_add(instances->counters, COUNTER_crashed, 1);
        if (news.task)
            bill(instance);
    }
    reap(instances, instance);
    return news;
}

/* NULL: the descriptor of instances_watch(). NEWS_NONE: nothing has happened after all. */
static struct news look_at(struct instances *instances, struct instance *instance)
{
    struct performer_report report;
    if (!instance)
        return (struct news){.kind = NEWS_OTHER};
    if (instance->state == INSTANCE_VACANT) /* reaped after this batch was fetched */
        return (struct news){.kind = NEWS_NONE};
    switch (performer_hear(&instance->performer, &report)) {
    case PERFORMER_SILENT: break;
    case PERFORMER_REPORT: return take_report(instance, &report);
    case PERFORMER_GONE: return take_leave(instances, instance);
    }
    return (struct news){.kind = NEWS_NONE};
}

struct news instances_next(struct instances *instances)
{
    struct news news = {.kind = NEWS_NONE};
    if (!instances->ready_count) {
        instances->ready_count = epoll_wait(instances->fd, instances->ready, INSTANCES_BATCH, 0);
        instances->ready_next = 0;
    }
    while (instances->ready_next < instances->ready_count && news.kind == NEWS_NONE)
        news = look_at(instances, instances->ready[instances->ready_next++].data.ptr);
    if (news.kind == NEWS_NONE)
        instances->ready_count = 0;
    return news;
}

void instances_end_all(struct instances *instances)
{
    for (int i = 0; i < instances->places; i++)
        if (instances->place[i].state != INSTANCE_VACANT)
            performer_kill(&instances->place[i].performer);
    for (int i = 0; i < instances->places; i++)
        if (instances->place[i].state != INSTANCE_VACANT)
            reap(instances, &instances->place[i]);
}

/* --- what is shown of them -------------------------------------------------------------------- */

static void print_instance(const struct instance *instance, FILE *out)
{
    static const char *const states[] = {"vacant", "starting", "idle", "busy", "ending"};
    fprintf(out, "{\"pid\":%d,\"state\":\"%s\",\"resident_mib\":%.1f}", instance->performer.pid,
            states[instance->state], instance->resident_mib);
}

void instances_print(const struct instances *instances, const struct function *function, FILE *out)
{
    static const char *const names[] = {
#define X(name, type, help) #name,
        ACCOUNT_LIST(X)
#undef X
    };
    const char *separator = "";
    fprintf(out, "\"name\":\"%s\"", function->name);
    for (int i = 0; i < ACCOUNTS; i++)
        fprintf(out, ",\"%s\":%.0f", names[i], function->account[i]);
    fputs(",\"instances\":[", out);
    for (int i = 0; i < instances->places; i++) {
        const struct instance *instance = &instances->place[i];
        if (instance->state == INSTANCE_VACANT || instance->function != function)
            continue;
        fputs(separator, out);
        print_instance(instance, out);
        separator = ",";
    }
    fputc(']', out);
}
