/* upstream_command: what a call asks of the upstream, as a command of Redis.
 *
 * To wait is BLPOP on a list that is never filled: it keeps a connection busy for a time one can
 * choose, and the server behind it idle. No time means for ever there, so it is a PING.
 *
 * Keys and channels get a prefix: nothing that a Redis holds for others is touched. */
#ifndef ARCHBENCH_UPSTREAM_COMMAND_H
#define ARCHBENCH_UPSTREAM_COMMAND_H

#include "common/news/topics.h"
#include "common/websocket/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum upstream_verb {
    UPSTREAM_WAIT,    /* BLPOP archbench:none D */
    UPSTREAM_GET,     /* GET archbench:NAME */
    UPSTREAM_SET,     /* SET archbench:NAME PAYLOAD */
    UPSTREAM_INCR,    /* INCR archbench:NAME */
    UPSTREAM_PUBLISH, /* PUBLISH archbench:NAME, with the text ID\nPAYLOAD */
};

enum {
    UPSTREAM_NAME_MAX = 31, /* characters of a key or channel */
    UPSTREAM_VALUE = 64,    /* bytes that SET stores when no message came with the request */
};

/* As a step writes it: "get". */
const char *upstream_verb_name(enum upstream_verb);
/* The other way. False: no step has a verb of this name. */
bool upstream_verb_of(const char *name, size_t len, enum upstream_verb *);

/* Belongs to whoever calls, and so does what its pointers point to, until the call is over. */
struct upstream_command {
    enum upstream_verb verb;
    int statement;       /* of a database, which no verb concerns: its place in the file */
    int64_t duration_ns; /* of UPSTREAM_WAIT */
    const char *name;    /* of all others: of a key or channel; or the argument of a statement */
    /* Of SET, PUBLISH and a statement; NULL: none came with the request. */
    const struct client_message *message;
};

/* Write it in RESP into memory of hiredis's (redisFreeCommand). Returns its length. Dies when there is
 * no memory. */
size_t upstream_command_format(const struct upstream_command *, char **text);

#endif
