/* processes: a forked process for every connection, gone when the connection ends.
 *
 * Who blocks:  each process, in recv, send, sleep and computation; no other process notices.
 * Strength:    direct style in an address space of its own: a crash or a leak ends one connection.
 * Weakness:    a fork for each connection, page tables and a kernel stack for each process, and a
 *              switch of address spaces whenever another connection gets the core.
 * Try it:      build/servers/processes --port 8080 &
 *              build/loadgen -c 64 -d 5s http://127.0.0.1:8080/
 *              then watch `pstree -p` or `ls /proc/PID/task/PID/children`.
 *
 * Name:    processes
 * Ids:     A1
 * Family:  processes
 * Look:    #CC79A7 s
 * Read:    serve_and_exit, connections=fork_for, surge=fork_for, failure=reap
 * Blocks:  compute timer upstream disk
 * Tasks:   1 process
 * Push:    a shared ring, and a signal to each process that listens
 * Book:    in shared memory, a lock for each; or one lock, or a thread of the parent that owns them
 * Compute: any
 */
#include "common/news/news_ring.h"
#include "common/serve/server.h"
#include "common/serve/session.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    LISTENERS_MAX = 32768,    /* children that have subscribed */
    FEEDER_PAUSE_US = 100000, /* before the successor of the one that serves no connection */
};

/* The children alive, needed only to pass SIGTERM on. Fork order; a dead one's place is taken by
 * the last. */
struct children {
    pid_t *child;
    size_t count, room;
    pid_t feeder; /* one more, which serves no connection; 0: there is none */
};

static void children_add(struct children *children, pid_t pid)
{
    if (children->count == children->room) {
        children->room = children->room ? 2 * children->room : 64;
        children->child = realloc(children->child, children->room * sizeof *children->child);
        if (!children->child)
            die("out of memory");
    }
    children->child[children->count++] = pid;
}

static void children_remove(struct children *children, pid_t pid)
{
    for (size_t i = 0; i < children->count; i++) {
        if (children->child[i] == pid) {
            children->child[i] = children->child[--children->count];
            return;
        }
    }
}

/* Bury one child; its accounts go to the counters, since /proc forgets it. False: none was dead. */
static bool reap(struct server *server, struct news_ring *ring, struct children *children,
                 int options)
{
    struct rusage usage;
    int status;
    pid_t pid = wait4(-1, &status, options, &usage);
    if (pid <= 0)
        return false;
    counters_retire(server->counters, &usage);
    if (pid == children->feeder) {
        children->feeder = 0;
        return true;
    }
    if (WIFSIGNALED(status)) { /* it could not count the end of its connection itself */
        count_add(server->counters, COUNTER_crashed, 1);
        count_add(server->counters, COUNTER_closed, 1);
        news_ring_leave(ring, pid);
    }
    children_remove(children, pid);
    return true;
}

/* --- the child: one connection, then nothing --------------------------------------------------- */

/* Memory is not shared, so what one child publishes goes through a ring that is. A child that has
 * subscribed is listed there, and the others wake it. */
struct newsroom {
    struct news_ring *ring;
    struct news_reader reader;
    bool listens;
};

static void tell_others(struct newsroom *newsroom, const struct publication *news)
{
    int place = 0;
    pid_t listener, own = getpid();
    news_ring_put(newsroom->ring, news);
    while ((listener = news_ring_listener(newsroom->ring, news->topic, &place)))
        if (listener != own)
            kill(listener, SESSION_SIGNAL);
}

/* The subscriptions have changed. The reader comes before the listing, and a look into the ring after it:
 * so nothing is missed that is published once the subscriber has its reply. */
static void listen_or_leave(struct newsroom *newsroom, struct topics *topics)
{
    struct topic_set interest;
    bool listens = topics_interest(topics, &interest);
    if (!newsroom->listens)
        news_reader_init(&newsroom->reader, newsroom->ring, &interest);
    newsroom->reader.interest = interest;
    newsroom->listens = listens;
    if (listens)
        news_ring_listen(newsroom->ring, &interest);
    else
        news_ring_leave(newsroom->ring, getpid());
}

static _Noreturn void serve_and_exit(struct server *server, struct news_ring *ring, int fd)
{
    struct newsroom newsroom = {.ring = ring};
    struct session session;
    enum session_event event;

    server_stop_on_signal(server, false);
    server_serves(server, fd);
    close(server->listener);
    session_begin(&session, fd, &server->service, counters_claim(server->service.counters));
    while ((event = session_run(&session)) != SESSION_OVER) {
        const struct publication *news = event == SESSION_NEWS ? job_news(session.conn.job) : NULL;
        if (news && news->frame)
            tell_others(&newsroom, news);
        if (news && !news->frame)
            listen_or_leave(&newsroom, &server->topics);
        if (newsroom.listens) /* into the outbox; session_run() sends it */
            news_reader_deliver(&newsroom.reader, &server->topics, session.conn.counters);
    }
    if (newsroom.listens)
        news_ring_leave(ring, getpid());
    session_end(&session);
    _exit(0);
}

/* --- the child that serves none: what others publish in Redis ----------------------------------- */

/* A connection to Redis for each child that has a subscriber would be many; this one puts all news into the ring. */
static _Noreturn void feed_the_ring(struct server *server, struct news_ring *ring,
                                    useconds_t pause_us)
{
    struct newsroom newsroom = {.ring = ring};
    struct publication news;
    signal(SIGTERM, SIG_IGN); /* the parent ends it when no subscriber is left */
    signal(SIGINT, SIG_IGN);
    close(server->listener);
    usleep(pause_us); /* whatever ended the last one may end this one as well */
    struct feed *feed = server_feed(server);
    struct pollfd pollfd = {.fd = feed_fd(feed), .events = POLLIN};
    for (;;) {
        while (feed_next(feed, &news)) {
            tell_others(&newsroom, &news);
            frame_drop(news.frame);
        }
        poll(&pollfd, 1, -1);
    }
}

/* A successor begins anew, after a pause: what is published before it has subscribed is lost. False: the system
 * has no room for it now. */
static bool keep_feeder(struct server *server, struct news_ring *ring, struct children *children,
                        useconds_t pause_us)
{
    if (!server->feeds || children->feeder)
        return true;
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        server_end_with_parent(parent);
        feed_the_ring(server, ring, pause_us);
    }
    children->feeder = pid > 0 ? pid : 0;
    return pid > 0;
}

/* --- the parent -------------------------------------------------------------------------------- */

static void fork_for(struct server *server, struct news_ring *ring, struct children *children,
                     int fd)
{
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        server_end_with_parent(parent);
        serve_and_exit(server, ring, fd);
    }
    if (pid < 0) {
        count_add(server->counters, COUNTER_refused, 1);
    } else {
        count_add(server->counters, COUNTER_spawned, 1);
        children_add(children, pid);
    }
    close(fd); /* the child's copy keeps the connection open */
}

/* Children finish the request they have, and soon meet the end of their stream after it. */
static void drain(struct server *server, struct news_ring *ring, struct children *children)
{
    close(server->listener);
    for (size_t i = 0; i < children->count; i++)
        kill(children->child[i], SIGTERM);
    while (children->count)
        if (!reap(server, ring, children, 0) && errno == ECHILD)
            break;
    free(children->child);
    if (children->feeder && kill(children->feeder, SIGKILL) == 0)
        waitpid(children->feeder, NULL, 0);
}

static void on_child(int signal) /* exists so that a child's end interrupts accept */
{
    (void)signal;
}

int main(int argc, char **argv)
{
    struct server server;
    struct children children = {0};
    int fd, book = MARKET_SHARD;
    const struct option_row knobs[] = {
        {"book", 0, OPTION_CHOICE, &book, MARKET_SYNCS, "how processes share the order books", 0,
         0},
        {0},
    };

    server_setup(&server, argc, argv, knobs);
    server_books(&server, (enum market_sync)book);
    session_hold_signal();
    server_push(&server);
    struct news_ring *ring = news_ring_new(LISTENERS_MAX);
    server_stop_on_signal(&server, true);
    sigaction(SIGCHLD, &(struct sigaction){.sa_handler = on_child}, NULL);
    if (!keep_feeder(&server, ring, &children, 0))
        die_errno("cannot start the process of the feed");
    server_ready(&server);

    while ((fd = server_accept(&server)) != -ESHUTDOWN) {
        if (fd >= 0)
            fork_for(&server, ring, &children, fd);
        while (reap(&server, ring, &children, WNOHANG)) {
        }
        keep_feeder(&server, ring, &children, FEEDER_PAUSE_US);
    }
    drain(&server, ring, &children);
    return server_finish(&server);
}
