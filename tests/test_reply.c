/* Tests of loadgen/reply.c: each reply whole, cut at every byte, and byte by byte. */
#include "loadgen/reply.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define OK "HTTP/1.1 200 OK\r\n"

struct example {
    const char *text;
    bool head, ended; /* ended: the peer closes after it */
    enum reply_state state;
    int status;
    bool keep_alive;
};

static const struct example examples[] = {
    {OK "Content-Length: 5\r\n\r\nhello", false, false, REPLY_DONE, 200, true},
    {OK "Content-Length: 0\r\n\r\n", false, false, REPLY_DONE, 200, true},
    {OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", false, false, REPLY_DONE, 200,
     true},
    {OK "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nTrailer: t\r\n\r\n", false, false,
     REPLY_DONE, 200, true},
    {OK "Connection: close\r\nContent-Length: 2\r\n\r\nhi", false, false, REPLY_DONE, 200, false},
    {OK "\r\nuntil the end", false, true, REPLY_DONE, 200, false},
    {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", false, false, REPLY_DONE, 200, false},
    {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi", false, false,
     REPLY_DONE, 200, true},
    {"HTTP/1.1 204 No Content\r\n\r\n", false, false, REPLY_DONE, 204, true},
    {"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", false, false, REPLY_DONE, 304,
     true},
    {OK "Content-Length: 500\r\n\r\n", true, false, REPLY_DONE, 200, true},
    {OK "Transfer-Encoding: chunked\r\n\r\n", true, false, REPLY_DONE, 200, true},
    {"HTTP/1.1 100 Continue\r\n\r\n" OK "Content-Length: 1\r\n\r\nx", false, false, REPLY_DONE, 200,
     true},
    {"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
     false, false, REPLY_DONE, 503, true},
    {OK "Content-Length: 5\r\n\r\nhel", false, true, REPLY_BAD, 0, false},
    {OK "Content-Le", false, true, REPLY_BAD, 0, false},
    {"", false, true, REPLY_BAD, 0, false},
    {OK "Content-Length: 5\r\n\r\nhello, and more", false, false, REPLY_BAD, 0, false},
    {"SSH-2.0-OpenSSH_9.2\r\n", false, false, REPLY_BAD, 0, false},
    {OK "Content-Length: minus\r\n\r\n", false, false, REPLY_BAD, 0, false},
    {OK "Transfer-Encoding: chunked\r\n\r\nzz\r\n", false, false, REPLY_BAD, 0, false},
};

enum { EXAMPLES = sizeof(examples) / sizeof(examples[0]) };

/* A page followed by one that must not be touched: reading past the bytes is a crash. */
struct guarded {
    char *page, *end;
};

static struct guarded guarded_page(void)
{
    char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    mprotect(page + 4096, 4096, PROT_NONE);
    return (struct guarded){page, page + 4096};
}

static enum reply_state feed(struct guarded *g, struct reply *reply, const char *data, size_t len)
{
    char *at = g->end - len;

    memcpy(at, data, len);
    enum reply_state state = reply_feed(reply, at, len);
    memset(at, '#', len); /* the reply must not remember where the bytes were */
    return state;
}

/* Feed in pieces of `first` bytes, then `step` each. Bytes beyond the end of a reply make it BAD
 * only when they come with its last ones; so those are fed together. */
static enum reply_state run(struct reply *reply, const struct example *e, size_t first, size_t step)
{
    struct guarded g = guarded_page();
    size_t len = strlen(e->text), at = 0;
    enum reply_state state = REPLY_MORE;

    reply_begin(reply, e->head, false);
    for (size_t n = first; at < len && state == REPLY_MORE; n = step) {
        if (n > len - at)
            n = len - at;
        state = feed(&g, reply, e->text + at, n);
        at += n;
    }
    if (state == REPLY_MORE && e->ended)
        state = reply_end(reply);
    if (state == REPLY_DONE && at < len)
        state = REPLY_BAD; /* unasked bytes follow */
    munmap(g.page, 8192);
    return state;
}

static void check(const struct example *e, size_t first, size_t step)
{
    struct reply reply;
    enum reply_state state = run(&reply, e, first, step);

    cr_assert_eq(state, e->state, "%zu then %zu bytes of: %s", first, step, e->text);
    if (state != REPLY_DONE)
        return;
    cr_assert_eq(reply.status, e->status, "%s", e->text);
    cr_assert_eq(reply.keep_alive, e->keep_alive, "%s", e->text);
}

Test(reply, whole_and_cut_at_every_byte)
{
    for (int i = 0; i < EXAMPLES; i++) {
        size_t len = strlen(examples[i].text);

        for (size_t cut = 1; cut <= len + 1; cut++)
            check(&examples[i], cut, len);
        check(&examples[i], 1, 1);
    }
}

static bool has_digest(const char *headers, uint64_t digest, size_t step)
{
    struct guarded g = guarded_page();
    struct reply reply;
    char text[512];
    enum reply_state state = REPLY_MORE;

    snprintf(text, sizeof(text), OK "%sContent-Length: 0\r\n\r\n", headers);
    reply_begin(&reply, false, true);
    for (size_t at = 0, n; at < strlen(text); at += n) {
        n = strlen(text) - at < step ? strlen(text) - at : step;
        state = feed(&g, &reply, text + at, n);
    }
    cr_assert_eq(state, REPLY_DONE);
    munmap(g.page, 8192);
    return reply_has_digest(&reply, digest);
}

Test(reply, finds_the_digest_however_it_is_cut)
{
    for (size_t step = 1; step < 120; step++) {
        cr_assert(has_digest("X-Work-Digest: 0123456789abcdef\r\n", 0x0123456789abcdef, step));
        cr_assert(has_digest("A: b\r\nx-work-DIGEST:0123456789ABCDEF\r\nC: d\r\n",
                             0x0123456789abcdef, step));
        cr_assert_not(has_digest("X-Work-Digest: 0123456789abcdee\r\n", 0x0123456789abcdef, step));
    }
}

Test(reply, takes_nothing_else_for_the_digest)
{
    cr_assert_not(has_digest("", 0, 99));
    cr_assert_not(has_digest("X-Work-Digest: 0\r\n", 0, 99));
    cr_assert_not(has_digest("X-Work-Digest: 00123456789abcdef\r\n", 0x0123456789abcdef, 99));
    cr_assert_not(has_digest("X-Work-Digest: 0123456789abcdeg\r\n", 0x0123456789abcdef, 99));
    cr_assert_not(has_digest("X-Work-Digests: 0123456789abcdef\r\n", 0x0123456789abcdef, 99));
    cr_assert_not(has_digest("Work-Digest: 0123456789abcdef\r\n", 0x0123456789abcdef, 99));
}

Test(reply, a_parser_can_be_used_again)
{
    struct reply reply;
    const char *text = OK "X-Work-Digest: 0123456789abcdef\r\nContent-Length: 1\r\n\r\nx";

    for (int i = 0; i < 3; i++) {
        reply_begin(&reply, false, true);
        cr_assert_eq(reply_feed(&reply, text, strlen(text)), REPLY_DONE);
        cr_assert(reply_has_digest(&reply, 0x0123456789abcdef));
    }
}
