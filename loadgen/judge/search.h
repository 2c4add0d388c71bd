/* search: the highest rate that a server sustains, found by running it at one rate after another.
 * A pure state machine: the caller runs what search_next asks for and reports to search_take.
 *
 *     search_init(&search, 1000, INFINITY, SEARCH_PRECISION, SEARCH_STEPS);
 *     while ((rate = search_next(&search)) > 0)
 *         search_take(&search, rate, run_at(rate, why), why);
 *
 * It first brackets the answer: the rate is doubled until it fails, or halved until it holds. Then
 * it bisects: the geometric mean of the two ends is tried, until their ratio is within the
 * precision. Rates are compared by ratio throughout, since 5 % matter alike at 100/s and at
 * 100,000/s.
 *
 * Runs are noisy: near the capacity, the same rate holds in one run and fails in the next. A run
 * that held is taken as it is, for the server did carry that load. A failure may be a hiccup of the
 * machine, and one taken for true would cut off everything above it for good; so it counts only
 * when a second run at the same rate fails, too. Hence a rate at which a share f of all runs fails
 * counts as failed with probability f^2: the answer lies a little above the rate that every second
 * run sustains, near the one that fails in 71 of 100.
 *
 * The interval from low to high is as narrow as the precision, but no confidence interval. In
 * simulation with a precision of 5 %, where the share of failing runs rises from 1/4 to 3/4 over
 * 0.5 %, 1 % or 2 % of the rate, it encloses the rate it aims at in 93, 86 or 73 of 100 searches.
 * Longer runs are less noisy; several searches show what is left.
 *
 * When a run is invalid for the generator's own reasons, nothing is known about the server at that
 * rate. It is run once again; when that is invalid, too, the generator cannot vouch for more, and
 * the search goes on below. */
#ifndef ARCHBENCH_SEARCH_H
#define ARCHBENCH_SEARCH_H

#include <stdbool.h>
#include <stddef.h>

enum {
    SEARCH_STEPS_MAX = 100, /* room for runs */
    SEARCH_STEPS = 24,      /* runs by default: enough for 6 doublings and 5 % */
    SEARCH_HALVINGS = 10,   /* give up below 1/1024 of the first rate */
    SEARCH_TEXT = 256,
};

#define SEARCH_PRECISION 0.05 /* by default */

/* What a run at a rate came to. */
enum search_outcome {
    SEARCH_HELD,   /* the server sustained it */
    SEARCH_FAILED, /* it did not */
    SEARCH_UNKNOWN /* the generator could not vouch for the run */
};

struct search_step {
    double rate; /* per second */
    enum search_outcome outcome;
    char why[SEARCH_TEXT];
};

/* Why the search is over. */
enum search_end {
    SEARCH_GOES_ON,
    SEARCH_PRECISE,   /* high / low is within the precision */
    SEARCH_AT_LIMIT,  /* the highest rate allowed held */
    SEARCH_HOPELESS,  /* even the lowest rate tried failed */
    SEARCH_GENERATOR, /* what is above low is beyond the generator */
    SEARCH_EXHAUSTED  /* no steps are left */
};

/* Read as you like; written by the functions below only. Rates are per second. */
struct search {
    double low;     /* the highest rate that held; 0: none */
    double high;    /* the lowest that failed, confirmed; INFINITY: none */
    double ceiling; /* the lowest that the generator could not vouch for twice; INFINITY: none */
    enum search_end end;
    char why[SEARCH_TEXT]; /* a sentence on the end; empty while the search goes on */
    int step_count;
    struct search_step step[SEARCH_STEPS_MAX]; /* in the order of the runs */

    double first, limit, precision;
    int steps_max;
    double next;         /* the rate to run now; 0: none */
    int failed, unknown; /* runs at `next` so far */
};

/* Begin at `first_rate` > 0, never ask for more than `limit` (INFINITY: no limit), and stop when
 * high / low is at most 1 + `precision` (> 0) or after `steps_max` runs, 1 to SEARCH_STEPS_MAX.
 * Out of range, steps_max is taken as the nearer bound. */
void search_init(struct search *, double first_rate, double limit, double precision, int steps_max);

/* The rate to run now, or 0 when the search is over. */
double search_next(const struct search *);

/* A run at `rate`, that of search_next, came to `outcome`; `why` is a sentence or "", and is copied
 * (cut at SEARCH_TEXT). Not to be called when the search is over. */
void search_take(struct search *, double rate, enum search_outcome outcome, const char *why);

/* "held", "failed", "unknown" */
const char *search_outcome_name(enum search_outcome);

#endif
