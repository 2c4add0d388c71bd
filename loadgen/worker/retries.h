/* retries: requests whose attempt failed and that will be tried again, after a pause that grows
 * exponentially and is drawn at random ("full jitter": M. Brooker, "Exponential Backoff And
 * Jitter", AWS Architecture Blog, 2015), within a budget. No clock and no socket of its own.
 *
 * A retry belongs to its request, not to a connection: the response time runs on from the moment the
 * request was first due, and it ends in one outcome however many attempts it took. In a closed loop a
 * user who waits for a second attempt holds one connection back, or more users would be under way
 * than there are. The budget is a share of the requests so far, because retries without a bound turn
 * an overload into a collapse. */
#ifndef ARCHBENCH_RETRIES_H
#define ARCHBENCH_RETRIES_H

#include "common/base/timers.h"
#include "loadgen/books/stats.h"
#include "loadgen/plan/arrivals.h"
#include "loadgen/plan/plan.h"

#include <stdbool.h>
#include <stdint.h>

struct retries {
    struct retry rule;
    struct random random;
    uint64_t requests; /* first attempts so far: the caller counts them */
    uint64_t made;     /* retries granted so far */
    struct timers timers;
};

enum retry_answer {
    RETRY_GRANTED, /* it will come out of retries_due */
    RETRY_DENIED,  /* the budget is used up */
    RETRY_NEVER,   /* it has been tried often enough, or trying again cannot help */
};

void retries_init(struct retries *, const struct retry *, uint64_t seed);

/* An attempt of `arrival` has failed with `error` at `now_ns`. */
enum retry_answer retries_ask(struct retries *, const struct arrival *, enum outcome error,
                              int64_t now_ns);

/* Take out one whose pause is over, with its attempt counted up. False when there is none. */
bool retries_due(struct retries *, int64_t now_ns, struct arrival *);

/* When the next pause is over; INT64_MAX when nothing waits. */
int64_t retries_next_ns(const struct retries *);

/* Take out any one and how its last attempt failed, at the end. False when there is none. */
bool retries_abandon(struct retries *, struct arrival *, enum outcome *error);

/* Forget those that wait. */
void retries_free(struct retries *);

#endif
