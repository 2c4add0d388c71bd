/* What the parts of the upstream share: itself, a client, and what they do for each other. */
#ifndef ARCHBENCH_UPSTREAM_PROGRAM_H
#define ARCHBENCH_UPSTREAM_PROGRAM_H

#include "common/base/timers.h"
#include "services/upstream/behaviour.h"

#include <ev.h>
#include <hiredis/read.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

enum {
    WORDS_MAX = 8,
    WORD_SIZE = 64,
    REQUEST_MAX = 1024, /* bytes of a longest request; more without an end is none */
    INPUT_MAX = 16384,  /* pipelined bytes kept while a call is waited for */
    OUTPUT_SIZE = 2048, /* replies kept for a peer that does not take them */
    REPLY_MAX = 512,    /* bytes of a longest reply */
};

struct tally {
    long long connections, refused, commands, calls, failed, dropped;
};

struct upstream {
    struct ev_loop *ev;
    ev_io listener, due;
    ev_signal terminate, interrupt;
    int listener_fd, reserve; /* see net_accept() */
    struct timers timers;     /* of the calls in progress */
    struct behaviour behaviour;
    struct tally tally;
    int present; /* connections now */
    LIST_HEAD(peers, client) peers;
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
    char word[WORDS_MAX][WORD_SIZE]; /* strings */
};

/* One connection. The upstream owns it, from welcome() to close_peer(). */
struct client {
    struct upstream *upstream;
    LIST_ENTRY(client) all;
    ev_io io;
    struct timer timer; /* the end of its call */
    enum state state;
    enum fate fate;
    redisReader *reader;
    struct request request; /* the reader fills it */
    bool congested;         /* the socket takes no more until it says so */
    size_t output_len;
    char output[OUTPUT_SIZE];
};

/* --- protocol.c: RESP, requests in and replies out ---------------------------------------------- */

/* Give a client its reader. False: memory is out. */
bool client_open_reader(struct client *);
/* Bytes that have come and are no request yet. */
size_t client_unparsed(const struct client *);
/* The next request into client->request, if it is here as a whole. What cannot become one ends the
 * connection, after a reply that says so. */
bool client_take_request(struct client *);

/* Is there room for any one reply? Sends what is kept to make some. */
bool client_has_room(struct client *);
/* A whole reply, or with a bulk string a part of one; client_has_room() was true before. */
void client_answer(struct client *, const char *format, ...) __attribute__((format(printf, 2, 3)));
void client_answer_text(struct client *, const char *text);
/* Send as much as the socket takes. */
void client_send(struct client *);

/* --- commands.c: what a request has done --------------------------------------------------------- */

void client_execute(struct client *);
/* The time of the call under way is over. */
void client_end_call(struct client *);

#endif
