/* components: the real programs beside a server, Redis and PostgreSQL, each a child that its own supervisor keeps
 * running (bin/archbench component). Where one is not installed, or not wanted, the upstream plays it. */
#ifndef ARCHBENCH_COMPONENTS_H
#define ARCHBENCH_COMPONENTS_H

#include "cell/run.h"

/* Decide which of the workload's are started: none unless `wanted`. */
void components_choose(struct trial_setup *, const struct workload *, bool wanted);

/* Start them and wait until they are ready. False: one is not, and the reason has been added. */
bool components_start(struct run *);
/* CPU time of all its processes so far; 0: it is not there. */
int64_t components_cpu_ns(const struct run *, enum component);
/* Kill it, or the upstream that plays it, which is started again on the same port. False as above. */
bool components_kill(struct run *, enum component);

#endif
