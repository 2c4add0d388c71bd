/* serve: two ways to move a connection's bytes. Optional: a server may use conn alone.
 * Neither closes the descriptor: that is left to the part that accepted it. */
#ifndef ARCHBENCH_SERVE_H
#define ARCHBENCH_SERVE_H

#include "common/serve/conn.h"

/* Direct style, for a thread or process per connection: serve `fd` (blocking) until it is over,
 * from conn_init() to conn_end(). Every wait happens on the calling thread. */
void serve_blocking(int fd, struct service *, struct counter_slot *);

/* Readiness style: go on with a connection on `fd` (non-blocking) until it would block. Call it
 * when what conn->want names has come true. Receives at most once per call, so that one busy peer
 * cannot hold the loop; hence for level-triggered or one-shot notification. Returns
 *   WANT_READ or WANT_WRITE: call again when fd is readable / writable;
 *   WANT_JOB: conn->job->pending, one of `async`, is to be waited for; then job_resume() and call
 *   again;
 *   WANT_CLOSE: it is over. */
enum want conn_pump(struct conn *, int fd, unsigned async);

/* The pieces of conn_pump, for a server that moves the bytes of a connection on `fd` (non-blocking)
 * in different places: one recv into conn_in(), or one send from conn_out(), and what conn makes of
 * it. False: it would block, and nothing has changed. */
bool conn_receive(struct conn *, int fd);
bool conn_send(struct conn *, int fd);

/* The system calls of these two alone: bytes, or -errno. */
ssize_t serve_recv(struct conn *, int fd);
ssize_t serve_send(struct conn *, int fd);
/* What conn makes of so many bytes sent, or of the error. */
void serve_sent(struct conn *, int fd, ssize_t);

/* There is news for a WebSocket (see channel.h): send what its outbox has, as far as the socket takes it.
 * Returns conn->want; WANT_CLOSE: it has failed, or did not read and is cut off. conn_pushes() tells
 * whether it waits for the socket. */
enum want conn_push(struct conn *, int fd);

/* conn_end() for the connection on `fd`, which is to be closed next: a WebSocket that idles in a drain
 * is told first. */
void serve_end(struct conn *, int fd);

/* conn_expire() for the connection on `fd`, which looks first whether the peer reads. */
bool serve_expire(struct conn *, int fd, int64_t now_ns);

#endif
