/* The connection: bytes in, jobs out, bytes out, whatever the cuts. No descriptor is involved. */
#include "tests/unit/common/conversation.h"

#include <stdio.h>

TestSuite(conn, .init = setup);

Test(conn, answers_pipelined_requests_at_every_cut)
{
    static const char text[] =
        "GET / HTTP/1.1\r\n" HOST "GET /work?cpu=hash:1ms&body=5 HTTP/1.1\r\n" HOST
        "HEAD /healthz HTTP/1.1\r\n" HOST "GET /nowhere HTTP/1.1\r\n" HOST
        "GET /work?x HTTP/1.1\r\n" HOST;
    for (size_t cut = 0; cut < sizeof text; cut++) {
        struct conversation conversation = {.send_at_most = 1 + cut % 7};
        struct conn conn;
        conn_init(&conn, &service, slot);
        push(&conn, &conversation, text, cut);
        push(&conn, &conversation, text + cut, sizeof text - 1 - cut);
        cr_assert_eq(count(conversation.replies, "HTTP/1.1 200 OK"), 3, "cut %zu: %s", cut,
                     conversation.replies);
        cr_assert_eq(count(conversation.replies, "HTTP/1.1 404"), 1);
        cr_assert_eq(count(conversation.replies, "HTTP/1.1 400"), 1);
        cr_assert_eq(count(conversation.replies, "\r\nX-Work-Digest: "), 1);
        cr_assert(!conversation.closed && conn_is_idle(&conn));
        free(conversation.replies);
    }
}

Test(conn, many_requests_in_one_buffer)
{
    static const char one[] = "GET / HTTP/1.1\r\n" HOST;
    struct conversation conversation = {0};
    struct conn conn;
    char text[200 * sizeof one];
    size_t len = 0;
    for (int i = 0; i < 200; i++, len += sizeof one - 1)
        memcpy(text + len, one, sizeof one - 1);
    conn_init(&conn, &service, slot);
    push(&conn, &conversation, text, len);
    cr_assert_eq(count(conversation.replies, "HTTP/1.1 200 OK"), 200);
    cr_assert_eq(counters_sum(service.counters, COUNTER_requests), 200);
    free(conversation.replies);
}

Test(conn, bodies_of_all_sizes_are_exact)
{
    static const size_t sizes[] = {0,    1,    15,    16,    17,    3000,   3999,
                                   4000, 4096, 65535, 65536, 65537, 200000, 1 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct conversation conversation = {.send_at_most = 10007};
        struct conn conn;
        char text[128];
        snprintf(text, sizeof text, "GET /work?body=%zu HTTP/1.1\r\n" HOST, sizes[i]);
        conn_init(&conn, &service, slot);
        push(&conn, &conversation, text, strlen(text));
        char *body = strstr(conversation.replies, "\r\n\r\n") + 4;
        cr_assert_eq(conversation.len - (size_t)(body - conversation.replies), sizes[i]);
        for (size_t b = 0; b < sizes[i]; b++)
            cr_assert_eq(body[b], "0123456789abcde\n"[b % 16], "byte %zu of %zu", b, sizes[i]);
        free(conversation.replies);
    }
}

Test(conn, closes_when_it_should)
{
    static const struct {
        const char *text;
        bool closes, shuts;
    } cases[] = {
        {"GET / HTTP/1.1\r\n" HOST, false, false},
        {"GET / HTTP/1.1\r\nConnection: close\r\n" HOST, true, false},
        {"GET / HTTP/1.0\r\n\r\n", true, false},
        {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false, false},
        {"nonsense\r\n\r\n", false, true}, /* half-closed first, so that the reply survives */
        {"GET / HTTP/1.1\r\nConnection: close\r\n" HOST "GET / HTTP/1.1\r\n" HOST, false, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct conversation conversation = {0};
        struct conn conn;
        conn_init(&conn, &service, slot);
        push(&conn, &conversation, cases[i].text, strlen(cases[i].text));
        cr_assert_eq(conversation.closed, cases[i].closes, "%s", cases[i].text);
        cr_assert_eq(conversation.shut, cases[i].shuts, "%s", cases[i].text);
        cr_assert_eq(count(conversation.replies, "HTTP/1.1 "), 1);
        cr_assert_eq(count(conversation.replies, "Connection: close"),
                     cases[i].closes || cases[i].shuts);
        free(conversation.replies);
    }
}

Test(conn, lingers_until_the_peer_closes)
{
    static char flood[100000];
    struct conversation conversation = {0};
    struct conn conn;
    conn_init(&conn, &service, slot);
    push(&conn, &conversation, "BAD\r\n\r\n", 7);
    cr_assert(conversation.shut);
    push(&conn, &conversation, flood, sizeof flood); /* thrown away */
    cr_assert_eq(count(conversation.replies, "HTTP/1.1 "), 1);
    cr_assert_eq(conn_received(&conn, 0), WANT_CLOSE);
    free(conversation.replies);
}

Test(conn, says_continue)
{
    struct conversation conversation = {0};
    struct conn conn;
    const char *head = "POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n" HOST;
    conn_init(&conn, &service, slot);
    push(&conn, &conversation, head, strlen(head));
    cr_assert_str_eq(conversation.replies, "HTTP/1.1 100 Continue\r\n\r\n");
    push(&conn, &conversation, "body", 4);
    cr_assert_eq(count(conversation.replies, "HTTP/1.1 200 OK"), 1);
    free(conversation.replies);
}

Test(conn, a_shed_job_says_so_and_keeps_the_connection)
{
    struct conn conn;
    struct span in;
    const char *text = "GET /work?cpu=hash:1ms HTTP/1.1\r\n" HOST;
    conn_init(&conn, &service, slot);
    in = conn_in(&conn);
    memcpy(in.data, text, strlen(text));
    cr_assert_eq(conn_received(&conn, (ssize_t)strlen(text)), WANT_JOB);
    cr_assert_eq(job_start(conn.job, WAIT_COMPUTE), WAIT_COMPUTE);
    job_shed(conn.job);
    cr_assert_eq(conn_job_done(&conn), WANT_WRITE);
    struct span out = conn_out(&conn);
    cr_assert(memmem(out.data, out.len, "HTTP/1.1 503 ", 13) == out.data);
    cr_assert(memmem(out.data, out.len, "Retry-After: ", 13));
    cr_assert(memmem(out.data, out.len, "\r\n\r\nthe queue is full\n", 22));
    cr_assert(!memmem(out.data, out.len, "X-Work-Digest", 13));
    cr_assert_eq(conn_sent(&conn, (ssize_t)out.len), WANT_READ);
    cr_assert_eq(counters_sum(service.counters, COUNTER_shed), 1);
}

Test(conn, metrics_are_well_formed)
{
    struct conversation conversation = {0};
    struct conn conn;
    const char *text = "GET /metrics HTTP/1.1\r\n" HOST;
    for (int i = 0; i < COUNTERS; i++) /* the longest numbers must fit too */
        count_add(slot, (enum counter)i, INT64_C(1000000000000000000));
    conn_init(&conn, &service, slot);
    push(&conn, &conversation, text, strlen(text));
    cr_assert_eq(count(conversation.replies, "# TYPE archbench_"), COUNTERS, "%s",
                 conversation.replies);
    cr_assert(strstr(conversation.replies, "\narchbench_requests_total 1000000000000000000\n"));
    free(conversation.replies);
}

Test(conn, draining_ends_the_connection_after_its_reply)
{
    struct conversation conversation = {0};
    struct conn conn;
    const char *text = "GET / HTTP/1.1\r\n" HOST;
    conn_init(&conn, &service, slot);
    service.draining = 1;
    push(&conn, &conversation, text, strlen(text));
    cr_assert(conversation.closed);
    cr_assert_eq(count(conversation.replies, "Connection: close"), 1);
    free(conversation.replies);
}

/* --- pages of an architecture ----------------------------------------------------------------- */

static const struct page own_pages[] = {
    {"/first", false}, {"/change", true}, {"/metrics", false}, {NULL, false}};

static enum want ask(struct conn *conn, const char *text)
{
    struct span in = conn_in(conn);
    memcpy(in.data, text, strlen(text));
    return conn_received(conn, (ssize_t)strlen(text));
}

Test(conn, finds_pages_before_what_all_servers_have)
{
    static const struct {
        const char *line;
        enum want want;
        int page;
    } cases[] = {
        {"GET /first HTTP/1.1\r\n", WANT_JOB, 0},     {"GET /first?x=1 HTTP/1.1\r\n", WANT_JOB, 0},
        {"POST /change HTTP/1.1\r\n", WANT_JOB, 1},   {"GET /change HTTP/1.1\r\n", WANT_WRITE, -1},
        {"GET /metrics HTTP/1.1\r\n", WANT_JOB, 2},   {"GET / HTTP/1.1\r\n", WANT_JOB, -1},
        {"GET /firsts HTTP/1.1\r\n", WANT_WRITE, -1},
    };
    service.pages = own_pages;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct conn conn;
        char text[200];
        conn_init(&conn, &service, slot);
        snprintf(text, sizeof text, "%s%s", cases[i].line, HOST);
        cr_assert_eq(ask(&conn, text), cases[i].want, "%s", cases[i].line);
        cr_assert_eq(conn.page, cases[i].page, "%s", cases[i].line);
    }
}

Test(conn, a_page_leaves_no_trace_in_the_next_request)
{
    struct conn conn;
    service.pages = own_pages;
    conn_init(&conn, &service, slot);
    cr_assert_eq(ask(&conn, "GET /work?class=a&io=timer:1s HTTP/1.1\r\n" HOST), WANT_JOB);
    conn_answer(&conn, 200, "text/plain", (struct span){"", 0});
    conn_sent(&conn, (ssize_t)conn_out(&conn).len);
    cr_assert_eq(ask(&conn, "GET /first HTTP/1.1\r\n" HOST), WANT_JOB);
    cr_assert(conn.page == 0 && conn.job->program.steps == 0 && !conn.job->started);
    cr_assert_str_eq(conn.job->program.class_name, "");
    conn_answer(&conn, 200, "text/plain", (struct span){"x", 1});
    conn_sent(&conn, (ssize_t)conn_out(&conn).len);
    cr_assert_eq(ask(&conn, "GET / HTTP/1.1\r\n" HOST), WANT_JOB);
    cr_assert_eq(conn.page, NO_PAGE);
}

/* A caller's text in exactly its memory, so that a sanitizer sees what is read behind it. */
static void answers_with(size_t len, size_t send_at_most)
{
    struct conversation conversation = {.send_at_most = send_at_most};
    struct conn conn;
    char *text = malloc(len + 1);
    for (size_t i = 0; i < len; i++)
        text[i] = (char)('a' + i % 23);
    conn_init(&conn, &service, slot);
    cr_assert_eq(ask(&conn, "GET /first HTTP/1.1\r\n" HOST "GET / HTTP/1.1\r\n" HOST), WANT_JOB);
    cr_assert_eq(conn_answer(&conn, 200, "text/html", (struct span){text, len}), WANT_WRITE);
    advance(&conn, &conversation);
    char *body = strstr(conversation.replies, "\r\n\r\n") + 4;
    cr_assert(strstr(conversation.replies, "\r\nContent-Type: text/html\r\n"));
    cr_assert_eq(memcmp(body, text, len), 0);
    cr_assert_eq(memcmp(body + len, "HTTP/1.1 200 OK\r\n", 17), 0, "%zu", len);
    free(text);
    free(conversation.replies);
}

Test(conn, answers_with_a_text_of_any_length)
{
    static const size_t lengths[] = {0, 1, 3000, 3900, 4000, 4096, 65535, 65536, 65537, 300000};
    service.pages = own_pages;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        answers_with(lengths[i], 0);
        answers_with(lengths[i], 1009);
    }
}

Test(conn, head_of_a_page_has_no_body)
{
    struct conversation conversation = {0};
    struct conn conn;
    static char text[10000];
    service.pages = own_pages;
    conn_init(&conn, &service, slot);
    cr_assert_eq(ask(&conn, "HEAD /first HTTP/1.1\r\n" HOST), WANT_JOB);
    conn_answer(&conn, 200, "text/plain", (struct span){text, sizeof text});
    advance(&conn, &conversation);
    cr_assert(strstr(conversation.replies, "Content-Length: 10000\r\n"));
    cr_assert_str_eq(strstr(conversation.replies, "\r\n\r\n"), "\r\n\r\n");
    free(conversation.replies);
}

Test(conn, a_job_can_be_answered_for)
{
    struct conversation conversation = {0};
    struct conn conn;
    conn_init(&conn, &service, slot);
    cr_assert_eq(ask(&conn, "GET /work?cpu=hash:1ms HTTP/1.1\r\n" HOST), WANT_JOB);
    cr_assert_eq(job_start(conn.job, WAIT_DELEGATE), WAIT_DELEGATE);
    service.draining = true;
    conn_answer(&conn, 502, "text/plain", (struct span){"gone\n", 5});
    advance(&conn, &conversation);
    cr_assert_eq(count(conversation.replies, "HTTP/1.1 502 Bad Gateway\r\n"), 1);
    cr_assert_eq(count(conversation.replies, "Connection: close\r\n"), 1);
    cr_assert_eq(count(conversation.replies, "X-Work-Digest"), 0);
    cr_assert(conversation.closed);
    cr_assert_eq(counters_sum(service.counters, COUNTER_bad_requests), 1);
    cr_assert_eq(counters_sum(service.counters, COUNTER_requests), 1);
    free(conversation.replies);
}

Test(conn, a_call_delivers_what_somebody_else_performed)
{
    struct conn conn;
    conn_init(&conn, &service, slot);
    cr_assert_eq(ask(&conn, "GET /work?cpu=hash:60s&io=disk:1 HTTP/1.1\r\n" HOST), WANT_JOB);
    cr_assert_eq(job_start(conn.job, WAIT_DELEGATE),
                 WAIT_DELEGATE); /* at once: no step is performed */
    job_deliver(conn.job, 0x1234, 0, 0);
    cr_assert_eq(conn_job_done(&conn), WANT_WRITE);
    struct span out = conn_out(&conn);
    cr_assert(memmem(out.data, out.len, "X-Work-Digest: 0000000000001234\r\n", 33));
    conn_sent(&conn, (ssize_t)out.len);
    cr_assert_eq(ask(&conn, "GET / HTTP/1.1\r\n" HOST), WANT_JOB);
    cr_assert_eq(job_start(conn.job, WAIT_DELEGATE), WAIT_DELEGATE);
    job_deliver(conn.job, 0, -5, 0);
    conn_job_done(&conn);
    out = conn_out(&conn);
    cr_assert(memmem(out.data, out.len, "HTTP/1.1 500 ", 13));
}

/* /metrics goes out in pieces, which sends may cut anywhere. */
Test(conn, metrics_are_whole_at_every_size_of_a_send)
{
    static const char text[] = "GET /metrics HTTP/1.1\r\n" HOST "GET / HTTP/1.1\r\n" HOST;
    for (size_t at_most = 0; at_most < 2000; at_most += 97) {
        struct conversation conversation = {.send_at_most = at_most};
        struct conn conn;
        unsigned long length = 0;
        conn_init(&conn, &service, slot);
        for (int i = 0; i < COUNTERS; i++)
            slot->value[i] = INT64_MAX - 2; /* as long as they can become */
        push(&conn, &conversation, text, sizeof text - 1);
        cr_assert_eq(count(conversation.replies, "\n# TYPE archbench_"), COUNTERS);
        cr_assert_eq(count(conversation.replies, "# HELP archbench_"), COUNTERS);
        cr_assert_eq(count(conversation.replies, "HTTP/1.1 200 OK"), 2);
        sscanf(strstr(conversation.replies, "Content-Length:"), "Content-Length: %lu", &length);
        const char *body = strstr(conversation.replies, "\r\n\r\n") + 4;
        cr_assert(strncmp(body + length, "HTTP/1.1 200", 12) == 0, "its length is wrong");
        cr_assert(conn_is_idle(&conn));
        free(conversation.replies);
    }
}

Test(conn, an_idle_connection_has_no_exchange)
{
    struct conversation conversation = {0};
    struct conn conn;
    conn_init(&conn, &service, slot);
    cr_assert_null(conn.exchange);
    push(&conn, &conversation, "GET / HTTP/1.1\r\n", 16);
    cr_assert_eq(service.exchanges.lent, 1, "half a request is kept in one");
    push(&conn, &conversation, HOST, strlen(HOST));
    cr_assert(conn_is_idle(&conn) && !conn.exchange && !conn.job);
    cr_assert_eq(service.exchanges.lent, 0);
    conn_in(&conn);
    conn_rest(&conn);
    cr_assert_null(conn.exchange, "nothing came");
    conn_in(&conn);
    conn_received(&conn, 0);
    conn_end(&conn);
    cr_assert_eq(service.exchanges.lent, 0);
    free(conversation.replies);
}

Test(conn, a_kept_exchange_stays_the_owners)
{
    struct conversation conversation = {0};
    struct exchange exchange;
    struct conn conn;
    conn_init(&conn, &service, slot);
    conn_keep(&conn, &exchange);
    push(&conn, &conversation, "GET / HTTP/1.1\r\n" HOST, 16 + strlen(HOST));
    cr_assert_eq(conn.exchange, &exchange);
    conn_end(&conn);
    cr_assert_eq(service.exchanges.spares, 0);
    free(conversation.replies);
}

Test(conn, spare_exchanges_follow_those_that_are_lent)
{
    enum { PEAK = 1000 };
    struct exchange *lent[PEAK];
    struct exchanges *exchanges = &service.exchanges;
    for (int i = 0; i < PEAK; i++)
        lent[i] = exchange_take(exchanges);
    for (int i = PEAK; i > PEAK / 2; i--)
        exchange_give(exchanges, lent[i - 1]);
    cr_assert_eq(exchanges->spares, PEAK / 2, "half a peak later nothing has been freed");
    for (int i = PEAK / 2; i > 0; i--)
        exchange_give(exchanges, lent[i - 1]);
    cr_assert_eq(exchanges->lent, 0);
    cr_assert_eq(exchanges->spares, 64, "the peak is over");
    exchanges_free(exchanges);
}
