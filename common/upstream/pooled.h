/* pooled: one connection of a pool, whatever is spoken on it. A protocol is a table of functions, which
 * the calls of upstream.h go through; resp_protocol (upstream_connection.h) and sql_protocol
 * (sql_connection.h) are the two. A connection belongs to the pool while it is idle, else to one call. */
#ifndef ARCHBENCH_POOLED_H
#define ARCHBENCH_POOLED_H

#include "common/base/net.h"
#include "common/upstream/upstream_command.h"

#include <stdbool.h>
#include <sys/queue.h>

/* The first member of each protocol's own struct. */
struct pooled_connection {
    const struct upstream_protocol *protocol;
    int fd;       /* what is waited for; the same from open() to close() */
    short events; /* POLLIN, POLLOUT or both: what for, after a function that returned -EAGAIN */
    SLIST_ENTRY(pooled_connection) link;
};

SLIST_HEAD(pooled_connections, pooled_connection);

/* Where a pool connects to. */
struct upstream_target {
    struct net_address address;          /* of a service that speaks RESP */
    const struct sql_database *database; /* ... or a database */
};

/* What receive() has found. */
struct upstream_answer {
    bool complete; /* false: more is to come */
    bool usable;   /* the connection is as good as before */
    int error;     /* 0, or the -errno with which the other side refused: see reason() */
    bool is_zero;  /* it is the number 0: of a PUBLISH, nobody has heard it */
};

/* Each of those that return an int returns 0 when it is done, -EAGAIN when it must wait for the
 * descriptor, or another -errno when the connection is of no further use. */
struct upstream_protocol {
    /* Start to connect, without waiting. NULL with -errno in *error. */
    struct pooled_connection *(*open)(const struct upstream_target *, int *error);
    /* Go on until calls may be made. */
    int (*finish)(struct pooled_connection *);
    /* What is sent next. It may be set before finish() is done. */
    void (*set_command)(struct pooled_connection *, const struct upstream_command *);
    /* Go on until the whole command has been sent. */
    int (*send)(struct pooled_connection *);
    /* Take what has come. 0 without `complete`: call again. */
    int (*receive)(struct pooled_connection *, struct upstream_answer *);
    /* Has the other side closed it, or said something unasked? Between two calls it has nothing to say.
     * To look before a command is sent, and not to send it again when no reply comes, is what makes a
     * second attempt safe: a command without a reply may have been carried out. */
    bool (*is_stale)(const struct pooled_connection *);
    void (*close)(struct pooled_connection *);
    /* A failure in a constant sentence. */
    const char *(*reason)(int error);
};

/* is_stale() of every protocol: one look. */
bool pooled_has_input(const struct pooled_connection *);

#endif
