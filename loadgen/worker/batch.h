/* batch: one-way messages that go out together, with one send. Pure: no clock, no socket.
 *
 * Such a message is the same every time but for its moment, so that it is prepared once for each connection; to
 * add one to a batch is to copy it and to write the digits of moment.h. */
#ifndef ARCHBENCH_BATCH_H
#define ARCHBENCH_BATCH_H

#include "loadgen/plan/arrivals.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BATCH_MESSAGES = 64, /* in one batch: some 30 us for the send */
    BATCH_BYTES = 32 * 1024,
};

/* A prepared message of one class. */
struct form {
    char *bytes; /* owned; NULL: the class does not use the connection, or wants replies */
    size_t len;
    size_t time_at;  /* where the digits of its moment begin; 0: it has none */
    uint64_t unread; /* messages of the window that the server is not yet known to have read */
};

struct batch_message {
    struct arrival arrival;
    int64_t lag_ns, echo_ns; /* see delays.h */
    size_t end;              /* of its bytes in the batch */
};

struct batch {
    int count;   /* messages; 0: nothing is under way */
    int written; /* of those: as a whole */
    struct form form[WORKLOAD_CLASSES];
    struct batch_message message[BATCH_MESSAGES];
};

/* How many bytes a batch needs whose longest message has so many. */
size_t batch_room(size_t longest);

/* Prepare the message of a class: `len` bytes, which are copied; the digits of its moment begin at `time_at`. */
void batch_prepare(struct batch *, int class, const char *bytes, size_t len, size_t time_at);

/* Begin a new one. */
void batch_begin(struct batch *);

/* Add the message for `arrival` behind the *len bytes in `out` and count them up. Returns false when the batch is
 * full; an empty one takes any message. */
bool batch_add(struct batch *, char *out, size_t *len, const struct arrival *arrival);

/* So many bytes of it are written. Returns the next message that now is written as a whole, or NULL; call again. */
const struct batch_message *batch_written(struct batch *, size_t bytes);

/* Take out the next message that is not written as a whole; NULL: there is none, and the batch is over. */
const struct batch_message *batch_unwritten(struct batch *);

/* Frees what it owns. */
void batch_free(struct batch *);

#endif
