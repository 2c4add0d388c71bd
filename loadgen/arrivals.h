/* arrivals: when requests are due and of which class. Pure arithmetic: no clock, no socket.
 *
 * Times are nanoseconds on the caller's clock. The same seed gives the same sequence. */
#ifndef ARCHBENCH_ARRIVALS_H
#define ARCHBENCH_ARRIVALS_H

#include <stdint.h>

#include "loadgen/workload.h"

/* SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014). */
struct random {
    uint64_t state;
};

uint64_t random_next(struct random *);
/* Uniform in (0, 1]: never 0, so that its logarithm is finite. */
double random_unit(struct random *);

/* A request that is due. */
struct arrival {
    int64_t intended_ns;
    int class;
};

/* Classes drawn at random by weight. */
struct mix {
    int count;
    double below[WORKLOAD_CLASSES]; /* sum of the weights up to and with this class */
};

void mix_add(struct mix *, double weight);
int mix_draw(const struct mix *, struct random *);

/* One process of arrivals: constant or Poisson. */
struct stream {
    double rate;   /* per second; 0: never */
    double phase;  /* constant: where in its gap the first arrival lies, 0 to 1 */
    double due_ns; /* the next arrival, after the start */
    uint64_t number;
    int class; /* -1: drawn from the mix */
};

/* The arrivals that one worker makes: one stream with a mix of classes, or one stream for each
 * class. Poisson processes of several workers add up to a Poisson process; constant ones stay
 * regular because each worker has its own phase. */
struct arrivals {
    enum arrivals_kind kind;
    struct random random;
    struct mix mix;
    int64_t start_ns;
    int stream_count;
    struct stream stream[WORKLOAD_CLASSES];
};

/* Begin without streams. `worker` separates the random sequences of one seed. */
void arrivals_init(struct arrivals *, enum arrivals_kind, uint64_t seed, int worker);

/* Add a stream. `class` -1: drawn from `mix`, to be filled by mix_add before the first arrival. */
void arrivals_add_stream(struct arrivals *, double rate, double phase, int class);

/* The clock stands at `start_ns`; arrivals follow from there. */
void arrivals_start(struct arrivals *, int64_t start_ns);

/* The next arrival, in the order of time. INT64_MAX when there is none: a closed loop. */
struct arrival arrivals_next(struct arrivals *);

#endif
