/* conn: one connection as a pure state machine. Bytes in, a job out; a finished job in, bytes
 * out.
 *
 * It makes no system call on a descriptor: the architecture moves the bytes and the time. After
 * each call the returned `want` (kept in conn->want) says what comes next: a completion arrives
 * with nothing but a pointer to the connection.
 *
 * An idle connection is small: its parser, its buffers and its job are an exchange (exchange.h),
 * which it has from conn_in() until the reply is out and nothing more has come. A body longer than
 * the exchange's text is sent from where it is: body=N from one shared constant, /metrics in pieces
 * from one snapshot of the counters, so that its length is known before the first. */
#ifndef ARCHBENCH_CONN_H
#define ARCHBENCH_CONN_H

#include "common/base/counters.h"
#include "common/base/util.h"
#include "common/serve/exchange.h"
#include "common/upstream/calls.h"

#include <stdatomic.h>

enum want {
    WANT_READ,  /* receive into conn_in(), then conn_received() */
    WANT_JOB,   /* perform *conn->job, then conn_job_done() */
    WANT_WRITE, /* send from conn_out(), then conn_sent() and conn_lingers() */
    WANT_CLOSE, /* conn_end(), and close the descriptor */
};

/* A path that an architecture answers itself, beside those that every server has. A list of them
 * ends with one without path. */
struct page {
    const char *path;
    bool post; /* it changes something: only POST finds it */
};

enum { NO_PAGE = -1 };

/* What all connections of a process share. The process owns it; it outlives them. */
struct service {
    struct calibration calibration;
    struct disk disk;
    struct calls calls; /* the pools of the upstream and the database */
    struct counters_file *counters;
    struct counting *counting;  /* how threads share them; NULL: each connection has a slot */
    struct market market;       /* the order books; server_books() */
    struct topics *topics;      /* who has subscribed to what; NULL: this server cannot push */
    struct exchanges exchanges; /* lent to the connections that are not idle */
    int64_t idle_timeout_ns;    /* of silence: between requests, in a body, in a reply */
    int64_t header_timeout_ns;  /* from a request's first byte to the end of its head */
    int64_t request_timeout_ns; /* ... to the end of its body; 0: as long as it keeps coming */
    atomic_bool draining;       /* replies say Connection: close; a signal handler sets it */
    /* What this architecture alone has; NULL: nothing. The lists are the server's. */
    const struct page *pages; /* found before those that all have */
    const struct own_counter *own;
};

enum conn_phase {
    PHASE_IDLE,   /* nothing of a request has come */
    PHASE_HEAD,   /* part of a head */
    PHASE_BODY,   /* part of a body */
    PHASE_JOB,    /* a whole request, performed by its job */
    PHASE_REPLY,  /* a reply going out */
    PHASE_LINGER, /* last reply sent: waiting for the peer to close */
};

/* One thread owns a connection at a time; whoever embeds it frees it. */
struct conn {
    struct service *service;
    struct counter_slot *counters;
    enum want want;
    enum conn_phase phase;
    bool close_after;  /* this reply is the last one */
    bool linger_after; /* ... and input may still be on its way */
    bool reports;      /* this reply goes on with pieces of `report` */
    int64_t since_ns;  /* when the phase began, or a body or reply last moved (coarse) */
    int64_t begin_ns;  /* when the first byte of this request came */
    const char *out;   /* next byte to send */
    size_t out_len;
    int unsent; /* see conn_note_unsent(); INT_MAX: no look yet since the last bytes went out */
    const char *rest; /* what of the body follows: from the shared filler, or a caller's text */
    size_t rest_len;
    int page; /* WANT_JOB: which of service->pages is asked for, to conn_answer(); or NO_PAGE */
    struct exchange *exchange; /* NULL while nothing of a request has come */
    struct job *job;           /* that of the exchange */
    bool keeps;                /* the exchange is the owner's, and stays: conn_keep() */
    struct channel *channel;   /* once it is a WebSocket: see channel.h */
};

/* Begin with an accepted connection: wants to read. Counts it in `counters`, the caller's slot. */
void conn_init(struct conn *, struct service *, struct counter_slot *counters);
/* Have it use the caller's exchange to its end, in place of those lent: for one that blocks in
 * recv, which needs room for input while it is idle too. Called after conn_init(). */
void conn_keep(struct conn *, struct exchange *);
/* Count its end, and give back what it was lent. Called once, by the part that called conn_init():
 * serve_blocking(), loop_remove(), or a server that has neither. */
void conn_end(struct conn *);

/* WANT_READ: where to receive. Never empty, and unmoved until conn_received(). */
struct span conn_in(struct conn *);
/* Nothing came after conn_in(): an idle connection needs no room until something does. */
void conn_rest(struct conn *);
/* n bytes came; 0: the peer closed its side; negative: -errno. */
enum want conn_received(struct conn *, ssize_t n);

/* WANT_JOB: the job has come to its end (or was shed): format the reply. */
enum want conn_job_done(struct conn *);

/* WANT_JOB: answer with this text in place of what the job would say: a page, or why a job that
 * something else was to perform came to nothing. `type`, a constant, is its Content-Type. What does
 * not fit into conn is sent from where it stands: the text stays the caller's, unchanged until the
 * next WANT_JOB or the connection's end. */
enum want conn_answer(struct conn *, int status, const char *type, struct span text);

/* WANT_WRITE: what to send. Never empty. */
struct span conn_out(struct conn *);
/* n bytes went out; negative: -errno. Afterwards a pipelined request may already be there. */
enum want conn_sent(struct conn *, ssize_t n);
/* After conn_sent(): was that the end of the last reply, although input may still be on its way?
 * Then shutdown(fd, SHUT_WR) is due, and reading goes on until the peer has seen it: to close on
 * unread input would reset the reply away. */
static inline bool conn_lingers(const struct conn *conn)
{
    return conn->phase == PHASE_LINGER;
}

/* The connection of a job that is under way. */
static inline struct conn *conn_of_job(struct job *job)
{
    return container_of(job, struct exchange, job)->conn;
}

/* No request under way: closing now loses nothing. */
static inline bool conn_is_idle(const struct conn *conn)
{
    return conn->phase == PHASE_IDLE;
}

/* WANT_WRITE: so many bytes of ours the peer has not acknowledged yet (SIOCOUTQ). When they have
 * become fewer it reads, although the socket may not be writable yet: that is no silence. */
void conn_note_unsent(struct conn *, int bytes, int64_t now_ns);
/* End the connection if the peer has kept it waiting for too long: it wants to close then, and is
 * counted as timed out (and not as broken). False: nothing has changed. */
bool conn_expire(struct conn *, int64_t now_ns);

/* How long may pass between two looks at all connections, the coarse way to find those that are
 * silent for too long: a quarter of the patience, a second at most; 20 ms in a drain, which waits
 * for those that idle. */
int64_t conn_sweep_period_ns(const struct service *);

#endif
