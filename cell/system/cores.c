#include "cell/system/cores.h"
#include "common/base/util.h"

#include <stdio.h>

enum { ENOUGH_TO_SPLIT = 4, GENERATOR_PART = 4 };

struct cores cores_divide(bool share)
{
    cpu_set_t ours;
    struct cores split;
    CPU_ZERO(&split.server);
    CPU_ZERO(&split.generator);
    if (sched_getaffinity(0, sizeof ours, &ours))
        die_errno("cannot tell which cores are ours");

    int cores = CPU_COUNT(&ours), seen = 0;
    int generator = cores >= ENOUGH_TO_SPLIT ? cores / GENERATOR_PART : 1;
    split.shared = cores == 1 || (share && cores < ENOUGH_TO_SPLIT);
    for (int core = 0; core < CPU_SETSIZE; core++) {
        if (!CPU_ISSET(core, &ours))
            continue;
        bool generators = ++seen > cores - generator;
        if (generators)
            CPU_SET(core, &split.generator);
        if (!generators || split.shared)
            CPU_SET(core, &split.server);
    }
    return split;
}

char *cores_list(const cpu_set_t *cores, char *text, size_t size)
{
    size_t len = 0;
    *text = 0;
    for (int core = 0; core < CPU_SETSIZE && len < size; core++)
        if (CPU_ISSET(core, cores))
            len += (size_t)snprintf(text + len, size - len, "%s%d", len ? "," : "", core);
    return text;
}
