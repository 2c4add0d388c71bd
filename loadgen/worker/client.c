/* client: see client.h. The schedule of one worker, and its loop.
 *
 * In an open loop the arrivals decide when to send, and one that finds no free connection waits in
 * the backlog of its pool. In a closed loop the connections do: each stands for a user, who sends,
 * waits for the reply, and may think before the next request. */
#include "loadgen/worker/client.h"
#include "loadgen/worker/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 256 };

static const int64_t CONNECT_LIMIT_NS = 5 * NSEC_PER_SEC; /* at the start, without a new one */
static const int64_t NAP_MAX_NS = 100 * NSEC_PER_MSEC; /* to notice an end that was moved forward */
static const uint64_t GO_EVENT = UINT64_MAX;

/* The window. */

/* When connections are made all the time, those of the window are the ones to tell about. */
static void begin_window(struct client *c)
{
    c->begun = true;
    c->begun_ns = c->now_ns;
    c->begun_cpu_ns = thread_cpu_ns(); /* it has one thread */
    c->begun_held_ns = thread_held_ns();
    getrusage(RUSAGE_SELF, &c->begun_usage);
    c->stats->spin_ns = 0;
    if (c->plan->workload.churn > 0)
        c->stats->connect = (struct hist){0};
}

/* How others kept the worker from its core in the window. */
static void sum_up_holds(struct client *c)
{
    struct rusage usage;
    int64_t held_ns = thread_held_ns() - c->begun_held_ns;

    getrusage(RUSAGE_SELF, &usage);
    c->stats->held_ns = holds_by_others(held_ns, usage.ru_nvcsw - c->begun_usage.ru_nvcsw);
    c->stats->preempted = usage.ru_nivcsw - c->begun_usage.ru_nivcsw;
}

static void end_window(struct client *c)
{
    admit_arrivals(c); /* those that became due since the last look */
    c->phase = PHASE_DRAIN;
    c->ended = true;
    c->stats->backlog_end = c->backlogged;
    feed_end(c);
    if (c->begun) {
        c->stats->cpu_ns = thread_cpu_ns() - c->begun_cpu_ns;
        c->stats->wall_ns = c->now_ns - c->begun_ns;
        sum_up_holds(c);
    }
}

static void report_milestone(const struct client_signals *signals, bool *milestone)
{
    __atomic_store_n(milestone, true, __ATOMIC_RELEASE);
    if (write(signals->report, "", 1) != 1)
        die_errno("cannot report to the coordinator");
}

static int count_open(const struct client *c)
{
    int open = 0;

    for (int i = 0; i < c->plan->pool_count; i++)
        open += c->pools[i].idle.length;
    return open;
}

/* Everything is connected, or was tried long enough: the coordinator may begin. A slow ramp is no
 * trouble. */
static void watch_connecting(struct client *c, const struct client_signals *signals)
{
    bool trying = c->list[STATE_WAITING].length > 0 || c->list[STATE_CONNECTING].length > 0;
    int64_t since_ns = c->connected_ns > c->next_connect_ns ? c->connected_ns : c->next_connect_ns;

    if (c->stats->connected || (trying && c->now_ns < since_ns + CONNECT_LIMIT_NS))
        return;
    c->stats->open = count_open(c);
    report_milestone(signals, &c->stats->connected);
}

/* The schedule begins: arrivals, or the first requests of a closed loop, come from now on. */
static void begin_run(struct client *c)
{
    c->phase = PHASE_RUN;
    arrivals_start(&c->arrivals, c->schedule->start_ns, c->schedule->begin_ns);
    c->next = arrivals_next(&c->arrivals);
    for (int i = 0; i < c->plan->pool_count && is_closed_loop(c); i++) {
        for (int idle = c->pools[i].idle.length; idle > 0; idle--) {
            tick(c);
            exchange_next(c, c->pools[i].idle.oldest);
        }
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
    if (c->phase == PHASE_DRAIN && (c->now_ns >= c->schedule->end_ns + c->plan->drain_ns ||
                                    (!websocket_is_owed(c) && c->tally.open == 0)))
        c->phase = PHASE_OVER;
}

/* The loop. */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* When the next request of the schedule is due: a moment to be met as closely as can be. */
static int64_t next_send_ns(const struct client *c)
{
    return earlier(admit_next_ns(c), timers_next_ns(&c->timers));
}

static int64_t next_due_ns(const struct client *c)
{
    const struct connection *busy = c->list[STATE_BUSY].oldest;
    const struct connection *connecting = c->list[STATE_CONNECTING].oldest;
    const struct connection *paused = c->list[STATE_PAUSED].oldest;
    int64_t due = earlier(c->now_ns + NAP_MAX_NS, next_send_ns(c));

    due = earlier(due, c->feed_more ? c->now_ns : feed_next_ns(c, true));
    due = earlier(due, c->phase == PHASE_RUN ? c->next.intended_ns : INT64_MAX);
    due = earlier(due, retries_next_ns(&c->retries));
    if (busy)
        due = earlier(due, busy->since_ns + c->plan->timeout_ns);
    if (connecting)
        due = earlier(due, connecting->since_ns + c->plan->timeout_ns);
    if (paused)
        due = earlier(due, paused->since_ns + RECONNECT_PAUSE_NS);
    if (c->list[STATE_WAITING].oldest && c->list[STATE_CONNECTING].length < CONNECTING_MAX)
        due = earlier(due, c->phase == PHASE_CONNECT ? c->next_connect_ns : c->now_ns);
    switch (c->phase) {
    case PHASE_CONNECT: break;
    case PHASE_READY: due = earlier(due, c->schedule->start_ns); break;
    case PHASE_RUN:
        due = earlier(due, c->begun ? c->schedule->end_ns : c->schedule->begin_ns);
        break;
    case PHASE_DRAIN:
        due = earlier(earlier(due, websocket_look_ns(c)), c->schedule->end_ns + c->plan->drain_ns);
        break;
    case PHASE_OVER: break;
    }
    return due;
}

/* Sleep until something happens, or for `rest_ns`. */
static int poll_events(struct client *c, struct epoll_event *events, int64_t rest_ns)
{
    struct timespec timeout = {0};
    int n;

    if (rest_ns > 0)
        timeout = (struct timespec){rest_ns / NSEC_PER_SEC, rest_ns % NSEC_PER_SEC};
    n = epoll_pwait2(c->epoll, events, EVENTS, &timeout, NULL);
    if (n < 0 && errno != EINTR)
        die_errno("cannot wait for events");
    tick(c);
    return n;
}

/* The kernel wakes a sleeper some microseconds late. Awake, we meet the moment, and pay for it with
 * CPU time that is counted apart from the work. */
static int spin_events(struct client *c, struct epoll_event *events, int64_t until_ns)
{
    int64_t begin_ns = thread_cpu_ns();
    int n = 0;

    while (n == 0 && c->now_ns < until_ns)
        n = poll_events(c, events, 0);
    if (c->phase == PHASE_RUN && c->begun)
        c->stats->spin_ns += thread_cpu_ns() - begin_ns;
    return n;
}

static int wait_events(struct client *c, struct epoll_event *events)
{
    int64_t send_ns = next_send_ns(c), due_ns;
    int n;

    if (send_ns != INT64_MAX)
        tick(c); /* a request must not sleep for what the last round took */
    due_ns = earlier(next_due_ns(c), send_ns - c->plan->spin_ns);
    n = poll_events(c, events, due_ns - c->now_ns);
    if (n == 0 && c->plan->spin_ns > 0 && send_ns - c->now_ns <= c->plan->spin_ns)
        n = spin_events(c, events, earlier(next_due_ns(c), send_ns));
    return n;
}

/* One event may tell of the handshake and of what came right after it. */
static void socket_event(struct client *c, struct connection *conn, uint32_t events)
{
    if (conn->state == STATE_CONNECTING)
        connect_event(c, conn, events);
    if (conn->fd >= 0 && conn->state != STATE_CONNECTING)
        exchange_event(c, conn, events);
}

/* An event may be for a socket that an earlier one ended: then the generation differs. */
static void handle_event(struct client *c, const struct epoll_event *event)
{
    struct connection *conn = &c->connections[(uint32_t)event->data.u64];

    if (event->data.u64 == GO_EVENT)
        c->phase = PHASE_READY;
    else if (conn->fd >= 0 && conn->generation == (uint32_t)(event->data.u64 >> 32))
        socket_event(c, conn, event->events);
}

static void work(struct client *c, const struct client_signals *signals)
{
    struct epoll_event events[EVENTS];

    while (c->phase != PHASE_OVER) {
        connect_missing(c);
        watch_connecting(c, signals);
        int n = wait_events(c, events);
        for (int i = 0; i < n; i++) {
            handle_event(c, &events[i]);
            admit_arrivals(c);
        }
        admit_arrivals(c);
        admit_retries(c);
        exchange_timers(c);
        exchange_expire(c);
        connect_expire(c);
        move_on(c);
    }
}

/* Setting up and winding up. */

static int count_connections(const struct plan *plan, int worker)
{
    int count = 0;

    for (int i = 0; i < plan->pool_count; i++)
        count += plan_connections_of(plan, worker, i);
    return count;
}

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

/* A class that another pool carries has no weight here, and is never drawn. */
static void set_up_pool(struct client *c, int number)
{
    const struct plan *plan = c->plan;
    struct connections *pool = &c->pools[number];

    pool->unused = plan->pool[number].idle;
    for (int i = 0; i < plan->class_count; i++) {
        bool mine = plan->class[i].pool == number;

        mix_add(&pool->mix, mine ? plan->class[i].weight : 0);
        pool->slow |= mine && (plan->class[i].receive_rate > 0 || plan->pool[number].deaf);
        pool->feeds |= mine && plan->class[i].one_way;
    }
    c->has_feeds |= pool->feeds;
}

/* Targets are taken in turn by all connections of all workers; sources in turn for each target, so
 * that the ports of every source serve every target. */
static void add_connection(struct client *c, struct connection *conn, int pool, int number)
{
    const struct plan *plan = c->plan;

    conn->fd = -1;
    conn->pool = (uint8_t)pool;
    conn->target = (uint8_t)(number % plan->target_count);
    if (plan->source_count > 0)
        conn->source = (uint16_t)(number / plan->target_count % plan->source_count);
    list_append(&c->list[STATE_WAITING], conn);
    websocket_attach(c, conn, number);
}

static void add_connections(struct client *c, int worker)
{
    const struct plan *plan = c->plan;
    struct connection *conn = c->connections;

    for (int pool = 0; pool < plan->pool_count; pool++) {
        int mine = plan_connections_of(plan, worker, pool);

        for (int i = 0; i < mine; i++)
            add_connection(c, conn++, pool, worker + i * plan->workers);
    }
}

static void watch_go(const struct client *c, int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = GO_EVENT};

    if (c->epoll < 0 || epoll_ctl(c->epoll, EPOLL_CTL_ADD, fd, &event))
        die_errno("cannot set up epoll");
}

static void set_up_class(struct client *c, int number)
{
    const struct plan_class *class = &c->plan->class[number];

    c->tally.deadline_ns[number] = class->deadline_ns;
    c->kind[number].head = class->head;
    c->kind[number].want_digest = class->has_digest;
}

static struct client *client_create(const struct plan *plan, int worker,
                                    const struct schedule *schedule, struct worker_stats *stats,
                                    uint32_t *published)
{
    struct client *c = must_calloc(1, sizeof *c);

    c->plan = plan;
    c->schedule = schedule;
    c->stats = stats;
    c->all_stats = stats - worker;
    c->published = published;
    c->tally = (struct tally){.schedule = schedule, .stats = stats};
    for (int i = 0; i < plan->class_count; i++)
        set_up_class(c, i);
    c->random.state = random_worker_seed(~(uint64_t)plan->seed, worker); /* not that of arrivals */
    timers_init_bare(&c->timers);
    retries_init(&c->retries, &plan->retry, random_next(&c->random));
    c->epoll = epoll_create1(EPOLL_CLOEXEC);
    tick(c);
    c->connected_ns = c->next_connect_ns = c->now_ns;
    if (plan->workload.ramp > 0)
        c->ramp_gap_ns = (int64_t)(1e9 * plan->workers / plan->workload.ramp);
    c->pools = must_calloc((size_t)plan->pool_count, sizeof *c->pools);
    for (int i = 0; i < plan->pool_count; i++)
        set_up_pool(c, i);
    c->count = count_connections(plan, worker);
    c->connections = must_calloc((size_t)c->count, sizeof *c->connections);
    add_connections(c, worker);
    admit_set_up(c, worker);
    return c;
}

static void client_free(struct client *c)
{
    for (int i = 0; i < c->count; i++) {
        connection_end(&c->connections[i]);
        websocket_detach(&c->connections[i]);
    }
    for (int i = 0; i < c->plan->pool_count; i++) {
        backlog_free(&c->pools[i].backlog);
        backlog_free(&c->pools[i].gathered);
    }
    close(c->epoll);
    retries_free(&c->retries);
    timers_free(&c->timers);
    free(c->connections);
    free(c->pools);
    free(c);
}

void client_run(const struct plan *plan, int worker, const struct schedule *schedule,
                struct worker_stats *stats, uint32_t *published,
                const struct client_signals *signals)
{
    struct client *c;
    char byte;

    allow_descriptors(count_connections(plan, worker));
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0); /* the default, 50 us, is what we are to measure */
    c = client_create(plan, worker, schedule, stats, published);
    watch_go(c, signals->go);
    work(c, signals);
    exchange_abandon(c);
    websocket_sum_up(c);
    report_milestone(signals, &stats->finished);
    while (read(signals->leave, &byte, 1) < 0 && errno == EINTR)
        ; /* the connections stay open until the coordinator closes its end */
    client_free(c);
}
