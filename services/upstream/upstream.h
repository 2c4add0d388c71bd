/* What the parts of the upstream share: itself, a client, and what they do for each other. */
#ifndef ARCHBENCH_UPSTREAM_PROGRAM_H
#define ARCHBENCH_UPSTREAM_PROGRAM_H

#include "common/base/timers.h"
#include "services/upstream/behaviour.h"
#include "services/upstream/buffer.h"
#include "services/upstream/channels.h"
#include "services/upstream/store.h"

#include <ev.h>
#include <hiredis/read.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

enum {
    WORDS_MAX = 8,
    COMMAND_LEN_MAX = 63,               /* bytes of the first word */
    REQUEST_MAX = (64 + 4) * 1024,      /* bytes of all words together */
    INPUT_MAX = 16384,                  /* pipelined bytes kept while a call is waited for */
    OUTPUT_MAX = 2048,                  /* bytes of replies: with more nothing new is answered */
    OUTBOX_LIMIT_DEFAULT = 1024 * 1024, /* bytes that wait for a subscriber; as in Redis, smaller */
};

struct tally {
    long long connections, refused, commands, calls, failed, dropped;
    long long published, delivered, slow;
};

struct upstream {
    struct ev_loop *ev;
    ev_io listener, due;
    ev_signal terminate, interrupt;
    int listener_fd, reserve; /* see net_accept() */
    struct timers timers;     /* of the calls in progress */
    struct behaviour behaviour;
    struct store store;
    struct channels channels;
    size_t outbox_limit; /* bytes that may wait for a subscriber */
    struct tally tally;
    int present; /* connections now */
    LIST_HEAD(peers, client) peers;
    TAILQ_HEAD(told, client) told; /* those to serve, because something was published to them */
};

enum state {
    STATE_SERVING, /* takes commands */
    STATE_CALLING, /* in a call: later commands wait, for replies keep the order of requests */
    STATE_STALLED, /* never answers again */
    STATE_LEAVING, /* closes when its replies are sent */
    STATE_BROKEN,  /* closes now */
};

struct request {
    int count;
    struct span word[WORDS_MAX];
    struct buffer text; /* the words, each with a zero behind it */
};

/* One connection. The upstream owns it, from welcome() to close_peer(). */
struct client {
    struct upstream *upstream;
    LIST_ENTRY(client) all;
    ev_io io;
    struct timer timer; /* the end of its call */
    enum state state;
    enum fate fate;
    void (*carry_out)(struct client *); /* what the call is for, when its time is over */
    redisReader *reader;
    struct request request; /* the reader fills it; kept until the next one begins */
    bool congested;         /* the socket takes no more until it says so */
    bool listed;            /* in upstream->told */
    TAILQ_ENTRY(client) told;
    struct subscriptions subscriptions;
    struct buffer output;
};

/* --- protocol.c: RESP, requests in and replies out ---------------------------------------------- */

/* Give a client its reader. False: memory is out. */
bool client_open_reader(struct client *);
void client_free_reader(struct client *);
/* Bytes that have come and are no request yet. */
size_t client_unparsed(const struct client *);
/* The next request into client->request, if it is here as a whole. What cannot become one ends the
 * connection, after a reply that says so. */
bool client_take_request(struct client *);

/* Is there room for any one reply? Sends what is kept to make some. */
bool client_has_room(struct client *);
/* Send as much as the socket takes. */
void client_send(struct client *);

/* --- commands.c: what a request has done --------------------------------------------------------- */

void client_execute(struct client *);
/* The time of the call under way is over. */
void client_end_call(struct client *);

/* --- data_commands.c, subscribing.c: some of the commands ---------------------------------------- */

void do_get(struct client *);
void do_set(struct client *);
void do_del(struct client *);
void do_incr(struct client *);
void do_publish(struct client *);

void do_subscribe(struct client *);
void do_psubscribe(struct client *);
void do_unsubscribe(struct client *);
void do_punsubscribe(struct client *);

#endif
