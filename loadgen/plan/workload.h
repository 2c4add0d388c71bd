/* workload: one .ini file, one question. The format is described in docs/formats.md. */
#ifndef ARCHBENCH_WORKLOAD_H
#define ARCHBENCH_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WORKLOAD_CLASSES = 16,
    WORKLOAD_PHASES = 16,
    WORKLOAD_NAME = 32,     /* bytes of a class or point name, with its 0 */
    WORKLOAD_TARGET = 2048, /* bytes of a value, with its 0 */
    WORKLOAD_PATH = 1024,
};

/* In a request: the topic to which the connection that carries it has subscribed, room0 or room1... */
#define WORKLOAD_ROOM "room{room}"
/* In a request: the moment at which it is due, in ns on CLOCK_MONOTONIC, as so many digits. */
#define WORKLOAD_TIME "{time}"
enum { WORKLOAD_TIME_DIGITS = 20 };

/* When the next request is due: after a reply, or whatever the server does. */
enum arrivals_kind {
    ARRIVALS_CLOSED,
    ARRIVALS_CONSTANT,
    ARRIVALS_POISSON,
    ARRIVALS_BURSTS, /* several at once, at Poisson moments */
    ARRIVALS_TRACE,  /* as a file says */
};

/* How long a closed loop's connection pauses between a reply and its next request. */
struct think {
    bool fixed; /* else exponentially distributed, as M/M/c with a finite population wants it */
    int64_t mean_ns; /* 0: not at all */
};

/* What a workload would have beside its server, each one bit: see the key `components`. */
enum component { COMPONENT_REDIS, COMPONENT_POSTGRESQL, COMPONENTS };

/* Which process is killed. */
enum victim_kind { KILL_SERVER, KILL_OLDEST, KILL_REDIS, KILL_POSTGRESQL };

enum placement { PLACEMENT_SHARED, PLACEMENT_SPLIT };

enum { BURST_DEFAULT = 10 };

/* Requests per second, or a percentage of the calibrated capacity. */
struct rate {
    bool given, percent;
    double value;
};

/* Poisson arrivals whose rate switches between two values at random moments: a Markov-modulated
 * Poisson process. The mean rate is as if it did not. */
struct modulation {
    double load;       /* rate in a burst, as a multiple of the mean rate; 0: there are no bursts */
    int64_t length_ns; /* of a burst, on average: it is exponentially distributed */
    double share;      /* of the time that lies in bursts, 0 to 1 */
};

struct workload_class {
    char name[WORKLOAD_NAME];
    double weight; /* relative frequency; ignored when the classes have rates */
    struct rate rate;
    char method[WORKLOAD_NAME];
    char target[WORKLOAD_TARGET];  /* path and query; empty: not stated */
    int connections;               /* of its own; 0: it shares the workload's */
    int64_t deadline_ns;           /* a later reply is good but missed it; 0: there is none */
    double send_rate;              /* bytes/s of a slow writer; 0: as fast as it goes */
    double receive_rate;           /* bytes/s of a slow reader */
    double body_bytes;             /* that the request carries */
    char body_file[WORKLOAD_PATH]; /* ... or those of this file; empty: there is none */
    bool websocket;                /* it is a message, on a connection that is a WebSocket */
    bool one_way;                  /* ... that wants no reply */
    bool deaf;                     /* its connections subscribe, and then read nothing */
    int rooms;         /* its connections subscribe to one of so many topics; 0: to none */
    int64_t gather_ns; /* one_way: a message waits up to so long for others, to go out with them */
    struct modulation modulation;
};

/* What rates are multiplied by: evenly from `from` at the start of a phase to `to` at its end. */
struct load {
    double from, to;
};

/* A stretch of the window in which the rates are a multiple of the workload's: at the time t after
 * its start `load` (1 + swing sin(2 pi t / period)). */
struct phase {
    char name[WORKLOAD_NAME];
    int64_t length_ns;
    struct load load;                      /* of every class without its own */
    bool has_class_load[WORKLOAD_CLASSES]; /* CLASS.load was given */
    struct load class_load[WORKLOAD_CLASSES];
    double swing;      /* 0 to 1, of the load of every class */
    int64_t period_ns; /* 0: there is no swing */
};

struct workload {
    char question[WORKLOAD_TARGET];
    enum arrivals_kind arrivals;
    int connections;
    struct rate rate;
    enum placement placement;
    int64_t timeout_ns;
    int64_t drain_ns; /* after the end, for late replies; 0: not stated, see PLAN_DRAIN_NS */
    struct think think;
    int64_t retry_after_ns;    /* closed loop: pause of a user after a 503; 0: none */
    int burst;                 /* requests in a burst; 0: not stated, see BURST_DEFAULT */
    char trace[WORKLOAD_PATH]; /* file of times and classes, from the current folder; or empty */
    double ramp;               /* connections made per second; 0: as fast as it goes */
    int idle;                  /* connections held beside the active ones */
    int churn;                 /* requests per connection; 0: no limit */
    /* For the runner: options of every server, and of the upstream if requests call it. */
    char server_options[WORKLOAD_TARGET], upstream[WORKLOAD_TARGET];
    int64_t kill_ns; /* for the runner: a process of the server is killed so long after the window's
                        opening; 0: none */
    int64_t kill_period_ns;     /* ... and one more each time that has passed; 0: only one */
    enum victim_kind kill_what; /* ... or a component in its place */
    unsigned components;        /* for the runner, which starts them: a bit for each */
    /* For the runner: what every server gets as --sql, and what the database is prepared with; or empty. */
    char sql[WORKLOAD_PATH], schema[WORKLOAD_PATH];
    int phase_count;
    struct phase phase[WORKLOAD_PHASES];
    int class_count;
    struct workload_class class[WORKLOAD_CLASSES];
};

/* What holds where a file says nothing: a closed loop over 10 connections without classes. */
void workload_defaults(struct workload *);

/* Read `path` as `point` sees it. NULL stands for the only point, `base`, of a file without [point]
 * sections. Returns false with a sentence in `error` that names the file and, where there is one,
 * the line. */
bool workload_load(struct workload *, const char *path, const char *point, char *error,
                   size_t size);

/* Let requests arrive in another way. What the workload says of the way it had (a rate, a length of
 * bursts) is void where it does not apply to this one. */
void workload_change_arrivals(struct workload *, enum arrivals_kind);

/* What keys of a workload need of each other (a rate, a trace, a closed loop): to be asked when the last
 * key is set. Returns false with a sentence in `error`. */
bool workload_agrees(const struct workload *, char *error, size_t size);

/* "250", "1200.5" or "70%". Returns false when the text is no rate. */
bool workload_parse_rate(const char *text, struct rate *);

/* "100ms" and "exponential 100ms" are exponentially distributed pauses, "fixed 100ms" one like the
 * other. Returns false when the text is none of these. */
bool workload_parse_think(const char *text, struct think *);

/* The classes have rates of their own, and the one of the whole workload does not matter. */
bool workload_has_class_rates(const struct workload *);

/* Some class comes in bursts of a modulated rate. */
bool workload_is_modulated(const struct workload *);

/* Some request has a step io=upstream, io=redis or io=sql, so the server needs an upstream, which takes the
 * place of a database where there is none. */
bool workload_calls_upstream(const struct workload *);
/* Some request has a step io=disk. */
bool workload_reads_disk(const struct workload *);
/* ... book=. */
bool workload_uses_books(const struct workload *);

/* The class publishes to the room of its connection. */
bool workload_class_publishes(const struct workload_class *);

const char *arrivals_name(enum arrivals_kind);
/* "redis", "postgresql" */
const char *component_name(enum component);

#endif
