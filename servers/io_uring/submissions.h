/* submissions: one function for each operation that is started or cancelled on the ring. None of
 * them waits: the operation is submitted with the next batch, and completes later with the op that
 * is named here. */
#ifndef ARCHBENCH_SUBMISSIONS_H
#define ARCHBENCH_SUBMISSIONS_H

#include "servers/io_uring/ring.h"

/* OP_ACCEPT: stays armed and completes for every new peer. Accepted sockets are blocking: on a
 * non-blocking one an operation would not wait, but complete with EAGAIN. */
void start_accept(struct ring *);
/* OP_BACKLOG: a peer waits at the listener. */
void start_backlog(struct ring *);
void stop_accept(struct ring *);
/* OP_SIGNAL */
void start_signal(struct ring *);
/* OP_SWEEP: when the period of conn_sweep_period_ns() has passed. */
void start_sweep(struct ring *);
/* The period has become shorter: have the sweep under way obey. */
void hasten_sweep(struct ring *);
/* OP_GRANTS */
void start_grants(struct ring *);
/* OP_FEED: its descriptor is readable. */
void start_feed(struct ring *);

/* OP_RECEIVE: stays armed and completes for every buffer, until a completion comes without
 * IORING_CQE_F_MORE. For a starved peer it receives once, straight into conn_in(). */
void start_receive(struct ring *, struct ring_peer *);
/* OP_RECEIVE completes all the same, with ECANCELED or with what it had received. */
void stop_receive(struct ring *, struct ring_peer *);
/* OP_SEND */
void start_send(struct ring *, struct ring_peer *);
/* Tell the peer that nothing more will be sent. Its completion is ignored. */
void start_shutdown(struct ring *, struct ring_peer *);
/* OP_TIMER: at a point in time, in nanoseconds on CLOCK_MONOTONIC. */
void start_timer(struct ring *, struct ring_peer *, int64_t due_ns);
/* OP_TIMER completes at once. */
void stop_timer(struct ring *, struct ring_peer *);
/* OP_CALL: the descriptor of the peer's upstream call is ready, or the call's deadline passed. */
void start_call(struct ring *, struct ring_peer *, int fd);
/* OP_DISK: the read of the peer's job, which keeps the buffer until then. */
void start_disk(struct ring *, struct ring_peer *);

/* OP_CANCEL: everything that is in flight on the peer's descriptor completes. */
void cancel_all(struct ring *, struct ring_peer *);
/* OP_CLOSE: only when nothing else of the peer is in flight. */
void start_close(struct ring *, struct ring_peer *);

#endif
