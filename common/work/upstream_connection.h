/* upstream_connection: one connection of a pool of upstream calls. hiredis writes and reads the
 * protocol; the bytes are moved here. It belongs to the pool while it is idle, else to one call. */
#ifndef ARCHBENCH_UPSTREAM_CONNECTION_H
#define ARCHBENCH_UPSTREAM_CONNECTION_H

#include "common/base/net.h"
#include "common/work/upstream_command.h"

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

enum { UPSTREAM_RECEIVE_BYTES = 4096 };

struct upstream_connection {
    int fd;
    char *command; /* hiredis's memory; NULL: none is under way */
    size_t len, sent;
    redisReader *reader;
    SLIST_ENTRY(upstream_connection) link;
    char received[UPSTREAM_RECEIVE_BYTES]; /* here, since a coroutine's stack is small */
};

/* Start to connect, without waiting. NULL with -errno in *error. */
struct upstream_connection *upstream_connection_open(const struct net_address *, int *error);
void upstream_connection_close(struct upstream_connection *);

/* Has the upstream closed it, or said something unasked? Between two calls it has nothing to say.
 * To look before a command is sent, and not to send it again when no reply comes, is what makes a
 * second attempt safe: a command without a reply may have been carried out. */
bool upstream_connection_is_stale(const struct upstream_connection *);

/* The command that is sent next. */
void upstream_connection_set_command(struct upstream_connection *, const struct upstream_command *);

/* Each of these returns -EAGAIN when it must wait for the descriptor, or another -errno when the
 * connection is of no further use. */

/* 0: it is connected. */
int upstream_connection_finish(struct upstream_connection *);
/* 0: the whole command has been sent. */
int upstream_connection_send(struct upstream_connection *);
/* 0: more is to come, or *reply is complete; it is the caller's then (freeReplyObject). */
int upstream_connection_receive(struct upstream_connection *, redisReply **reply);

#endif
