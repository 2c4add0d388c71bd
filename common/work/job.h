/* job: the steps of one request, performed one after the other. A job never decides where it
 * waits: whoever runs it says which waits are handed back and which happen on the calling thread.
 */
#ifndef ARCHBENCH_JOB_H
#define ARCHBENCH_JOB_H

#include "common/upstream/upstream.h"
#include "common/work/book/market.h"
#include "common/work/disk.h"
#include "common/work/program.h"

#include <sys/types.h>

struct counting;
struct counter_slot;

/* What a job needs before it can go on. */
enum wait {
    WAIT_NONE = 0,
    WAIT_COMPUTE = 1,   /* a core: call job_block() somewhere, then job_resume() */
    WAIT_TIMER = 2,     /* job_delay_ns() to pass */
    WAIT_UPSTREAM = 4,  /* job_wait_fd() to become ready, until job_deadline_ns() at most */
    WAIT_DISK = 8,      /* a read to complete */
    WAIT_DELEGATE = 16, /* another part to perform the whole program: job_deliver() */
    WAIT_NEWS = 32,     /* whoever it concerns to be told of job_news(); then job_resume() */
    WAIT_BOOK = 64, /* whoever may touch the order books: there job_block(), then job_resume() */
};

struct job {
    struct counting *counting;     /* where count= counts; NULL: in `counters` */
    struct counter_slot *counters; /* of calls, too */
    const struct calibration *calibration;
    struct disk *disk;
    struct upstream_pool *upstream, *database; /* of io=sql, whose statements it knows */
    struct topics *topics;                     /* NULL: this server pushes nothing */
    struct market *market;                     /* the order books */
    /* Who may subscribe, and what is published or stored. NULL: the request did not come by WebSocket, and
     * nothing came with it. */
    struct subscriber *subscriber;
    const struct client_message *message;
    struct program program;
    uint8_t next; /* the step under way */
    bool started;
    bool shed;         /* refused: no step will run, the reply is 503 */
    int error;         /* -errno of the step that failed, and no step after it will run; or 0 */
    enum wait pending; /* what it waits for; WAIT_NONE: all steps done */
    unsigned async;    /* waits that are handed back */
    uint64_t digest;   /* of the CPU steps so far */
    union {
        struct disk_read read;     /* under way while WAIT_DISK is pending */
        struct upstream_call call; /* ... while WAIT_UPSTREAM is */
        struct publication news;   /* ... while WAIT_NEWS is */
    };
};

/* Run from the first step until a wait in `async`, which is returned and stays in job->pending;
 * all other waits happen here, blocking. WAIT_NONE: every step is done. With WAIT_DELEGATE in `async` no
 * step is begun here, and even a program without steps is handed back. */
enum wait job_start(struct job *, unsigned async);

/* The pending wait is over: go on as job_start does. `result`: bytes or -errno of a read that the
 * caller performed itself; 0 for all else, after job_block() too. A WAIT_UPSTREAM that is over may be
 * followed by the next one; the job itself sees when its deadline has passed. */
enum wait job_resume(struct job *, ssize_t result);

/* Perform the pending wait on this thread. The job is the caller's alone meanwhile. */
void job_block(struct job *);

/* What a pending WAIT_DISK is to read, for whoever has the kernel do it. The job keeps the buffer
 * until job_resume(). */
const struct disk_read *job_read(const struct job *);

/* Of a pending WAIT_NEWS: what the step has published, or, without a frame, that the subscriptions have
 * changed. The subscribers of this process have it in their outboxes already: see topics_next(). The
 * frame is the job's, until job_resume(). */
const struct publication *job_news(const struct job *);

/* What came of a pending WAIT_DELEGATE: the digest, or the -errno (0: none) with which a step failed, and
 * which. The job has come to its end. */
void job_deliver(struct job *, uint64_t digest, int error, int step);

/* Length of a pending WAIT_TIMER in nanoseconds. */
int64_t job_delay_ns(const struct job *);

/* Of a pending WAIT_UPSTREAM: the descriptor, and POLLIN, POLLOUT or both. It stays open until job_resume() or
 * job_block(). -1: the job waits for its turn to use one, see job_watch_turn(). */
int job_wait_fd(const struct job *);
short job_wait_events(const struct job *);
/* When it has waited for long enough, on CLOCK_MONOTONIC: call job_resume() then. */
int64_t job_deadline_ns(const struct job *);
/* Have a loop told when the turn of a WAIT_UPSTREAM without descriptor has come, as upstream_watch_turn().
 * False: it has come, call job_resume(). */
bool job_watch_turn(struct job *);
/* ... no longer, as upstream_unwatch_turn(). */
void job_unwatch_turn(struct job *);
/* The job that upstream_next_granted() found. */
struct job *job_of_call(struct upstream_call *);

/* Give the job up before it has run: its reply becomes 503 with Retry-After. */
void job_shed(struct job *);

#endif
