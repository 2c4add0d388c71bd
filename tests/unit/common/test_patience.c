/* How long a connection waits for its peer: with silence it has patience, with slowness it need not. */
#include "tests/unit/common/conversation.h"

TestSuite(patience, .init = setup);

/* Where the connection stands after `text`, which must not be a whole request. */
static struct conn *receiving(const char *text)
{
    static struct conn conn;
    struct conversation conversation = {0};
    conn_init(&conn, &service, slot);
    push(&conn, &conversation, text, strlen(text));
    cr_assert_eq(conn.want, WANT_READ);
    return &conn;
}

/* It ends between `from_s` and `to_s` of the clock from now on, as a timeout and nothing else. */
static void ends_between(struct conn *conn, double from_s, double to_s)
{
    int64_t at_ns = now_coarse_ns();
    cr_assert(!conn_expire(conn, at_ns + (int64_t)(from_s * 1e9)));
    cr_assert_eq(conn->want, WANT_READ);
    cr_assert_eq(counters_sum(service.counters, COUNTER_timeouts), 0);
    cr_assert(conn_expire(conn, at_ns + (int64_t)(to_s * 1e9)));
    cr_assert_eq(conn->want, WANT_CLOSE);
    cr_assert_eq(counters_sum(service.counters, COUNTER_timeouts), 1);
    cr_assert_eq(counters_sum(service.counters, COUNTER_broken), 0);
}

Test(patience, an_idle_one_expires)
{
    ends_between(receiving(""), 4, 6);
}

Test(patience, an_unfinished_head_expires_sooner)
{
    ends_between(receiving("GET / HT"), 0.5, 2);
}

#define HALF_A_BODY "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nabc"

Test(patience, a_body_that_stands_still_expires)
{
    ends_between(receiving(HALF_A_BODY), 4, 6);
}

Test(patience, a_body_that_keeps_coming_does_not)
{
    struct conversation conversation = {0};
    struct conn *conn = receiving(HALF_A_BODY);
    conn->since_ns -= 4 * NSEC_PER_SEC; /* as if that had been so long ago */
    push(conn, &conversation, "d", 1);
    ends_between(conn, 4, 6);
}

Test(patience, a_reply_that_keeps_going_out_does_not_expire)
{
    struct conn conn;
    const char *text = "GET /work?body=100000 HTTP/1.1\r\n" HOST;
    conn_init(&conn, &service, slot);
    memcpy(conn_in(&conn).data, text, strlen(text));
    conn_received(&conn, (ssize_t)strlen(text));
    job_start(conn.job, WAIT_NONE);
    conn_job_done(&conn);
    conn.since_ns -= 4 * NSEC_PER_SEC;
    cr_assert_eq(conn_sent(&conn, 1), WANT_WRITE);
    int64_t at_ns = conn.since_ns;
    cr_assert(!conn_expire(&conn, at_ns + 4 * NSEC_PER_SEC));
    conn_note_unsent(&conn, 1000, at_ns + 4 * NSEC_PER_SEC); /* the first look counts */
    conn_note_unsent(&conn, 999, at_ns + 8 * NSEC_PER_SEC);  /* the peer has read */
    cr_assert(!conn_expire(&conn, at_ns + 12 * NSEC_PER_SEC));
    conn_note_unsent(&conn, 999, at_ns + 12 * NSEC_PER_SEC);
    cr_assert(conn_expire(&conn, at_ns + 14 * NSEC_PER_SEC));
}

Test(patience, a_whole_request_has_a_bound_if_asked_for)
{
    struct conversation conversation = {0};
    service.request_timeout_ns = 3 * NSEC_PER_SEC;
    struct conn *conn = receiving(HALF_A_BODY);
    conn->begin_ns -= 2 * NSEC_PER_SEC;
    push(conn, &conversation, "d", 1);
    ends_between(conn, 0.5, 1.5);
}
