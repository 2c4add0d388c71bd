#include "cell/about.h"
#include "cell/system/cores.h"
#include "common/work/task_cost.h"
#include "loadgen/plan/workload.h"

#include <jansson.h>
#include <stdio.h>

static int server_cores(bool share)
{
    struct cores cores = cores_divide(share);
    return CPU_COUNT(&cores.server);
}

void about_print(void)
{
    struct workload usual;
    workload_defaults(&usual);
    json_t *json = json_pack(
        "{sf si s{si si} s{ss si ss}}", "steal_limit", STEAL_LIMIT, "kernel_stack_kib",
        KERNEL_STACK_KIB, "server_cores", "shared", server_cores(true), "split",
        server_cores(false), "defaults", "arrivals", arrivals_name(usual.arrivals), "connections",
        usual.connections, "placement", usual.placement == PLACEMENT_SHARED ? "shared" : "split");
    json_dumpf(json, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(json);
}
