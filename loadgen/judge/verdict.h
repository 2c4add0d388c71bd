/* verdict: did the run earn its numbers? Each gate that it failed is a sentence with the numbers
 * and with what to change. docs/method.md explains the gates. */
#ifndef ARCHBENCH_VERDICT_H
#define ARCHBENCH_VERDICT_H

#include "loadgen/judge/result.h"

/* Little's law, L = lambda W (J. D. C. Little, Operations Research 9(3), 1961): in a closed loop,
 * each connection waits for a reply or, with a think time Z, for its next request, so that
 * L = X (R + Z) (the interactive response time law: Denning and Buzen, Computing Surveys 10(3),
 * 1978). */
struct littles_law {
    double connections; /* L: those that carry requests, less those whose users pause after a 503 */
    double rate_x_latency; /* X (R + Z); good replies only */
    double error;          /* relative */
};

/* Returns false when it says nothing: in an open loop, when nothing was measured, or when requests
 * were tried again, for a connection that pauses before it does that is in no latency. */
bool littles_law(const struct result *, struct littles_law *);

/* Fill in result->verdict from the rest. */
void verdict_judge(struct result *);

#endif
