/* socket: the client's end of a WebSocket as docs/formats.md describes it ("Messages"): the handshake,
 * messages out, frames in. Bytes in, events out, in whatever pieces they come; it touches no descriptor and keeps
 * no pointer into the bytes.
 *
 * It is strict about what RFC 6455 asks of a server, and reads no more of a message than its beginning: of a
 * body nothing is kept. Its own frames are masked with a key of zeros, which the server cannot tell from any
 * other and which costs nothing here; a browser must choose keys that nobody can guess, a generator need not.
 *
 * The servers leave this to wslay. Here its context, 8.6 KiB, would be kept for each of thousands of connections. */
#ifndef ARCHBENCH_SOCKET_H
#define ARCHBENCH_SOCKET_H

#include "common/base/util.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    SOCKET_TEXT = 768,      /* of the handshake's reply, or of the beginning of a message */
    SOCKET_CONTROL = 125,   /* of a control frame */
    SOCKET_OVERHEAD = 200,  /* bytes of a message of ours beside its target and its body */
    SOCKET_REPLY_MAX = 140, /* of a frame that answers one of the server's */
};

enum socket_event {
    SOCKET_MORE,
    SOCKET_OPEN,     /* the handshake is over */
    SOCKET_REPLY,    /* to the last message: status and digest */
    SOCKET_DELIVERY, /* see `delivery` */
    SOCKET_PING,     /* to be answered with socket_pong() */
    SOCKET_PONG,     /* the server has gone through all that was sent before the ping */
    SOCKET_CLOSE,    /* the server ends the connection, see close_code */
    SOCKET_BAD,      /* it breaks the protocol, or answers what was not asked */
};

/* What a publisher says of a message in the message itself. */
struct delivery {
    uint32_t class, publisher, number, skipped; /* as in books/deliveries.h */
    int64_t intended_ns;                        /* when it was due */
    int64_t lag_ns, echo_ns; /* what of its delay is the generator's: see delays.h */
};

struct socket {
    bool open;           /* the handshake is over */
    bool unfinished;     /* fragments of a message have come */
    bool fin;            /* of the frame under way */
    uint8_t opcode;      /* ... */
    uint8_t head_len;    /* ... how much of its head has come */
    uint8_t head[10];    /* ... */
    uint8_t control_len; /* ... what has come of a control frame */
    uint16_t text_len;   /* what has come of a message, or of the handshake's reply, and was kept */
    uint16_t close_code; /* 0: the close had none */
    uint16_t status;     /* of a reply */
    bool has_digest;     /* ... */
    uint32_t id;         /* of the last message that wants a reply */
    uint64_t left;       /* of the frame's payload */
    uint64_t digest;     /* of a reply */
    struct delivery delivery;
    char control[SOCKET_CONTROL];
    char text[SOCKET_TEXT + 1];
};

/* A new connection: the handshake is sent, its reply comes next. */
void socket_begin(struct socket *);

/* Take bytes; *used tells how many. After an event the rest is to be given again. */
enum socket_event socket_feed(struct socket *, const char *data, size_t len, size_t *used);

/* Write a message for `target` into `out`: SOCKET_OVERHEAD bytes, the target's and `body` must have room.
 * `one_way`: it wants no reply. `delivery`: its payload says that, and goes on for `body` bytes in all, or as many
 * as that takes; NULL: the payload is of `body` bytes. Returns the length. */
size_t socket_message(struct socket *, char *out, const char *target, bool one_way,
                      const struct delivery *delivery, size_t body);
/* Write a ping into `out` (SOCKET_REPLY_MAX bytes). Returns its length. */
size_t socket_ping(char *out);
/* Write the answer to a ping, or to a close, into `out` (SOCKET_REPLY_MAX bytes). Returns its length. */
size_t socket_pong(const struct socket *, char *out);

#endif
