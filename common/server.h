/* server: what every server's main does alike: options, listening, the ready line, stopping. */
#ifndef ARCHBENCH_SERVER_H
#define ARCHBENCH_SERVER_H

#include "common/conn.h"
#include "common/net.h"
#include "common/options.h"

struct server {
    struct service service;
    int listener;       /* blocking; a loop sets O_NONBLOCK itself */
    int reserve;        /* see net_accept() */
    int workers;        /* --workers: how many, where the architecture has a fixed number */
    size_t stack_bytes; /* --stack: of each thread */
    struct counter_slot *counters; /* the main thread's slot */
};

/* Read the command line (`own`: the architecture's knobs, or NULL), answer --about and --help,
 * make the counters, load the calibration, listen. Whatever fails dies with one line and status
 * 2. */
void server_setup(struct server *, int argc, char **argv, const struct option_row *own);

/* Say "ready NAME HOST:PORT". From here on SIGTERM and SIGINT must be handled. */
void server_ready(const struct server *);

/* On SIGTERM or SIGINT: service->draining becomes true and reading from `fd` ends: a blocked
 * accept fails, a blocked recv meets the end of the stream. Unlike a flag alone this cannot come
 * too late. One descriptor per process: the listener, or in a forked child its connection. */
void server_stop_on_signal(struct service *, int fd);

/* Accept the next peer, blocking; counts and survives what is not fatal. Returns its descriptor,
 * -EINTR after a signal, or -ESHUTDOWN when the server is to stop. */
int server_accept(struct server *);
/* The same for a listener in non-blocking mode: -EAGAIN when nobody waits. */
int server_accept_ready(struct server *);

/* Start a detached thread with the --stack size and count it. False when the system has no more. */
bool server_start_thread(struct server *, void *(*run)(void *), void *argument);

/* The last line: the counters as JSON on stdout. Returns the exit status, 0. */
int server_finish(const struct server *);

#endif
