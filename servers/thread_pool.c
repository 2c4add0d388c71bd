/* thread_pool: a fixed pool of workers, each doing one request at a time with all its waits, behind
 * a bounded queue that serves the first come or the shortest job first.
 *
 * Who blocks:  workers, in everything a request asks for: computation, timers, disk reads. The
 *              watcher, which takes requests in, never waits for a job.
 * Strength:    direct style as in `threads`, but the number of threads, and so of stacks and of
 *              requests that compete for the cores, is bounded; what is too much is shed.
 * Weakness:    W workers that wait D for each request answer W / D of them per second, whatever the
 *              cores do meanwhile. One queue for all: a short request is behind long ones
 *              (fifo), or long ones starve while short ones keep coming (sjf).
 * Try it:      build/servers/thread_pool --workers 10 --port 8080 &
 *              build/loadgen -c 50 -d 5s 'http://127.0.0.1:8080/work?io=timer:50ms'   # 200/s
 *              then with --workers 2, once with --policy fifo, once with sjf:
 *              build/loadgen -r 80% --workload workloads/bimodal.ini http://127.0.0.1:8080/
 *              The mean wait (queue_wait_us / dequeued in /metrics) falls; class `slow` pays.
 *
 * The naive form gives a worker to a connection, from accept to close. Then W silent peers stop the
 * server: an idle connection holds its worker for as long as keep-alive allows. Here a connection
 * between two requests costs memory only. The watcher also takes the request in, since a request
 * that drips in is silence too, a full queue must answer 503 at once, and the shortest job is known
 * only when it is parsed. In `hybrid` a worker gets only the computation of a request; here it gets
 * the whole, trivial or not, and sleeps in its timers.
 *
 * That is the form of Apache Tomcat's connector, and its default is ours: 200 workers (maxThreads).
 *
 * Name:    thread_pool
 * Ids:     A4 A12
 * Family:  threads
 * Look:    #B85400 v
 * Read:    work, connections=welcome, requests=admit
 * Blocks:  compute timer upstream disk
 * Tasks:   0
 * Push:    no
 * Book:    a lock for each; or one lock, or a thread that owns them
 * Compute: --workers=200
 * Link:    -lev
 */
#include "common/base/queue.h"
#include "common/serve/loop.h"
#include "common/work/counting.h"

#include <stdlib.h>

/* A connection. The watcher owns it, except from queue_put_ranked() on `todo` until queue_poll() from
 * `done`: then it is the queue's, or that of the worker that took it. */
struct task {
    struct loop_peer peer; /* first: a peer of the watcher is a task */
    struct queue_item item;
};

enum policy { POLICY_FIFO, POLICY_SJF };

struct thread_pool {
    struct queue todo; /* requests, each with its connection */
    struct queue done; /* replies sent, or as much of them as the socket took */
    struct loop watcher;
    struct server server;
    int workers;
    enum policy policy;
};

static struct task *task_of(struct queue_item *item)
{
    return item ? container_of(item, struct task, item) : NULL;
}

/* --- workers ----------------------------------------------------------------------------------- */

/* A whole request, every wait on this thread; only a peer that does not read is left to the watcher:
 * it could hold the worker for ever. */
static void perform(struct loop_peer *peer, struct counter_slot *counters)
{
    peer->conn.counters = counters; /* this thread's, as the connection is */
    job_start(peer->conn.job, WAIT_NONE);
    conn_job_done(&peer->conn);
    while (peer->conn.want == WANT_WRITE && conn_send(&peer->conn, peer->io.fd)) {
    }
}

static void *work(void *argument)
{
    struct thread_pool *pool = argument;
    struct counter_slot *counters = counting_slot(pool->server.service.counting);
    struct task *task;

    while ((task = task_of(queue_take(&pool->todo)))) {
        perform(&task->peer, counters);
        queue_put(&pool->done, &task->item); /* the watcher's again */
        loop_wake(&pool->watcher);
    }
    return NULL;
}

/* --- the watcher ------------------------------------------------------------------------------- */

static void welcome(struct thread_pool *pool)
{
    int fd;
    while ((fd = server_accept_ready(&pool->server)) >= 0)
        loop_add(&pool->watcher, must_calloc(1, sizeof(struct task)), fd);
}

static void drop(struct loop_peer *peer)
{
    loop_remove(peer);
    free(peer);
}

/* Shortest job first ranks a request by how long it will hold its worker, as far as it tells: waits
 * count as much as work. */
static int64_t rank(enum policy policy, const struct program *program)
{
    int64_t sum_ns = 0;
    if (policy == POLICY_SJF)
        for (int i = 0; i < program->steps; i++)
            sum_ns += program->step[i].amount_ns;
    return sum_ns;
}

/* True: the request is in the queue, and with it the connection. False: the queue is full; the
 * reply that says so is to be sent. */
static bool admit(struct thread_pool *pool, struct loop_peer *peer)
{
    loop_watch(peer, 0);
    if (queue_put_ranked(&pool->todo, &container_of(peer, struct task, peer)->item,
                         rank(pool->policy, &peer->conn.job->program)))
        return true; /* from the put on the workers own it */
    job_shed(peer->conn.job);
    conn_job_done(&peer->conn);
    return false;
}

/* Have what the connection wants waited for. Replies that need no worker go out here: refusals, and
 * the rest of one that a slow peer did not take. */
static void drive(struct thread_pool *pool, struct loop_peer *peer)
{
    for (;;) {
        switch (peer->conn.want) {
        case WANT_READ: loop_watch(peer, EV_READ); return;
        case WANT_JOB:
            if (admit(pool, peer))
                return;
            break;
        case WANT_WRITE:
            if (conn_send(&peer->conn, peer->io.fd))
                break;
            loop_watch(peer, EV_WRITE);
            return;
        case WANT_CLOSE: drop(peer); return;
        }
    }
}

/* The descriptor is ready. One receive at a time, so that one busy peer cannot hold the watcher. */
static void advance(struct thread_pool *pool, struct loop_peer *peer)
{
    if (peer->conn.want != WANT_READ || conn_receive(&peer->conn, peer->io.fd))
        drive(pool, peer);
}

static void collect(struct thread_pool *pool)
{
    struct task *task;
    while ((task = task_of(queue_poll(&pool->done))))
        drive(pool, &task->peer);
}

static void run(struct thread_pool *pool)
{
    struct loop_peer *peer;
    for (;;) {
        switch (loop_wait(&pool->watcher, &peer)) {
        case LOOP_ACCEPT: welcome(pool); break;
        case LOOP_READY: advance(pool, peer); break;
        case LOOP_WAKE: collect(pool); break;
        case LOOP_EXPIRED: drop(peer); break;
        case LOOP_STOPPED: return;
        case LOOP_DUE:
        case LOOP_NEWS:
        case LOOP_TICK:
        case LOOP_NOTHING: break;
        }
    }
}

int main(int argc, char **argv)
{
    int queue_limit = 1024, policy = POLICY_FIFO, mode = COUNTING_TSS, book = MARKET_SHARD;
    struct thread_pool pool = {.workers = 200};
    const struct option_row knobs[] = {
        {"workers", 'w', OPTION_INT, &pool.workers, "N", "threads, and so requests at a time", 1,
         32000},
        {"queue", 'q', OPTION_INT, &queue_limit, "N", "requests that may wait; beyond: 503", 1,
         1e6},
        {"policy", 0, OPTION_CHOICE, &policy, "fifo|sjf", "who is served next", 0, 0},
        {"book", 0, OPTION_CHOICE, &book, MARKET_SYNCS, "how threads share the order books", 0, 0},
        {"counters", 0, OPTION_CHOICE, &mode, COUNTING_MODES, "how threads share what they count",
         0, 0},
        {0},
    };

    server_setup(&pool.server, argc, argv, knobs);
    pool.server.service.counting =
        counting_new(pool.server.service.counters, (enum counting_mode)mode);
    server_books(&pool.server, (enum market_sync)book);
    pool.policy = (enum policy)policy;
    queue_init(&pool.todo, queue_limit, pool.server.counters);
    queue_init(&pool.done, 0, NULL);
    loop_init(&pool.watcher, &pool.server, 0);
    for (int i = 0; i < pool.workers; i++)
        server_start_worker(&pool.server, work, &pool);
    server_ready(&pool.server);
    run(&pool);
    queue_dismiss(&pool.todo, pool.workers);
    server_await_threads(&pool.server);
    loop_free(&pool.watcher);
    exit(server_finish(&pool.server)); /* no return: workers are detached, and pool is here */
}
