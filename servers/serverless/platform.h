/* platform: the structs that all parts of the router share.
 *
 * The life of an event:
 * 1. route() makes it of a client's request, or attempts_replay() of a dead letter.
 * 2. scheduler_submit() lets it wait for an instance of its function.
 * 3. The scheduler hands it to an instance. From here on the instance points to it, until
 *    instances_next() gives it back.
 * 4. attempts_succeeded() or attempts_failed() decide what follows: the end, or a pause and step 2.
 *
 * One thread runs the router; nothing here needs a lock. */
#ifndef ARCHBENCH_PLATFORM_H
#define ARCHBENCH_PLATFORM_H

#include "common/base/timers.h"
#include "common/serve/loop.h"
#include "servers/serverless/dead_letters.h"
#include "servers/serverless/functions.h"
#include "servers/serverless/instances.h"

/* One piece of work on its way. A client's event is embedded in its client. That of a dead letter
 * is allocated, pins the dead letter meanwhile, and is freed in the end. */
struct event {
    struct function *function;
    const struct program *program;        /* the client's or the dead letter's */
    const struct client_message *message; /* the client's; NULL: none came, or it is not kept */
    struct client *client;                /* waits for the reply; NULL: it is the replay of ... */
    struct dead_letter *dead_letter;      /* ... this one; NULL for a client's event */
    struct accepted_event *accepted; /* its record in the journal, owned; NULL: there is none */
    int attempts;                    /* begun so far */
    struct performer_report report;  /* of the last attempt that came to its end */
    int64_t since_ns;                /* when it began to wait for an instance */
    struct timer pause;              /* before another attempt */
    TAILQ_ENTRY(event) link;         /* in function->waiting */
};

struct client {
    struct loop_peer peer; /* first: a peer of the loop is a client */
    struct event event;
    char *page; /* text of the page it asked for last, which may still be on its way; owned */
};

/* The router's own counters: first the accounts, summed over all functions, then these. */
enum { OWN_DEAD_LETTERS = ACCOUNTS, OWN_LOST, OWN_COUNTERS };

struct platform {
    struct server server;
    struct loop loop;           /* tells of clients */
    struct instances instances; /* tell of themselves */
    struct functions functions;
    struct timers pauses;             /* of events between two attempts */
    struct dead_letters dead_letters; /* events that were given up */
    struct journal journal;           /* of events under way and of dead letters */
    int waiting;                      /* events that wait for an instance, of all functions */
    int clients;                      /* connected now */
    int max_waiting, max_clients, max_retries;
    int64_t keep_alive_ns, time_limit_ns, retry_base_ns;
    struct own_counter own[OWN_COUNTERS + 1];
};

#endif
