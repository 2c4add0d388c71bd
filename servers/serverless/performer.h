/* performer: a child process that performs programs for its parent, one at a time.
 *
 * Parent and child speak through a pair of sockets: a program goes over, with what the client's
 * message brought, and a report comes back. The child closes all other descriptors of the parent;
 * otherwise a client's connection would stay open for as long as the child lives. The child ignores SIGTERM and SIGINT, which may go to a whole
 * process group: the parent alone decides when a child ends. The child does not outlive the parent:
 * the kernel kills it when the parent dies (PR_SET_PDEATHSIG). A child whose parent died before it
 * could ask for that reads the end of its socket. */
#ifndef ARCHBENCH_PERFORMER_H
#define ARCHBENCH_PERFORMER_H

#include "common/serve/conn.h"

#include <sys/resource.h>

/* The parent's, one thread's. */
struct performer {
    pid_t pid;
    int socket; /* readable: performer_hear() has something to say */
};

/* What the child says: first when it is ready, then after each program. */
struct performer_report {
    uint64_t digest;
    int error;           /* -errno of the step that failed, or 0 */
    int step;            /* which step that was */
    int64_t cpu_us;      /* CPU time of the process so far */
    double resident_mib; /* now, pages shared with the parent included; 0: unknown */
};

struct performer_manner {
    int64_t start_up_ns; /* how long it sleeps before it is ready, as if it initialised itself */
    int crash_percent;   /* fault injection: of so many programs it aborts instead */
};

/* Fork one. False when the system has no process or descriptor left. Its state is a copy of the
 * caller's: do not call it while other threads hold locks. */
bool performer_start(struct performer *, struct service *, const struct performer_manner *);

/* Hand it a program, and the message that came with it (NULL: none did); all programs before must have
 * been reported. False: it has died. */
bool performer_give(const struct performer *, const struct program *,
                    const struct client_message *);

enum performer_word {
    PERFORMER_SILENT,
    PERFORMER_REPORT, /* *report is filled in */
    PERFORMER_GONE,   /* it has died, or is about to: call performer_reap() */
};

/* Never blocks. */
enum performer_word performer_hear(const struct performer *, struct performer_report *report);

/* Kill it, whatever it does; then performer_hear() will return PERFORMER_GONE. */
void performer_kill(const struct performer *);

/* It is GONE or was killed: wait for its end, which is near, and close the socket. *usage: what it
 * has used. */
void performer_reap(struct performer *, struct rusage *);

/* CPU time in microseconds, user and system. */
int64_t performer_cpu_us(const struct rusage *);

#endif
