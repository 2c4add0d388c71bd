#include "cell/memory.h"
#include "loadgen/judge/bounds.h"

#include <math.h>

/* Measured: docs/method.md, section 9. */
static const double UNREST_KB = 256;    /* two samples with nothing in between differ by less */
static const double SOCKETS_KB = 6;     /* both ends of a connection over loopback, about */
static const double SOCKETS_MIN_KB = 4; /* struct tcp_sock alone, twice */
static const double TIME_WAIT_KB = 0.6; /* one socket in TIME_WAIT and its port, at most */

static bool is_sure(double unsure_kb, double kb)
{
    return unsure_kb <= BOUNDS_SHARE * kb;
}

struct memory_growth memory_growth(const struct trial *trial)
{
    const struct proc_memory *a = &trial->before, *b = &trial->during;
    const int64_t *counter = trial->end.counter;
    struct memory_growth grown = {
        .connections = counter[COUNTER_connections] - counter[COUNTER_closed],
        .user = (double)(b->user_kb - a->user_kb),
        .page_tables = (double)(b->page_tables_kb - a->page_tables_kb),
        .kernel_stacks = (double)(b->kernel_stacks_kb - a->kernel_stacks_kb),
        .sockets = (double)(b->sockets.kb - a->sockets.kb),
        .unsure = TIME_WAIT_KB * fabs((double)(b->time_waits - a->time_waits)) +
                  (double)b->sockets.unsure_kb};
    double own = grown.user + grown.page_tables + grown.kernel_stacks;
    double expected = SOCKETS_KB * (double)grown.connections;
    grown.total = own + grown.sockets;
    grown.sockets_weighed = is_sure(UNREST_KB, expected);
    grown.total_weighed = is_sure(UNREST_KB, own + expected);
    return grown;
}

static void refuse(struct trial *trial, bool sockets, bool total, json_t *reason)
{
    if (sockets)
        json_object_set(trial->refused, "memory_sockets_kb_per_connection", reason);
    if (total)
        json_object_set(trial->refused, "memory_total_kb_per_connection", reason);
    json_decref(reason);
}

void memory_judge(struct trial *trial)
{
    struct memory_growth grown = memory_growth(trial);
    const struct proc_memory *a = &trial->before, *b = &trial->during;
    bool sockets = grown.sockets_weighed, total = grown.total_weighed;
    if (!trial->memory_at_rest) {
        refuse(trial, sockets, total,
               json_string("the kernel's memory did not come to rest before the trial"));
    } else if (sockets && grown.sockets < SOCKETS_MIN_KB * (double)grown.connections) {
        refuse(trial, true, !is_sure(SOCKETS_KB * (double)grown.connections, grown.total),
               json_string("the kernel's memory grew by less than the sockets take: others gave "
                           "some back"));
    } else {
        refuse(trial, sockets && !is_sure(grown.unsure, grown.sockets),
               total && !is_sure(grown.unsure, grown.total),
               json_sprintf(
                   "up to %.1f MiB may be that of sockets in TIME_WAIT (%d before, %d then), or "
                   "buffers that the kernel has set aside",
                   grown.unsure / 1024, a->time_waits, b->time_waits));
    }
}
