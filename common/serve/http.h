/* http: HTTP/1.x requests in (llhttp), reply heads out. Touches nothing but its arguments. */
#ifndef ARCHBENCH_HTTP_H
#define ARCHBENCH_HTTP_H

#include <llhttp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HTTP_TARGET_MAX = 2048,       /* longer: 414 */
    HTTP_FIELDS_MAX = 100,        /* more header fields: 431 */
    HTTP_FIELD_BYTES_MAX = 16384, /* more bytes of names and values: 431 */
    HTTP_BODY_MAX = 1 << 20,      /* more: 413 */
    HTTP_NAME_MAX = 28,           /* of the fields we look into */
    HTTP_KEY_BYTES = 24,          /* of Sec-WebSocket-Key */
    HTTP_REPLY_MAX = 512,         /* room that http_reply_head needs */
};

enum http_event {
    HTTP_MORE,    /* all bytes taken, the request is not complete */
    HTTP_EXPECTS, /* head complete; the client waits for "100 Continue" before the body */
    HTTP_REQUEST_DONE,
    HTTP_ERROR, /* see status and reason; the stream cannot be used further */
};

/* One request while it comes in. Everything here is read-only outside http.c. */
struct http_request {
    llhttp_t parser;
    char *target; /* the caller's buffer of HTTP_TARGET_MAX bytes; not terminated */
    uint16_t target_len;
    uint16_t fields;
    uint32_t field_bytes;
    uint32_t body_bytes, body_raw_bytes;
    uint16_t status; /* of an error */
    bool head_done, done, has_host, expects, bad_expect;
    /* Of a WebSocket's handshake: */
    bool names_websocket, is_version_13, has_key;
    char key[HTTP_KEY_BYTES];
    uint8_t name_len, value_len; /* of the field under way, cut at HTTP_NAME_MAX */
    char name[HTTP_NAME_MAX], value[HTTP_NAME_MAX];
    const char *reason; /* of an error, a constant */
};

/* Begin with a new connection. `target` stays the caller's. */
void http_init(struct http_request *, char *target);

/* Take bytes; *used tells how many. After HTTP_REQUEST_DONE or HTTP_EXPECTS the rest of the bytes
 * is to be fed again: the call goes on behind that point. */
enum http_event http_feed(struct http_request *, const char *data, size_t len, size_t *used);

/* Of a complete request: may the connection stay open after the reply? */
bool http_keeps_alive(const struct http_request *);
bool http_is_head(const struct http_request *);
/* Does it ask for the connection to become a WebSocket? */
bool http_upgrades(const struct http_request *);

struct http_reply {
    int status;
    bool http_1_0; /* the client speaks 1.0: keep-alive must be said */
    bool keep_alive;
    bool has_digest;
    uint64_t digest;
    const char *type; /* Content-Type */
    size_t length;    /* Content-Length */
};

/* Write the reply's head, with the empty line, into `text` (HTTP_REPLY_MAX bytes). Returns its
 * length. */
size_t http_reply_head(const struct http_reply *, char *text);

/* The same of the reply after which the connection is a WebSocket; `accept`: the answer to its key. */
size_t http_upgrade_head(const char *accept, char *text);

const char *http_status_text(int status);

#endif
