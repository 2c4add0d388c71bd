/* exchange: what a connection needs while a request is under way: the parser, the input, the job
 * and the text of the reply. An idle connection has none, so that a million of them cost little.
 *
 * The connections of a process share a stock of them (as nginx takes the buffers of an idle
 * keep-alive connection back): 64 spare ones are kept, or as many as are lent if that is more; the
 * others are freed. So a load that comes and goes by half allocates nothing, and what a peak took is
 * returned when it is over. */
#ifndef ARCHBENCH_EXCHANGE_H
#define ARCHBENCH_EXCHANGE_H

#include "common/base/counters.h"
#include "common/serve/http.h"
#include "common/websocket/message.h"
#include "common/websocket/websocket.h"
#include "common/work/job.h"

#include <pthread.h>
#include <sys/queue.h>

enum { EXCHANGE_IN_BYTES = 1536, EXCHANGE_TEXT_BYTES = 4096 };

struct conn;

struct exchange {
    struct conn *conn; /* whose */
    struct job job;
    struct http_request request;
    size_t in_begin, in_end; /* received and not yet parsed */
    char in[EXCHANGE_IN_BYTES];
    /* The target while a request comes in; the reply's head and short body while it goes out. The
     * two never overlap: a request is parsed only when the reply before it is sent. */
    union {
        char text[EXCHANGE_TEXT_BYTES];
        struct { /* while /metrics goes out */
            char piece[EXCHANGE_TEXT_BYTES - sizeof(struct counters_report)];
            struct counters_report report;
        };
    };
    SLIST_ENTRY(exchange) spare;
    /* Of a WebSocket: the frames that have come, and the message under way. Last, so that a plain
     * connection does not touch them. */
    struct websocket websocket;
    struct client_message message; /* points into websocket.text */
    bool is_answered;              /* the message gets a reply */
};

/* All connections of a process share one; any thread may take and give. */
struct exchanges {
    pthread_mutex_t lock; /* guards all below */
    int lent, spares;
    /* The last one given is first: it is in the cache. */
    SLIST_HEAD(spare_exchanges, exchange) spare;
};

void exchanges_init(struct exchanges *);
/* Free the spare ones. None may be lent. */
void exchanges_free(struct exchanges *);

/* Lend one. Nothing in it is set but the websocket, which rests. Dies when there is no memory. */
struct exchange *exchange_take(struct exchanges *);
void exchange_give(struct exchanges *, struct exchange *);

#endif
