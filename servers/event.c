/* event: one thread, one loop, a handler for each ready descriptor (on select, poll or epoll).
 *
 * Who blocks:  nothing waits for a peer or a timer; but a computation or a disk read in a handler
 *              stops every connection until it is over.
 * Strength:    a connection costs one small struct, no stack; no locks; few context switches.
 * Weakness:    one core, whatever the machine has; control flow cut into handlers.
 * Try it:      build/servers/event --multiplexer epoll --port 8080 &
 *              curl '127.0.0.1:8080/work?cpu=hash:2s' &
 *              time curl 127.0.0.1:8080/        # waits for the other
 *
 * Name:    event
 * Ids:     A5 A5s A5p A5e
 * Family:  event loops
 * Look:    #0072B2 o
 * Read:    drive, connections=welcome, requests=run
 * Blocks:  compute disk
 * Tasks:   0
 * Push:    the loop itself
 * Book:    owned by the loop
 * Compute: 1
 * Link:    -lev
 */
#include "common/serve/loop.h"

#include <stdlib.h>

static void welcome(struct loop *loop)
{
    int fd;
    while ((fd = server_accept_ready(loop->server)) >= 0)
        loop_add(loop, must_calloc(1, sizeof(struct loop_peer)), fd);
}

static void drop(struct loop_peer *peer)
{
    loop_remove(peer);
    free(peer);
}

/* Go on with a connection until it would block, then watch for what it needs. Only timers and
 * descriptors are waited for by the loop. A computation is not: it happens inside conn_pump, on
 * this thread, and every other connection stands still until it is over. */
static void drive(struct loop_peer *peer)
{
    conn_pump(&peer->conn, peer->io.fd, WAIT_TIMER | WAIT_UPSTREAM);
    if (!loop_await(peer))
        drop(peer);
}

static void resume(struct loop_peer *peer)
{
    job_resume(peer->conn.job, 0);
    drive(peer);
}

/* The subscriber may be any connection of this loop, the publisher too; no other thread is concerned. */
static void push(struct loop_peer *peer)
{
    if (!loop_push(peer))
        drop(peer);
}

/* The dispatcher. */
static void run(struct loop *loop)
{
    struct loop_peer *peer;
    for (;;) {
        switch (loop_wait(loop, &peer)) {
        case LOOP_ACCEPT: welcome(loop); break;
        case LOOP_READY: drive(peer); break;
        case LOOP_DUE: resume(peer); break;
        case LOOP_NEWS: push(peer); break;
        case LOOP_EXPIRED: drop(peer); break;
        case LOOP_STOPPED: return;
        case LOOP_WAKE:
        case LOOP_TICK:
        case LOOP_NOTHING: break;
        }
    }
}

int main(int argc, char **argv)
{
    static const unsigned multiplexers[] = {EVBACKEND_SELECT, EVBACKEND_POLL, EVBACKEND_EPOLL};
    int multiplexer = 2;
    const struct option_row knobs[] = {
        {"multiplexer", 'm', OPTION_CHOICE, &multiplexer, "select|poll|epoll",
         "how readiness is found", 0, 0},
        {0},
    };
    struct server server;
    struct loop loop;

    server_setup(&server, argc, argv, knobs);
    server_books(&server, MARKET_ALONE);
    server_push(&server);
    loop_init(&loop, &server, multiplexers[multiplexer]);
    server_ready(&server);
    run(&loop);
    loop_free(&loop);
    return server_finish(&server);
}
