/* staged: a pipeline of stages (accept, parse, work, write), each with its own threads and a
 * bounded queue in front; a full queue holds up the stage before it, back to the socket.
 *
 * Who blocks:  a thread of the work stage, in computation and disk reads; and any thread whose next
 *              queue is full, until there is room. The loop never waits: it leaves unread what has
 *              no room, so that TCP's window closes and the peer waits too.
 * Strength:    a stage that is behind goes through its queue in one go, without sleeping, its code
 *              and data in the cache; each queue tells where the time goes; each stage has its own
 *              number of threads; nothing is shed and nothing grows without limit.
 * Weakness:    four hand-offs for each request, each with a lock and often a wake-up: much when
 *              the request is little; and no request is refused. What is held up waits in the sockets,
 *              where no queue counts it, a short request behind long ones.
 * Try it:      build/servers/staged --workers 1 --depth 2 --port 8080 &
 *              build/loadgen -c 16 -d 3s 'http://127.0.0.1:8080/work?cpu=hash:20ms' &
 *              curl 127.0.0.1:8080/             # late, but never 503
 *              The queues: --stats-file FILE; slots 1, 2, 3 are parse, work, write.
 *
 * Name:    staged
 * Ids:     A15
 * Family:  messages
 * Look:    #4D4D00 d
 * Read:    work, connections=accept_by_room, requests=parse
 * Blocks:  compute disk
 * Tasks:   0
 * Push:    a wake-up of the loop
 * Book:    a lock for each; or one lock, or a thread that owns them, no stage
 * Compute: --workers
 * Link:    -lev
 */
#include "common/base/queue.h"
#include "common/serve/loop.h"

#include <stdlib.h>

/* The loop's thread owns a task, except from stage_offer() until queue_poll() from `done`: then it
 * is a queue's, or that of the stage's thread that took it, until that thread gives it on. */
struct task {
    struct loop_peer peer; /* first: a peer of the loop is a task */
    struct queue_item item;
    bool away; /* the loop's: given to a stage, or held for one */
};

struct pipeline;

struct stage {
    struct pipeline *pipeline;
    void (*handle)(struct pipeline *, struct task *); /* ends by giving the task on */
    int threads;
    struct queue queue;
    pthread_mutex_t lock; /* taken before the queue's own; guards room and turned_away */
    pthread_cond_t room;
    bool turned_away;        /* the loop met a full queue and is to be told of room */
    struct queue_items held; /* the loop's: what it could not put, in order */
};

/* Threads block only on a stage after their own, and the last one on nothing: `done` holds whatever
 * the loop owns. So one of them can always go on. */
struct pipeline {
    struct stage parse, work, write;
    struct queue done; /* back to the loop, which waits for peers and time */
    struct loop loop;
    struct server server;
};

enum { TURN = 16 }; /* buffers moved for one peer before it is another's turn */

static struct task *task_of(struct queue_item *item)
{
    return item ? container_of(item, struct task, item) : NULL;
}

/* --- a stage's queue: backpressure ------------------------------------------------------------ */

/* Put a task, waiting for room. From here the stage owns it. */
static void stage_give(struct stage *stage, struct task *task)
{
    pthread_mutex_lock(&stage->lock);
    while (!queue_put(&stage->queue, &task->item))
        pthread_cond_wait(&stage->room, &stage->lock);
    pthread_mutex_unlock(&stage->lock);
}

/* The same for the loop, which must not wait: false when the queue is full. LOOP_WAKE will come
 * when it no longer is. */
static bool stage_offer(struct stage *stage, struct queue_item *item)
{
    pthread_mutex_lock(&stage->lock);
    bool put = queue_put(&stage->queue, item);
    stage->turned_away |= !put;
    pthread_mutex_unlock(&stage->lock);
    return put;
}

/* Take a task and pass the word that there is room. NULL: this thread is to leave. */
static struct task *stage_take(struct stage *stage)
{
    struct task *task = task_of(queue_take(&stage->queue));
    pthread_mutex_lock(&stage->lock);
    bool tell = stage->turned_away;
    stage->turned_away = false;
    pthread_mutex_unlock(&stage->lock);
    pthread_cond_signal(&stage->room);
    if (tell)
        loop_wake(&stage->pipeline->loop);
    return task;
}

static void give_back(struct pipeline *pipeline, struct task *task)
{
    queue_put(&pipeline->done, &task->item); /* the loop's again */
    loop_wake(&pipeline->loop);
}

/* --- what the stages do ----------------------------------------------------------------------- */

static void parse(struct pipeline *pipeline, struct task *task)
{
    struct conn *conn = &task->peer.conn;
    for (int turn = 0; turn < TURN && conn->want == WANT_READ; turn++)
        if (!conn_receive(conn, task->peer.io.fd))
            break;
    switch (conn->want) {
    case WANT_JOB: stage_give(&pipeline->work, task); break;
    case WANT_WRITE: stage_give(&pipeline->write, task); break; /* refused: nothing to work on */
    case WANT_READ:
    case WANT_CLOSE: give_back(pipeline, task); break;
    }
}

/* Time and descriptors are the loop's; the task comes here again when it is over. */
static void work(struct pipeline *pipeline, struct task *task)
{
    struct conn *conn = &task->peer.conn;
    enum wait wait = conn->job->started
                         ? job_resume(conn->job, 0)
                         : job_start(conn->job, WAIT_TIMER | WAIT_UPSTREAM | WAIT_NEWS);
    for (; wait == WAIT_NEWS; wait = job_resume(conn->job, 0))
        loop_wake(&pipeline->loop); /* the subscribers are the loop's */
    if (wait) {
        give_back(pipeline, task);
    } else {
        conn_job_done(conn);
        stage_give(&pipeline->write, task);
    }
}

static void transmit(struct pipeline *pipeline, struct task *task)
{
    struct conn *conn = &task->peer.conn;
    for (int turn = 0; turn < TURN && conn->want == WANT_WRITE; turn++)
        if (!conn_send(conn, task->peer.io.fd))
            break;
    give_back(pipeline, task);
}

static void *run_stage(void *argument)
{
    struct stage *stage = argument;
    struct task *task;
    while ((task = stage_take(stage)))
        stage->handle(stage->pipeline, task);
    return NULL;
}

/* --- the accept stage, and readiness and time for all others: the loop ------------------------ */

/* Take one newcomer in. False: no peer waits. */
static bool welcome(struct pipeline *pipeline)
{
    int fd = server_accept_ready(&pipeline->server);
    if (fd >= 0)
        loop_add(&pipeline->loop, must_calloc(1, sizeof(struct task)), fd);
    return fd >= 0;
}

/* While requests of those we have are held, the listener is not watched: peers wait in the kernel's
 * backlog. Only one comes in for each request that `went_in`, or they would wait for ever. */
static void accept_by_room(struct pipeline *pipeline, int went_in)
{
    bool room = TAILQ_EMPTY(&pipeline->parse.held);
    loop_accepting(&pipeline->loop, room);
    while (!room && went_in-- > 0 && welcome(pipeline)) {
    }
}

/* Offer what is held, as far as there is room. Returns how many went in. */
static int admit(struct stage *stage)
{
    struct queue_item *item;
    int went_in = 0;
    while ((item = TAILQ_FIRST(&stage->held))) {
        TAILQ_REMOVE(&stage->held, item, link); /* before the offer: then the link is the queue's */
        if (!stage_offer(stage, item)) {
            TAILQ_INSERT_HEAD(&stage->held, item, link);
            break;
        }
        went_in++;
    }
    return went_in;
}

/* Hand a task to a stage, or hold it until there is room: unwatched, hence unread. Tasks
 * that were held enter first, so that none is overtaken. */
static void enter(struct stage *stage, struct loop_peer *peer)
{
    struct task *task = container_of(peer, struct task, peer);
    loop_watch(peer, 0);
    task->away = true;
    TAILQ_INSERT_TAIL(&stage->held, &task->item, link);
    int went_in = admit(stage);
    if (stage == &stage->pipeline->parse)
        accept_by_room(stage->pipeline, went_in);
}

static void drop(struct loop_peer *peer)
{
    loop_remove(peer);
    free(peer);
}

/* A task came back: have what it needs waited for. */
static void await_next(struct pipeline *pipeline, struct loop_peer *peer)
{
    if (peer->conn.want == WANT_JOB && !peer->conn.job->started)
        enter(&pipeline->work, peer); /* a pipelined request: conn_sent() has parsed it */
    else if (!loop_await(peer))
        drop(peer);
}

/* Something came back, or a queue has room again. */
static void collect(struct pipeline *pipeline)
{
    struct task *task;
    while ((task = task_of(queue_poll(&pipeline->done)))) {
        task->away = false;
        await_next(pipeline, &task->peer);
    }
    admit(&pipeline->write); /* the last first: what leaves makes room */
    admit(&pipeline->work);
    accept_by_room(pipeline, admit(&pipeline->parse));
}

/* What was published goes out from here: it is no request, and would only queue behind them. A task that
 * is in a stage is not the loop's; when it comes back, loop_await() sees what is in its outbox. */
static void push(struct loop_peer *peer)
{
    if (!container_of(peer, struct task, peer)->away && !loop_push(peer))
        drop(peer);
}

static void run(struct pipeline *pipeline)
{
    struct loop_peer *peer;
    for (;;) {
        switch (loop_wait(&pipeline->loop, &peer)) {
        case LOOP_ACCEPT:
            while (welcome(pipeline)) {
            }
            break;
        case LOOP_READY:
            enter(peer->conn.want == WANT_WRITE ? &pipeline->write : &pipeline->parse, peer);
            break;
        case LOOP_DUE: enter(&pipeline->work, peer); break;
        case LOOP_WAKE: collect(pipeline); break;
        case LOOP_NEWS: push(peer); break;
        case LOOP_EXPIRED: drop(peer); break;
        case LOOP_STOPPED: return;
        case LOOP_TICK:
        case LOOP_NOTHING: break;
        }
    }
}

static void stage_open(struct stage *stage, struct pipeline *pipeline, int depth)
{
    struct counter_slot *counters = counters_claim(pipeline->server.service.counters);
    stage->pipeline = pipeline;
    pthread_mutex_init(&stage->lock, NULL);
    pthread_cond_init(&stage->room, NULL);
    TAILQ_INIT(&stage->held);
    queue_init(&stage->queue, depth, counters);
    for (int i = 0; i < stage->threads; i++)
        server_start_worker(&pipeline->server, run_stage, stage);
}

int main(int argc, char **argv)
{
    int depth = 128, book = MARKET_SHARD;
    struct pipeline pipeline = {.parse = {.handle = parse, .threads = 1},
                                .work = {.handle = work},
                                .write = {.handle = transmit, .threads = 1}};
    const struct option_row knobs[] = {
        {"depth", 0, OPTION_INT, &depth, "N", "requests that may wait in front of each stage", 1,
         1e6},
        {"book", 0, OPTION_CHOICE, &book, MARKET_SYNCS,
         "how threads of the work stage share the order books", 0, 0},
        {"parsers", 0, OPTION_INT, &pipeline.parse.threads, "N", "threads that parse", 1, 1000},
        {"writers", 0, OPTION_INT, &pipeline.write.threads, "N", "threads that write", 1, 1000},
        {0},
    };

    server_setup(&pipeline.server, argc, argv, knobs);
    pipeline.work.threads = pipeline.server.workers;
    server_books(&pipeline.server, (enum market_sync)book);
    server_push(&pipeline.server);
    queue_init(&pipeline.done, 0, NULL);
    loop_init(&pipeline.loop, &pipeline.server, 0);
    stage_open(&pipeline.parse, &pipeline, depth);
    stage_open(&pipeline.work, &pipeline, depth);
    stage_open(&pipeline.write, &pipeline, depth);
    server_ready(&pipeline.server);
    run(&pipeline);
    queue_dismiss(&pipeline.parse.queue, pipeline.parse.threads);
    queue_dismiss(&pipeline.work.queue, pipeline.work.threads);
    queue_dismiss(&pipeline.write.queue, pipeline.write.threads);
    server_await_threads(&pipeline.server);
    exit(server_finish(&pipeline.server)); /* no return: threads are detached, and use pipeline */
}
