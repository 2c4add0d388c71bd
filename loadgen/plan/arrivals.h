/* arrivals: when requests are due and of which class. Pure arithmetic: no clock, no socket.
 *
 * Times are nanoseconds on the caller's clock. The same seed gives the same sequence. */
#ifndef ARCHBENCH_ARRIVALS_H
#define ARCHBENCH_ARRIVALS_H

#include "loadgen/plan/trace.h"
#include "loadgen/plan/workload.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014). */
struct random {
    uint64_t state;
};

uint64_t random_next(struct random *);
/* The state with which a worker begins: each has a sequence of its own. */
uint64_t random_worker_seed(uint64_t seed, int worker);
/* Uniform in (0, 1]: never 0, so that its logarithm is finite. */
double random_unit(struct random *);
/* Exponentially distributed with mean 1. */
double random_exponential(struct random *);

/* A request that is due. */
struct arrival {
    int64_t intended_ns;
    int class;
    int attempt; /* 0: the first */
};

/* Classes drawn at random by weight. */
struct mix {
    int count;
    double below[WORKLOAD_CLASSES]; /* sum of the weights up to and with this class */
};

void mix_add(struct mix *, double weight);
int mix_draw(const struct mix *, struct random *);

/* What one worker's arrivals come from. Everything it points to outlives them. */
struct arrivals_setup {
    enum arrivals_kind kind;
    uint64_t seed;
    int worker, workers; /* of how many this is one: it gets its share of the rates */
    double rate;         /* over all workers, of all classes together; ignored when classes have
                            rates of their own */
    int class_count;
    double weight[WORKLOAD_CLASSES];
    double class_rate[WORKLOAD_CLASSES]; /* over all workers; used when `own_rates` */
    bool own_rates;
    struct modulation modulation[WORKLOAD_CLASSES]; /* of the rates of the classes */
    int burst;       /* requests at one moment, from 1; used by ARRIVALS_BURSTS */
    int phase_count; /* the rates are multiplied by these, one after the other, from the window's
                        opening on; the last one's end holds afterwards */
    const struct phase *phase;
    const struct trace *trace; /* used by ARRIVALS_TRACE, which needs no rate */
};

/* A stretch of time over which the load is one formula of the time t since its start: a ramp,
 * times 1 + swing sin(2 pi t / period). */
struct stretch {
    double length_ns; /* INFINITY: for ever, at an even load */
    double from, to;
    double swing, period_ns;
};

/* One process of moments at which requests are due. Its operational time is the integral of the
 * load over time, so there the process has an even rate; see arrivals.c. */
struct stream {
    int class;          /* -1: drawn from the mix */
    double gap_ns;      /* between moments on average, in operational time */
    double offset;      /* constant arrivals: of the first moment, in gaps */
    uint64_t moments;   /* so far */
    int left;           /* requests that are still to come at this moment */
    double operational; /* time of this moment, in ns since the start */
    double due_ns;      /* the same in real time */

    int phase;                  /* that this moment is in; -1: the warm-up */
    struct stretch stretch;     /* the same as a formula */
    double stretch_ns;          /* its start, in real time since the start */
    double stretch_operational; /* the same in operational time, and how long it lasts there */
    double stretch_area;

    struct modulation modulation;
    struct random switches;    /* when its states change: the same for all workers */
    bool in_burst;             /* its state ... */
    double switch_ns;          /* ... and when that ends, in real time since the start ... */
    double switch_operational; /* ... and in operational time */
};

/* The arrivals that one worker makes. A closed loop uses no more of them than `random` and `mix`,
 * to draw the classes of its requests and its pauses. */
struct arrivals {
    struct arrivals_setup setup;
    struct random random;
    struct mix mix; /* of all classes by weight */
    int64_t start_ns, begin_ns;
    int stream_count; /* one for all classes or one for each */
    struct stream stream[WORKLOAD_CLASSES];
    size_t entry;      /* of the trace: the next one to replay */
    int64_t origin_ns; /* where the trace begins: first at the start, then with the window */
};

/* Begin. The first arrival comes after arrivals_start. */
void arrivals_init(struct arrivals *, const struct arrivals_setup *);

/* The clock is at `start_ns` and the window opens at `begin_ns`: the warm-up is between them,
 * and has the load with which the first phase begins. A trace is replayed from its start at
 * `begin_ns`; for the warm-up its start is replayed too, for as long as that takes. */
void arrivals_start(struct arrivals *, int64_t start_ns, int64_t begin_ns);

/* The next arrival, in the order of time. intended_ns is INT64_MAX when there is none any more. */
struct arrival arrivals_next(struct arrivals *);

/* By what the phases multiply the rate of a class, on average over the first `seconds` of the
 * window, which are above 0. Class -1 stands for one without a load of its own. */
double phases_mean_load(const struct phase *, int phase_count, int class, double seconds);

#endif
