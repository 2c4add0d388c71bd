/* plan: what one run will do, settled before the first connection is made: the workload, the
 * command line over it, where to connect from and to, the request bytes, the rates in requests per
 * second, which connections belong together, and the digests to expect. */
#ifndef ARCHBENCH_PLAN_H
#define ARCHBENCH_PLAN_H

#include "common/base/net.h"
#include "common/base/options.h"
#include "common/base/util.h"
#include "loadgen/plan/trace.h"
#include "loadgen/plan/url.h"
#include "loadgen/plan/workload.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where neither the command line nor the workload says how long. */
#define PLAN_DRAIN_NS NSEC_PER_SEC

/* What the command line says. Texts are NULL and numbers 0 where it says nothing, except that -1
 * says nothing where 0 means something. */
struct wishes {
    char *const *urls; /* url_count of them */
    int url_count;
    const char *workload, *point, *rate, *cpus, *calibration, *think, *trace, *sources;
    struct option_list headers; /* "Name: value", for every request */
    int arrivals;               /* 0: not said; else 1 + enum arrivals_kind */
    int connections, workers, server_cores, burst;
    int idle, churn;                     /* -1: not said */
    double ramp;                         /* connections per second */
    int64_t duration_ns, retry_after_ns; /* -1: not said */
    int64_t warmup_ns, timeout_ns, drain_ns, spin_ns, interval_ns;
    int retries;
    int64_t retry_base_ns;
    double retry_budget; /* percent of the requests */
    int seed;
    bool realtime;
};

enum { PLAN_TARGETS = 64, PLAN_SOURCES = 256, PLAN_CPUS = 64, PLAN_ROOM_MAX = 1000 };

/* The fields of a WebSocket's handshake. The key is the same for all, so that its answer is, too. */
#define SOCKET_HANDSHAKE                                                                           \
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"                   \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

/* Where requests go. */
struct target {
    struct url url;
    struct net_address address;
};

/* All bytes of a request; owned by the plan. */
struct request {
    char *bytes;
    size_t len;
    size_t time_at; /* where the digits of moment.h begin; 0: it has none */
};

struct plan_class {
    const char *name;
    double weight;       /* relative frequency */
    double rate;         /* requests per second of its own stream; 0: it is drawn by weight */
    int pool;            /* which connections carry it */
    int64_t deadline_ns; /* 0: there is none */
    double send_rate, receive_rate; /* bytes per second of a slow client; 0: as fast as it goes */
    bool head;
    bool websocket, one_way, publishes;
    int64_t gather_ns; /* one_way: how long a message may wait for others */
    const char
        *path; /* of a message: path and query, perhaps with WORKLOAD_ROOM and WORKLOAD_TIME */
    size_t body_bytes; /* of a message */
    bool has_digest;
    uint64_t digest;
    struct request request[PLAN_TARGETS]; /* for each target; of a message: the handshake */
};

/* Connections that carry the same classes. The first pool is that of the classes without
 * connections of their own; the last may be of idle ones, that carry nothing. */
struct plan_pool {
    int connections; /* over all workers; 0: no class uses it */
    bool idle;
    bool websocket; /* its connections are WebSockets */
    int rooms;      /* each subscribes to one of so many topics; 0: to none */
    bool deaf;      /* and reads nothing from then on */
    bool named;     /* a class uses it, which says the above ... */
    int class;      /* ... the last of them */
};

struct retry {
    int limit;       /* attempts after the first; 0: none */
    int64_t base_ns; /* the first pause is up to this, each further one up to twice as long */
    double budget;   /* retries per request, over the run so far */
};

struct plan {
    const char *workload_path, *point;
    struct workload workload; /* the classes' names point into it */
    int target_count;
    struct target target[PLAN_TARGETS];
    int source_count; /* 0: the system chooses */
    struct net_address source[PLAN_SOURCES];
    enum arrivals_kind arrivals;
    struct trace trace; /* of ARRIVALS_TRACE */
    double base_rate;   /* requests per second over all workers, before the phases; 0: closed */
    double rate;        /* the same on average over the window, phases included */
    int connections;    /* that carry requests: all pools but the idle one */
    int workers, seed;
    bool realtime;
    int64_t duration_ns, warmup_ns, timeout_ns, drain_ns;
    int64_t spin_ns;     /* how long before a moment to stop sleeping; 0: never */
    int64_t interval_ns; /* between rows of the time series */
    struct retry retry;
    int cpu_count;
    int cpus[PLAN_CPUS]; /* worker i is pinned to cpus[i % cpu_count], if there are any */
    int pool_count;
    struct plan_pool pool[WORKLOAD_CLASSES + 2];
    int class_count;
    struct plan_class class[WORKLOAD_CLASSES];
};

/* What holds when the command line says nothing at all. The URLs are still missing. */
void wishes_defaults(struct wishes *);

/* Settle the plan. Dies with one line when the wishes contradict each other or the host has no
 * address. Computing the expected digests takes as long as one request of each class. */
void plan_make(struct plan *, const struct wishes *);

/* Have an open loop with one rate ask for `rate` requests per second in all: a search does that
 * for each of its steps. */
void plan_set_rate(struct plan *, double rate);

/* Connections of one worker in a pool: all get the same number, the first ones one more if need
 * be. */
int plan_connections_of(const struct plan *, int worker, int pool);

void plan_free(struct plan *);

#endif
