/* Tests of loadgen/worker/reply.c: each reply whole, cut at every byte, and byte by byte, with nothing in
 * memory and with its own head. */
#include "loadgen/worker/reply.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define OK      "HTTP/1.1 200 OK\r\n"
#define CHUNKED OK "Transfer-Encoding: chunked\r\n\r\n"

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
    {OK "Connection: keep-alive, close\r\nContent-Length: 0\r\n\r\n", false, false, REPLY_DONE, 200,
     false},
    {"HTTP/1.0 200 OK\r\nConnection: keep-alive, close\r\nContent-Length: 0\r\n\r\n", false, false,
     REPLY_DONE, 200, false},
    {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     false, false, REPLY_DONE, 200, false},
    {CHUNKED "1\r\nx\r\n0\r\nConnection: close\r\n\r\n", false, false, REPLY_DONE, 200, true},
    {CHUNKED "1;a;b=\"c d\"\r\nx\r\n000\r\n\r\n", false, false, REPLY_DONE, 200, true},
    {"HTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\n" OK "Content-Length: 1\r\n\r\nx", false,
     false, REPLY_DONE, 200, true},
    {"HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n", false, false, REPLY_DONE, 204, true},
    {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nuntil the end", false, true, REPLY_DONE, 200,
     false},
    {OK "Transfer-Encoding: chunked, gzip\r\n\r\nuntil the end", false, true, REPLY_DONE, 200,
     false},
    {OK "A: b\r\n\tgoes on\r\nContent-Length: 0\r\n\r\n", false, false, REPLY_DONE, 200, true},
    {OK "Content-Length: 18446744073709551615\r\n\r\nx", false, false, REPLY_MORE, 0, false},
    {"HTTP/1.1 100 Continue\r\n\r\n", false, true, REPLY_BAD, 0, false},
    {OK "Content-Length: 18446744073709551615\r\n\r\nx", false, true, REPLY_BAD, 0, false},
    {CHUNKED "5\r\nhel", false, true, REPLY_BAD, 0, false},
    {CHUNKED "5\r\nhello\r\n0\r\n", false, true, REPLY_BAD, 0, false},
    {OK "Content-Length: 5\r\n\r\nhel", false, true, REPLY_BAD, 0, false},
    {OK "Content-Le", false, true, REPLY_BAD, 0, false},
    {"", false, true, REPLY_BAD, 0, false},
    {OK "Content-Length: 5\r\n\r\nhello, and more", false, false, REPLY_BAD, 0, false},
    {"SSH-2.0-OpenSSH_9.2\r\n", false, false, REPLY_BAD, 0, false},
    {OK "Content-Length: minus\r\n\r\n", false, false, REPLY_BAD, 0, false},
    {OK "Transfer-Encoding: chunked\r\n\r\nzz\r\n", false, false, REPLY_BAD, 0, false},
    /* Lengths that are none, or contradict themselves (RFC 9112, 6.3). */
    {OK "Content-Length: -1\r\n\r\n", false, false, REPLY_BAD, 0, false},
    {OK "Content-Length: +1\r\n\r\n", false, false, REPLY_BAD, 0, false},
    {OK "Content-Length: 0x1\r\n\r\n", false, false, REPLY_BAD, 0, false},
    {OK "Content-Length:\r\n\r\n", false, false, REPLY_BAD, 0, false},
    {OK "Content-Length: 1 2\r\n\r\n", false, false, REPLY_BAD, 0, false},
    {OK "Content-Length: 1\r\n 2\r\n\r\n", false, false, REPLY_BAD, 0, false},
    {OK "Content-Length: 18446744073709551616\r\n\r\n", false, false, REPLY_BAD, 0, false},
    {OK "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", false, false, REPLY_BAD, 0, false},
    {OK "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", false, false, REPLY_BAD, 0, false},
    {OK "Content-Length: 1, 1\r\n\r\n", false, false, REPLY_BAD, 0, false},
    {OK "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", false, false, REPLY_BAD, 0,
     false},
    {OK "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", false, false, REPLY_BAD, 0,
     false},
    {CHUNKED "-1\r\n", false, false, REPLY_BAD, 0, false},
    {CHUNKED "\r\n", false, false, REPLY_BAD, 0, false},
    {CHUNKED "10000000000000000\r\n", false, false, REPLY_BAD, 0, false},
    {CHUNKED "1\r\nxy\r\n", false, false, REPLY_BAD, 0, false},
    /* Lines that are none. */
    {OK "A: b\rc\r\n\r\n", false, false, REPLY_BAD, 0, false},
    {OK "A: b\nB: c\r\n\r\n", false, false, REPLY_BAD, 0, false},
    {OK "A : b\r\n\r\n", false, false, REPLY_BAD, 0, false},
    {OK "A: \x01\r\n\r\n", false, false, REPLY_BAD, 0, false},
    {OK " A: b\r\n\r\n", false, false, REPLY_BAD, 0, false},
    {OK "no colon\r\n\r\n", false, false, REPLY_BAD, 0, false},
    {CHUNKED "1\nx\r\n", false, false, REPLY_BAD, 0, false},
    {"HTTP/1.1 200 OK\rA: b\r\n\r\n", false, false, REPLY_BAD, 0, false},
    /* Replies that nobody asked for. */
    {"\r\n" OK "Content-Length: 0\r\n\r\n", false, false, REPLY_BAD, 0, false},
    {"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", false, false, REPLY_BAD, 0, false},
    {"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n", false, false, REPLY_BAD, 0, false},
    {"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", false, false, REPLY_BAD, 0, false},
    {"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n", false, false, REPLY_BAD, 0, false},
    {"HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n", false, false, REPLY_BAD, 0, false},
    {"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", false, false,
     REPLY_BAD, 0, false},
    {"HTTP/1.1 101 Switching Protocols\r\n\r\n", false, false, REPLY_BAD, 0, false},
    {"HTTP/1.1 204 No Content\r\nContent-Length: 1\r\n\r\nx", false, false, REPLY_BAD, 0, false},
    {OK "Content-Length: 1\r\n\r\nx", true, false, REPLY_BAD, 0, false},
    {CHUNKED "0\r\n\r\nx", false, false, REPLY_BAD, 0, false},
};

enum { EXAMPLES = sizeof examples / sizeof examples[0] };

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
static enum reply_state run(struct reply *reply, struct reply_kind *kind, const struct example *e,
                            size_t first, size_t step)
{
    struct guarded g = guarded_page();
    size_t len = strlen(e->text), at = 0;
    enum reply_state state = REPLY_MORE;

    reply_begin(reply, kind);
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

static void check(const struct example *e, struct reply_kind *kind, size_t first, size_t step)
{
    struct reply reply;
    enum reply_state state = run(&reply, kind, e, first, step);

    cr_assert_eq(state, e->state, "%zu then %zu bytes of: %s", first, step, e->text);
    if (state != REPLY_DONE)
        return;
    cr_assert_eq(reply.status, e->status, "%s", e->text);
    cr_assert_eq(reply.keep_alive, e->keep_alive, "%s", e->text);
}

/* The first time with nothing in memory, then with what the times before have left. */
static void check_cuts(const struct example *e)
{
    struct reply_kind kind = {.head = e->head};
    size_t len = strlen(e->text);

    for (size_t cut = 1; cut <= len + 1; cut++) {
        struct reply_kind cold = {.head = e->head};

        check(e, &cold, cut, len);
        check(e, &kind, cut, len);
    }
    check(e, &kind, 1, 1);
}

Test(reply, whole_and_cut_at_every_byte)
{
    for (int i = 0; i < EXAMPLES; i++)
        check_cuts(&examples[i]);
}

Test(reply, nul_bytes)
{
    static const char value[] = OK "A: b\0c\r\nContent-Length: 0\r\n\r\n";
    static const char name[] = OK "A\0: b\r\nContent-Length: 0\r\n\r\n";
    struct reply_kind kind = {0};
    struct reply reply;

    reply_begin(&reply, &kind);
    cr_assert_eq(reply_feed(&reply, value, sizeof value - 1), REPLY_BAD);
    reply_begin(&reply, &kind);
    cr_assert_eq(reply_feed(&reply, name, sizeof name - 1), REPLY_BAD);
}

Test(reply, bytes_behind_the_end_are_bad_whenever_they_come)
{
    static const char *const texts[] = {OK "Content-Length: 1\r\n\r\nx", CHUNKED "0\r\n\r\n"};

    for (int i = 0; i < 4; i++) {
        struct reply_kind kind = {0};
        struct reply reply;

        reply_begin(&reply, &kind);
        cr_assert_eq(reply_feed(&reply, texts[i / 2], strlen(texts[i / 2])), REPLY_DONE);
        cr_assert_eq(reply_feed(&reply, OK, 1), REPLY_BAD);
        cr_assert_eq(reply_feed(&reply, OK, 1), REPLY_BAD);
    }
}

Test(reply, begun_with_the_first_byte)
{
    struct reply_kind kind = {0};
    struct reply reply;

    for (int i = 0; i < 2; i++) {
        reply_begin(&reply, &kind);
        cr_assert_not(reply_begun(&reply));
        reply_feed(&reply, OK, 0);
        cr_assert_not(reply_begun(&reply));
        cr_assert_eq(reply_end(&reply), REPLY_BAD);
        reply_feed(&reply, i == 0 ? "H" : "-", 1);
        cr_assert(reply_begun(&reply));
    }
}

/* Feed `first` once and then `again` until the reply is no longer MORE, or `max_bytes` are in.
 * Returns how many bytes it took. */
static size_t endless(const char *first, const char *again, size_t max_bytes,
                      enum reply_state *state)
{
    struct reply_kind kind = {.want_digest = true};
    size_t len = strlen(first), step = strlen(again);
    struct reply reply;

    reply_begin(&reply, &kind);
    *state = reply_feed(&reply, first, len);
    for (; *state == REPLY_MORE && len < max_bytes; len += step)
        *state = reply_feed(&reply, again, step);
    return len;
}

Test(reply, what_is_not_body_has_a_limit)
{
    static const char *const endings[][2] = {
        {"", "HTTP/1.1 100 Continue\r\n\r\n"},
        {"", "HTTP/1.1 103 Hints\r\nLink: </x>; rel=preload\r\n\r\n"},
        {"HTTP/1.1 200 ", "reason"},
        {OK, "A: b\r\n"},
        {OK, "A"},
        {OK "A: ", "b"},
        {CHUNKED, "0"},
        {CHUNKED "5;a", "a"},
        {CHUNKED "5;a=\"", "b"},
        {CHUNKED "5\r\nhello\r\n1;", "a"},
        {CHUNKED "0\r\n", "A: b\r\n"},
        {CHUNKED "0\r\nA: ", "b"},
    };

    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        enum reply_state state;
        size_t len = endless(endings[i][0], endings[i][1], 2 * REPLY_HEAD_MAX, &state);

        cr_assert_eq(state, REPLY_BAD, "%s", endings[i][1]);
        cr_assert_gt(len, REPLY_HEAD_MAX, "%s: after %zu bytes", endings[i][1], len);
        cr_assert_lt(len, REPLY_HEAD_MAX + 200, "%s: after %zu bytes", endings[i][1], len);
    }
}

Test(reply, bodies_have_none)
{
    static const char *const endings[][2] = {
        {OK "\r\n", "until the end"},
        {OK "Content-Length: 99999999\r\n\r\n", "counted"},
        {CHUNKED, "1;extension\r\nx\r\n"},
        {CHUNKED "fffffff\r\n", "one chunk"},
    };

    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        enum reply_state state;

        endless(endings[i][0], endings[i][1], 4 * REPLY_HEAD_MAX, &state);
        cr_assert_eq(state, REPLY_MORE, "%s", endings[i][1]);
    }
}

/* A head of `len` bytes in one piece. */
static enum reply_state feed_long_head(size_t len)
{
    static const char begin[] = OK "Content-Length: 0\r\nA: ", end[] = "\r\n\r\n";
    struct reply_kind kind = {0};
    struct reply reply;
    char *head = malloc(len);
    enum reply_state state;

    memset(head, 'a', len);
    memcpy(head, begin, sizeof begin - 1);
    memcpy(head + len - (sizeof end - 1), end, sizeof end - 1);
    reply_begin(&reply, &kind);
    state = reply_feed(&reply, head, len);
    free(head);
    return state;
}

Test(reply, the_limit_is_exact)
{
    cr_assert_eq(feed_long_head(REPLY_HEAD_MAX), REPLY_DONE);
    cr_assert_eq(feed_long_head(REPLY_HEAD_MAX + 1), REPLY_BAD);
}

static bool has_digest(const char *headers, uint64_t digest, size_t step)
{
    struct guarded g = guarded_page();
    struct reply_kind kind = {.want_digest = true};
    struct reply reply;
    char text[512];
    enum reply_state state = REPLY_MORE;

    snprintf(text, sizeof text, OK "%sContent-Length: 0\r\n\r\n", headers);
    reply_begin(&reply, &kind);
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
        cr_assert(has_digest("X-Work-Digest: \t0123456789abcdef \r\n", 0x0123456789abcdef, step));
        cr_assert(has_digest("X-Work-Digest:\r\n  0123456789abcdef\r\n", 0x0123456789abcdef, step));
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
    cr_assert_not(has_digest("X-Work-Digest: 01234567\r\nX-Work-Digest: 89abcdef\r\n",
                             0x0123456789abcdef, 99));
    cr_assert_not(
        has_digest("X-Work-Digest: 0123456789abcdef\r\nX-Work-Digest: 0123456789abcdef\r\n",
                   0x0123456789abcdef, 999));
    cr_assert_not(has_digest("X-Work-Digest: 01234567 89abcdef\r\n", 0x0123456789abcdef, 99));
}

/* A count of them that wraps must not come to 16 again. */
Test(reply, a_digest_of_any_other_length_is_none)
{
    char header[400];

    for (int digits = 1; digits < 300; digits++) {
        snprintf(header, sizeof header, "X-Work-Digest: %0*x\r\n", digits, 1);
        cr_assert_eq(has_digest(header, 1, 999), digits == 16, "%d digits", digits);
    }
}

/* A digest in an interim reply or in a trailer is not the reply's. */
Test(reply, the_digest_stands_in_the_final_head)
{
    static const char *const texts[] = {
        "HTTP/1.1 103 Hints\r\nX-Work-Digest: 0123456789abcdef\r\n\r\n" OK
        "Content-Length: 0\r\n\r\n",
        CHUNKED "0\r\nX-Work-Digest: 0123456789abcdef\r\n\r\n"};

    for (int i = 0; i < 2; i++) {
        struct reply_kind kind = {.want_digest = true};
        struct reply reply;

        reply_begin(&reply, &kind);
        cr_assert_eq(reply_feed(&reply, texts[i], strlen(texts[i])), REPLY_DONE);
        cr_assert_not(reply_has_digest(&reply, 0x0123456789abcdef));
    }
}
