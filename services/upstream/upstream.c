/* upstream: a remote service to wait for, that stores values and passes messages on. Servers call it
 * for io=upstream:D and io=redis:COMMAND.
 *
 * This is no server architecture and is not compared with any: it stands in for the database or
 * service behind one. It speaks RESP2, the protocol of Redis, and its commands are those of Redis with
 * Redis's replies, so that a server's client side runs against a real Redis too. But it waits with
 * the precision of the kernel's timers (an idle Redis looks at its clock ten times a second), and it
 * fails when it is told to:
 *
 *     build/upstream --port 6380 &
 *     redis-cli -p 6380 blpop archbench:none 0.02      # nothing, after 20 ms
 *     redis-cli -p 6380 config set fail 10             # from now on every tenth call is an error
 *     redis-cli -p 6380 subscribe news &               # hears of what is published, as here:
 *     redis-cli -p 6380 publish news 'good news'
 *
 * One thread, one loop: a call in progress costs a connection and a timer, so that what is measured
 * is how the server waits, not how the upstream does. Deliberately simple: no inline commands, a
 * request has at most WORDS_MAX words, values are strings that never expire.
 *
 * Which calls fail is drawn when a call begins, and happens when its time is over: `fail` changes the
 * outcome and not the load. One number per call decides, from a seed, so that the same calls fail in
 * every trial.
 *
 * Memory is bounded by not reading. A peer that has not read its replies is not read, and behind a
 * call no more than 16 KiB of further commands are; the rest waits in the sockets, as TCP means it
 * to. A peer in a call is read so far, since nothing else tells that it has left. What is published
 * cannot be held back in this way, since others ask for it: a subscriber that does not read loses its
 * connection when more than the outbox waits for it. What is stored is bounded as a whole. */
#include "services/upstream/upstream.h"
#include "common/base/net.h"
#include "common/base/options.h"
#include "common/base/util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- connections --------------------------------------------------------------------------------- */

static void close_peer(struct client *peer)
{
    struct upstream *upstream = peer->upstream;
    ev_io_stop(upstream->ev, &peer->io);
    timers_remove(&upstream->timers, &peer->timer);
    LIST_REMOVE(peer, all);
    upstream->present--;
    channels_leave_all(peer);
    if (peer->listed)
        TAILQ_REMOVE(&upstream->told, peer, told);
    close(peer->io.fd);
    client_free_reader(peer);
    buffer_free(&peer->output);
    free(peer);
}

/* A client that has not taken its replies is not read: it must take them before it asks for more.
 * One in a call is read, up to a limit: only so do we learn that it has left. */
static int wanted_events(const struct client *peer)
{
    if (peer->output.len)
        return EV_WRITE;
    return peer->state == STATE_SERVING || client_unparsed(peer) < INPUT_MAX ? EV_READ : 0;
}

static void watch(struct client *peer)
{
    int wanted = wanted_events(peer);
    int watched = ev_is_active(&peer->io) ? peer->io.events & (EV_READ | EV_WRITE) : 0;
    if (watched == wanted)
        return;
    ev_io_stop(peer->upstream->ev, &peer->io);
    ev_io_set(&peer->io, peer->io.fd, wanted);
    if (wanted)
        ev_io_start(peer->upstream->ev, &peer->io);
}

/* What follows when a client has been sent to. It may be gone afterwards. */
static void settle(struct client *peer)
{
    if (peer->state == STATE_BROKEN || (peer->state == STATE_LEAVING && !peer->output.len))
        close_peer(peer);
    else
        watch(peer);
}

/* Those that something was published to. */
static void serve_told(struct upstream *upstream)
{
    struct client *peer;
    while ((peer = TAILQ_FIRST(&upstream->told))) {
        TAILQ_REMOVE(&upstream->told, peer, told);
        peer->listed = false;
        client_send(peer);
        settle(peer);
    }
}

/* Answer what has come, in order, until a call must be waited for or the peer takes no replies. The
 * peer may be gone afterwards. */
static void advance(struct client *peer)
{
    while (client_has_room(peer) && peer->state == STATE_SERVING && client_take_request(peer))
        client_execute(peer);
    client_send(peer);
    serve_told(peer->upstream); /* not the peer itself: a subscriber cannot publish */
    settle(peer);
}

static void receive(struct client *peer)
{
    char chunk[INPUT_MAX];
    ssize_t n = recv(peer->io.fd, chunk, sizeof chunk, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || redisReaderFeed(peer->reader, chunk, (size_t)n) != REDIS_OK)
        peer->state = STATE_BROKEN;
}

static void on_ready(struct ev_loop *ev, ev_io *io, int events)
{
    struct client *peer = container_of(io, struct client, io);
    (void)ev;
    if (events & EV_READ)
        receive(peer);
    if (events & EV_WRITE)
        peer->congested = false;
    advance(peer);
}

static void on_due(struct ev_loop *ev, ev_io *io, int events)
{
    struct upstream *upstream = ev_userdata(ev);
    int64_t at_ns = now_ns();
    struct timer *timer;
    (void)io, (void)events;
    while ((timer = timers_expire(&upstream->timers, at_ns))) {
        struct client *peer = container_of(timer, struct client, timer);
        client_end_call(peer);
        advance(peer);
    }
}

static void welcome(struct upstream *upstream, int fd)
{
    struct client *peer = must_calloc(1, sizeof *peer);
    peer->upstream = upstream;
    if (!client_open_reader(peer))
        die("out of memory");
    TAILQ_INIT(&peer->subscriptions.list);
    ev_io_init(&peer->io, on_ready, fd, EV_READ);
    ev_io_start(upstream->ev, &peer->io);
    LIST_INSERT_HEAD(&upstream->peers, peer, all);
    upstream->present++;
    upstream->tally.connections++;
}

static void on_connect(struct ev_loop *ev, ev_io *io, int events)
{
    struct upstream *upstream = ev_userdata(ev);
    (void)events;
    for (;;) {
        int fd = net_accept(io->fd, SOCK_NONBLOCK, &upstream->reserve);
        if (fd >= 0)
            welcome(upstream, fd);
        else if (fd == -EMFILE)
            upstream->tally.refused++;
        else if (fd != -EINTR && fd != -ECONNABORTED)
            return;
    }
}

/* --- the program --------------------------------------------------------------------------------- */

static void on_terminate(struct ev_loop *ev, ev_signal *signal, int events)
{
    (void)signal, (void)events;
    ev_break(ev, EVBREAK_ALL);
}

static void set_up(struct upstream *upstream, int argc, char **argv)
{
    struct behaviour *behaviour = &upstream->behaviour;
    const char *host = "127.0.0.1";
    int port = 6380, seed = 1;
    const struct option_row rows[] = {
        {"host", 'H', OPTION_TEXT, &host, "ADDRESS", "address to listen on", 0, 0},
        {"port", 'p', OPTION_INT, &port, "PORT", "port to listen on, 0: a free one", 0, 65535},
        {"delay", 0, OPTION_DURATION, &behaviour->delay_ns, "TIME", "added to every call", 0, 0},
        {"fail", 0, OPTION_REAL, &behaviour->fail_percent, "PERCENT",
         "calls answered with an error", 0, 100},
        {"drop", 0, OPTION_REAL, &behaviour->drop_percent, "PERCENT",
         "calls that end with the connection, unanswered", 0, 100},
        {"stall", 0, OPTION_FLAG, &behaviour->stall, NULL,
         "keep connections and answer nothing but CONFIG", 0, 0},
        {"outbox", 0, OPTION_SIZE, &upstream->outbox_limit, "SIZE",
         "bytes that may wait for a subscriber; beyond, its connection ends", 0, 0},
        {"seed", 0, OPTION_INT, &seed, "N", "the same calls go wrong for the same seed", 0, 0},
        {0},
    };
    int operand = options_parse(
        &(struct options){"upstream", "", "A remote service to wait for, in the protocol of Redis.",
                          rows, NULL},
        argc, argv);
    if (operand < argc)
        die("'%s' is not an option (see --help)", argv[operand]);
    if (!behaviour_is_possible(behaviour))
        die("--fail and --drop together are over 100 %%");
    behaviour_seed(behaviour, seed);
    upstream->listener_fd = net_listen(host, &port, 4096);
    upstream->reserve = net_reserve();
}

static void say_ready(const struct upstream *upstream)
{
    struct net_address address = net_own_address(upstream->listener_fd);
    char text[NET_ADDRESS_TEXT];
    printf("ready upstream %s\n", net_address_text(text, &address));
    fflush(stdout);
}

static void run(struct upstream *upstream)
{
    upstream->ev = ev_loop_new(EVFLAG_NOENV);
    if (!upstream->ev)
        die("libev cannot make a loop here");
    ev_set_userdata(upstream->ev, upstream);
    timers_init(&upstream->timers);
    fcntl(upstream->listener_fd, F_SETFL, O_NONBLOCK);
    ev_io_init(&upstream->listener, on_connect, upstream->listener_fd, EV_READ);
    ev_io_init(&upstream->due, on_due, upstream->timers.fd, EV_READ);
    ev_signal_init(&upstream->terminate, on_terminate, SIGTERM);
    ev_signal_init(&upstream->interrupt, on_terminate, SIGINT);
    ev_io_start(upstream->ev, &upstream->listener);
    ev_io_start(upstream->ev, &upstream->due);
    ev_signal_start(upstream->ev, &upstream->terminate);
    ev_signal_start(upstream->ev, &upstream->interrupt);
    say_ready(upstream); /* a signal from now on is heard */
    ev_run(upstream->ev, 0);
}

/* Calls in progress end with their connections, as when Redis is told to end. */
static void tear_down(struct upstream *upstream)
{
    while (!LIST_EMPTY(&upstream->peers))
        close_peer(LIST_FIRST(&upstream->peers));
    store_free(&upstream->store);
    timers_free(&upstream->timers);
    ev_loop_destroy(upstream->ev);
    close(upstream->listener_fd);
}

static void report(const struct tally *tally)
{
    printf("{\"name\":\"upstream\",\"connections\":%lld,\"refused\":%lld,\"commands\":%lld,"
           "\"calls\":%lld,\"failed\":%lld,\"dropped\":%lld,\"published\":%lld,"
           "\"delivered\":%lld,\"slow\":%lld}\n",
           tally->connections, tally->refused, tally->commands, tally->calls, tally->failed,
           tally->dropped, tally->published, tally->delivered, tally->slow);
}

int main(int argc, char **argv)
{
    struct upstream upstream = {.peers = LIST_HEAD_INITIALIZER(upstream.peers),
                                .told = TAILQ_HEAD_INITIALIZER(upstream.told),
                                .outbox_limit = OUTBOX_LIMIT_DEFAULT};
    set_up(&upstream, argc, argv);
    run(&upstream);
    tear_down(&upstream);
    report(&upstream.tally);
    return 0;
}
