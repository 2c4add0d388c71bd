/* timers: deadlines in nanoseconds, soonest first, behind one descriptor that any loop can watch.
 *
 * libev's epoll multiplexer rounds every timeout up to whole milliseconds; a 10 ms wait would last
 * half a millisecond longer there than in a thread, and the comparison would be about rounding. */
#ifndef ARCHBENCH_TIMERS_H
#define ARCHBENCH_TIMERS_H

#include <stddef.h>
#include <stdint.h>

/* Embedded in what waits; the embedder owns it and keeps it alive while it is in the heap. */
struct timer {
    int64_t deadline_ns;
    size_t place; /* in the heap, from 1; 0: not waiting */
};

struct timers {
    int fd; /* readable when the soonest deadline has passed; -1: there is none */
    size_t count, room;
    struct timer **heap; /* [1..count], parent of i is i / 2 */
    int64_t armed_ns;    /* what fd is set to; 0: nothing */
};

/* Dies when the kernel gives no timer descriptor. */
void timers_init(struct timers *);
/* Without a descriptor, for a loop that sleeps until timers_next_ns() by itself. */
void timers_init_bare(struct timers *);
void timers_free(struct timers *);

/* Wait until deadline_ns (CLOCK_MONOTONIC). The timer must not be waiting yet. */
void timers_add(struct timers *, struct timer *, int64_t deadline_ns);
/* Take it out; nothing happens when it is not waiting. */
void timers_remove(struct timers *, struct timer *);
/* Take out the soonest one whose deadline is at or before now_ns; NULL when there is none, and fd
 * is set for the next. Call until NULL. */
struct timer *timers_expire(struct timers *, int64_t now_ns);
/* The soonest deadline; INT64_MAX when nothing waits. */
int64_t timers_next_ns(const struct timers *);

#endif
