#include "common/serve/conn_parts.h"

#include <errno.h>
#include <string.h>

enum { FILLER_BYTES = 65536 };

/* What body=N is made of. Shared and constant, so that large bodies cost no memory. */
#define TEXT_16 "0123456789abcde\n"
#define TEXT_256                                                                                   \
    TEXT_16 TEXT_16 TEXT_16 TEXT_16 TEXT_16 TEXT_16 TEXT_16 TEXT_16 TEXT_16 TEXT_16 TEXT_16        \
        TEXT_16 TEXT_16 TEXT_16 TEXT_16 TEXT_16
#define TEXT_4K                                                                                    \
    TEXT_256 TEXT_256 TEXT_256 TEXT_256 TEXT_256 TEXT_256 TEXT_256 TEXT_256 TEXT_256 TEXT_256      \
        TEXT_256 TEXT_256 TEXT_256 TEXT_256 TEXT_256 TEXT_256
static const char filler[FILLER_BYTES + 1] = TEXT_4K TEXT_4K TEXT_4K TEXT_4K TEXT_4K TEXT_4K TEXT_4K
    TEXT_4K TEXT_4K TEXT_4K TEXT_4K TEXT_4K TEXT_4K TEXT_4K TEXT_4K TEXT_4K;

enum want conn_reply_bytes(struct conn *conn, size_t len)
{
    conn->out = conn->exchange->text;
    conn->out_len = len;
    conn->rest_len = 0;
    conn->reports = false;
    conn_enter(conn, PHASE_REPLY);
    return conn->want = WANT_WRITE;
}

/* Send the head of the reply to a WebSocket's message. False: the message wants none; go on. */
static bool reply_message_head(struct conn *conn, const struct http_reply *head)
{
    size_t len = channel_reply_head(conn, head);
    if (len) {
        conn_reply_bytes(conn, len);
    } else {
        conn_enter(conn, PHASE_IDLE);
        conn->want = WANT_READ;
    }
    return len;
}

/* Send the head. False: nothing may follow it. */
static bool reply_head(struct conn *conn, struct http_reply head)
{
    struct exchange *exchange = conn->exchange;
    count_add(conn->counters, COUNTER_requests, 1);
    if (conn->channel)
        return reply_message_head(conn, &head);
    head.http_1_0 = exchange->request.parser.http_minor == 0;
    head.keep_alive = !conn->close_after;
    conn_reply_bytes(conn, http_reply_head(&head, exchange->text));
    return !http_is_head(&exchange->request);
}

/* Send the head and head.length bytes of `body`. One that does not fit is sent from where it
 * is; the filler serves for any length. */
static enum want reply(struct conn *conn, struct http_reply head, const char *body)
{
    if (reply_head(conn, head)) {
        size_t room = sizeof conn->exchange->text - conn->out_len;
        size_t direct = head.length < room ? head.length : 0;
        memcpy(conn->exchange->text + conn->out_len, body, direct);
        conn->out_len += direct;
        conn->rest = body;
        conn->rest_len = head.length - direct;
    }
    return conn->want;
}

static enum want reply_text(struct conn *conn, int status, const char *body)
{
    struct http_reply head = {.status = status, .type = "text/plain", .length = strlen(body)};
    return reply(conn, head, body);
}

enum want conn_refuse(struct conn *conn, int status, const char *reason)
{
    char body[160];
    size_t len = strnlen(reason, sizeof body - 2);
    memcpy(body, reason, len);
    memcpy(body + len, "\n", 2);
    count_add(conn->counters, COUNTER_bad_requests, 1);
    return reply_text(conn, status, body);
}

enum want conn_reply_error(struct conn *conn)
{
    conn->close_after = conn->linger_after = true;
    return conn_refuse(conn, conn->exchange->request.status, conn->exchange->request.reason);
}

enum want conn_reply_metrics(struct conn *conn)
{
    struct http_reply head = {
        .status = 200,
        .type = "text/plain; version=0.0.4",
        .length = counters_report_begin(&conn->exchange->report, conn->service->counters),
    };
    conn->reports = reply_head(conn, head);
    return conn->want;
}

static enum want reply_failed_call(struct conn *conn, const struct upstream_pool *pool, int error)
{
    return conn_refuse(conn, error == -ETIMEDOUT ? 504 : 502, upstream_reason(pool, error));
}

/* A step failed, the one that the job is at. */
static enum want reply_failure(struct conn *conn)
{
    const struct job *job = conn->job;
    const struct calls *calls = &conn->service->calls;
    switch (job->program.step[job->next].kind) {
    case STEP_UPSTREAM:
    case STEP_REDIS: return reply_failed_call(conn, &calls->upstream, job->error);
    case STEP_SQL:
        if (job->error == -ENOENT)
            return conn_refuse(conn, 400, "there is no such statement in the file of --sql");
        return reply_failed_call(conn, &calls->database, job->error);
    case STEP_BOOK: return conn_refuse(conn, 503, "the journal of the order books is full");
    case STEP_SUBSCRIBE: return conn_refuse(conn, 400, "a connection has 64 subscriptions at most");
    case STEP_DISK:
    case STEP_TIMER: /* these cannot fail */
    case STEP_WORK:
    case STEP_COUNT:
    case STEP_PUBLISH:
    case STEP_UNSUBSCRIBE: break;
    }
    return conn_refuse(conn, 500, "a step failed: the data file cannot be read");
}

static enum want reply_to_job(struct conn *conn)
{
    const struct job *job = conn->job;
    if (job->shed) {
        count_add(conn->counters, COUNTER_shed, 1);
        return reply_text(conn, 503, "the queue is full\n");
    }
    if (job->error)
        return reply_failure(conn);
    if (!job->program.sized && !job->program.steps)
        return reply_text(conn, 200, "ok\n");
    struct http_reply head = {
        .status = 200,
        .type = "text/plain",
        .length = job->program.sized ? job->program.body_bytes : 3,
        .has_digest = program_has_cpu(&job->program),
        .digest = job->digest,
    };
    return reply(conn, head, job->program.sized ? filler : "ok\n");
}

/* Before a reply is made. False: nothing can be sent any more. */
static bool may_reply(struct conn *conn)
{
    if (conn->channel && conn->channel->broken)
        conn->want = WANT_CLOSE;
    else if (conn->service->draining && !conn->channel)
        conn->close_after = true;
    return conn->want != WANT_CLOSE;
}

/* Where no reply was wanted, what comes next may be there already. */
static enum want go_on(struct conn *conn)
{
    return conn->want == WANT_READ ? conn_next_request(conn) : conn->want;
}

enum want conn_job_done(struct conn *conn)
{
    if (may_reply(conn))
        reply_to_job(conn);
    return go_on(conn);
}

enum want conn_answer(struct conn *conn, int status, const char *type, struct span text)
{
    struct http_reply head = {.status = status, .type = type, .length = text.len};
    if (status >= 400)
        count_add(conn->counters, COUNTER_bad_requests, 1);
    if (may_reply(conn))
        reply(conn, head, text.data);
    return go_on(conn);
}

bool conn_go_on_replying(struct conn *conn)
{
    struct exchange *exchange = conn->exchange;
    _Static_assert(sizeof exchange->piece >= COUNTERS_PIECE_MIN, "a piece must fit");
    if (conn->reports) {
        conn->out = exchange->piece;
        conn->out_len =
            counters_report_piece(&exchange->report, exchange->piece, sizeof exchange->piece);
        return conn->out_len;
    }
    conn->out = conn->rest;
    conn->out_len = conn->rest_len < FILLER_BYTES ? conn->rest_len : FILLER_BYTES;
    conn->rest_len -= conn->out_len;
    if (conn->rest != filler)
        conn->rest += conn->out_len;
    return conn->out_len;
}
