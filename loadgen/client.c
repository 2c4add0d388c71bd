/* client: see client.h.
 *
 * A connection is always in exactly one state, and on that state's list, oldest first. So the
 * oldest of a list is the next to time out, to be tried again or to be used: every decision is
 * O(1).
 *
 * A connection is registered once, edge-triggered, for reading and writing. A reply that completes
 * is counted and the next request goes out at once, in the same breath: two system calls for a
 * request (recv, send) plus a share of one epoll_pwait2. Edges are not lost because a recv that
 * returned less than it could have has emptied the socket, and a peer that has closed (EPOLLRDHUP)
 * is read until the end. */
#include "loadgen/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/net.h"
#include "common/util.h"
#include "loadgen/arrivals.h"
#include "loadgen/backlog.h"
#include "loadgen/reply.h"
#include "loadgen/tally.h"

enum {
    BUFFER_SIZE = 64 * 1024,
    EVENTS = 256,
    CONNECTING_MAX = 128, /* at one time: a listen queue is short, and a lost SYN costs a second */
};

static const int64_t RETRY_PAUSE_NS = 100 * NSEC_PER_MSEC; /* after a connection came to nothing */
static const int64_t CONNECT_LIMIT_NS = 5 * NSEC_PER_SEC;  /* for the first connections, in all */
static const int64_t NAP_MAX_NS = 100 * NSEC_PER_MSEC; /* to notice an end that was moved forward */
static const uint64_t GO_EVENT = UINT64_MAX;

enum state {
    STATE_WAITING,    /* no socket; to be connected as soon as others are through */
    STATE_PAUSED,     /* no socket; to be connected after a pause */
    STATE_CONNECTING, /* waits for the handshake */
    STATE_IDLE,       /* open, without a request */
    STATE_BUSY,       /* a request is on its way, or its reply */
    STATES
};

enum phase {
    PHASE_CONNECT, /* making connections, nothing is sent */
    PHASE_READY,   /* the schedule is known and has not begun */
    PHASE_RUN,     /* warm-up and window */
    PHASE_DRAIN,   /* no new arrivals; what the window began may end */
    PHASE_OVER,
};

struct connection {
    struct connection *older, *newer; /* in its state's list */
    int64_t since_ns; /* when its state began: the connect, the send, the end of a reply */
    int64_t intended_ns;
    int fd;              /* owned while the state has a socket */
    uint32_t generation; /* of the socket: tells its events from those of the one before */
    uint32_t sent;       /* bytes of the request that are written */
    uint8_t state, class;
    bool useful; /* this socket has carried a reply: reconnecting at once is no spinning */
    struct reply reply;
};

struct list {
    struct connection *oldest, *newest;
    int length;
};

struct client {
    const struct plan *plan;
    const struct schedule *schedule;
    struct worker_stats *stats;
    enum phase phase;
    int epoll;
    int64_t now_ns;    /* the last reading of the clock */
    bool begun, ended; /* the window, for this worker */
    int64_t begun_ns, begun_cpu_ns;
    struct tally tally;
    struct list list[STATES];
    struct connection *connections; /* owned */
    int count;
    struct arrivals arrivals;
    struct arrival next; /* the arrival that comes next */
    struct backlog backlog;
    int64_t backlog_since_ns; /* since when it is not empty */
    char buffer[BUFFER_SIZE]; /* replies are parsed where they land, so all connections share it */
};

static void tick(struct client *c)
{
    c->now_ns = now_ns();
}

/* Lists and states. */

static void list_remove(struct list *list, struct connection *conn)
{
    *(conn->older ? &conn->older->newer : &list->oldest) = conn->newer;
    *(conn->newer ? &conn->newer->older : &list->newest) = conn->older;
    list->length--;
}

static void list_append(struct list *list, struct connection *conn)
{
    conn->older = list->newest;
    conn->newer = NULL;
    *(list->newest ? &list->newest->newer : &list->oldest) = conn;
    list->newest = conn;
    list->length++;
}

static void set_state(struct client *c, struct connection *conn, enum state state)
{
    list_remove(&c->list[conn->state], conn);
    conn->state = (uint8_t)state;
    conn->since_ns = c->now_ns;
    list_append(&c->list[state], conn);
}

/* Arrivals that wait. */

static void queue_arrival(struct client *c, struct arrival arrival)
{
    if (c->backlog.length == 0)
        c->backlog_since_ns = c->now_ns;
    backlog_push(&c->backlog, arrival);
    if (tally_in_window(&c->tally, arrival.intended_ns) &&
        c->backlog.length > c->stats->backlog_max)
        c->stats->backlog_max = c->backlog.length;
}

static bool unqueue_arrival(struct client *c, struct arrival *arrival)
{
    if (!backlog_pop(&c->backlog, arrival))
        return false;
    if (c->backlog.length == 0)
        tally_waited(&c->tally, c->backlog_since_ns, c->now_ns);
    return true;
}

/* Connections come and go. */

static void connection_watch(struct client *c, struct connection *conn)
{
    uint64_t index = (uint64_t)(conn - c->connections);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.u64 = (uint64_t)conn->generation << 32 | index};

    if (epoll_ctl(c->epoll, EPOLL_CTL_ADD, conn->fd, &event))
        die_errno("cannot watch a connection");
}

/* The socket is useless. The connection is made anew: at once if it had been of use, else after a
 * pause, so that a server which hangs up costs a few attempts a second and not a core. */
static void connection_drop(struct client *c, struct connection *conn)
{
    close(conn->fd);
    conn->fd = -1;
    set_state(c, conn, conn->useful ? STATE_WAITING : STATE_PAUSED);
}

/* A connection could not be made. In an open loop that costs the arrival that waited for it; in a
 * closed loop the request that the connection would have sent. */
static void connect_failed(struct client *c, struct connection *conn, int error)
{
    struct arrival arrival;

    c->stats->connect_errno = error;
    if (conn->fd >= 0)
        close(conn->fd);
    conn->fd = -1;
    set_state(c, conn, STATE_PAUSED);
    if (c->phase < PHASE_RUN)
        return;
    if (c->plan->arrivals == ARRIVALS_CLOSED) {
        if (c->phase != PHASE_RUN)
            return;
        arrival = (struct arrival){c->now_ns, mix_draw(&c->arrivals.mix, &c->arrivals.random)};
        tally_arrival(&c->tally, arrival.class, arrival.intended_ns);
    } else if (!unqueue_arrival(c, &arrival)) {
        return;
    }
    tally_failure(&c->tally, arrival.class, arrival.intended_ns, ERROR_connect);
}

static void connection_start(struct client *c, struct connection *conn)
{
    int fd = net_connect(&c->plan->address);

    conn->useful = false;
    conn->generation++;
    if (fd < 0) {
        connect_failed(c, conn, -fd);
        return;
    }
    conn->fd = fd;
    set_state(c, conn, STATE_CONNECTING);
    connection_watch(c, conn);
}

/* Sending. */

/* The request ended without a complete reply, and with it the connection. */
static void request_failed(struct client *c, struct connection *conn, enum outcome error)
{
    tally_failure(&c->tally, conn->class, conn->intended_ns, error);
    connection_drop(c, conn);
}

/* Write what is left of the request. What does not fit waits for the next EPOLLOUT edge. */
static void send_rest(struct client *c, struct connection *conn)
{
    const struct plan_class *class = &c->plan->class[conn->class];
    ssize_t n =
        send(conn->fd, class->request + conn->sent, class->request_len - conn->sent, MSG_NOSIGNAL);

    if (n >= 0)
        conn->sent += (uint32_t)n;
    else if (errno != EAGAIN && errno != EINTR)
        request_failed(c, conn, ERROR_reset);
}

/* Send `arrival` on an idle or just freed connection. c->now_ns must be fresh: it is the send
 * time. */
static void start_request(struct client *c, struct connection *conn, struct arrival arrival)
{
    const struct plan_class *class = &c->plan->class[arrival.class];
    int64_t could_ns = arrival.intended_ns > conn->since_ns ? arrival.intended_ns : conn->since_ns;

    conn->class = (uint8_t)arrival.class;
    conn->intended_ns = arrival.intended_ns;
    conn->sent = 0;
    tally_sent(&c->tally, arrival.class, arrival.intended_ns, c->now_ns - could_ns);
    reply_begin(&conn->reply, class->head, class->has_digest);
    set_state(c, conn, STATE_BUSY);
    send_rest(c, conn);
}

/* A connection is free: give it the next request, or let it idle. */
static void connection_free(struct client *c, struct connection *conn)
{
    struct arrival arrival;

    set_state(c, conn, STATE_IDLE);
    if (c->plan->arrivals == ARRIVALS_CLOSED && c->phase == PHASE_RUN) {
        arrival = (struct arrival){c->now_ns, mix_draw(&c->arrivals.mix, &c->arrivals.random)};
        if (arrival.intended_ns >= c->schedule->end_ns)
            return;
        tally_arrival(&c->tally, arrival.class, arrival.intended_ns);
        start_request(c, conn, arrival);
    } else if (unqueue_arrival(c, &arrival)) {
        start_request(c, conn, arrival);
    }
}

/* Open loop: let in the arrivals that are due. Those that become due meanwhile wait for the next
 * round, so that replies are read in between however high the rate is. */
static void admit_arrivals(struct client *c)
{
    int64_t due_ns = c->now_ns < c->schedule->end_ns ? c->now_ns : c->schedule->end_ns - 1;

    while (c->next.intended_ns <= due_ns && c->phase == PHASE_RUN) {
        struct arrival arrival = c->next;
        struct connection *idle = c->list[STATE_IDLE].oldest;

        c->next = arrivals_next(&c->arrivals);
        tally_arrival(&c->tally, arrival.class, arrival.intended_ns);
        tick(c);
        if (idle)
            start_request(c, idle, arrival);
        else
            queue_arrival(c, arrival);
    }
}

/* Receiving. */

static enum outcome judge_reply(const struct client *c, const struct connection *conn)
{
    const struct plan_class *class = &c->plan->class[conn->class];

    switch (conn->reply.status / 100) {
    case 2:
    case 3:
        if (class->has_digest && !reply_has_digest(&conn->reply, class->digest))
            return ERROR_digest;
        return OUTCOME_GOOD;
    case 4: return ERROR_status_4xx;
    case 5: return ERROR_status_5xx;
    default: return ERROR_malformed;
    }
}

static void reply_complete(struct client *c, struct connection *conn, bool peer_closed)
{
    tally_reply(&c->tally, conn->class, conn->intended_ns, conn->since_ns, c->now_ns,
                judge_reply(c, conn));
    conn->useful = true;
    if (!conn->reply.keep_alive || peer_closed)
        connection_drop(c, conn);
    else
        connection_free(c, conn);
}

static void received(struct client *c, struct connection *conn, size_t len, bool peer_closed)
{
    if (conn->state != STATE_BUSY) {
        connection_drop(c, conn); /* nobody asked, e.g. "408 Request Timeout" before a close */
        return;
    }
    switch (reply_feed(&conn->reply, c->buffer, len)) {
    case REPLY_MORE: break;
    case REPLY_DONE: reply_complete(c, conn, peer_closed); break;
    case REPLY_BAD: request_failed(c, conn, ERROR_malformed); break;
    }
}

/* The stream ended: with an error, or because the peer closed it. */
static void stream_ended(struct client *c, struct connection *conn, int error)
{
    if (conn->state != STATE_BUSY)
        connection_drop(c, conn);
    else if (error)
        request_failed(c, conn, ERROR_reset);
    else if (reply_end(&conn->reply) == REPLY_DONE)
        reply_complete(c, conn, true);
    else
        request_failed(c, conn, ERROR_closed);
}

/* Read until the socket is empty, or to the very end if the peer has closed. */
static void receive(struct client *c, struct connection *conn, bool peer_closed)
{
    uint32_t generation = conn->generation;
    ssize_t n;

    do {
        n = recv(conn->fd, c->buffer, BUFFER_SIZE, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        tick(c);
        if (n > 0)
            received(c, conn, (size_t)n, peer_closed);
        else
            stream_ended(c, conn, n < 0 ? errno : 0);
    } while ((n == BUFFER_SIZE || peer_closed) && conn->fd >= 0 && conn->generation == generation);
}

static void finish_connect(struct client *c, struct connection *conn, uint32_t events)
{
    int error = 0;
    socklen_t len = sizeof(error);

    if (events & (EPOLLERR | EPOLLHUP))
        getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error)
        connect_failed(c, conn, error);
    else if (events & EPOLLOUT)
        connection_free(c, conn);
}

static void connection_event(struct client *c, uint64_t data, uint32_t events)
{
    struct connection *conn = &c->connections[(uint32_t)data];
    bool peer_closed = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);

    if (conn->fd < 0 || conn->generation != (uint32_t)(data >> 32))
        return; /* the event was for a socket that an earlier event ended */
    if (conn->state == STATE_CONNECTING)
        finish_connect(c, conn, events);
    else if (conn->state == STATE_BUSY && events & EPOLLOUT &&
             conn->sent < c->plan->class[conn->class].request_len)
        send_rest(c, conn);
    if (conn->fd >= 0 && events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        receive(c, conn, peer_closed);
}

/* What is due. */

static void expire(struct client *c)
{
    struct connection *conn;

    while ((conn = c->list[STATE_BUSY].oldest) && conn->since_ns + c->plan->timeout_ns <= c->now_ns)
        request_failed(c, conn, ERROR_timeout);
    while ((conn = c->list[STATE_CONNECTING].oldest) &&
           conn->since_ns + c->plan->timeout_ns <= c->now_ns)
        connect_failed(c, conn, ETIMEDOUT);
}

static void reconnect(struct client *c)
{
    struct connection *conn;

    while ((conn = c->list[STATE_PAUSED].oldest) && conn->since_ns + RETRY_PAUSE_NS <= c->now_ns)
        set_state(c, conn, STATE_WAITING);
    while ((conn = c->list[STATE_WAITING].oldest) &&
           c->list[STATE_CONNECTING].length < CONNECTING_MAX) {
        c->stats->reconnects += c->begun && !c->ended;
        connection_start(c, conn);
    }
}

static int64_t cpu_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * NSEC_PER_SEC + t.tv_nsec;
}

static void begin_window(struct client *c)
{
    c->begun = true;
    c->begun_ns = c->now_ns;
    c->begun_cpu_ns = cpu_now_ns();
}

static void end_window(struct client *c)
{
    admit_arrivals(c); /* those that became due since the last look */
    c->phase = PHASE_DRAIN;
    c->ended = true;
    c->stats->backlog_end = c->backlog.length;
    if (c->begun) {
        c->stats->cpu_ns = cpu_now_ns() - c->begun_cpu_ns;
        c->stats->wall_ns = c->now_ns - c->begun_ns;
    }
}

static void report_milestone(const struct client_signals *signals, bool *milestone)
{
    __atomic_store_n(milestone, true, __ATOMIC_RELEASE);
    if (write(signals->report, "", 1) != 1)
        die_errno("cannot report to the coordinator");
}

/* Everything is connected, or was tried long enough: the coordinator may begin. */
static void watch_connecting(struct client *c, const struct client_signals *signals,
                             int64_t limit_ns)
{
    bool trying = c->list[STATE_WAITING].length > 0 || c->list[STATE_CONNECTING].length > 0;

    if (c->stats->connected || (trying && c->now_ns < limit_ns))
        return;
    c->stats->open = c->list[STATE_IDLE].length;
    report_milestone(signals, &c->stats->connected);
}

/* The schedule begins: arrivals, or the first requests of a closed loop, come from now on. */
static void begin_run(struct client *c)
{
    int idle = c->list[STATE_IDLE].length;

    c->phase = PHASE_RUN;
    arrivals_start(&c->arrivals, c->schedule->start_ns);
    c->next = arrivals_next(&c->arrivals);
    while (c->plan->arrivals == ARRIVALS_CLOSED && idle-- > 0) {
        tick(c);
        connection_free(c, c->list[STATE_IDLE].oldest);
    }
}

static void move_on(struct client *c)
{
    if (c->phase == PHASE_READY && c->now_ns >= c->schedule->start_ns)
        begin_run(c);
    if (c->phase == PHASE_RUN && !c->begun && c->now_ns >= c->schedule->begin_ns)
        begin_window(c);
    if (c->phase == PHASE_RUN && c->now_ns >= c->schedule->end_ns)
        end_window(c);
    if (c->phase == PHASE_DRAIN &&
        (c->tally.open == 0 || c->now_ns >= c->schedule->end_ns + c->plan->drain_ns))
        c->phase = PHASE_OVER;
}

/* The loop. */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t next_due_ns(const struct client *c)
{
    const struct connection *busy = c->list[STATE_BUSY].oldest;
    const struct connection *connecting = c->list[STATE_CONNECTING].oldest;
    const struct connection *paused = c->list[STATE_PAUSED].oldest;
    int64_t due = c->now_ns + NAP_MAX_NS;

    if (busy)
        due = earlier(due, busy->since_ns + c->plan->timeout_ns);
    if (connecting)
        due = earlier(due, connecting->since_ns + c->plan->timeout_ns);
    if (paused)
        due = earlier(due, paused->since_ns + RETRY_PAUSE_NS);
    switch (c->phase) {
    case PHASE_CONNECT: break;
    case PHASE_READY: due = earlier(due, c->schedule->start_ns); break;
    case PHASE_RUN:
        due = earlier(due, c->next.intended_ns);
        due = earlier(due, c->begun ? c->schedule->end_ns : c->schedule->begin_ns);
        break;
    case PHASE_DRAIN: due = earlier(due, c->schedule->end_ns + c->plan->drain_ns); break;
    case PHASE_OVER: break;
    }
    return due;
}

static int wait_events(struct client *c, struct epoll_event *events)
{
    struct timespec timeout = {0};
    int64_t rest;
    int n;

    if (c->next.intended_ns != INT64_MAX)
        tick(c); /* an arrival must not sleep for what the last round took */
    rest = next_due_ns(c) - c->now_ns;
    if (rest > 0)
        timeout = (struct timespec){rest / NSEC_PER_SEC, rest % NSEC_PER_SEC};
    n = epoll_pwait2(c->epoll, events, EVENTS, &timeout, NULL);
    if (n < 0 && errno != EINTR)
        die_errno("cannot wait for events");
    tick(c);
    return n;
}

static void work(struct client *c, const struct client_signals *signals)
{
    struct epoll_event events[EVENTS];
    int64_t limit_ns = c->now_ns + CONNECT_LIMIT_NS;

    while (c->phase != PHASE_OVER) {
        reconnect(c);
        watch_connecting(c, signals, limit_ns);
        int n = wait_events(c, events);
        for (int i = 0; i < n; i++) {
            if (events[i].data.u64 == GO_EVENT)
                c->phase = PHASE_READY;
            else
                connection_event(c, events[i].data.u64, events[i].events);
            admit_arrivals(c);
        }
        admit_arrivals(c);
        expire(c);
        move_on(c);
    }
}

/* Setting up and winding up. */

static void allow_descriptors(int connections)
{
    struct rlimit limit;
    rlim_t needed = (rlim_t)connections + 32;

    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max < needed)
        die("%d connections in one worker, but the system allows %llu descriptors: use more "
            "workers (-w)",
            connections, (unsigned long long)limit.rlim_max);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void add_streams(struct arrivals *a, const struct plan *plan, int worker)
{
    double phase = (double)worker / plan->workers;

    for (int i = 0; i < plan->class_count; i++)
        mix_add(&a->mix, plan->class[i].weight);
    if (!workload_has_class_rates(&plan->workload)) {
        arrivals_add_stream(a, plan->rate / plan->workers, phase, -1);
        return;
    }
    for (int i = 0; i < plan->class_count; i++)
        arrivals_add_stream(a, plan->class[i].rate / plan->workers, phase, i);
}

static void watch_go(const struct client *c, int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = GO_EVENT};

    if (c->epoll < 0 || epoll_ctl(c->epoll, EPOLL_CTL_ADD, fd, &event))
        die_errno("cannot set up epoll");
}

static struct client *client_create(const struct plan *plan, int worker,
                                    const struct schedule *schedule, struct worker_stats *stats)
{
    struct client *c = must_calloc(1, sizeof(*c));

    c->plan = plan;
    c->schedule = schedule;
    c->stats = stats;
    c->tally = (struct tally){.schedule = schedule, .stats = stats};
    c->next.intended_ns = INT64_MAX;
    c->count = plan_connections_of(plan, worker);
    c->connections = must_calloc((size_t)c->count, sizeof(*c->connections));
    c->epoll = epoll_create1(EPOLL_CLOEXEC);
    tick(c);
    for (int i = 0; i < c->count; i++) {
        c->connections[i].fd = -1;
        list_append(&c->list[STATE_WAITING], &c->connections[i]);
    }
    arrivals_init(&c->arrivals, plan->arrivals, (uint64_t)plan->seed, worker);
    add_streams(&c->arrivals, plan, worker);
    return c;
}

/* What is still without an outcome now never gets one. */
static void count_leftovers(struct client *c)
{
    struct arrival arrival;

    while (unqueue_arrival(c, &arrival))
        tally_failure(&c->tally, arrival.class, arrival.intended_ns, ERROR_unsent);
    for (struct connection *conn = c->list[STATE_BUSY].oldest; conn; conn = conn->newer)
        tally_failure(&c->tally, conn->class, conn->intended_ns, ERROR_unanswered);
}

static void client_free(struct client *c)
{
    for (int i = 0; i < c->count; i++) {
        if (c->connections[i].fd >= 0)
            close(c->connections[i].fd);
    }
    close(c->epoll);
    backlog_free(&c->backlog);
    free(c->connections);
    free(c);
}

void client_run(const struct plan *plan, int worker, const struct schedule *schedule,
                struct worker_stats *stats, const struct client_signals *signals)
{
    struct client *c;
    char byte;

    allow_descriptors(plan_connections_of(plan, worker));
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0); /* the default, 50 us, is what we are to measure */
    c = client_create(plan, worker, schedule, stats);
    watch_go(c, signals->go);
    work(c, signals);
    count_leftovers(c);
    report_milestone(signals, &stats->finished);
    while (read(signals->leave, &byte, 1) < 0 && errno == EINTR)
        ; /* the connections stay open until the coordinator closes its end */
    client_free(c);
}
