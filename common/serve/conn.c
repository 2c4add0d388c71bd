#include "common/serve/conn_parts.h"

#include <string.h>
#include <strings.h>

#define LINGER_NS (2 * NSEC_PER_SEC)

static const char continue_line[] = "HTTP/1.1 100 Continue\r\n\r\n";

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
    conn->channel = NULL;
    conn_enter(conn, PHASE_IDLE);
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
    exchange->job.upstream = &service->calls.upstream;
    exchange->job.database = &service->calls.database;
    exchange->job.topics = service->topics;
    exchange->job.market = &service->market;
    http_init(&exchange->request, exchange->text);
    conn->exchange = exchange;
    conn->job = &exchange->job;
}

void conn_keep(struct conn *conn, struct exchange *exchange)
{
    websocket_init(&exchange->websocket);
    conn->keeps = true;
    begin_exchange(conn, exchange);
}

void conn_end_exchange(struct conn *conn)
{
    if (conn->keeps || !conn->exchange)
        return;
    exchange_give(&conn->service->exchanges, conn->exchange);
    conn->exchange = NULL;
    conn->job = NULL;
}

void conn_end(struct conn *conn)
{
    if (conn->exchange && (conn->keeps || !websocket_rests(&conn->exchange->websocket)))
        websocket_free(&conn->exchange->websocket);
    conn_end_exchange(conn);
    if (conn->channel)
        channel_end(conn);
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
        conn_end_exchange(conn);
}

struct span conn_out(struct conn *conn)
{
    if (channel_is_pushing(conn))
        return channel_out(conn);
    return (struct span){(char *)conn->out, conn->out_len};
}

enum want conn_give_up(struct conn *conn)
{
    if (!conn_is_idle(conn) && conn->phase != PHASE_LINGER)
        count_add(conn->counters, COUNTER_broken, 1);
    return conn->want = WANT_CLOSE;
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

/* False: the program has a step io=sql that this server cannot perform. */
static bool knows_statements(const struct conn *conn, int *status, const char **reason)
{
    const struct program *program = &conn->job->program;
    const struct statements *statements = conn->service->calls.database.statements;
    for (int i = 0; program->topics_len && i < program->steps; i++) {
        const struct step *step = &program->step[i];
        if (step->kind != STEP_SQL)
            continue;
        *status = statements ? 400 : 501;
        *reason = statements ? "there is no such statement in the file of --sql"
                             : "this server was started without --sql, a file of statements";
        if (!statements || statements_find(statements, program_topic(program, step)) < 0)
            return false;
    }
    return true;
}

/* True: the program can be performed. False: *status and *reason say why not. */
static bool find_program(struct conn *conn, struct span target, const struct span *path,
                         int *status, const char **reason)
{
    struct program *program = &conn->job->program;
    *status = 400;
    if (target_is(path, "/work")) {
        if (!program_parse(program, target.data, target.len, reason))
            return false;
    } else if (target_is(path, "/subscribe") || target_is(path, "/unsubscribe")) {
        *reason = "only a WebSocket can subscribe";
        if (!conn->channel || !program_parse_subscription(program, target.data, target.len, reason))
            return false;
    } else if (target_is(path, "/") || target_is(path, "/healthz")) {
        program_init(program);
    } else {
        *status = 404;
        *reason = "there are /, /work, /ws, /healthz and /metrics";
        return false;
    }
    if (!knows_statements(conn, status, reason))
        return false;
    *status = 501;
    *reason = "this architecture pushes nothing to its connections";
    return !program_has_topic(program) || conn->service->topics;
}

enum want conn_dispatch(struct conn *conn, struct span target)
{
    char *query = memchr(target.data, '?', target.len);
    struct span path = {target.data, query ? (size_t)(query - target.data) : target.len};
    struct job *job = conn->job;
    const char *reason;
    int status;

    job->started = job->shed = false;
    job->counters = conn->counters;
    job->error = 0;
    job->pending = WAIT_NONE;
    job->subscriber = conn->channel ? &conn->channel->subscriber : NULL;
    job->message = conn->channel ? &conn->exchange->message : NULL;
    conn->page = find_page(conn, &path);
    if (conn->page != NO_PAGE)
        program_init(&job->program);
    else if (target_is(&path, "/metrics"))
        return conn_reply_metrics(conn);
    else if (target_is(&path, "/ws") && !conn->channel)
        return channel_upgrade(conn);
    else if (!find_program(conn, target, &path, &status, &reason))
        return conn_refuse(conn, status, reason);
    conn_enter(conn, PHASE_JOB);
    return conn->want = WANT_JOB;
}

/* A complete request by HTTP. */
static enum want dispatch(struct conn *conn)
{
    conn->close_after = !http_keeps_alive(&conn->exchange->request) || conn->service->draining;
    conn->linger_after = false;
    return conn_dispatch(conn, origin_form(&conn->exchange->request));
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
        case HTTP_ERROR: return conn_reply_error(conn);
        case HTTP_EXPECTS:
            if (exchange->in_begin == exchange->in_end) /* else the body is coming anyway */
                return send_continue(conn);
            break;
        }
    }
    bool first = conn_is_idle(conn);
    if (exchange->request.head_done)
        conn_enter(conn, PHASE_BODY); /* again for each piece: silence is what counts */
    else if (conn->phase != PHASE_HEAD)
        conn_enter(conn, PHASE_HEAD);
    if (first)
        conn->begin_ns = conn->since_ns;
    return conn->want = WANT_READ;
}

enum want conn_received(struct conn *conn, ssize_t n)
{
    if (n <= 0)
        return conn_give_up(conn);
    if (conn->phase == PHASE_LINGER)
        return conn->want = WANT_READ; /* thrown away: conn_in() hands the same room out again */
    conn->exchange->in_end += (size_t)n;
    return conn->channel ? channel_parse(conn) : parse(conn);
}

/* The reply is out: close, or go on with what may already have come. */
enum want conn_next_request(struct conn *conn)
{
    struct exchange *exchange = conn->exchange;
    bool more = exchange->in_begin < exchange->in_end;
    if (conn->close_after && (conn->linger_after || more)) {
        exchange->in_begin = exchange->in_end = 0;
        conn_enter(conn, PHASE_LINGER);
        return conn->want = WANT_READ;
    }
    conn_enter(conn, PHASE_IDLE);
    if (conn->close_after || (conn->channel && conn->service->draining && !more))
        return conn->want = WANT_CLOSE;
    if (more)
        return conn->channel ? channel_parse(conn) : parse(conn);
    conn_end_exchange(conn);
    return conn->want = WANT_READ;
}

enum want conn_sent(struct conn *conn, ssize_t n)
{
    if (channel_is_pushing(conn))
        return channel_sent(conn, n);
    if (n < 0)
        return conn_give_up(conn);
    conn->out += n;
    conn->out_len -= (size_t)n;
    if (conn->out_len) {
        conn->since_ns = now_coarse_ns(); /* slow, but not silent */
        conn->unsent = INT_MAX;
        return conn->want = WANT_WRITE;
    }
    if (conn->phase != PHASE_REPLY) /* that was "100 Continue" */
        return conn->want = WANT_READ;
    if (!conn_go_on_replying(conn))
        return conn_next_request(conn);
    conn_enter(conn, PHASE_REPLY); /* progress: the clock of this reply starts again */
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
        if (conn->channel && !conn->channel->pushing)
            return false; /* it is there to be idle, until something is pushed */
        break;
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
