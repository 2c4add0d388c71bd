/* tally: the books of one worker. A request belongs to the window in which it was intended,
 * whenever it was sent or answered; one outside the window is not counted at all. Each one that
 * counts ends with exactly one outcome. Pure counting: no clock, no socket. */
#ifndef ARCHBENCH_TALLY_H
#define ARCHBENCH_TALLY_H

#include <stdbool.h>
#include <stdint.h>

#include "loadgen/stats.h"

struct tally {
    const struct schedule *schedule;
    struct worker_stats *stats;
    uint64_t open; /* requests of the window that have no outcome yet */
};

/* Whether that moment lies in the window. */
static inline bool tally_in_window(const struct tally *t, int64_t when_ns)
{
    return when_ns >= t->schedule->begin_ns && when_ns < t->schedule->end_ns;
}

/* A request is due; from here on it is in the denominator. */
void tally_arrival(struct tally *, int class, int64_t intended_ns);

/* It was sent, `lag_ns` after it could have been. */
void tally_sent(struct tally *, int class, int64_t intended_ns, int64_t lag_ns);

/* Its outcome: a complete reply came at `now_ns`, good or not. */
void tally_reply(struct tally *, int class, int64_t intended_ns, int64_t sent_ns, int64_t now_ns,
                 enum outcome);

/* Its outcome: there will be no complete reply. */
void tally_failure(struct tally *, int class, int64_t intended_ns, enum outcome error);

/* Arrivals waited for a connection from `from_ns` to `to_ns`; what lies in the window counts. */
void tally_waited(struct tally *, int64_t from_ns, int64_t to_ns);

#endif
