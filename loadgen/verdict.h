/* verdict: did the run earn its numbers? Each gate that it failed is a sentence with the numbers
 * and with what to change. docs/method.md explains the gates. */
#ifndef ARCHBENCH_VERDICT_H
#define ARCHBENCH_VERDICT_H

#include "loadgen/plan.h"
#include "loadgen/stats.h"

enum { VERDICT_REASONS = 12, VERDICT_TEXT = 320 };

struct verdict {
    int count; /* of reasons; 0: valid */
    char reason[VERDICT_REASONS][VERDICT_TEXT];
};

/* Everything about a run that is over, as verdict and reports need it. */
struct result {
    const struct plan *plan;
    const struct shared *shared;
    const struct totals *totals;
    double duration_s; /* of the window, as it came out; 0: it never opened */
    int lost;          /* workers that died */
    struct verdict verdict;
};

/* Little's law, L = lambda W (J. D. C. Little, Operations Research 9(3), 1961): in a closed loop,
 * the requests in flight are the connections. */
struct littles_law {
    double connections;    /* L */
    double rate_x_latency; /* lambda W, good replies only */
    double error;          /* relative */
};

/* Returns false when it says nothing: an open loop, or nothing measured. */
bool littles_law(const struct result *, struct littles_law *);

/* Replies (2xx or 3xx) whose digest was compared. */
uint64_t digests_checked(const struct result *);

/* Fill in result->verdict from the rest. */
void verdict_judge(struct result *);

#endif
