/* reply: recognises one HTTP/1.x reply in whatever pieces it comes. Bytes in, outcome out; it
 * touches no descriptor, keeps no pointer into the bytes and allocates nothing. What it refuses,
 * and why, is in docs/fuzzing.md.
 *
 * Replies to one class of request begin with the same bytes, but for a date once a second. The last
 * head that llhttp accepted is kept, and one that is equal byte for byte has the same meaning: 24 ns
 * in place of 400 for a head of 119 bytes. */
#ifndef ARCHBENCH_REPLY_H
#define ARCHBENCH_REPLY_H

#include <llhttp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes a reply may spend on what is not body: on its heads, interim ones included; and from there
 * to the end of the first chunk, from chunk to chunk, and on the last chunk with the trailers. The
 * fuzzer sets it lower, so that short inputs reach it. */
#ifndef REPLY_HEAD_MAX
#define REPLY_HEAD_MAX (256 * 1024)
#endif

enum { REPLY_REMEMBERED_MAX = 512 }; /* a longer head is parsed each time */

enum reply_state {
    REPLY_MORE, /* not complete yet */
    REPLY_DONE, /* complete: status, keep_alive and the digest hold */
    REPLY_BAD,  /* not HTTP, without measure, cut off, or longer than it said */
};

/* What the replies to one class of request have in common. The caller sets the first two members
 * and zeroes the rest, which is the memory of reply.c: the last head that llhttp has accepted
 * whole, with its meaning. The heads of a class repeat byte for byte (but for a date), and the
 * same bytes mean the same, so such a head is compared instead of parsed. */
struct reply_kind {
    bool head;        /* the request is a HEAD: no body, whatever the header says */
    bool want_digest; /* look for the X-Work-Digest header */
    struct {
        bool keep_alive;
        uint8_t digest_digits;
        uint16_t status;
        uint16_t length; /* of the head; 0: none is known */
        uint64_t digest;
        uint64_t body_bytes;
        char bytes[REPLY_REMEMBERED_MAX];
    } last;
};

/* 112 bytes. The parser stands first, so that its callbacks find the rest; its `data` is the kind,
 * its `content_length` what is still to come of a counted body. */
struct reply {
    llhttp_t parser;
    uint64_t digest;   /* of X-Work-Digest, when digest_digits is 16 */
    uint32_t overhead; /* bytes that are not body, as REPLY_HEAD_MAX counts them */
    uint16_t status;
    uint8_t place : 4;        /* how far it has come: see reply.c */
    uint8_t name_matched : 4; /* characters of the digest's name that fit so far */
    uint8_t digest_digits : 7;
    bool keep_alive : 1; /* the connection can take another request */
};

/* Expect the reply to one request of this kind. The kind stays the caller's and outlives the
 * reply; many replies may share it, but only in one thread. */
void reply_begin(struct reply *, struct reply_kind *);

/* Take the next bytes, less than 4 GiB at a time. Interim 1xx replies are passed over. Bytes
 * behind the end of the reply make it BAD, in the same piece or later. */
enum reply_state reply_feed(struct reply *, const char *data, size_t len);

/* The peer has closed: DONE for a body that ends so, BAD for a reply that is cut off or was
 * never begun. */
enum reply_state reply_end(struct reply *);

/* Has any byte of it come? */
bool reply_begun(const struct reply *);

static inline bool reply_has_digest(const struct reply *reply, uint64_t digest)
{
    return reply->digest_digits == 16 && reply->digest == digest;
}

#endif
