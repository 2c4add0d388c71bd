/* trial: one attempt at a cell: start the server, drive it, sample around the measured window, stop
 * it, and judge. */
#ifndef ARCHBENCH_TRIAL_H
#define ARCHBENCH_TRIAL_H

#include "cell/system/cores.h"
#include "cell/system/host.h"
#include "cell/system/proc.h"
#include "common/base/counters.h"
#include "common/work/book/market.h"
#include "loadgen/books/holds.h"
#include "loadgen/plan/workload.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* What to do. Texts belong to the caller. */
struct trial_setup {
    const char *build;    /* folder with servers/ and loadgen */
    const char *server;   /* name of the architecture */
    const char *workload; /* file */
    const char *point;
    const char *folder;         /* logs, histograms and the time series go here */
    const char *server_options; /* of the workload, for every server, separated by blanks */
    char *const *extra;         /* more options for this one; ends with NULL */
    const char *upstream; /* options of the upstream, separated by blanks; NULL: none is called */
    bool has_component[COMPONENTS]; /* that is to be started */
    unsigned components;            /* all that the workload would have, a bit for each */
    const char *sql;                /* file with statements; empty: none */
    const char *schema;             /* file with SQL for PostgreSQL; empty: none */
    bool reads_disk;                /* some request of the workload does */
    bool uses_books;                /* the same: the server gets a journal of its books */
    int connections;                /* 0: what the workload says */
    int open; /* connections at a time, those of single classes and idle ones included */
    int seed; /* 0: the generator's own */
    int64_t warmup_ns, duration_ns;
    int64_t kill_ns; /* so long after the window's opening a process of the server is killed; 0:
                        none is */
    int64_t kill_period_ns;     /* ... and one more each time that has passed; 0: only one */
    enum victim_kind kill_what; /* ... or a component, or the upstream in its place */
    struct cores cores;
    int signals; /* a signalfd: what comes there ends the trial */
};

enum { SLOTS_LISTED = 64 }; /* workers whose own counters are kept; a pool has fewer */

/* One end of the measured window. */
struct observation {
    struct proc_usage usage;
    struct host_counts host;
    int64_t counter[COUNTERS];
    int64_t upstream_cpu_ns;                /* 0 without an upstream */
    int64_t component_cpu_ns[COMPONENTS];   /* of all its processes; 0 without */
    int64_t disk_bytes;                     /* of the server, where the workload reads the disk */
    int64_t cgroup_cpu_ns;                  /* of the server's whole tree; -1: not known */
    uint32_t slots;                         /* claimed so far */
    struct counter_slot slot[SLOTS_LISTED]; /* the first of them; never claimed ones are zero */
};

enum victim {
    VICTIM_NONE,
    VICTIM_WORKER,    /* a child of the server; to replace it is the server's affair */
    VICTIM_SERVER,    /* it had no children, and was started again at once, as by a supervisor */
    VICTIM_COMPONENT, /* ... and so was this */
    VICTIM_UPSTREAM,  /* ... which was there in the place of a component */
};

/* The process that was killed in the window. */
struct killing {
    enum victim victim;
    double at_s;    /* after the window's opening */
    int count;      /* how many were killed; all else is of the first */
    bool restarted; /* a VICTIM_SERVER or _UPSTREAM is ready again; a component sees to it itself */
    double back_s;  /* from the blow until then */
};

/* What the journal of the order books says, against what the server says of its books. */
struct book_check {
    bool replayed;
    bool agrees;
    uint64_t skipped; /* numbers without an entry, of processes that were killed */
    struct market_total total;
};

/* What became of a component. */
struct component_trial {
    json_t *command, *final; /* as those of the server */
    int64_t memory_peak_kb;  /* -1: not known */
};

/* What came of it. The caller owns it: trial_free. */
struct trial {
    time_t started;
    int interrupted; /* the signal that ended it early, or 0 */
    /* Argument lists; null for what was not started. */
    json_t *server_command, *loadgen_command, *upstream_command;
    bool measured;                 /* begin, end, before and during are filled in */
    struct observation begin, end; /* of a killed server and its successor together */
    struct killing killing;
    struct book_check book;
    double hash_rate_before, hash_rate_after; /* see calibration_hash_rate(): around the load */
    struct proc_memory before, during;        /* without connections, and with all of them */
    bool memory_at_rest;                      /* the kernel's, `before` */
    int64_t memory_peak_kb, upstream_memory_peak_kb; /* from start to end of the window, as the
                                                        kernel counts it; -1: not known */
    double others;          /* share of all cores that other programs had during the window */
    struct holds holds;     /* how they kept the server from its cores */
    json_t *load;           /* the generator's JSON, or null */
    int status;             /* of the server: its exit status, or minus the signal it died of */
    double stopped_s;       /* from SIGTERM to its exit */
    json_t *final;          /* its last line, or null */
    json_t *upstream_final; /* the same of the upstream */
    struct component_trial component[COMPONENTS];
    json_t *reasons; /* sentences: why this is no valid measurement; empty when it is one */
    json_t *refused; /* of a valid one: {metric: sentence} of numbers that are not sure */
};

/* Run it to its end. Leaves no process behind. Dies when it cannot be set up at all; all
 * that goes wrong later is a reason. */
struct trial trial_run(const struct trial_setup *);
void trial_free(struct trial *);

/* By how much a counter grew in the window. */
int64_t trial_grown(const struct trial *, enum counter);

/* What the server used in the window, the switches of threads that ended in it included. at_ns is the
 * time between, tasks are those at its end. */
struct proc_usage trial_usage(const struct trial *);

#endif
