/* Tests of loadgen/worker/reply.c: the head of the last reply in memory. */
#include "loadgen/worker/reply.h"

#include <criterion/criterion.h>
#include <string.h>

#define OK      "HTTP/1.1 200 OK\r\n"
#define CHUNKED OK "Transfer-Encoding: chunked\r\n\r\n"

static void feed_one(struct reply_kind *kind, const char *text, struct reply *reply)
{
    reply_begin(reply, kind);
    cr_assert_eq(reply_feed(reply, text, strlen(text)), REPLY_DONE, "%s", text);
}

Test(reply, a_head_in_memory_means_the_same)
{
    static const char a[] = OK "X-Work-Digest: 0123456789abcdef\r\nContent-Length: 1\r\n\r\nx";
    static const char b[] =
        "HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 3\r\n\r\nxyz";
    struct reply_kind kind = {.want_digest = true};
    struct reply reply;

    for (int i = 0; i < 12; i++) { /* each after itself and after the other */
        bool is_a = i / 2 % 2 == 0;

        feed_one(&kind, is_a ? a : b, &reply);
        cr_assert_eq(reply.status, is_a ? 200 : 503);
        cr_assert_eq(reply.keep_alive, is_a);
        cr_assert_eq(reply_has_digest(&reply, 0x0123456789abcdef), is_a);
    }
}

/* What is in memory is taken without a look at the parser; this shows that it is taken at all. */
Test(reply, a_head_in_memory_is_not_parsed)
{
    static const char text[] = OK "Content-Length: 1\r\n\r\nx";
    struct reply_kind kind = {0};
    struct reply reply;

    feed_one(&kind, text, &reply);
    cr_assert_eq(kind.last.length, sizeof text - 2);
    kind.last.status = 299;
    feed_one(&kind, text, &reply);
    cr_assert_eq(reply.status, 299);
}

Test(reply, only_whole_heads_of_counted_bodies_are_remembered)
{
    static const char *const texts[] = {
        "HTTP/1.1 100 Continue\r\n\r\n" OK "Content-Length: 1\r\n\r\nx", CHUNKED "0\r\n\r\n"};
    struct reply_kind kind = {0};
    struct reply reply;

    for (int i = 0; i < 2; i++)
        feed_one(&kind, texts[i], &reply);
    reply_begin(&reply, &kind);
    reply_feed(&reply, OK, strlen(OK));
    reply_feed(&reply, "Content-Length: 0\r\n\r\n", 21);
    reply_begin(&reply, &kind);
    reply_feed(&reply, OK "\r\n", strlen(OK) + 2);
    cr_assert_eq(kind.last.length, 0);
}
