/* holds: what it does to response times that a program was ready to run and had no core, because
 * others had it.
 *
 * A delay only lengthens. So if a share f of all requests at most were kept for longer, the others
 * took what they would have taken anyway, and of all requests at least as many took up to x as do
 * without f of the smallest: the undisturbed percentile q is at least the measured percentile q - f.
 *
 * Which requests can be kept? Those that come while the core is held. A task that sleeps is not
 * missed before a request comes; at a time that is uniform in the hold, so that of a short hold half
 * is seen as waiting time: the program was held for up to twice that. Until the queue is gone that
 * such a hold leaves, those behind wait as well: of a queue that is busy for a share rho of the time,
 * 1 / (1 - rho) in all for each that came in the hold. And those that want to go on when the program
 * loses the core in the midst of work.
 *
 * In a closed loop a hold finds the server idle for 1 - rho of the time, and then it is as above. If
 * it finds it busy, those are kept that want to go on, and those that come until it is over; all that
 * are under way at most: nobody comes again before he was answered. */
#ifndef ARCHBENCH_HOLDS_H
#define ARCHBENCH_HOLDS_H

#include "loadgen/books/hist.h"

#include <stdbool.h>

/* Of one program, over the window. Zeroed: it had its cores whenever it wanted them. */
struct holds {
    double share; /* of the window, on average over its cores: it waited for one; 0 to 1 */
    double per_s; /* how often it lost a core in the midst of work */
    double busy;  /* share of its cores that it used */
    double hands; /* tasks that wanted a core of it at a time, on average; 0: not known */
};

/* The load that it bore. */
struct holds_load {
    double per_s;      /* requests */
    double response_s; /* of one, on average */
    bool closed;
};

/* What of the time in which a task waited for a core was others' doing. To be woken takes some
 * microseconds by itself; `wakes` is how often it was. */
int64_t holds_by_others(int64_t held_ns, int64_t wakes);

/* The share of requests, 0 to 1, that may have been kept for longer. 0 for a program that waited for
 * less than a fiftieth of the time: every machine has something to do now and then. */
double holds_reach(const struct holds *, const struct holds_load *);

/* The least that a percentile can be without the delay of a share `reach` of the requests; 0 is the
 * mean, 100 the maximum. Nanoseconds, INFINITY and NAN as hist_percentile(). */
double holds_least(const struct hist *, double percent, double reach);

/* The numbers that say of a latency what it was, all in microseconds; `percent` as in holds_least(). */
struct latency_number {
    const char *name;         /* of the number: "p99_us" */
    const char *percent_name; /* of its percentile: "p99"; NULL: it is none */
    double percent;
};
enum { LATENCY_NUMBERS = 8 };
extern const struct latency_number latency_numbers[LATENCY_NUMBERS];

#endif
