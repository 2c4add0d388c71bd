/* actors: every connection is an actor with a mailbox; N threads run whoever has mail.
 *
 * Who blocks:  a scheduler thread, in the computations and disk reads of the actor it runs; others
 *              with mail go on as long as a thread is free. Nothing waits for a peer or a timer.
 * Strength:    an actor's state has one user at a time and needs no lock, yet all cores serve all
 *              connections; a connection costs a struct, no stack.
 * Weakness:    each message is a hand-over: a queue, often a wake-up, a cold cache. An actor that
 *              computes keeps its thread; when all do, short requests wait in their mailboxes.
 * Try it:      build/servers/actors --workers 2 --port 8080 &
 *              curl '127.0.0.1:8080/work?cpu=hash:2s' &
 *              time curl 127.0.0.1:8080/        # answers at once; with --workers 1 it waits
 *
 * Name:    actors
 * Ids:     A13
 * Family:  messages
 * Look:    #8A8A1A X
 * Read:    proceed, connections=welcome, requests=tell_actor
 * Blocks:  compute disk
 * Tasks:   0
 * Push:    a wake-up of the loop
 * Book:    owned by an actor; or a lock for each, or one lock
 * Compute: --workers
 * Link:    -lev
 */
#include "common/base/queue.h"
#include "common/serve/loop.h"

#include <stdatomic.h>
#include <stdlib.h>

enum mail {
    MAIL_READY, /* the loop to a connection: your descriptor is as you asked */
    MAIL_DUE,  /* ... what your job waits for is there; the order books to one: your step is done */
    MAIL_STOP, /* ... your peer used up its time, or we drain and it has asked for nothing */
    MAIL_AWAIT, /* a connection to the loop: wait for what my conn wants */
    MAIL_GONE,  /* ... this was my last message */
    MAIL_BOOK,  /* a connection to the order books: perform my job's step */
};

struct message {
    struct message *next;
    struct actor *about;
    enum mail mail;
};

/* Any thread may put a message in; only the thread that runs the actor takes one out. One
 * word holds the state. NULL: the actor is at rest; `end`: it runs and has taken everything; else the newest message, leading to those before it. */
struct mailbox {
    _Atomic(struct message *) newest;
    struct message end;
};

/* A connection. Between it and the loop a single message goes to and fro. Whoever has the message may
 * touch the peer, and whoever sent it may not: no state is shared, and no message is left over for a
 * connection that has ended. */
struct actor {
    struct loop_peer peer; /* first: a peer of the loop is an actor */
    struct message message;
    struct mailbox mailbox;
    bool away;              /* the loop's: it has sent the message, and not got it back */
    struct queue_item item; /* in the run queue: it has mail, and no thread yet */
};

struct actor_system {
    struct server server;
    struct queue runnable;  /* the run queue: each actor is there once, however much mail it has */
    struct loop loop;       /* state of the loop's actor, which has the main thread to itself ... */
    struct mailbox mailbox; /* ... and a mailbox like any other */
    struct actor books;     /* owns the order books: it has no peer, only a mailbox */
    bool owns_books;        /* else each scheduler thread performs these steps, under a lock */
};

/* --- mailboxes ------------------------------------------------------------------------------- */

/* True: the actor was at rest, and now the caller must get it run. */
static bool mailbox_put(struct mailbox *mailbox, struct message *message)
{
    struct message *newest = atomic_load(&mailbox->newest);
    do
        message->next = newest;
    while (!atomic_compare_exchange_weak(&mailbox->newest, &newest, message));
    return !newest;
}

/* All messages, oldest first. More may come while they are read: then mailbox_rest() refuses. */
static struct message *mailbox_take(struct mailbox *mailbox)
{
    struct message *message = atomic_exchange(&mailbox->newest, &mailbox->end), *oldest = NULL;
    while (message && message != &mailbox->end) {
        struct message *before = message->next;
        message->next = oldest;
        oldest = message;
        message = before;
    }
    return oldest;
}

/* True: the actor is at rest, and perhaps another thread runs it already. False: it has mail. */
static bool mailbox_rest(struct mailbox *mailbox)
{
    struct message *end = &mailbox->end;
    return atomic_compare_exchange_strong(&mailbox->newest, &end, NULL);
}

static void tell_actor(struct actor_system *system, struct actor *actor, enum mail mail)
{
    actor->message.mail = mail;
    if (mailbox_put(&actor->mailbox, &actor->message)) /* from here the peer is the actor's */
        queue_put(&system->runnable, &actor->item);
}

static void tell_loop(struct actor_system *system, struct actor *from, enum mail mail)
{
    from->message.mail = mail;
    if (mailbox_put(&system->mailbox, &from->message)) /* from here the peer is the loop's */
        loop_wake(&system->loop);
}

static void tell_books(struct actor_system *system, struct actor *from)
{
    from->message.mail = MAIL_BOOK;
    if (mailbox_put(&system->books.mailbox, &from->message)) /* from here the job is the books' */
        queue_put(&system->runnable, &system->books.item);
}

/* --- a connection's actor -------------------------------------------------------------------- */

/* Do all that can be done now, computations included, and ask the loop for what is missing. */
static bool proceed(struct actor_system *system, struct actor *self)
{
    const unsigned async =
        WAIT_TIMER | WAIT_UPSTREAM | WAIT_NEWS | (system->owns_books ? WAIT_BOOK : 0);
    struct conn *conn = &self->peer.conn;
    while (conn_pump(conn, self->peer.io.fd, async) == WANT_JOB &&
           conn->job->pending == WAIT_NEWS) {
        loop_wake(&system->loop); /* it finds those that have news, see push() */
        job_resume(conn->job, 0);
    }
    if (conn->want == WANT_CLOSE)
        return false;
    if (conn->want == WANT_JOB && conn->job->pending == WAIT_BOOK)
        tell_books(system, self);
    else
        tell_loop(system, self, MAIL_AWAIT);
    return true;
}

/* Its behaviour: one message. False: it will read no other. */
static bool handle(struct actor_system *system, struct actor *self, enum mail mail)
{
    switch (mail) {
    case MAIL_DUE: job_resume(self->peer.conn.job, 0); /* fall through */
    case MAIL_READY: return proceed(system, self);
    case MAIL_STOP: return false;
    case MAIL_AWAIT:
    case MAIL_GONE: /* messages to the loop */
    case MAIL_BOOK: break;
    }
    return true;
}

/* The behaviour of the order books: one step after the other, so that no lock is needed. */
static void perform_step(struct actor_system *system, struct actor *client)
{
    job_block(client->peer.conn.job);
    tell_actor(system, client, MAIL_DUE);
}

static bool handle_all(struct actor_system *system, struct actor *actor)
{
    struct message *message, *next = mailbox_take(&actor->mailbox);
    bool lives = true;
    while (lives && (message = next)) {
        next = message->next; /* handled, the message may be on its way back */
        if (message->mail == MAIL_BOOK)
            perform_step(system, message->about);
        else
            lives = handle(system, actor, message->mail);
    }
    return lives;
}

/* A scheduler thread. An actor that has mail again goes to the end of the run queue. The loop, which
 * frees actors, hears of the end of one only when no thread runs it any more. */
static void *schedule(void *argument)
{
    struct actor_system *system = argument;
    struct counter_slot *counters = counters_claim(system->server.service.counters);
    struct queue_item *item;

    while ((item = queue_take(&system->runnable))) {
        struct actor *actor = container_of(item, struct actor, item);
        actor->peer.conn.counters = counters;
        if (!handle_all(system, actor))
            tell_loop(system, actor, MAIL_GONE);
        else if (!mailbox_rest(&actor->mailbox))
            queue_put(&system->runnable, &actor->item);
    }
    return NULL;
}

/* --- the loop's actor ------------------------------------------------------------------------ */

static void welcome(struct actor_system *system)
{
    int fd;
    while ((fd = server_accept_ready(&system->server)) >= 0) {
        struct actor *actor = must_calloc(1, sizeof *actor);
        actor->message.about = actor;
        loop_add(&system->loop, &actor->peer, fd);
    }
}

/* What has been waited for is there: the peer is not watched until its actor asks again. An actor that was
 * told to stop may have another event that was noted before; it has the message, and needs no other. */
static void report(struct actor_system *system, struct loop_peer *peer, enum mail mail)
{
    struct actor *actor = container_of(peer, struct actor, peer);
    if (actor->away)
        return;
    loop_watch(peer, 0);
    actor->away = true;
    tell_actor(system, actor, mail);
}

/* Have waited for what the actor wants. It ends when it did not read what was pushed to it. */
static void await(struct actor_system *system, struct actor *actor)
{
    actor->away = false;
    if (!loop_await(&actor->peer))
        report(system, &actor->peer, MAIL_STOP);
}

static void handle_wish(struct actor_system *system, const struct message *message)
{
    switch (message->mail) {
    case MAIL_AWAIT: await(system, message->about); break;
    case MAIL_GONE:
        loop_remove(&message->about->peer);
        free(message->about);
        break;
    case MAIL_READY:
    case MAIL_DUE:
    case MAIL_STOP:
    case MAIL_BOOK: break; /* messages to connections, and to the order books */
    }
}

static void handle_wishes(struct actor_system *system)
{
    struct message *message, *next;
    do {
        next = mailbox_take(&system->mailbox);
        while ((message = next)) {
            next = message->next; /* MAIL_GONE frees the message, too */
            handle_wish(system, message);
        }
    } while (!mailbox_rest(&system->mailbox));
}

/* What was published goes out from here: the loop has the actor's message, so it may touch the peer. An
 * actor that is away sees to it when it asks the loop to wait again. */
static void push(struct actor_system *system, struct loop_peer *peer)
{
    if (!container_of(peer, struct actor, peer)->away && !loop_push(peer))
        report(system, peer, MAIL_STOP);
}

/* Turns what happens outside into messages. */
static void run(struct actor_system *system)
{
    struct loop_peer *peer;
    for (;;) {
        switch (loop_wait(&system->loop, &peer)) {
        case LOOP_ACCEPT: welcome(system); break;
        case LOOP_READY: report(system, peer, MAIL_READY); break;
        case LOOP_DUE: report(system, peer, MAIL_DUE); break;
        case LOOP_NEWS: push(system, peer); break;
        case LOOP_EXPIRED: report(system, peer, MAIL_STOP); break;
        case LOOP_WAKE: handle_wishes(system); break;
        case LOOP_STOPPED: return;
        case LOOP_TICK:
        case LOOP_NOTHING: break;
        }
    }
}

int main(int argc, char **argv)
{
    struct actor_system system = {0};
    int book = MARKET_OWNER;
    const struct option_row knobs[] = {
        {"book", 0, OPTION_CHOICE, &book, MARKET_SYNCS, "how actors share the order books", 0, 0},
        {0},
    };

    server_setup(&system.server, argc, argv, knobs);
    system.owns_books = book == MARKET_OWNER;
    server_books(&system.server, system.owns_books ? MARKET_ALONE : (enum market_sync)book);
    server_push(&system.server);
    queue_init(&system.runnable, 0, system.server.counters);
    loop_init(&system.loop, &system.server, 0);
    for (int i = 0; i < system.server.workers; i++)
        server_start_worker(&system.server, schedule, &system);
    server_ready(&system.server);
    run(&system);
    queue_dismiss(&system.runnable, system.server.workers);
    server_await_threads(&system.server);
    exit(server_finish(&system.server)); /* no return: threads are detached, and system is here */
}
