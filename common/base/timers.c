#include "common/base/timers.h"
#include "common/base/util.h"

#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

void timers_init_bare(struct timers *timers)
{
    *timers = (struct timers){.fd = -1, .room = 64};
    timers->heap = must_calloc(timers->room, sizeof *timers->heap);
}

void timers_init(struct timers *timers)
{
    timers_init_bare(timers);
    timers->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (timers->fd < 0)
        die_errno("cannot make a timer");
}

void timers_free(struct timers *timers)
{
    if (timers->fd >= 0)
        close(timers->fd);
    free(timers->heap);
}

static void set_place(struct timers *timers, size_t place, struct timer *timer)
{
    timers->heap[place] = timer;
    timer->place = place;
}

static void sift_up(struct timers *timers, size_t place, struct timer *timer)
{
    while (place > 1 && timers->heap[place / 2]->deadline_ns > timer->deadline_ns) {
        set_place(timers, place, timers->heap[place / 2]);
        place /= 2;
    }
    set_place(timers, place, timer);
}

static void sift_down(struct timers *timers, size_t place, struct timer *timer)
{
    for (;;) {
        size_t child = 2 * place;
        if (child > timers->count)
            break;
        if (child < timers->count &&
            timers->heap[child + 1]->deadline_ns < timers->heap[child]->deadline_ns)
            child++;
        if (timers->heap[child]->deadline_ns >= timer->deadline_ns)
            break;
        set_place(timers, place, timers->heap[child]);
        place = child;
    }
    set_place(timers, place, timer);
}

static void arm(struct timers *timers)
{
    int64_t at_ns = timers->count ? timers->heap[1]->deadline_ns : 0;
    if (timers->fd < 0 || at_ns == timers->armed_ns)
        return;
    struct itimerspec when = {.it_value = {at_ns / NSEC_PER_SEC, at_ns % NSEC_PER_SEC}};
    timerfd_settime(timers->fd, TFD_TIMER_ABSTIME, &when, NULL);
    timers->armed_ns = at_ns;
}

void timers_add(struct timers *timers, struct timer *timer, int64_t deadline_ns)
{
    if (timers->count + 1 == timers->room) {
        timers->room *= 2;
        timers->heap = realloc(timers->heap, timers->room * sizeof *timers->heap);
        if (!timers->heap)
            die("out of memory");
    }
    timer->deadline_ns = deadline_ns;
    sift_up(timers, ++timers->count, timer);
    /* Set for one that was removed, it fires too early at worst, once, and is set anew then: that is
     * cheaper than a system call for each deadline that is not reached. */
    if (!timers->armed_ns || deadline_ns < timers->armed_ns)
        arm(timers);
}

void timers_remove(struct timers *timers, struct timer *timer)
{
    size_t place = timer->place;
    if (!place)
        return;
    timer->place = 0;
    struct timer *last = timers->heap[timers->count--];
    if (last == timer)
        return;
    sift_up(timers, place, last);
    sift_down(timers, last->place, last);
}

struct timer *timers_expire(struct timers *timers, int64_t at_ns)
{
    if (timers->count && timers->heap[1]->deadline_ns <= at_ns) {
        struct timer *timer = timers->heap[1];
        timers_remove(timers, timer);
        return timer;
    }
    arm(timers); /* setting it also makes fd unreadable again */
    return NULL;
}

int64_t timers_next_ns(const struct timers *timers)
{
    return timers->count ? timers->heap[1]->deadline_ns : INT64_MAX;
}
