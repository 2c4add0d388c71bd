/* active_object: an event loop that invokes computation on a proxy; objects with a thread of their
 * own run it when they can, and a future brings the result back (Active Object).
 *
 * Who blocks:  only the schedulers' threads, in computation and disk reads. The loop never waits
 *              for a result.
 * Strength:    invocation is decoupled from execution: calls to an object come from anywhere and
 *              run one at a time, so that what is its own needs no lock; no list is shared; guards
 *              let a request that can run pass those that cannot.
 * Weakness:    a request is bound to its object when it is invoked: behind a long one it waits
 *              though another object has become idle meanwhile. (In `hybrid` all wait in one queue,
 *              and whichever of its anonymous workers is free takes the first.)
 * Try it:      build/servers/active_object --workers 2 --cores 1 --port 8080 &
 *              build/loadgen -c 8 -d 5s 'http://127.0.0.1:8080/work?cpu=hash:5ms' &
 *              curl -s 127.0.0.1:8080/metrics | grep queue  # two objects take turns on one core
 *
 * Name:    active_object
 * Ids:     A11
 * Family:  loop and workers
 * Look:    #004D38 >
 * Read:    proxy_invoke, waiting=start_wait, connections=welcome, requests=schedule
 * Blocks:  nothing
 * Tasks:   0
 * Push:    the loop itself
 * Book:    owned by an object of their own; or a lock for each, or one lock
 * Compute: --cores
 * Link:    -lev
 */
#include "common/base/queue.h"
#include "common/serve/loop.h"

#include <stdlib.h>

/* Stands for a result that the client may not have yet; the result itself is in the job. */
struct future {
    struct queue_item item;
};

/* An invocation made into a thing that can wait. */
struct method_request {
    TAILQ_ENTRY(method_request) link;
    struct job *job;
    atomic_int *resource; /* how much is free of what it needs while it runs */
    struct future *future;
    int64_t since_ns; /* when it was invoked */
};

/* The loop's thread owns a client, except while a request of it is invoked and its future not
 * completed: then it is the active object's. */
struct client {
    struct loop_peer peer; /* first: a peer of the loop is a client */
    struct method_request request;
    struct future future;
};

struct activation_list {
    pthread_mutex_t lock;   /* guards all below */
    pthread_cond_t changed; /* a request came, a guard may hold now, or an end is near */
    TAILQ_HEAD(method_requests, method_request) requests;
    int count, limit;
    bool closed; /* the scheduler is to leave */
    struct counter_slot *counters;
};

struct active_object {
    struct activation_list list;
    atomic_int unfinished; /* requests on the list, and the one under way */
    struct ensemble *ensemble;
};

/* All objects, and their client. */
struct ensemble {
    struct active_object *object; /* [server.workers], and one that owns the order books */
    bool owns_books;              /* the last one does, and has been started */
    enum market_sync book;   /* MARKET_OWNER, or by which lock any object performs their steps */
    atomic_int cores, reads; /* free ones; all objects draw on them */
    atomic_int books;        /* never used up: a trade waits for no core */
    struct queue completed;  /* futures whose result is there */
    struct loop loop;        /* the client's thread */
    struct server server;
};

/* --- guards ---------------------------------------------------------------------------------- */

/* The guard: may it run now? Then the resource is taken, for to look and to take later would let
 * two schedulers see the same last one. */
static bool can_run(struct method_request *request)
{
    int available = atomic_load(request->resource);
    while (available > 0)
        if (atomic_compare_exchange_weak(request->resource, &available, available - 1))
            return true;
    return false;
}

/* Whoever found no request that can run looks again. Its look and its sleep are one step under
 * its list's lock, so this comes before the look, which then succeeds, or wakes the sleeper. */
static void release(struct ensemble *ensemble, atomic_int *resource)
{
    atomic_fetch_add(resource, 1);
    for (int i = 0; i < ensemble->server.workers + 1; i++) {
        struct activation_list *list = &ensemble->object[i].list;
        pthread_mutex_lock(&list->lock);
        if (list->count)
            pthread_cond_signal(&list->changed);
        pthread_mutex_unlock(&list->lock);
    }
}

/* --- the activation list --------------------------------------------------------------------- */

static void list_init(struct activation_list *list, int limit, struct counter_slot *counters)
{
    *list = (struct activation_list){.lock = PTHREAD_MUTEX_INITIALIZER,
                                     .changed = PTHREAD_COND_INITIALIZER,
                                     .limit = limit,
                                     .counters = counters};
    TAILQ_INIT(&list->requests);
}

/* False: the list is full. */
static bool list_insert(struct activation_list *list, struct method_request *request)
{
    request->since_ns = now_ns();
    pthread_mutex_lock(&list->lock);
    bool room = list->count < list->limit;
    if (room) {
        TAILQ_INSERT_TAIL(&list->requests, request, link);
        list->count++;
        count_add(list->counters, COUNTER_queued, 1);
    }
    pthread_mutex_unlock(&list->lock);
    if (room)
        pthread_cond_signal(&list->changed);
    return room;
}

/* Under the lock: take out the first request whose guard holds; NULL when there is none. */
static struct method_request *list_remove(struct activation_list *list)
{
    struct method_request *request;
    TAILQ_FOREACH (request, &list->requests, link)
        if (can_run(request))
            break;
    if (!request)
        return NULL;
    TAILQ_REMOVE(&list->requests, request, link);
    list->count--;
    count_add(list->counters, COUNTER_queued, -1);
    count_add(list->counters, COUNTER_dequeued, 1);
    count_add(list->counters, COUNTER_queue_wait_us,
              (now_ns() - request->since_ns) / NSEC_PER_USEC);
    return request;
}

/* The same, waiting for one; NULL when the scheduler is to leave. */
static struct method_request *list_await(struct activation_list *list)
{
    struct method_request *request = NULL;
    pthread_mutex_lock(&list->lock);
    while (!list->closed && !(request = list_remove(list)))
        pthread_cond_wait(&list->changed, &list->lock);
    pthread_mutex_unlock(&list->lock);
    return request;
}

/* --- the active object: servant and scheduler ------------------------------------------------ */

/* The servant: does the work and knows of no thread, list or client. */
static void servant_perform(struct job *job)
{
    job_block(job);
}

/* The result is there. From here on request and future are the client's: do not touch them. */
static void future_complete(struct ensemble *ensemble, struct future *future)
{
    queue_put(&ensemble->completed, &future->item);
    loop_wake(&ensemble->loop);
}

/* The scheduler: chooses what its servant does next. */
static void *schedule(void *argument)
{
    struct active_object *self = argument;
    struct method_request *request;

    while ((request = list_await(&self->list))) {
        servant_perform(request->job);
        release(self->ensemble, request->resource);
        atomic_fetch_sub(&self->unfinished, 1);
        future_complete(self->ensemble, request->future);
    }
    return NULL;
}

/* --- the proxy ------------------------------------------------------------------------------- */

static struct active_object *shortest_list(struct ensemble *ensemble)
{
    struct active_object *best = &ensemble->object[0];
    for (int i = 1; i < ensemble->server.workers; i++)
        if (atomic_load(&ensemble->object[i].unfinished) < atomic_load(&best->unfinished))
            best = &ensemble->object[i];
    return best;
}

/* The object that owns the order books. It has no thread before the first step on one. */
static struct active_object *books_object(struct ensemble *ensemble)
{
    struct active_object *object = &ensemble->object[ensemble->server.workers];
    if (!ensemble->owns_books)
        server_start_worker(&ensemble->server, schedule, object);
    ensemble->owns_books = true;
    return object;
}

static atomic_int *resource_of(struct ensemble *ensemble, enum wait wait)
{
    if (wait == WAIT_BOOK)
        return &ensemble->books;
    return wait == WAIT_DISK ? &ensemble->reads : &ensemble->cores;
}

/* Invoke the client's pending computation, read or step on an order book; returns at once, with a future. NULL: too many
 * wait. */
static struct future *proxy_invoke(struct ensemble *ensemble, struct client *client)
{
    struct job *job = client->peer.conn.job;
    bool owned = job->pending == WAIT_BOOK && ensemble->book == MARKET_OWNER;
    struct active_object *object = owned ? books_object(ensemble) : shortest_list(ensemble);
    atomic_int *resource = resource_of(ensemble, job->pending);

    client->request =
        (struct method_request){.job = job, .resource = resource, .future = &client->future};
    atomic_fetch_add(&object->unfinished, 1);
    if (list_insert(&object->list, &client->request)) /* from here the object owns it */
        return &client->future;
    atomic_fetch_sub(&object->unfinished, 1);
    return NULL;
}

/* --- the client: the loop -------------------------------------------------------------------- */

static void welcome(struct ensemble *ensemble)
{
    int fd;
    while ((fd = server_accept_ready(&ensemble->server)) >= 0)
        loop_add(&ensemble->loop, must_calloc(1, sizeof(struct client)), fd);
}

static void drop(struct loop_peer *peer)
{
    loop_remove(peer);
    free(peer);
}

/* The loop waits for time and descriptors, all else is invoked on the proxy. False: the request was shed; its
 * reply can go out at once. */
static bool start_wait(struct ensemble *ensemble, struct loop_peer *peer)
{
    loop_watch(peer, 0);
    if (peer->conn.job->pending & (WAIT_TIMER | WAIT_UPSTREAM)) {
        loop_await(peer);
        return true;
    }
    if (proxy_invoke(ensemble, container_of(peer, struct client, peer)))
        return true;
    job_shed(peer->conn.job);
    return false;
}

/* Go on with a connection until it would block, then have what it needs waited for. */
static void drive(struct ensemble *ensemble, struct loop_peer *peer)
{
    const unsigned async = WAIT_TIMER | WAIT_UPSTREAM | WAIT_COMPUTE | WAIT_DISK | WAIT_BOOK;
    enum want want;
    do
        want = conn_pump(&peer->conn, peer->io.fd, async);
    while (want == WANT_JOB && !start_wait(ensemble, peer));
    if (want != WANT_JOB && !loop_await(peer))
        drop(peer);
}

static void resume(struct ensemble *ensemble, struct loop_peer *peer)
{
    job_resume(peer->conn.job, 0);
    drive(ensemble, peer);
}

static struct client *client_of(struct queue_item *item)
{
    return item ? container_of(item, struct client, future.item) : NULL;
}

/* Futures are completed in any order; each is redeemed once. */
static void redeem(struct ensemble *ensemble)
{
    struct client *client;
    while ((client = client_of(queue_poll(&ensemble->completed))))
        resume(ensemble, &client->peer);
}

/* Publishing is no computation, so the loop does it: whoever publishes and whoever is pushed to are its own. */
static void push(struct loop_peer *peer)
{
    if (!loop_push(peer))
        drop(peer);
}

static void run(struct ensemble *ensemble)
{
    struct loop_peer *peer;
    for (;;) {
        switch (loop_wait(&ensemble->loop, &peer)) {
        case LOOP_ACCEPT: welcome(ensemble); break;
        case LOOP_READY: drive(ensemble, peer); break;
        case LOOP_DUE: resume(ensemble, peer); break;
        case LOOP_WAKE: redeem(ensemble); break;
        case LOOP_NEWS: push(peer); break;
        case LOOP_EXPIRED: drop(peer); break;
        case LOOP_STOPPED: return;
        case LOOP_TICK:
        case LOOP_NOTHING: break;
        }
    }
}

/* --- begin and end --------------------------------------------------------------------------- */

static void start_objects(struct ensemble *ensemble, int list_limit)
{
    int count = ensemble->server.workers;
    ensemble->object = must_calloc((size_t)count + 1, sizeof *ensemble->object);
    for (int i = 0; i < count + 1; i++) { /* all lists first: schedulers reach each other's */
        list_init(&ensemble->object[i].list, list_limit, ensemble->server.counters);
        ensemble->object[i].ensemble = ensemble;
    }
    for (int i = 0; i < count; i++)
        server_start_worker(&ensemble->server, schedule, &ensemble->object[i]);
}

/* No request is left, and no future on its way. */
static void stop_objects(struct ensemble *ensemble)
{
    for (int i = 0; i < ensemble->server.workers + 1; i++) {
        struct activation_list *list = &ensemble->object[i].list;
        pthread_mutex_lock(&list->lock);
        list->closed = true;
        pthread_cond_signal(&list->changed);
        pthread_mutex_unlock(&list->lock);
    }
    server_await_threads(&ensemble->server);
}

int main(int argc, char **argv)
{
    int list_limit = 128, cores = usable_cores(), reads = usable_cores(), book = MARKET_OWNER;
    const struct option_row knobs[] = {
        {"activation-list", 'a', OPTION_INT, &list_limit, "N",
         "requests that may wait in each object; beyond: 503", 1, 1e6},
        {"book", 0, OPTION_CHOICE, &book, MARKET_SYNCS, "how objects share the order books", 0, 0},
        {"cores", 0, OPTION_INT, &cores, "N", "guard: computations at a time, in all objects", 1,
         1000},
        {"reads", 0, OPTION_INT, &reads, "N", "guard: disk reads at a time, in all objects", 1,
         1000},
        {0},
    };
    struct ensemble ensemble = {0};

    server_setup(&ensemble.server, argc, argv, knobs);
    ensemble.book = (enum market_sync)book;
    server_books(&ensemble.server, book == MARKET_OWNER ? MARKET_ALONE : ensemble.book);
    atomic_init(&ensemble.books, ensemble.server.workers + 1);
    atomic_init(&ensemble.cores, cores);
    atomic_init(&ensemble.reads, reads);
    queue_init(&ensemble.completed, 0, NULL);
    server_push(&ensemble.server);
    loop_init(&ensemble.loop, &ensemble.server, 0);
    start_objects(&ensemble, list_limit);
    server_ready(&ensemble.server);
    run(&ensemble);
    stop_objects(&ensemble);
    exit(server_finish(&ensemble.server)); /* no return: the schedulers are detached */
}
