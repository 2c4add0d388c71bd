/* host: what the machine as a whole did while a cell was measured, read from /proc. */
#ifndef ARCHBENCH_HOST_H
#define ARCHBENCH_HOST_H

#include <stdint.h>

/* What makes a measurement doubtful. Counts since boot. */
struct host_counts {
    int64_t steal_ticks, all_ticks; /* over all cores; ticks of both are of the same length */
    int64_t disk_bytes;             /* read and written by all disks */
    int64_t disk_busy_ms;           /* the sum over all disks */
    int64_t listen_overflows;       /* a peer came to a full accept queue */
    int64_t listen_drops;           /* a peer was turned away for this or another reason */
};

struct host_counts host_counts(void);

/* Of the kernel's TCP buffers and unreclaimable slab, so of both ends of connections and of much else:
 * only a difference means anything. Of the buffers only what is more than the kernel sets aside for each
 * core, because its count goes up and down by that much although nothing has changed. */
struct host_sockets {
    int64_t kb;        /* KiB */
    int64_t unsure_kb; /* by so much the buffers may be more or less; 0: there are next to none */
};
struct host_sockets host_sockets(void);

/* Sockets in TIME_WAIT, which the kernel keeps for a minute. */
int host_time_waits(void);

#endif
