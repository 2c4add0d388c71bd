#include "common/serve/conn.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <strings.h>

enum { FILLER_BYTES = 65536 };
#define LINGER_NS (2 * NSEC_PER_SEC)

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

static const char continue_line[] = "HTTP/1.1 100 Continue\r\n\r\n";

static void enter(struct conn *conn, enum conn_phase phase)
{
    conn->phase = phase;
    conn->unsent = INT_MAX;
    conn->since_ns = now_coarse_ns();
}

void conn_init(struct conn *conn, struct service *service, struct counter_slot *counters)
{
    conn->service = service;
    conn->counters = counters;
    conn->want = WANT_READ;
    conn->close_after = conn->linger_after = false;
    conn->out_len = conn->rest_len = 0;
    conn->reports = conn->keeps = false;
    conn->page = NO_PAGE;
    conn->exchange = NULL;
    conn->job = NULL;
    enter(conn, PHASE_IDLE);
    count_add(counters, COUNTER_connections, 1);
}

static void begin_exchange(struct conn *conn, struct exchange *exchange)
{
    struct service *service = conn->service;
    exchange->conn = conn;
    exchange->in_begin = exchange->in_end = 0;
    exchange->job.counting = service->counting;
    exchange->job.calibration = &service->calibration;
    exchange->job.disk = &service->disk;
    exchange->job.upstream = &service->upstream;
    http_init(&exchange->request, exchange->text);
    conn->exchange = exchange;
    conn->job = &exchange->job;
}

void conn_keep(struct conn *conn, struct exchange *exchange)
{
    conn->keeps = true;
    begin_exchange(conn, exchange);
}

static void end_exchange(struct conn *conn)
{
    if (conn->keeps || !conn->exchange)
        return;
    exchange_give(&conn->service->exchanges, conn->exchange);
    conn->exchange = NULL;
    conn->job = NULL;
}

void conn_end(struct conn *conn)
{
    end_exchange(conn);
    count_add(conn->counters, COUNTER_closed, 1);
}

struct span conn_in(struct conn *conn)
{
    if (!conn->exchange)
        begin_exchange(conn, exchange_take(&conn->service->exchanges));
    struct exchange *exchange = conn->exchange;
    if (exchange->in_begin == exchange->in_end)
        exchange->in_begin = exchange->in_end = 0;
    return (struct span){exchange->in + exchange->in_end, sizeof exchange->in - exchange->in_end};
}

void conn_rest(struct conn *conn)
{
    if (conn_is_idle(conn))
        end_exchange(conn);
}

struct span conn_out(struct conn *conn)
{
    return (struct span){(char *)conn->out, conn->out_len};
}

static enum want give_up(struct conn *conn)
{
    if (!conn_is_idle(conn) && conn->phase != PHASE_LINGER)
        count_add(conn->counters, COUNTER_broken, 1);
    return conn->want = WANT_CLOSE;
}

/* Send the head. False: nothing may follow it. */
static bool reply_head(struct conn *conn, struct http_reply head)
{
    struct exchange *exchange = conn->exchange;
    head.http_1_0 = exchange->request.parser.http_minor == 0;
    head.keep_alive = !conn->close_after;
    conn->out_len = http_reply_head(&head, exchange->text);
    conn->out = exchange->text;
    conn->rest_len = 0;
    conn->reports = false;
    count_add(conn->counters, COUNTER_requests, 1);
    enter(conn, PHASE_REPLY);
    conn->want = WANT_WRITE;
    return !http_is_head(&exchange->request);
}

/* Send the head and head.length bytes of `body`. One that does not fit is sent from where it
 * stands; the filler stands for any length. */
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

/* A request that is well-formed HTTP but asks for what is not there: the connection stays. */
static enum want reply_refusal(struct conn *conn, int status, const char *reason)
{
    char body[160];
    size_t len = strnlen(reason, sizeof body - 2);
    memcpy(body, reason, len);
    memcpy(body + len, "\n", 2);
    count_add(conn->counters, COUNTER_bad_requests, 1);
    return reply_text(conn, status, body);
}

/* An error in the stream ends the connection: what follows cannot be trusted. */
static enum want reply_error(struct conn *conn)
{
    conn->close_after = conn->linger_after = true;
    return reply_refusal(conn, conn->exchange->request.status, conn->exchange->request.reason);
}

static enum want reply_metrics(struct conn *conn)
{
    struct http_reply head = {
        .status = 200,
        .type = "text/plain; version=0.0.4",
        .length = counters_report_begin(&conn->exchange->report, conn->service->counters),
    };
    conn->reports = reply_head(conn, head);
    return conn->want;
}

static bool target_is(const struct span *path, const char *word)
{
    return path->len == strlen(word) && memcmp(path->data, word, path->len) == 0;
}

/* Path and query of the target. "http://host/path" (RFC 9112, 3.2.2) means "/path". */
static struct span origin_form(const struct http_request *request)
{
    struct span target = {request->target, request->target_len};
    char *authority =
        target.len > 7 && strncasecmp(target.data, "http://", 7) == 0 ? target.data + 7 : NULL;
    if (!authority)
        return target;
    char *slash = memchr(authority, '/', target.len - 7);
    if (!slash)
        return (struct span){(char *)"/", 1};
    return (struct span){slash, target.len - (size_t)(slash - target.data)};
}

static int find_page(const struct conn *conn, const struct span *path)
{
    const struct page *pages = conn->service->pages;
    for (int i = 0; pages && pages[i].path; i++)
        if (target_is(path, pages[i].path) &&
            (!pages[i].post || conn->exchange->request.parser.method == HTTP_POST))
            return i;
    return NO_PAGE;
}

static void set_trivial(struct program *program)
{
    program->steps = 0;
    program->sized = false;
    program->class_name[0] = 0;
}

/* A complete request: find what it asks for. All that can be performed becomes a job. */
static enum want dispatch(struct conn *conn)
{
    struct span target = origin_form(&conn->exchange->request);
    char *query = memchr(target.data, '?', target.len);
    struct span path = {target.data, query ? (size_t)(query - target.data) : target.len};
    const char *reason;

    conn->close_after = !http_keeps_alive(&conn->exchange->request) || conn->service->draining;
    conn->linger_after = false;
    conn->job->started = conn->job->shed = false;
    conn->job->counters = conn->counters;
    conn->job->error = 0;
    conn->job->pending = WAIT_NONE;
    conn->page = find_page(conn, &path);
    if (conn->page != NO_PAGE) {
        set_trivial(&conn->job->program);
    } else if (target_is(&path, "/work")) {
        if (!program_parse(&conn->job->program, target.data, target.len, &reason))
            return reply_refusal(conn, 400, reason);
    } else if (target_is(&path, "/") || target_is(&path, "/healthz")) {
        set_trivial(&conn->job->program);
    } else if (target_is(&path, "/metrics")) {
        return reply_metrics(conn);
    } else {
        return reply_refusal(conn, 404, "there are /, /work, /healthz and /metrics");
    }
    enter(conn, PHASE_JOB);
    return conn->want = WANT_JOB;
}

static enum want send_continue(struct conn *conn)
{
    conn->out = continue_line;
    conn->out_len = sizeof continue_line - 1;
    return conn->want = WANT_WRITE;
}

static enum want parse(struct conn *conn)
{
    struct exchange *exchange = conn->exchange;
    while (exchange->in_begin < exchange->in_end) {
        size_t used, len = exchange->in_end - exchange->in_begin;
        enum http_event event =
            http_feed(&exchange->request, exchange->in + exchange->in_begin, len, &used);
        exchange->in_begin += used;
        switch (event) {
        case HTTP_MORE: break;
        case HTTP_REQUEST_DONE: return dispatch(conn);
        case HTTP_ERROR: return reply_error(conn);
        case HTTP_EXPECTS:
            if (exchange->in_begin == exchange->in_end) /* else the body is coming anyway */
                return send_continue(conn);
            break;
        }
    }
    bool first = conn_is_idle(conn);
    if (exchange->request.head_done)
        enter(conn, PHASE_BODY); /* again for each piece: silence is what counts */
    else if (conn->phase != PHASE_HEAD)
        enter(conn, PHASE_HEAD);
    if (first)
        conn->begin_ns = conn->since_ns;
    return conn->want = WANT_READ;
}

enum want conn_received(struct conn *conn, ssize_t n)
{
    if (n <= 0)
        return give_up(conn);
    if (conn->phase == PHASE_LINGER)
        return conn->want = WANT_READ; /* thrown away: conn_in() hands the same room out again */
    conn->exchange->in_end += (size_t)n;
    return parse(conn);
}

/* A step failed, the one that the job is at. */
static enum want reply_failure(struct conn *conn)
{
    const struct job *job = conn->job;
    if (job->program.step[job->next].kind != STEP_UPSTREAM)
        return reply_refusal(conn, 500, "a step failed: the data file cannot be read");
    return reply_refusal(conn, job->error == -ETIMEDOUT ? 504 : 502, upstream_reason(job->error));
}

enum want conn_job_done(struct conn *conn)
{
    const struct job *job = conn->job;
    if (conn->service->draining)
        conn->close_after = true;
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

enum want conn_answer(struct conn *conn, int status, const char *type, struct span text)
{
    struct http_reply head = {.status = status, .type = type, .length = text.len};
    if (conn->service->draining)
        conn->close_after = true;
    if (status >= 400)
        count_add(conn->counters, COUNTER_bad_requests, 1);
    return reply(conn, head, text.data);
}

/* What was to be sent is out. False: so is the whole reply. */
static bool go_on_replying(struct conn *conn)
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

/* The reply is out: close, or go on with what may already have come. */
static enum want next_request(struct conn *conn)
{
    struct exchange *exchange = conn->exchange;
    bool more = exchange->in_begin < exchange->in_end;
    if (conn->close_after && (conn->linger_after || more)) {
        exchange->in_begin = exchange->in_end = 0;
        enter(conn, PHASE_LINGER);
        return conn->want = WANT_READ;
    }
    if (conn->close_after)
        return conn->want = WANT_CLOSE;
    enter(conn, PHASE_IDLE);
    if (more)
        return parse(conn);
    end_exchange(conn);
    return conn->want = WANT_READ;
}

enum want conn_sent(struct conn *conn, ssize_t n)
{
    if (n < 0)
        return give_up(conn);
    conn->out += n;
    conn->out_len -= (size_t)n;
    if (conn->out_len) {
        conn->since_ns = now_coarse_ns(); /* slow, but not silent */
        conn->unsent = INT_MAX;
        return conn->want = WANT_WRITE;
    }
    if (conn->phase != PHASE_REPLY) /* that was "100 Continue" */
        return conn->want = WANT_READ;
    if (!go_on_replying(conn))
        return next_request(conn);
    enter(conn, PHASE_REPLY); /* progress: the clock of this reply starts again */
    return conn->want = WANT_WRITE;
}

/* Does a request come too slowly, although it comes? */
static bool is_slow(const struct conn *conn, int64_t at_ns)
{
    int64_t limit_ns = conn->service->request_timeout_ns;
    bool coming = conn->phase == PHASE_HEAD || conn->phase == PHASE_BODY;
    return coming && limit_ns && at_ns - conn->begin_ns >= limit_ns;
}

static bool is_silent(const struct conn *conn, int64_t at_ns)
{
    int64_t limit_ns = conn->service->idle_timeout_ns;
    switch (conn->phase) {
    case PHASE_IDLE:
    case PHASE_BODY:
    case PHASE_REPLY: break;
    case PHASE_HEAD: limit_ns = conn->service->header_timeout_ns; break;
    case PHASE_LINGER: limit_ns = LINGER_NS; break;
    case PHASE_JOB: return false; /* our own work, not the peer's delay */
    }
    return at_ns - conn->since_ns >= limit_ns;
}

void conn_note_unsent(struct conn *conn, int bytes, int64_t at_ns)
{
    if (bytes < conn->unsent)
        conn->since_ns = at_ns;
    conn->unsent = bytes;
}

bool conn_expire(struct conn *conn, int64_t at_ns)
{
    if (!is_silent(conn, at_ns) && !is_slow(conn, at_ns))
        return false;
    if (conn->phase != PHASE_LINGER)
        count_add(conn->counters, COUNTER_timeouts, 1);
    conn->want = WANT_CLOSE;
    return true;
}

int64_t conn_sweep_period_ns(const struct service *service)
{
    int64_t period_ns = service->idle_timeout_ns / 4;
    if (service->draining)
        return 20 * NSEC_PER_MSEC;
    return period_ns < NSEC_PER_SEC ? period_ns : NSEC_PER_SEC;
}
