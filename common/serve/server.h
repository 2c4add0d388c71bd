/* server: what every server's main does alike: options, listening, the ready line, stopping. */
#ifndef ARCHBENCH_SERVER_H
#define ARCHBENCH_SERVER_H

#include "common/base/net.h"
#include "common/base/options.h"
#include "common/news/feed.h"
#include "common/serve/conn.h"

#include <pthread.h>
#include <signal.h>

/* The threads that have been started and have not ended. */
struct thread_count {
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t ended;
    int alive;
};

struct server {
    struct service service;
    int listener;        /* blocking; a loop sets O_NONBLOCK itself */
    int reserve;         /* see net_accept() */
    atomic_int *waiting; /* in a drain: how many peers may still be accepted; processes that share
                            the listener share it */
    atomic_int own_waiting;
    int workers;         /* --workers: how many, where the architecture has a fixed number */
    bool is_copy;        /* --processes: one of several, and the parent speaks for all: copies.h */
    size_t stack_bytes;  /* --stack: of each thread */
    size_t outbox_bytes; /* --outbox: what may wait for a subscriber */
    bool feeds; /* --feed: subscribers here are told what is published in the upstream, too */
    struct topics topics;          /* once server_push() was called */
    struct counter_slot *counters; /* the main thread's slot */
    struct thread_count threads;
};

/* Read the command line (`own`: the architecture's knobs, or NULL), answer --about and --help,
 * make the counters, load the calibration, listen. Whatever fails dies with one line and status
 * 2. */
void server_setup(struct server *, int argc, char **argv, const struct option_row *own);

/* From here on connections may subscribe, and be pushed to: this architecture sees to it that their owners
 * hear of it (service.topics, channel.h). Without this call a request that publishes is answered 501. */
void server_push(struct server *);

/* With --feed, in the process whose subscribers it is for: a feed, which the caller owns (feed.h), and has its
 * descriptor watched. NULL without. */
struct feed *server_feed(const struct server *);

/* How the threads and processes of this architecture share the order books. Without this call: a lock for
 * each. MARKET_ALONE holds for the only process of a server; with --processes it becomes MARKET_SHARD, and
 * MARKET_OWNER dies there, as each copy would have an owner. Call it before the first fork. */
void server_books(struct server *, enum market_sync);

/* Say "ready NAME HOST:PORT". From here on SIGTERM and SIGINT must be handled. */
void server_ready(const struct server *);

/* Begin to stop: service.draining becomes true; peers that wait at the listener already may still be
 * accepted, without blocking; others may not. Safe in a signal handler. */
void server_stop(struct server *);
/* On SIGTERM or SIGINT: server_stop(), for a process that blocks in server_accept() or
 * serve_blocking(). It cannot come too late, as a flag alone would between a look and a sleep.
 * `accepts`: this process decides for the listener; false: its parent does. Call it on the thread
 * that accepts. */
void server_stop_on_signal(struct server *, bool accepts);
/* The connection that this process serves, one at a time; -1: none. When the server stops, it has a
 * moment for its next request (SERVER_GRACE_NS); then recv meets the end of the stream behind what
 * has come. */
void server_serves(struct server *, int fd);

/* What a connection in a drain has for a request that is on its way. */
#define SERVER_GRACE_NS (20 * NSEC_PER_MSEC)

/* Block SIGTERM, SIGINT and SIGCHLD, which *signals then names: none gets lost between a look and a
 * sleep. They wait until the process takes them (server_take_signal(), a signalfd) or lets them
 * through with sigprocmask(), as a child does. */
void server_hold_signals(sigset_t *signals);
/* Sleep until one of these signals has come, and take it. 0: until_ns (CLOCK_MONOTONIC) came first,
 * or the sleep was cut short. INT64_MAX: however long it takes. */
int server_take_signal(const sigset_t *signals, int64_t until_ns);

/* In a forked child: end with the parent, however it ends. `parent`: its pid, from before the
 * fork. */
void server_end_with_parent(pid_t parent);

/* Accept the next peer, blocking; counts and survives what is not fatal. Returns its descriptor,
 * -EINTR after a signal, or -ESHUTDOWN when the server stops and no peer is left to accept. */
int server_accept(struct server *);
/* The same for a listener in non-blocking mode: -EAGAIN when no peer waits. */
int server_accept_ready(struct server *);

/* Can the system start a thread with the --stack size at all? Dies when it cannot: better at once
 * than with each connection. */
void server_try_thread(const struct server *);
/* Start a detached thread with the --stack size and count it. False when the system has no more.
 * Its context switches are counted at its end; nothing is to be done for that. */
bool server_start_thread(struct server *, void *(*run)(void *), void *argument);
/* The same for one of a fixed number: counted among the workers until its end. Dies when the system
 * has no more. */
void server_start_worker(struct server *, void *(*run)(void *), void *argument);
/* Wait until all these threads have come to their end. The last one may still have a few steps to
 * go, with `server` too: main must not return then, but exit(). */
void server_await_threads(struct server *);

/* In a process that copies_make() forked: from here on say nothing, and let the signals through that
 * the parent holds when server_ready() is called, unless server_hold_signals() was by then. */
void server_become_copy(struct server *);

/* The last line: the counters as JSON on stdout. No request may be under way: the connections to the
 * upstream and the database are closed. Returns the exit status, 0. */
int server_finish(struct server *);

#endif
