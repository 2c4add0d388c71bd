#include "common/serve/loop.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void note(struct loop_peer *peer, enum loop_event event)
{
    /* News come again as long as the socket is writable, a due job does not. */
    if (peer->event == LOOP_NEWS)
        peer->event = event;
    if (peer->event)
        return; /* one is waiting to be handed out; a level-triggered one comes again */
    peer->event = event;
    TAILQ_INSERT_TAIL(&peer->loop->noted, peer, noted);
}

static void on_ready(struct ev_loop *ev, ev_io *io, int events)
{
    struct loop_peer *peer = container_of(io, struct loop_peer, io);
    enum want want = peer->conn.want;
    (void)ev;
    bool news = want == WANT_JOB || (want == WANT_READ && !(events & EV_READ));
    note(peer, news ? LOOP_NEWS : LOOP_READY);
}

/* The job's wait has come to one of its ends: forget the other. */
static void note_due(struct loop_peer *peer)
{
    ev_io_stop(peer->loop->ev, &peer->call);
    timers_remove(&peer->loop->timers, &peer->timer);
    note(peer, LOOP_DUE);
}

static void on_call_ready(struct ev_loop *ev, ev_io *io, int events)
{
    (void)ev, (void)events;
    note_due(container_of(io, struct loop_peer, call));
}

static void on_grants(struct ev_loop *ev, ev_io *io, int events)
{
    struct upstream_turns *turns = &((struct loop *)ev_userdata(ev))->server->service.calls.turns;
    struct upstream_call *call;
    eventfd_t count;
    (void)events;
    eventfd_read(io->fd, &count); /* first, so that what comes after the last look is told again */
    while ((call = upstream_next_granted(turns)))
        note_due(container_of(conn_of_job(job_of_call(call)), struct loop_peer, conn));
}

/* Into the outboxes; loop_wait() finds those that have news. */
static void on_feed(struct ev_loop *ev, ev_io *io, int events)
{
    struct loop *loop = ev_userdata(ev);
    (void)io, (void)events;
    feed_deliver(loop->feed, loop->server->service.topics);
}

static void on_due(struct ev_loop *ev, ev_io *io, int events)
{
    struct loop *loop = ev_userdata(ev);
    int64_t at_ns = now_ns();
    struct timer *timer;
    (void)io, (void)events;
    while ((timer = timers_expire(&loop->timers, at_ns))) {
        struct loop_peer *peer = container_of(timer, struct loop_peer, timer);
        if (peer->conn.job->pending ==
            WAIT_UPSTREAM) /* a grant from now on is for whoever resumes the job */
            job_unwatch_turn(peer->conn.job);
        note_due(peer);
    }
}

static void on_connect(struct ev_loop *ev, ev_io *io, int events)
{
    (void)io, (void)events;
    ((struct loop *)ev_userdata(ev))->acceptable = true;
}

static void on_wake(struct ev_loop *ev, ev_async *async, int events)
{
    (void)async, (void)events;
    ((struct loop *)ev_userdata(ev))->woken = true;
}

static void on_tick(struct ev_loop *ev, ev_timer *timer, int events)
{
    (void)timer, (void)events;
    ((struct loop *)ev_userdata(ev))->ticked = true;
}

static double sweep_period_s(const struct server *server)
{
    return (double)conn_sweep_period_ns(&server->service) / (double)NSEC_PER_SEC;
}

static void on_source(struct ev_loop *ev, ev_io *io, int events)
{
    (void)io, (void)events;
    ((struct loop *)ev_userdata(ev))->woken = true;
}

/* A coarse look at all peers instead of a timer for each: patience needs no precision. A peer
 * that is not watched waits for us, not we for it; its job may be another thread's just now. */
static void on_sweep(struct ev_loop *ev, ev_timer *timer, int events)
{
    struct loop *loop = ev_userdata(ev);
    int64_t at_ns = now_coarse_ns();
    struct loop_peer *peer;
    (void)timer, (void)events;
    LIST_FOREACH (peer, &loop->all, all) {
        if (peer->event || !ev_is_active(&peer->io))
            continue;
        bool leaves = loop->server->service.draining && conn_is_idle(&peer->conn);
        if (leaves || serve_expire(&peer->conn, peer->io.fd, at_ns))
            note(peer, LOOP_EXPIRED);
    }
}

/* No peers after those that wait at the listener already. A peer that seems idle may have a request
 * in its socket: each is looked at once more, then the sweep closes those that are idle still; the
 * others leave after their reply. */
static void on_terminate(struct ev_loop *ev, ev_signal *signal, int events)
{
    struct loop *loop = ev_userdata(ev);
    struct loop_peer *peer;
    (void)signal, (void)events;
    if (loop->server->service.draining)
        return;
    loop->server->service.draining = true;
    loop->newcomers = net_waiting(loop->server->listener);
    ev_io_stop(ev, &loop->listener);
    LIST_FOREACH (peer, &loop->all, all)
        if (ev_is_active(&peer->io) && conn_is_idle(&peer->conn))
            note(peer, LOOP_READY);
    loop->sweep.repeat = sweep_period_s(loop->server);
    ev_timer_again(ev, &loop->sweep);
}

static void watch_feed(struct loop *loop)
{
    loop->feed = server_feed(loop->server);
    if (!loop->feed)
        return;
    ev_io_init(&loop->fed, on_feed, feed_fd(loop->feed), EV_READ);
    ev_io_start(loop->ev, &loop->fed);
}

void loop_init(struct loop *loop, struct server *server, unsigned multiplexer)
{
    double period = sweep_period_s(server);
    *loop = (struct loop){
        .server = server, .ev = ev_loop_new(multiplexer | EVFLAG_NOENV), .listening = true};
    if (!loop->ev)
        die("libev cannot use this multiplexer here");
    ev_set_userdata(loop->ev, loop);
    TAILQ_INIT(&loop->noted);
    timers_init(&loop->timers);
    fcntl(server->listener, F_SETFL, O_NONBLOCK);
    ev_io_init(&loop->listener, on_connect, server->listener, EV_READ);
    ev_io_init(&loop->due, on_due, loop->timers.fd, EV_READ);
    ev_io_init(&loop->grants, on_grants, upstream_grants_fd(&server->service.calls.turns), EV_READ);
    ev_timer_init(&loop->sweep, on_sweep, period, period);
    ev_set_priority(&loop->sweep, EV_MINPRI); /* after what is ready has been noted */
    ev_async_init(&loop->wake, on_wake);
    ev_signal_init(&loop->terminate, on_terminate, SIGTERM);
    ev_signal_init(&loop->interrupt, on_terminate, SIGINT);
    ev_io_start(loop->ev, &loop->listener);
    ev_io_start(loop->ev, &loop->due);
    ev_io_start(loop->ev, &loop->grants);
    ev_timer_start(loop->ev, &loop->sweep);
    ev_async_start(loop->ev, &loop->wake);
    ev_signal_start(loop->ev, &loop->terminate);
    ev_signal_start(loop->ev, &loop->interrupt);
    watch_feed(loop);
}

void loop_free(struct loop *loop)
{
    timers_free(&loop->timers);
    if (loop->feed)
        feed_free(loop->feed);
    ev_loop_destroy(loop->ev);
}

static struct loop_peer *take_noted(struct loop *loop)
{
    struct loop_peer *peer = TAILQ_FIRST(&loop->noted);
    TAILQ_REMOVE(&loop->noted, peer, noted);
    return peer;
}

static bool take_flag(bool *flag)
{
    bool was = *flag;
    *flag = false;
    return was;
}

/* In a drain: may one be left of those that waited at its beginning? Else no new peer gets in. */
static bool has_newcomer(struct loop *loop)
{
    if (loop->listening && loop->newcomers-- > 0)
        return true;
    if (loop->listening)
        close(loop->server->listener);
    return loop->listening = false;
}

static struct loop_peer *take_news(struct loop *loop)
{
    struct conn *conn = conn_next_with_news(&loop->server->service);
    return conn ? container_of(conn, struct loop_peer, conn) : NULL;
}

enum loop_event loop_wait(struct loop *loop, struct loop_peer **peer)
{
    bool draining;
    for (;;) {
        if ((*peer = take_news(loop)))
            return LOOP_NEWS;
        if (!TAILQ_EMPTY(&loop->noted)) {
            *peer = take_noted(loop);
            enum loop_event event = (*peer)->event;
            (*peer)->event = LOOP_NOTHING;
            return event;
        }
        if (take_flag(&loop->woken))
            return LOOP_WAKE;
        if (take_flag(&loop->acceptable))
            return LOOP_ACCEPT;
        if (take_flag(&loop->ticked))
            return LOOP_TICK;
        draining = loop->server->service.draining;
        if (draining && has_newcomer(loop))
            return LOOP_ACCEPT;
        if (draining && LIST_EMPTY(&loop->all))
            return LOOP_STOPPED;
        ev_run(loop->ev, EVRUN_ONCE);
    }
}

void loop_add(struct loop *loop, struct loop_peer *peer, int fd)
{
    peer->loop = loop;
    peer->event = LOOP_NOTHING;
    peer->timer.place = 0;
    conn_init(&peer->conn, &loop->server->service, loop->server->counters);
    ev_io_init(&peer->io, on_ready, fd, EV_READ);
    ev_io_start(loop->ev, &peer->io);
    ev_init(&peer->call, on_call_ready);
    LIST_INSERT_HEAD(&loop->all, peer, all);
}

void loop_remove(struct loop_peer *peer)
{
    struct loop *loop = peer->loop;
    ev_io_stop(loop->ev, &peer->io);
    ev_io_stop(loop->ev, &peer->call);
    timers_remove(&loop->timers, &peer->timer);
    if (peer->event)
        TAILQ_REMOVE(&loop->noted, peer, noted);
    LIST_REMOVE(peer, all);
    serve_end(&peer->conn, peer->io.fd);
    close(peer->io.fd);
}

void loop_accepting(struct loop *loop, bool wanted)
{
    if (wanted && !loop->server->service.draining)
        ev_io_start(loop->ev, &loop->listener);
    else
        ev_io_stop(loop->ev, &loop->listener);
}

void loop_watch(struct loop_peer *peer, int events)
{
    int watched = ev_is_active(&peer->io) ? peer->io.events & (EV_READ | EV_WRITE) : 0;
    if (watched == events)
        return;
    ev_io_stop(peer->loop->ev, &peer->io);
    ev_io_set(&peer->io, peer->io.fd, events);
    if (events)
        ev_io_start(peer->loop->ev, &peer->io);
}

/* Readiness of the call's descriptor, or if it has none its turn; in any case the deadline. */
static void await_call(struct loop_peer *peer)
{
    const struct job *job = peer->conn.job;
    int fd = job_wait_fd(job);
    if (fd < 0 && !job_watch_turn(peer->conn.job)) {
        note(peer, LOOP_DUE);
        return;
    }
    if (fd >= 0) {
        int events = job_wait_events(job);
        ev_io_set(&peer->call, fd,
                  (events & POLLIN ? EV_READ : 0) | (events & POLLOUT ? EV_WRITE : 0));
        ev_io_start(peer->loop->ev, &peer->call);
    }
    timers_add(&peer->loop->timers, &peer->timer, job_deadline_ns(job));
}

/* Can more be pushed? Beside what conn waits for. */
static int push_events(const struct loop_peer *peer)
{
    return conn_pushes(&peer->conn) ? EV_WRITE : 0;
}

static void await_job(struct loop_peer *peer)
{
    loop_watch(peer, push_events(peer));
    if (peer->conn.job->pending == WAIT_UPSTREAM)
        await_call(peer);
    else
        timers_add(&peer->loop->timers, &peer->timer, now_ns() + job_delay_ns(peer->conn.job));
}

bool loop_await(struct loop_peer *peer)
{
    conn_cut(&peer->conn); /* it may have been pushed too much while it was elsewhere */
    switch (peer->conn.want) {
    case WANT_READ: loop_watch(peer, EV_READ | push_events(peer)); break;
    case WANT_WRITE: loop_watch(peer, EV_WRITE); break;
    case WANT_JOB: await_job(peer); break;
    case WANT_CLOSE: break;
    }
    return peer->conn.want != WANT_CLOSE;
}

bool loop_push(struct loop_peer *peer)
{
    switch (conn_push(&peer->conn, peer->io.fd)) {
    case WANT_READ: loop_watch(peer, EV_READ | push_events(peer)); break;
    case WANT_JOB: loop_watch(peer, push_events(peer)); break;
    case WANT_WRITE: break; /* after the reply */
    case WANT_CLOSE: return false;
    }
    return true;
}

void loop_tick(struct loop *loop, double seconds)
{
    ev_timer_init(&loop->tick, on_tick, seconds, seconds);
    ev_timer_start(loop->ev, &loop->tick);
}

void loop_source(struct loop *loop, int fd)
{
    ev_io_init(&loop->source, on_source, fd, EV_READ);
    ev_io_start(loop->ev, &loop->source);
}

void loop_wake(struct loop *loop)
{
    ev_async_send(loop->ev, &loop->wake);
}
