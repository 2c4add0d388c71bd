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
 * Family:  hybrid
 * Blocks:  nothing
 * Tasks:   0
 * Compute: --max-workers
 * Link:    -lev
 */
#include "common/loop.h"
#include "common/queue.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

/* The loop's thread owns a task, except from queue_put on `todo` until queue_poll from `done`:
 * then it is the queue's, or that of the worker who took it. */
struct task {
    struct peer peer; /* first: a peer of the loop is a task */
    struct queue_item item;
};

enum priority { PRIORITY_EQUAL, PRIORITY_LOW, PRIORITY_IDLE };

struct pool {
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
    return item ? (struct task *)((char *)item - offsetof(struct task, item)) : NULL;
}

/* Yield to the loop. A low priority is not enough to keep short requests short: the scheduler lets
 * a computation finish its slice before the loop it woke may run. An idle one it stops at once. */
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
    struct pool *pool = argument;
    struct task *task;

    step_back(pool->priority);
    while ((task = task_of(queue_take(&pool->todo)))) {
        job_block(&task->peer.conn.job);
        queue_put(&pool->done, &task->item); /* the loop's again */
        loop_wake(&pool->loop);
    }
    return NULL;
}

static void hire(struct pool *pool)
{
    if (!server_start_thread(&pool->server, work, pool))
        return; /* again at the next tick */
    pool->workers++;
    count_add(pool->server.counters, COUNTER_workers, 1);
}

static void dismiss(struct pool *pool, int workers)
{
    queue_dismiss(&pool->todo, workers);
    pool->workers -= workers;
    count_add(pool->server.counters, COUNTER_workers, -workers);
}

/* Follow the load: another worker whenever a job waited too long, one fewer after a calm while. */
static void scale(struct pool *pool)
{
    bool calm = queue_wait_ns(&pool->todo) <= pool->grow_wait_ns;
    pool->calm_ticks = calm ? pool->calm_ticks + 1 : 0;
    if (!calm && pool->workers < pool->max_workers)
        hire(pool);
    if (pool->calm_ticks >= CALM_TICKS_TO_SHRINK && pool->workers > pool->min_workers) {
        dismiss(pool, 1);
        pool->calm_ticks = 0;
    }
}

/* --- the asynchronous layer: the loop -------------------------------------------------------- */

static void welcome(struct pool *pool)
{
    int fd;
    while ((fd = server_accept_ready(&pool->server)) >= 0)
        loop_add(&pool->loop, must_calloc(1, sizeof(struct task)), fd);
}

static void drop(struct peer *peer)
{
    loop_remove(peer);
    free(peer);
}

/* Request routing by operation type: time and descriptors are waited for by the loop, all else goes
 * to the workers.
 * False: the queue is full and the request was shed; its reply can go out at once. */
static bool route(struct pool *pool, struct peer *peer)
{
    loop_watch(peer, 0);
    if (peer->conn.job.pending & (WAIT_TIMER | WAIT_FD)) {
        loop_await(peer);
        return true;
    }
    if (queue_put(&pool->todo, &((struct task *)peer)->item)) /* from here the workers own it */
        return true;
    job_shed(&peer->conn.job);
    return false;
}

/* Go on with a connection until it would block, then have what it needs waited for. */
static void drive(struct pool *pool, struct peer *peer)
{
    const unsigned async = WAIT_TIMER | WAIT_FD | WAIT_COMPUTE | WAIT_DISK;
    enum want want;
    do
        want = conn_pump(&peer->conn, peer->io.fd, async);
    while (want == WANT_JOB && !route(pool, peer));

    switch (want) {
    case WANT_SHUTDOWN:
    case WANT_READ: loop_watch(peer, EV_READ); break;
    case WANT_WRITE: loop_watch(peer, EV_WRITE); break;
    case WANT_JOB: break;
    case WANT_CLOSE: drop(peer); break;
    }
}

static void resume(struct pool *pool, struct peer *peer)
{
    job_resume(&peer->conn.job, 0);
    drive(pool, peer);
}

static void collect(struct pool *pool)
{
    struct task *task;
    while ((task = task_of(queue_poll(&pool->done))))
        resume(pool, &task->peer);
}

static void expire(struct peer *peer)
{
    conn_end(&peer->conn);
    drop(peer);
}

static void run(struct pool *pool)
{
    struct peer *peer;
    for (;;) {
        switch (loop_wait(&pool->loop, &peer)) {
        case LOOP_ACCEPT: welcome(pool); break;
        case LOOP_READY: drive(pool, peer); break;
        case LOOP_DUE: resume(pool, peer); break;
        case LOOP_WAKE: collect(pool); break;
        case LOOP_TICK: scale(pool); break;
        case LOOP_EXPIRED: expire(peer); break;
        case LOOP_STOPPED: return;
        case LOOP_NOTHING: break;
        }
    }
}

int main(int argc, char **argv)
{
    int queue_limit = 128, priority = PRIORITY_IDLE;
    struct pool pool = {
        .min_workers = 1, .max_workers = usable_cores(), .grow_wait_ns = 2 * NSEC_PER_MSEC};
    const struct option_row knobs[] = {
        {"queue", 'q', OPTION_INT, &queue_limit, "N", "jobs that may wait; beyond: 503", 1, 1e6},
        {"min-workers", 0, OPTION_INT, &pool.min_workers, "N", "workers that stay", 1, 1000},
        {"max-workers", 0, OPTION_INT, &pool.max_workers, "N", "workers at most", 1, 1000},
        {"grow-wait", 0, OPTION_DURATION, &pool.grow_wait_ns, "TIME",
         "a job that waited longer calls for a worker", 0, 0},
        {"priority", 0, OPTION_CHOICE, &priority, "equal|low|idle", "of the workers", 0, 0},
        {0},
    };

    server_setup(&pool.server, argc, argv, knobs);
    if (pool.max_workers < pool.min_workers)
        die("--max-workers is below --min-workers");
    pool.priority = (enum priority)priority;
    queue_init(&pool.todo, queue_limit, pool.server.counters);
    queue_init(&pool.done, 0, NULL);
    loop_init(&pool.loop, &pool.server, 0);
    loop_tick(&pool.loop, TICK_SECONDS);
    while (pool.workers < pool.min_workers)
        hire(&pool);
    server_ready(&pool.server);
    run(&pool);
    dismiss(&pool, pool.workers);
    server_await_threads(&pool.server);
    exit(server_finish(&pool.server)); /* no return: workers are detached, and pool stands here */
}
