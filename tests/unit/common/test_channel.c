/* A connection that has become a WebSocket: messages in, replies and pushes out, whatever the cuts. */
#include "common/serve/channel.h"
#include "tests/unit/common/client_frames.h"
#include "tests/unit/common/conversation.h"

#include <errno.h>
#include <stdio.h>

static struct topics topics;

static void setup_channel(void)
{
    setup();
    topics_init(&topics, 1000);
    service.topics = &topics;
}

TestSuite(channel, .init = setup_channel);

#define HANDSHAKE                                                                                  \
    "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"     \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

static void open_channel(struct conn *conn, struct conversation *conversation)
{
    conn_init(conn, &service, slot);
    push(conn, conversation, HANDSHAKE, sizeof HANDSHAKE - 1);
    cr_assert_not_null(conn->channel);
    cr_assert_eq(count(conversation->replies, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"), 1);
    conversation->len = 0;
}

/* The payloads of all frames that were sent, each with its first byte: "81 payload|". */
static const char *frames(const struct conversation *conversation)
{
    static char text[4000];
    char *out = text;
    const char *at = conversation->replies, *end = at + conversation->len;
    for (*text = 0; at < end;) {
        size_t len = (unsigned char)at[1];
        const char *payload = at + 2;
        if (len == 126) {
            len = (size_t)((unsigned char)at[2] << 8 | (unsigned char)at[3]);
            payload = at + 4;
        }
        out += sprintf(out, "%02x %.*s|", at[0] & 0xff, (int)len, payload);
        at = payload + len;
    }
    return text;
}

Test(channel, answers_at_every_cut)
{
    struct stream stream = {.len = sizeof HANDSHAKE - 1};
    memcpy(stream.bytes, HANDSHAKE, stream.len);
    add_text(&stream, FIN | OPCODE_TEXT, "a /work?body=5");
    add_text(&stream, FIN | OPCODE_PING, "p");
    add_text(&stream, OPCODE_TEXT, "- /work?cpu=ha");
    add_text(&stream, FIN, "sh:1ms");
    add_text(&stream, FIN | OPCODE_TEXT, "b /nowhere");
    add_text(&stream, FIN | OPCODE_TEXT, "- /nowhere");
    add_text(&stream, FIN | OPCODE_TEXT, "nonsense");
    add_text(&stream, FIN | OPCODE_BINARY, "c /healthz\npayload");
    for (size_t cut = 1; cut < stream.len; cut++) {
        struct conversation conversation = {.send_at_most = 1 + cut % 7};
        struct conn conn;
        conn_init(&conn, &service, slot);
        push(&conn, &conversation, stream.bytes, cut);
        push(&conn, &conversation, stream.bytes + cut, stream.len - cut);
        char *body = strstr(conversation.replies, "\r\n\r\n") + 4;
        conversation.len -= (size_t)(body - conversation.replies);
        memmove(conversation.replies, body, conversation.len);
        cr_assert_str_eq(
            frames(&conversation),
            "81 a 200\n01234|8a p|"
            "81 b 404\nthere are /, /work, /ws, /healthz and /metrics\n|"
            "81 - 400\na message is written ID TARGET, and its payload after a line feed\n|"
            "81 c 200\nok\n|",
            "cut %zu", cut);
        cr_assert(conn_is_idle(&conn) && !conn.exchange && !conversation.closed);
        conn_end(&conn);
        free(conversation.replies);
    }
    cr_assert_eq(service.exchanges.lent, 0);
    int64_t conversations = (int64_t)stream.len - 1;
    cr_assert_eq(counters_sum(service.counters, COUNTER_upgraded), conversations);
    cr_assert_eq(counters_sum(service.counters, COUNTER_requests), 7 * conversations);
}

Test(channel, many_one_way_messages_in_one_buffer)
{
    struct conversation conversation = {0};
    struct stream stream = {.len = 0};
    struct conn conn;
    open_channel(&conn, &conversation);
    for (int i = 0; i < 5000; i++)
        add_text(&stream, FIN | OPCODE_TEXT, i % 2 ? "- /x" : "- /");
    push(&conn, &conversation, stream.bytes, stream.len);
    cr_assert_eq(conversation.len, 0);
    cr_assert_eq(counters_sum(service.counters, COUNTER_requests), 5001);
    cr_assert(conn_is_idle(&conn));
    conn_end(&conn);
}

static void tell(struct conn *conn, struct conversation *conversation, const char *text)
{
    struct stream stream = {.len = 0};
    add_text(&stream, FIN | OPCODE_TEXT, text);
    push(conn, conversation, stream.bytes, stream.len);
}

/* Two channels, the first of which has subscribed to t. */
static void open_pair(struct conn *one, struct conversation *subscriber, struct conn *two,
                      struct conversation *publisher)
{
    open_channel(one, subscriber);
    open_channel(two, publisher);
    tell(one, subscriber, "s /subscribe?topic=t");
}

/* Send what is there to be sent, at most so many bytes. */
static size_t send_some(struct conn *conn, struct conversation *conversation, size_t most)
{
    size_t total = 0;
    while (total < most && (conn->want == WANT_WRITE || conn_pushes(conn))) {
        struct span out = conn_out(conn);
        cr_assert_gt(out.len, 0);
        if (out.len > most - total)
            out.len = most - total;
        keep(conversation, out);
        conn_sent(conn, (ssize_t)out.len);
        total += out.len;
    }
    return total;
}

Test(channel, is_pushed_to_in_its_turn)
{
    struct conversation subscriber = {0}, publisher = {0};
    struct conn one, two;
    open_pair(&one, &subscriber, &two, &publisher);
    cr_assert_str_eq(frames(&subscriber), "81 s 200\nok\n|");
    subscriber.len = 0;
    cr_assert_not(conn_pushes(&one));
    tell(&two, &publisher, "1 /work?publish=t\nfirst");
    tell(&two, &publisher, "2 /work?publish=t\nsecond");
    cr_assert_eq(conn_next_with_news(&service), &one);
    cr_assert_null(conn_next_with_news(&service));
    cr_assert(conn_pushes(&one) && one.want == WANT_READ && conn_is_idle(&one));
    send_some(&one, &subscriber, 1000);
    cr_assert_str_eq(frames(&subscriber), "81 *t 1\nfirst|81 *t 2\nsecond|");
    cr_assert_eq(counters_sum(service.counters, COUNTER_published), 2);
    cr_assert_eq(counters_sum(service.counters, COUNTER_pushed), 2);
    conn_end(&one);
    tell(&two, &publisher, "3 /work?publish=t\nthird");
    cr_assert_null(conn_next_with_news(&service));
    conn_end(&two);
}

/* Wherever a push or a reply is cut by a full socket, the other waits for its end; and a job that is
 * under way does not hold up what is pushed. */
Test(channel, frames_are_never_torn)
{
    for (size_t cut = 0; cut < 40; cut++) {
        struct conversation subscriber = {0}, publisher = {0};
        struct stream stream = {.len = 0};
        struct conn one, two;
        open_pair(&one, &subscriber, &two, &publisher);
        subscriber.len = 0;
        tell(&two, &publisher, "1 /work?publish=t\nfirst");
        size_t sent = send_some(&one, &subscriber, cut); /* perhaps half of it */
        add_text(&stream, FIN | OPCODE_TEXT, "a /work?body=3");
        struct span in = conn_in(&one);
        memcpy(in.data, stream.bytes, stream.len);
        conn_received(&one, (ssize_t)stream.len);
        cr_assert_eq(one.want, WANT_JOB);
        if (cut % 2)
            send_some(&one, &subscriber, 1000); /* while the job is under way */
        job_start(one.job, WAIT_NONE);
        conn_job_done(&one);
        cr_assert_eq(one.want, WANT_WRITE);
        tell(&two, &publisher, "2 /work?publish=t\nsecond");
        send_some(&one, &subscriber, cut);
        send_some(&one, &subscriber, 1000);
        cr_assert_str_eq(frames(&subscriber),
                         cut % 2 || sent > 0 ? "81 *t 1\nfirst|81 a 200\n012|81 *t 2\nsecond|"
                                             : "81 a 200\n012|81 *t 1\nfirst|81 *t 2\nsecond|",
                         "cut %zu", cut);
        conn_end(&one);
        conn_end(&two);
        free(subscriber.replies);
        free(publisher.replies);
    }
}

Test(channel, one_that_does_not_read_is_cut_off)
{
    struct conversation subscriber = {0}, publisher = {0};
    struct conn one, two;
    open_pair(&one, &subscriber, &two, &publisher);
    for (int i = 0; i < 200; i++)
        tell(&two, &publisher, "- /work?publish=t\nsome text");
    cr_assert_eq(conn_next_with_news(&service), &one);
    cr_assert(conn_cut(&one));
    cr_assert_eq(one.want, WANT_CLOSE);
    cr_assert_eq(counters_sum(service.counters, COUNTER_slow), 1);
    cr_assert_not(conn_cut(&two));
    conn_end(&one);
    conn_end(&two);
}

Test(channel, one_that_breaks_during_a_job_ends_with_it)
{
    struct conversation subscriber = {0}, publisher = {0};
    struct stream stream = {.len = 0};
    struct conn one, two;
    open_pair(&one, &subscriber, &two, &publisher);
    add_text(&stream, FIN | OPCODE_TEXT, "a /");
    struct span in = conn_in(&one);
    memcpy(in.data, stream.bytes, stream.len);
    conn_received(&one, (ssize_t)stream.len);
    tell(&two, &publisher, "- /work?publish=t");
    cr_assert(conn_pushes(&one));
    conn_out(&one);
    conn_sent(&one, -EPIPE);
    cr_assert(one.want == WANT_JOB && !conn_pushes(&one));
    job_start(one.job, WAIT_NONE);
    conn_job_done(&one);
    cr_assert_eq(one.want, WANT_CLOSE);
    conn_end(&one);
    conn_end(&two);
}

Test(channel, may_be_idle_for_ever_but_not_silent_within_a_message)
{
    struct conversation conversation = {0};
    struct stream stream = {.len = 0};
    struct conn conn;
    open_channel(&conn, &conversation);
    cr_assert_not(conn_expire(&conn, conn.since_ns + 3600 * NSEC_PER_SEC));
    add_text(&stream, FIN | OPCODE_TEXT, "a /");
    push(&conn, &conversation, stream.bytes, 3);
    cr_assert_not(conn_expire(&conn, conn.since_ns + 4 * NSEC_PER_SEC));
    cr_assert(conn_expire(&conn, conn.since_ns + 6 * NSEC_PER_SEC));
    conn_end(&conn);
    cr_assert_eq(service.exchanges.lent, 0);
}

Test(channel, one_that_takes_nothing_of_a_push_is_silent)
{
    struct conversation subscriber = {0}, publisher = {0};
    struct conn one, two;
    open_pair(&one, &subscriber, &two, &publisher);
    tell(&two, &publisher, "- /work?publish=t");
    conn_out(&one); /* the socket takes nothing */
    cr_assert_not(conn_expire(&one, one.since_ns + 4 * NSEC_PER_SEC));
    cr_assert(conn_expire(&one, one.since_ns + 6 * NSEC_PER_SEC));
    conn_end(&one);
    conn_end(&two);
}

Test(channel, the_handshake_is_checked)
{
    static const struct {
        const char *fields, *status;
    } requests[] = {
        {"GET /ws HTTP/1.1\r\nHost: a\r\n\r\n", "426"},
        {"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
         "426"},
        {"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n", "426"},
        {"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
         "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
         "426"},
        {"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
         "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n\r\n",
         "400"},
        {"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
         "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n\r\n",
         "400"},
        {"POST /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
         "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
         "400"},
    };
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        struct conversation conversation = {0};
        struct conn conn;
        conn_init(&conn, &service, slot);
        push(&conn, &conversation, requests[i].fields, strlen(requests[i].fields));
        cr_assert_eq(strncmp(conversation.replies + strlen("HTTP/1.1 "), requests[i].status, 3), 0,
                     "%zu: %s", i, conversation.replies);
        cr_assert(!conn.channel && !conversation.closed);
        push(&conn, &conversation, "GET / HTTP/1.1\r\n" HOST, strlen("GET / HTTP/1.1\r\n" HOST));
        cr_assert_eq(count(conversation.replies, "HTTP/1.1 200"), 1, "it goes on in plain HTTP");
        conn_end(&conn);
        free(conversation.replies);
    }
}

Test(channel, says_goodbye_in_a_drain)
{
    struct conversation conversation = {0};
    struct conn conn;
    open_channel(&conn, &conversation);
    cr_assert_eq(conn_farewell(&conn).len, 0);
    service.draining = true;
    cr_assert_eq(conn_farewell(&conn).len, 4);
    cr_assert_arr_eq(conn_farewell(&conn).data, "\x88\x02\x03\xe9", 4);
    tell(&conn, &conversation, "a /");
    cr_assert(conversation.closed && conn_farewell(&conn).len == 4, "after the reply, too");
    conn_end(&conn);
}

Test(channel, without_topics_nothing_is_published)
{
    struct conversation conversation = {0};
    struct conn conn;
    service.topics = NULL;
    open_channel(&conn, &conversation);
    tell(&conn, &conversation, "a /work?publish=t");
    tell(&conn, &conversation, "b /subscribe?topic=t");
    tell(&conn, &conversation, "c /");
    cr_assert_eq(count(frames(&conversation), " 501\n"), 2);
    cr_assert_eq(count(frames(&conversation), "c 200\n"), 1);
    conn_end(&conn);
}
