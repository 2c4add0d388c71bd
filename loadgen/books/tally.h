/* tally: the books of one worker. A request belongs to the window in which it was intended,
 * whenever it was sent or answered; one outside the window is not counted at all. Each one that
 * counts ends with exactly one outcome, after one attempt or several. Pure counting: no clock, no
 * socket. */
#ifndef ARCHBENCH_TALLY_H
#define ARCHBENCH_TALLY_H

#include "loadgen/books/stats.h"
#include "loadgen/plan/arrivals.h"

#include <stdbool.h>
#include <stdint.h>

struct tally {
    const struct schedule *schedule;
    struct worker_stats *stats;
    int64_t deadline_ns[WORKLOAD_CLASSES]; /* 0: the class has none */
    uint64_t open;                         /* requests of the window that have no outcome yet */
};

/* Whether that moment lies in the window. */
static inline bool tally_in_window(const struct tally *t, int64_t when_ns)
{
    return when_ns >= t->schedule->begin_ns && when_ns < t->schedule->end_ns;
}

/* A request is due; from here on it is in the denominator. */
void tally_arrival(struct tally *, const struct arrival *);

/* It was sent, `lag_ns` after it could have been. */
void tally_sent(struct tally *, const struct arrival *, int64_t lag_ns);

/* A complete reply to an attempt came, with this status. */
void tally_status(struct tally *, const struct arrival *, int status);

/* An attempt failed. Whether that is the request's outcome is decided apart. */
void tally_attempt_failed(struct tally *, const struct arrival *, enum outcome error);
/* It would be tried again if the budget allowed it. */
void tally_denied(struct tally *, const struct arrival *);

/* The moments of an exchange, and what of it is the generator's. */
struct exchange {
    int64_t sent_ns;
    int64_t came_ns; /* when the reply was there to be read */
    int64_t read_ns; /* when it was read */
    int64_t lag_ns;  /* sent so much later than it could have been */
    int64_t echo_ns; /* the server may have kept it so much longer because of lags; see delays.h */
};

/* Its outcome: a good reply. */
void tally_good(struct tally *, const struct arrival *, const struct exchange *);

/* Its outcome: no good reply. `answered`: but a complete one. */
void tally_failure(struct tally *, const struct arrival *, enum outcome error, bool answered);

/* Arrivals waited for a connection from `from_ns` to `to_ns`; what lies in the window counts. */
void tally_waited(struct tally *, int64_t from_ns, int64_t to_ns);
/* The user of a connection paused then, after a 503. */
void tally_paused(struct tally *, int64_t from_ns, int64_t to_ns);

#endif
