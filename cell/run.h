/* run: a trial under way, for the parts of `trial`: the programs it has started, and waiting for what
 * they say. */
#ifndef ARCHBENCH_RUN_H
#define ARCHBENCH_RUN_H

#include "cell/group.h"
#include "cell/trial.h"

#include <sys/resource.h>

enum { SAID_MAX = 16384 };

/* A program that says when it is ready, and at its end a line of JSON. */
struct child {
    const char *name;    /* in sentences */
    pid_t pid;           /* 0: not started, or waited for */
    int end;             /* pidfd: readable when it has ended */
    int out;             /* its stdout, non-blocking; -1 after its end */
    int log;             /* a copy goes here, and its stderr */
    char said[SAID_MAX]; /* the latest of it, a string */
    size_t said_len;
    int port;             /* 0: not known yet */
    cpu_set_t cores;      /* where it was started */
    struct cgroup cgroup; /* what it and all that it starts use */
};

/* The trial owns all of it; trial.c sets it up and releases it. */
struct run {
    const struct trial_setup *setup;
    struct trial *trial;
    struct group group;
    struct child server, upstream, component[COMPONENTS];
    int stats; /* memory file that the server maps its counters to */
    const struct counters_file *counters;
    int journal; /* memory file for the journal of its order books; -1: none is used */
    /* Counters and usage of a server that was killed, and CPU time of such an upstream; else zero. */
    struct observation gone;
    struct child *ended; /* the upstream or a component that did */
    pid_t loadgen;
    int loadgen_end; /* pidfd */
    int control;     /* socket to the generator, -1 when closed */
};

/* One more reason why this is no valid measurement, as printf writes it. */
void run_add_reason(struct run *, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* --- child.c: the programs that are started ---------------------------------------------------- */

/* What a wait came to. */
enum outcome {
    OUTCOME_OK,
    OUTCOME_LATE,
    OUTCOME_SERVER_ENDED,
    OUTCOME_OTHER_ENDED, /* run->ended */
    OUTCOME_INTERRUPTED,
};

/* Wait until `wanted` (-1: nothing) is readable or a signal asks us to stop, listening to all that was
 * started meanwhile; until deadline_ns (CLOCK_MONOTONIC) at most. */
enum outcome run_await(struct run *, int wanted, int64_t deadline_ns);
/* True when a step did not fail; otherwise its reason has been added. `late` is the sentence for a
 * step that took too long. */
bool run_went_well(struct run *, enum outcome, const char *late);

/* Start a program of the group, with the arguments of `list`. Returns its pid. */
pid_t run_start(struct run *, const json_t *list, struct command);
/* Open a log file of the trial for appending. Dies when it cannot. */
int run_open_log(const struct run *, const char *name);

/* Start it and wait until it is ready. `keep`: a descriptor that it inherits, or -1. False: it is
 * not ready, and the reason has been added. */
bool child_start(struct run *, struct child *, const json_t *command, cpu_set_t cores, int keep);
/* Wait for the end of a child that was killed, and be ready to start it again. */
void child_reap(struct run *, struct child *, struct rusage *);
/* Ask it to end, wait for that, and kill it if it does not. Returns its exit status, or minus the
 * signal that it died of; either adds a reason unless it is 0. */
int child_stop(struct run *, struct child *);
/* Its last line, when that is the JSON that it owes us; or NULL. The caller owns it. */
json_t *child_final(struct child *);

/* --- judge.c: what can be trusted --------------------------------------------------------------- */

/* How others kept the server from its cores between the two observations. */
struct holds judge_holds(const struct run *);
/* Take over what the generator says of its run, which is in trial->load. */
void judge_load(struct run *);
/* Add what else speaks against the trial, or some of its numbers. */
void judge_trial(struct run *);

/* --- books.c: the order books ------------------------------------------------------------------- */

/* Make the file for the journal, if the workload needs one. */
void books_open(struct run *);
/* The server has ended: replay its journal. That it came to something else is a reason. */
void books_check(struct run *);

/* --- commands.c: argument lists, which the caller owns ----------------------------------------- */

/* The first time on any free port, again on the same one. */
json_t *command_of_server(const struct run *);
json_t *command_of_upstream(const struct run *);
/* `control`: the generator's end of the socket pair. */
json_t *command_of_loadgen(const struct run *, int control);

#endif
