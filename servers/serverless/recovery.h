/* recovery: what an earlier router left in the journal. */
#ifndef ARCHBENCH_RECOVERY_H
#define ARCHBENCH_RECOVERY_H

#include "servers/serverless/platform.h"

/* Open the journal at `path`; NULL: keep events in memory only. Dead letters become dead letters
 * again. An event that was under way becomes one, too: nobody knows whether it was done, and its
 * client was not told. Dies when the file cannot be used. */
void recovery_run(struct platform *, const char *path);

#endif
