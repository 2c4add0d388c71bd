/* message: what a client's WebSocket message says, and what a delivery to a subscriber looks like
 * (docs/formats.md, "Messages"). Touches nothing but its arguments. */
#ifndef ARCHBENCH_MESSAGE_H
#define ARCHBENCH_MESSAGE_H

#include "common/base/util.h"
#include "common/websocket/frame.h"

enum { MESSAGE_ID_MAX = 32 };

/* "ID TARGET\nPAYLOAD". The spans point into the caller's text. */
struct client_message {
    enum opcode opcode;
    struct span id; /* "-": one-way, no reply is wanted */
    struct span target;
    struct span payload; /* may be empty */
};

/* False, with a constant sentence in *reason, when the text is none. */
bool message_parse(struct client_message *, struct span text, const char **reason);

static inline bool message_is_one_way(const struct client_message *message)
{
    return message->id.len == 1 && message->id.data[0] == '-';
}

/* "*TOPIC ID\nPAYLOAD" as a frame, which the caller holds. `message` may be NULL: the ID is "-" then
 * and the payload empty. */
struct frame *message_delivery(const char *topic, const struct client_message *);
/* The same, of a text "ID\nPAYLOAD" that is there already. */
struct frame *message_delivery_of_text(const char *topic, enum opcode, struct span text);
/* "ID\nPAYLOAD", what a delivery says behind its topic, in memory that the caller frees. */
struct span message_text(const struct client_message *);

#endif
