/* reply: recognises one HTTP/1.1 reply in whatever pieces it comes. Bytes in, outcome out; it
 * touches no descriptor, keeps no pointer into the bytes and allocates nothing. */
#ifndef ARCHBENCH_REPLY_H
#define ARCHBENCH_REPLY_H

#include <llhttp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum reply_state {
    REPLY_MORE, /* not complete yet */
    REPLY_DONE, /* complete: status, keep_alive and the digest hold */
    REPLY_BAD,  /* not HTTP, cut off, or longer than it said */
};

struct reply {
    llhttp_t parser; /* first, so that its callbacks find the rest */
    uint64_t digest; /* of X-Work-Digest, when digest_digits is 16 */
    uint16_t status;
    uint8_t digest_digits;
    uint8_t name_matched; /* characters of the header's name that fit so far */
    bool head;            /* the request was a HEAD: no body, whatever the header says */
    bool done;
    bool keep_alive; /* the connection can take another request */
};

/* Expect the reply to one request. `want_digest`: look for the X-Work-Digest header. */
void reply_begin(struct reply *, bool head, bool want_digest);

/* Take the next bytes. Interim 1xx replies are passed over. */
enum reply_state reply_feed(struct reply *, const char *data, size_t len);

/* The peer has closed: DONE for a body that ends so, BAD for a reply that is cut off or was
 * never begun. */
enum reply_state reply_end(struct reply *);

static inline bool reply_has_digest(const struct reply *reply, uint64_t digest)
{
    return reply->digest_digits == 16 && reply->digest == digest;
}

#endif
