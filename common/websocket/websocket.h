/* websocket: RFC 6455 as a server meets it: the handshake, and bytes in, messages out. Touches no
 * descriptor.
 *
 * wslay unmasks, puts fragments together, checks that text is UTF-8, and knows what answers a ping, a
 * close and a breach of the protocol. It hands messages over by calling back, as many as it is given;
 * here it is given one frame at a time, so that one call yields one message and the rest of the bytes
 * stay with the caller. */
#ifndef ARCHBENCH_WEBSOCKET_H
#define ARCHBENCH_WEBSOCKET_H

#include "common/base/util.h"
#include "common/websocket/frame.h"

#include <wslay/wslay.h>

enum {
    WEBSOCKET_KEY_BYTES = 24,      /* of a client's Sec-WebSocket-Key */
    WEBSOCKET_ACCEPT_BYTES = 28,   /* of the answer to it */
    WEBSOCKET_MESSAGE_MAX = 65536, /* a longer one ends the connection with 1009 */
    WEBSOCKET_PART_MAX = 130,      /* bytes that it may leave: a control frame less one */
    WEBSOCKET_REPLY_MAX = 160,     /* room that websocket_reply() needs */
};

enum websocket_event {
    WEBSOCKET_MORE,    /* no whole message yet */
    WEBSOCKET_MESSAGE, /* see opcode and message */
    WEBSOCKET_REPLY,   /* a pong is due: websocket_reply() */
    WEBSOCKET_CLOSE,   /* the same of a close frame, and nothing that follows counts */
};

/* What has come of one peer's messages. An owner that lends it to one peer after the other does so
 * while it rests. Read-only outside websocket.c. */
struct websocket {
    wslay_event_context_ptr wslay; /* made at first use */
    uint64_t left;                 /* of the frame under way, not given to wslay yet */
    const char *in;                /* during a call: what wslay may have */
    size_t in_len;
    char *out; /* during a call: where its replies go */
    size_t out_len;
    bool unfinished; /* fragments of a message have come, and not all */
    bool complete;   /* the call has brought a message */
    bool closed;     /* WEBSOCKET_CLOSE has been returned */
    int close_code;  /* that we must send, as wslay would not; 0: none */
    enum opcode opcode;
    struct span message; /* in `text` */
    char *text;          /* kept for the next message, unless it is large */
    size_t room;
};

/* Prove to a client that its handshake was read: the answer to its key, WEBSOCKET_ACCEPT_BYTES and a
 * zero (RFC 6455, section 4.2.2). */
void websocket_accept(const char *key, char *accept);

void websocket_init(struct websocket *);
void websocket_free(struct websocket *);

/* Take bytes, of one frame at most; *used tells how many. 0: the head of the next frame, or a control
 * frame, has not come as a whole; the same bytes are to be given again, with more behind them. The
 * message is valid until the next call. Dies when there is no memory. */
enum websocket_event websocket_feed(struct websocket *, const char *data, size_t len, size_t *used);
/* Write the frame that is due into `text`. Returns its length, which may be 0 after WEBSOCKET_CLOSE. */
size_t websocket_reply(struct websocket *, char *text);

/* Nothing of a message has come that is not whole, nor a close. */
static inline bool websocket_rests(const struct websocket *websocket)
{
    return websocket->left == 0 && !websocket->unfinished && !websocket->closed;
}

#endif
