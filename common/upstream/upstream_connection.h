/* upstream_connection: a connection to a service that speaks RESP. hiredis writes and reads the
 * protocol; the bytes are moved here. A pool uses it through `resp_protocol` (pooled.h). */
#ifndef ARCHBENCH_UPSTREAM_CONNECTION_H
#define ARCHBENCH_UPSTREAM_CONNECTION_H

#include "common/upstream/pooled.h"

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdint.h>

enum { UPSTREAM_RECEIVE_BYTES = 4096 };

struct upstream_connection {
    struct pooled_connection pooled; /* first: it is one */
    char *command;                   /* hiredis's memory; NULL: none is under way */
    size_t len, sent;
    redisReader *reader;
    char received[UPSTREAM_RECEIVE_BYTES]; /* here, since a coroutine's stack is small */
};

/* Start to connect, without waiting. NULL with -errno in *error. */
struct upstream_connection *upstream_connection_open(const struct net_address *, int *error);
void upstream_connection_close(struct upstream_connection *);

/* The command that is sent next. */
void upstream_connection_set_command(struct upstream_connection *, const struct upstream_command *);

/* Each of these returns -EAGAIN when it must wait for the descriptor, for pooled.events, or another -errno
 * when the connection is of no further use. */

/* 0: it is connected. */
int upstream_connection_finish(struct upstream_connection *);
/* 0: the whole command has been sent. */
int upstream_connection_send(struct upstream_connection *);
/* 0: more is to come, or *reply is complete; it is the caller's then (freeReplyObject). */
int upstream_connection_receive(struct upstream_connection *, redisReply **reply);

extern const struct upstream_protocol resp_protocol;

#endif
