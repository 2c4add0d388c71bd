#include "servers/serverless/scheduler.h"

/* Of the functions with more events waiting than instances on their way, the one whose first event
 * has waited longest; NULL: there is none. `bare`: look only at those without any instance. */
static struct function *neediest(struct functions *functions, bool bare)
{
    struct function *found = NULL;
    for (int i = 0; i < functions->count; i++) {
        struct function *it = &functions->function[i];
        if (it->waiting_count <= it->starting || (bare && it->alive))
            continue;
        if (!found || TAILQ_FIRST(&it->waiting)->since_ns < TAILQ_FIRST(&found->waiting)->since_ns)
            found = it;
    }
    return found;
}

/* All places are taken: end the instance that has idled longest. One at a time, because its place
 * becomes free only when its process has ended. */
static void make_room(struct instances *instances)
{
    struct instance *longest = NULL;
    for (int i = 0; i < instances->places; i++) {
        struct instance *it = &instances->place[i];
        if (it->state == INSTANCE_IDLE && (!longest || it->since_ns < longest->since_ns))
            longest = it;
    }
    if (longest && !instances->clearing)
        instances_end(instances, longest);
}

void scheduler_scale_out(struct platform *platform)
{
    struct instances *instances = &platform->instances;
    struct function *function;
    while ((function = neediest(&platform->functions, false)) &&
           instances->taken < instances->places)
        if (!instances_start(instances, function))
            return; /* the system refuses now: the next tick asks again */
    if (function)
        make_room(instances);
}

/* The first event goes to the instance used last. If that one has just died, the event waits on. */
static void invoke(struct platform *platform, struct function *function)
{
    struct event *event = TAILQ_FIRST(&function->waiting);
    struct counter_slot *counters = platform->server.counters;
    if (!instances_give(function, event->program, event->message, event))
        return;
    TAILQ_REMOVE(&function->waiting, event, link);
    function->waiting_count--;
    platform->waiting--;
    event->attempts++;
    count_add(counters, COUNTER_queued, -1);
    count_add(counters, COUNTER_dequeued, 1);
    count_add(counters, COUNTER_queue_wait_us, (now_ns() - event->since_ns) / NSEC_PER_USEC);
}

void scheduler_match(struct platform *platform, struct function *function)
{
    while (function->waiting_count && !LIST_EMPTY(&function->idle))
        invoke(platform, function);
    scheduler_scale_out(platform);
}

void scheduler_submit(struct platform *platform, struct event *event)
{
    struct function *function = event->function;
    event->since_ns = now_ns();
    TAILQ_INSERT_TAIL(&function->waiting, event, link);
    function->waiting_count++;
    platform->waiting++;
    count_add(platform->server.counters, COUNTER_queued, 1);
    scheduler_match(platform, function);
}

/* It makes room if all places are taken and a function without any instance has events: however
 * busy a function is, it does not keep another from being served. */
void scheduler_release(struct platform *platform, struct instance *instance)
{
    struct instances *instances = &platform->instances;
    bool crowded = instances->taken == instances->places && !instances->clearing;
    if (crowded && neediest(&platform->functions, true))
        instances_end(instances, instance);
    else
        scheduler_match(platform, instance->function);
}

void scheduler_tick(struct platform *platform)
{
    instances_charge(&platform->instances);
    for (int i = 0; i < platform->instances.places; i++) {
        struct instance *it = &platform->instances.place[i];
        int64_t lasted_ns = now_ns() - it->since_ns;
        bool tired = it->state == INSTANCE_IDLE && lasted_ns >= platform->keep_alive_ns;
        bool late = it->state == INSTANCE_BUSY && lasted_ns >= platform->time_limit_ns;
        if (late)
            it->function->account[ACCOUNT_timed_out]++;
        if (tired || late)
            instances_end(&platform->instances, it);
    }
    scheduler_scale_out(platform);
}
