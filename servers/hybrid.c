/* hybrid: an event loop for all I/O and timers, a pool of workers for computation, a bounded queue
 * between them (Half-Sync/Half-Async).
 *
 * Who blocks:  only workers, in computation and disk reads. The loop never waits for a job.
 * Strength:    connections are as cheap as in `event`, computation uses every core; and because
 *              workers run at lower priority, short requests stay short while long ones wait in a
 *              queue that one can see.
 * Weakness:    two hand-offs (queue, wake-up) for each computing request; a queue to size and shed.
 * Try it:      build/servers/hybrid --max-workers 2 --port 8080 &
 *              curl '127.0.0.1:8080/work?cpu=hash:2s' &
 *              time curl 127.0.0.1:8080/        # answers at once
 *
 * Name:    hybrid
 * Ids:     A7 A9
 * Family:  loop and workers
 * Look:    #009E73 D
 * Read:    route, computing=work, connections=welcome, surge=scale
 * Blocks:  nothing
 * Tasks:   0
 * Push:    the loop itself
 * Book:    owned by the loop; workers only compute
 * Compute: --max-workers
 * Link:    -lev
 */
#include "common/base/queue.h"
#include "common/serve/loop.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

/* The loop's thread owns a task, except from queue_put on `todo` until queue_poll from `done`:
 * then it is the queue's, or that of the worker that took it. */
struct task {
    struct loop_peer peer; /* first: a peer of the loop is a task */
    struct queue_item item;
};

enum priority { PRIORITY_EQUAL, PRIORITY_LOW, PRIORITY_IDLE };

struct hybrid {
    struct queue todo; /* the queueing layer: bounded this way ... */
    struct queue done; /* ... so that the way back never holds more */
    struct loop loop;  /* the asynchronous layer */
    struct server server;
    int workers;    /* the synchronous layer, less those told to leave; kept by the loop's thread */
    int calm_ticks; /* in a row without a wait worth mentioning */
    int min_workers, max_workers;
    enum priority priority; /* of the workers, below that of the loop */
    int64_t grow_wait_ns;
};

enum { CALM_TICKS_TO_SHRINK = 20 };
#define TICK_SECONDS 0.05

/* --- the synchronous layer: workers ---------------------------------------------------------- */

static struct task *task_of(struct queue_item *item)
{
    return item ? container_of(item, struct task, item) : NULL;
}

/* Yield to the loop. A low priority is not enough to keep short requests short: the scheduler lets
 * a computation finish its slice before the loop it woke may run. An idle one it stops at once.
 * Measured with 30 % of the requests computing for 2 ms on 2 cores: p99 of the others 1.7 to 2.4 ms
 * with nice 19, 0.11 to 0.23 ms with SCHED_IDLE, and the computations no slower. The price: where
 * others keep the machine busy, idle workers starve. */
static void step_back(enum priority priority)
{
    switch (priority) {
    case PRIORITY_EQUAL: break;
    case PRIORITY_LOW: setpriority(PRIO_PROCESS, (id_t)gettid(), 19); break;
    case PRIORITY_IDLE: sched_setscheduler(0, SCHED_IDLE, &(struct sched_param){0}); break;
    }
}

static void *work(void *argument)
{
    struct hybrid *hybrid = argument;
    struct task *task;

    step_back(hybrid->priority);
    while ((task = task_of(queue_take(&hybrid->todo)))) {
        job_block(task->peer.conn.job);
        queue_put(&hybrid->done, &task->item); /* the loop's again */
        loop_wake(&hybrid->loop);
    }
    return NULL;
}

/* False: the system has no room for another thread now. */
static bool spawn(struct hybrid *hybrid)
{
    if (!server_start_thread(&hybrid->server, work, hybrid))
        return false;
    hybrid->workers++;
    count_add(hybrid->server.counters, COUNTER_workers, 1);
    return true;
}

static void dismiss(struct hybrid *hybrid, int workers)
{
    queue_dismiss(&hybrid->todo, workers);
    hybrid->workers -= workers;
    count_add(hybrid->server.counters, COUNTER_workers, -workers);
}

/* Follow the load: another worker whenever a job waited too long, one fewer after a calm while. */
static void scale(struct hybrid *hybrid)
{
    bool calm = queue_wait_ns(&hybrid->todo) <= hybrid->grow_wait_ns;
    hybrid->calm_ticks = calm ? hybrid->calm_ticks + 1 : 0;
    if (!calm && hybrid->workers < hybrid->max_workers)
        spawn(hybrid); /* in vain: again at the next tick */
    if (hybrid->calm_ticks >= CALM_TICKS_TO_SHRINK && hybrid->workers > hybrid->min_workers) {
        dismiss(hybrid, 1);
        hybrid->calm_ticks = 0;
    }
}

/* --- the asynchronous layer: the loop -------------------------------------------------------- */

static void welcome(struct hybrid *hybrid)
{
    int fd;
    while ((fd = server_accept_ready(&hybrid->server)) >= 0)
        loop_add(&hybrid->loop, must_calloc(1, sizeof(struct task)), fd);
}

static void drop(struct loop_peer *peer)
{
    loop_remove(peer);
    free(peer);
}

/* Request routing by operation type: time and descriptors are waited for by the loop, all else goes
 * to the workers.
 * False: the queue is full and the request was shed; its reply can go out at once. */
static bool route(struct hybrid *hybrid, struct loop_peer *peer)
{
    loop_watch(peer, 0);
    if (peer->conn.job->pending & (WAIT_TIMER | WAIT_UPSTREAM)) {
        loop_await(peer);
        return true;
    }
    if (queue_put(&hybrid->todo, &container_of(peer, struct task, peer)->item))
        return true; /* from the put on the workers own it */
    job_shed(peer->conn.job);
    return false;
}

/* Go on with a connection until it would block, then have what it needs waited for. Steps on order books are
 * not handed back: they take less time than a hand-over, and only this thread ever performs one. */
static void drive(struct hybrid *hybrid, struct loop_peer *peer)
{
    const unsigned async = WAIT_TIMER | WAIT_UPSTREAM | WAIT_COMPUTE | WAIT_DISK;
    enum want want;
    do
        want = conn_pump(&peer->conn, peer->io.fd, async);
    while (want == WANT_JOB && !route(hybrid, peer));
    if (want != WANT_JOB && !loop_await(peer))
        drop(peer);
}

static void resume(struct hybrid *hybrid, struct loop_peer *peer)
{
    job_resume(peer->conn.job, 0);
    drive(hybrid, peer);
}

static void collect(struct hybrid *hybrid)
{
    struct task *task;
    while ((task = task_of(queue_poll(&hybrid->done))))
        resume(hybrid, &task->peer);
}

/* Publishing is no computation, so the loop does it: whoever publishes and whoever is pushed to are its own.
 * A subscriber's job may be at a worker meanwhile; its socket is the loop's all the same. */
static void push(struct loop_peer *peer)
{
    if (!loop_push(peer))
        drop(peer);
}

static void run(struct hybrid *hybrid)
{
    struct loop_peer *peer;
    for (;;) {
        switch (loop_wait(&hybrid->loop, &peer)) {
        case LOOP_ACCEPT: welcome(hybrid); break;
        case LOOP_READY: drive(hybrid, peer); break;
        case LOOP_DUE: resume(hybrid, peer); break;
        case LOOP_WAKE: collect(hybrid); break;
        case LOOP_TICK: scale(hybrid); break;
        case LOOP_NEWS: push(peer); break;
        case LOOP_EXPIRED: drop(peer); break;
        case LOOP_STOPPED: return;
        case LOOP_NOTHING: break;
        }
    }
}

int main(int argc, char **argv)
{
    int queue_limit = 128, priority = PRIORITY_IDLE;
    struct hybrid hybrid = {
        .min_workers = 1, .max_workers = usable_cores(), .grow_wait_ns = 2 * NSEC_PER_MSEC};
    const struct option_row knobs[] = {
        {"queue", 'q', OPTION_INT, &queue_limit, "N", "jobs that may wait; beyond: 503", 1, 1e6},
        {"min-workers", 0, OPTION_INT, &hybrid.min_workers, "N", "workers that stay", 1, 1000},
        {"max-workers", 0, OPTION_INT, &hybrid.max_workers, "N", "workers at most", 1, 1000},
        {"grow-wait", 0, OPTION_DURATION, &hybrid.grow_wait_ns, "TIME",
         "a job that waited longer calls for a worker", 0, 0},
        {"priority", 0, OPTION_CHOICE, &priority, "equal|low|idle", "of the workers", 0, 0},
        {0},
    };

    server_setup(&hybrid.server, argc, argv, knobs);
    if (hybrid.max_workers < hybrid.min_workers)
        die("--max-workers is below --min-workers");
    hybrid.priority = (enum priority)priority;
    queue_init(&hybrid.todo, queue_limit, hybrid.server.counters);
    queue_init(&hybrid.done, 0, NULL);
    server_books(&hybrid.server, MARKET_ALONE);
    server_push(&hybrid.server);
    loop_init(&hybrid.loop, &hybrid.server, 0);
    loop_tick(&hybrid.loop, TICK_SECONDS);
    while (hybrid.workers < hybrid.min_workers)
        if (!spawn(&hybrid))
            die("the system has no room for so many threads");
    server_ready(&hybrid.server);
    run(&hybrid);
    dismiss(&hybrid, hybrid.workers);
    server_await_threads(&hybrid.server);
    exit(server_finish(&hybrid.server)); /* no return: workers are detached, and use hybrid */
}
