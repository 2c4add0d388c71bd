#include "common/websocket/websocket.h"

#include <nettle/base64.h>
#include <nettle/sha1.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_KEPT = 4096 };

void websocket_accept(const char *key, char *accept)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t digest[SHA1_DIGEST_SIZE];
    struct sha1_ctx sha1;
    sha1_init(&sha1);
    sha1_update(&sha1, WEBSOCKET_KEY_BYTES, (const uint8_t *)key);
    sha1_update(&sha1, sizeof guid - 1, (const uint8_t *)guid);
    sha1_digest(&sha1, sizeof digest, digest);
    base64_encode_raw(accept, sizeof digest, digest);
    accept[WEBSOCKET_ACCEPT_BYTES] = 0;
}

void websocket_init(struct websocket *websocket)
{
    memset(websocket, 0, sizeof *websocket);
}

static void forget_text(struct websocket *websocket)
{
    free(websocket->text);
    websocket->text = NULL;
    websocket->room = 0;
}

void websocket_free(struct websocket *websocket)
{
    wslay_event_context_free(websocket->wslay);
    forget_text(websocket);
    websocket_init(websocket);
}

/* --- what wslay calls -------------------------------------------------------------------------- */

static ssize_t give(wslay_event_context_ptr wslay, uint8_t *data, size_t len, int flags, void *user)
{
    struct websocket *websocket = user;
    (void)flags;
    if (len > websocket->in_len)
        len = websocket->in_len;
    if (len == 0) {
        wslay_event_set_error(wslay, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    memcpy(data, websocket->in, len);
    websocket->in += len;
    websocket->in_len -= len;
    return (ssize_t)len;
}

static ssize_t take(wslay_event_context_ptr wslay, const uint8_t *data, size_t len, int flags,
                    void *user)
{
    struct websocket *websocket = user;
    (void)wslay, (void)flags;
    memcpy(websocket->out + websocket->out_len, data, len);
    websocket->out_len += len;
    return (ssize_t)len;
}

static void on_frame(wslay_event_context_ptr wslay,
                     const struct wslay_event_on_frame_recv_start_arg *frame, void *user)
{
    struct websocket *websocket = user;
    (void)wslay;
    if (!wslay_is_ctrl_frame(frame->opcode))
        websocket->unfinished = true;
}

static void keep(struct websocket *websocket, const uint8_t *data, size_t len)
{
    if (websocket->room > TEXT_KEPT || websocket->room < len)
        forget_text(websocket);
    if (!websocket->room) {
        websocket->room = len < TEXT_KEPT ? TEXT_KEPT : len;
        websocket->text = must_calloc(1, websocket->room);
    }
    if (len)
        memcpy(websocket->text, data, len);
    websocket->message = (struct span){websocket->text, len};
}

/* A close of one byte has half a code. wslay takes that for none. */
static void on_message(wslay_event_context_ptr wslay,
                       const struct wslay_event_on_msg_recv_arg *message, void *user)
{
    struct websocket *websocket = user;
    (void)wslay;
    if (message->opcode == WSLAY_CONNECTION_CLOSE && message->msg_length == 1)
        websocket->close_code = WSLAY_CODE_PROTOCOL_ERROR;
    if (wslay_is_ctrl_frame(message->opcode))
        return;
    websocket->unfinished = false;
    websocket->complete = true;
    websocket->opcode = (enum opcode)message->opcode;
    keep(websocket, message->msg, message->msg_length);
}

/* --- frames in --------------------------------------------------------------------------------- */

static void begin(struct websocket *websocket)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = give,
        .send_callback = take,
        .on_frame_recv_start_callback = on_frame,
        .on_msg_recv_callback = on_message,
    };
    if (wslay_event_context_server_init(&websocket->wslay, &callbacks, websocket))
        die("out of memory");
    wslay_event_config_set_max_recv_msg_length(websocket->wslay, WEBSOCKET_MESSAGE_MAX);
}

/* Bytes of the frame that begins here, those of its head among them; 0: the head, or a control frame, has
 * not come as a whole. wslay reads the same again and judges it; a length beyond all reason need only be
 * large. (wslay checks the text of a close that comes in pieces as if each piece began with a code.) */
static uint64_t frame_bytes(const char *data, size_t len)
{
    const uint8_t *head = (const uint8_t *)data;
    if (len < 2)
        return 0;
    uint64_t payload = head[1] & 0x7f;
    size_t extended = payload < 126 ? 0 : payload == 126 ? 2 : 8;
    size_t head_len = 2 + extended + (head[1] & 0x80 ? 4 : 0);
    if (len < head_len ||
        (wslay_is_ctrl_frame((head[0] & 15)) && !extended && len < head_len + payload))
        return 0;
    if (extended)
        payload = 0;
    for (size_t i = 0; i < extended; i++)
        payload = payload << 8 | head[2 + i];
    return head_len + (payload < UINT64_MAX / 2 ? payload : UINT64_MAX / 2);
}

enum websocket_event websocket_feed(struct websocket *websocket, const char *data, size_t len,
                                    size_t *used)
{
    if (!websocket->wslay)
        begin(websocket);
    if (websocket->left == 0)
        websocket->left = frame_bytes(data, len);
    *used = len < websocket->left ? len : (size_t)websocket->left;
    websocket->left -= *used;
    websocket->in = data;
    websocket->in_len = *used;
    websocket->complete = false;
    if (*used && wslay_event_recv(websocket->wslay)) /* the frame itself is malformed */
        websocket->close_code = WSLAY_CODE_PROTOCOL_ERROR;
    websocket->closed = websocket->close_code || !wslay_event_get_read_enabled(websocket->wslay);
    if (websocket->closed)
        return WEBSOCKET_CLOSE;
    if (websocket->complete)
        return WEBSOCKET_MESSAGE;
    return wslay_event_want_write(websocket->wslay) ? WEBSOCKET_REPLY : WEBSOCKET_MORE;
}

size_t websocket_reply(struct websocket *websocket, char *text)
{
    if (websocket->close_code) {
        size_t head = frame_head(text, OPCODE_CLOSE, 2);
        text[head] = (char)(websocket->close_code >> 8);
        text[head + 1] = (char)websocket->close_code;
        return head + 2;
    }
    websocket->out = text;
    websocket->out_len = 0;
    wslay_event_send(websocket->wslay);
    return websocket->out_len;
}
