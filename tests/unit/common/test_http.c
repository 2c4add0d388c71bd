/* The request parser: every split of its inputs gives the same outcome, and each limit its status. */
#include "common/serve/http.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct outcome {
    enum http_event event;
    int status;
    size_t used;
    char target[HTTP_TARGET_MAX + 1];
};

/* Feed `text` in two pieces (cut after `cut` bytes) until the parser decides. */
static struct outcome parse_cut(const char *text, size_t len, size_t cut)
{
    struct http_request request;
    struct outcome outcome = {.event = HTTP_MORE};
    char target[HTTP_TARGET_MAX];
    size_t used;
    http_init(&request, target);
    while (outcome.event == HTTP_MORE && outcome.used < len) {
        size_t end = outcome.used < cut ? cut : len;
        outcome.event = http_feed(&request, text + outcome.used, end - outcome.used, &used);
        outcome.used += used;
    }
    outcome.status = request.status;
    memcpy(outcome.target, target, request.target_len);
    outcome.target[request.target_len] = 0;
    return outcome;
}

static void expect(const char *text, enum http_event event, int status, const char *target)
{
    size_t len = strlen(text);
    for (size_t cut = 0; cut <= len; cut++) {
        struct outcome got = parse_cut(text, len, cut);
        cr_assert(got.event == event && got.status == status, "cut %zu of <%s>: event %d status %d",
                  cut, text, got.event, got.status);
        if (target)
            cr_assert(strcmp(got.target, target) == 0, "cut %zu: target <%s>", cut, got.target);
    }
}

#define HOST "Host: a\r\n"

Test(http, accepts_every_split)
{
    expect("GET / HTTP/1.1\r\n" HOST "\r\n", HTTP_REQUEST_DONE, 0, "/");
    expect("\r\nGET /work?io=timer:10ms HTTP/1.1\r\nhOsT: a\r\nX: y\r\n\r\n", HTTP_REQUEST_DONE, 0,
           "/work?io=timer:10ms");
    expect("HEAD /a HTTP/1.0\r\n\r\n", HTTP_REQUEST_DONE, 0, "/a");
    expect("POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello", HTTP_REQUEST_DONE, 0, "/");
    expect("POST / HTTP/1.1\r\n" HOST
           "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n"
           "Trailer: x\r\n\r\n",
           HTTP_REQUEST_DONE, 0, "/");
    expect("GET / HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
           HTTP_REQUEST_DONE, 0, "/");
}

Test(http, refuses_every_split)
{
    expect("GET / HTTP/1.1\r\n\r\n", HTTP_ERROR, 400, NULL); /* no Host */
    expect("GET / HTTP/1.1\r\n" HOST HOST "\r\n", HTTP_ERROR, 400, NULL);
    expect("GET\r\n\r\n", HTTP_ERROR, 400, NULL);
    expect("GET / HTTP/1.1\r\n" HOST ": nameless\r\n\r\n", HTTP_ERROR, 400, NULL);
    expect("\x16\x03\x01\x02garbage", HTTP_ERROR, 400, NULL);
    expect("GET / HTTP/2.0\r\n" HOST "\r\n", HTTP_ERROR, 505, NULL);
    expect("GET / HTTP/3.7\r\n" HOST "\r\n", HTTP_ERROR, 505, NULL);
    expect("GET / HTTP/x.1\r\n" HOST "\r\n", HTTP_ERROR, 400, NULL);
    expect("DELETE / HTTP/1.1\r\n" HOST "\r\n", HTTP_ERROR, 405, NULL);
    expect("CONNECT a:1 HTTP/1.1\r\n" HOST "\r\n", HTTP_ERROR, 405, NULL);
    expect("GET / HTTP/1.1\r\n" HOST "Expect: tea\r\n\r\n", HTTP_ERROR, 417, NULL);
    expect("POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", HTTP_ERROR,
           400, NULL);
    expect("POST / HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n", HTTP_ERROR, 400, NULL);
    expect("POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
           HTTP_ERROR, 400, NULL);
    expect("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nzz\r\n", HTTP_ERROR, 400,
           NULL);
    expect("POST / HTTP/1.1\r\n" HOST "Content-Length: 1048577\r\n\r\n", HTTP_ERROR, 413, NULL);
}

Test(http, waits_before_an_expected_body)
{
    expect("POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n",
           HTTP_EXPECTS, 0, "/");
    expect("GET / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\n\r\n", HTTP_REQUEST_DONE, 0, "/");
}

Test(http, goes_on_after_an_expectation)
{
    static const char head[] =
        "POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    struct http_request request;
    char target[HTTP_TARGET_MAX];
    size_t used;
    http_init(&request, target);
    cr_assert_eq(http_feed(&request, head, sizeof head - 1, &used), HTTP_EXPECTS);
    cr_assert_eq(used, sizeof head - 1);
    cr_assert_eq(http_feed(&request, "hel", 3, &used), HTTP_MORE);
    cr_assert_eq(http_feed(&request, "lo", 2, &used), HTTP_REQUEST_DONE);
}

/* Two requests in one run of bytes: each ends exactly where the next begins, wherever it is cut. */
Test(http, finds_the_end_of_each_pipelined_request)
{
    static const char first[] = "POST /1 HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc";
    static const char both[] =
        "POST /1 HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc"
        "GET /2 HTTP/1.1\r\n" HOST "Upgrade: x\r\nConnection: upgrade\r\n\r\n"
        "GET /3 HTTP/1.1\r\n" HOST "\r\n";
    size_t len = sizeof both - 1;
    for (size_t cut = 0; cut <= len; cut++) {
        struct http_request request;
        char target[HTTP_TARGET_MAX];
        size_t at = 0, used;
        int seen = 0;
        http_init(&request, target);
        while (at < len) {
            size_t end = at < cut ? cut : len;
            enum http_event event = http_feed(&request, both + at, end - at, &used);
            at += used;
            cr_assert(event == HTTP_MORE || event == HTTP_REQUEST_DONE, "cut %zu at %zu: %d", cut,
                      at, event);
            if (event != HTTP_REQUEST_DONE)
                continue;
            seen++;
            cr_assert_eq(target[1], '0' + seen);
            cr_assert(http_keeps_alive(&request));
            if (seen == 1)
                cr_assert_eq(at, sizeof first - 1);
        }
        cr_assert_eq(seen, 3, "cut %zu: %d requests", cut, seen);
    }
}

/* A request built from a part that repeats `n` times. */
static int status_of_repeated(const char *before, const char *part, size_t n, const char *after)
{
    size_t size = strlen(before) + n * strlen(part) + strlen(after) + 1;
    char *text = malloc(size), *at = stpcpy(text, before);
    for (size_t i = 0; i < n; i++)
        at = stpcpy(at, part);
    stpcpy(at, after);
    struct outcome got = parse_cut(text, strlen(text), 0);
    free(text);
    return got.event == HTTP_REQUEST_DONE ? 200 : got.status;
}

Test(http, limits)
{
    const char *end = " HTTP/1.1\r\n" HOST "\r\n", *line = "GET / HTTP/1.1\r\n" HOST;
    cr_assert_eq(status_of_repeated("GET /", "x", 2047, end), 200);
    cr_assert_eq(status_of_repeated("GET /", "x", 2048, end), 414);
    cr_assert_eq(status_of_repeated(line, "A: b\r\n", 99, "\r\n"), 200);
    cr_assert_eq(status_of_repeated(line, "A: b\r\n", 100, "\r\n"), 431);
    cr_assert_eq(status_of_repeated("GET / HTTP/1.1\r\n" HOST "A: ", "x", 16000, "\r\n\r\n"), 200);
    cr_assert_eq(status_of_repeated("GET / HTTP/1.1\r\n" HOST "A: ", "x", 16400, "\r\n\r\n"), 431);
    cr_assert_eq(status_of_repeated("GET / HTTP/1.1\r\n" HOST "A:", " ", 40000, ""), 431);
    cr_assert_eq(status_of_repeated("", "\r\n", 20000, ""), 431);
    cr_assert_eq(status_of_repeated("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n",
                                    "10\r\n0123456789abcdef\r\n", 65537, ""),
                 413);
    cr_assert_eq(status_of_repeated("POST / HTTP/1.1\r\n" HOST
                                    "Transfer-Encoding: chunked\r\n\r\n1;",
                                    "extension", 1000000, ""),
                 413);
}

/* The parser must not read a byte behind its input: it ends right before an unreadable page. */
Test(http, reads_nothing_behind_its_input)
{
    static const char text[] = "POST /work?a HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nab";
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *area = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(area + page, page, PROT_NONE);
    for (size_t len = 1; len < sizeof text; len++) {
        struct http_request request;
        char target[HTTP_TARGET_MAX];
        size_t used;
        memcpy(area + page - len, text, len);
        http_init(&request, target);
        enum http_event event = http_feed(&request, area + page - len, len, &used);
        cr_assert_eq(event, len == sizeof text - 1 ? HTTP_REQUEST_DONE : HTTP_MORE);
    }
}

/* Bytes at random places changed at random: any outcome is allowed but a crash or a byte too many. */
Test(http, survives_mutations)
{
    static const char seed[] = "POST /work?io=timer:1ms HTTP/1.1\r\n" HOST
                               "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    unsigned random = 1;
    for (int round = 0; round < 20000; round++) {
        struct http_request request;
        char text[sizeof seed], target[HTTP_TARGET_MAX];
        size_t at = 0, used, len = sizeof seed - 1;
        memcpy(text, seed, sizeof seed);
        for (int i = 0; i < 3; i++) {
            random = random * 1103515245 + 12345;
            text[(random >> 8) % len] = (char)(random >> 24);
        }
        http_init(&request, target);
        while (at < len) {
            enum http_event event = http_feed(&request, text + at, len - at, &used);
            cr_assert_leq(used, len - at);
            cr_assert_leq(request.target_len, HTTP_TARGET_MAX);
            at += used;
            if (event == HTTP_ERROR) {
                cr_assert(request.status >= 400 && request.status <= 505 && request.reason);
                break;
            }
        }
    }
}

Test(http, formats_a_reply)
{
    char text[HTTP_REPLY_MAX];
    struct http_reply reply = {.status = 200,
                               .type = "text/plain",
                               .length = 42,
                               .keep_alive = true,
                               .http_1_0 = true,
                               .has_digest = true,
                               .digest = 0xabc};
    text[http_reply_head(&reply, text)] = 0;
    cr_assert(strstr(text, "HTTP/1.1 200 OK\r\n") == text);
    cr_assert(strstr(text, "\r\nContent-Length: 42\r\n"));
    cr_assert(strstr(text, "\r\nX-Work-Digest: 0000000000000abc\r\n"));
    cr_assert(strstr(text, "\r\nConnection: keep-alive\r\n\r\n"));
    reply = (struct http_reply){.status = 503, .type = "text/plain"};
    text[http_reply_head(&reply, text)] = 0;
    cr_assert(strstr(text, "\r\nRetry-After: 1\r\n"));
    cr_assert(strstr(text, "\r\nConnection: close\r\n\r\n"));
}

Test(http, date_is_what_libc_says)
{
    char text[HTTP_REPLY_MAX], want[64];
    struct http_reply reply = {.status = 200, .type = "text/plain"};
    time_t before = time(NULL) - 1, after;
    text[http_reply_head(&reply, text)] = 0;
    after = time(NULL);
    bool found = false;
    for (time_t t = before; t <= after; t++) { /* the second may turn in between */
        strftime(want, sizeof want, "\r\nDate: %a, %d %b %Y %H:%M:%S GMT\r\n", gmtime(&t));
        found = found || strstr(text, want);
    }
    cr_assert(found, "%s", text);
}
