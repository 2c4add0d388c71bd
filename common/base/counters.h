/* counters: what a server counts while it runs. One slot per worker, shared by
 * forked processes, summed when read; an observer may map the same file. */
#ifndef ARCHBENCH_COUNTERS_H
#define ARCHBENCH_COUNTERS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

/* X(name, type, help): the one list, which /metrics, the final line and readers use. */
#define COUNTER_LIST(X)                                                                            \
    X(connections, counter, "Connections accepted.")                                               \
    X(closed, counter, "Connections ended.")                                                       \
    X(refused, counter, "Peers turned away: no descriptor, thread or process.")                    \
    X(requests, counter, "Requests answered.")                                                     \
    X(counted, counter, "What requests with count=N added, one by one.")                           \
    X(bad_requests, counter, "Requests answered with 4xx or 5xx other than shed ones.")            \
    X(shed, counter, "Requests answered with 503 because a queue was full.")                       \
    X(timeouts, counter, "Connections ended for silence or slowness.")                             \
    X(broken, counter, "Connections that failed or vanished in the middle.")                       \
    X(crashed, counter, "Worker processes that died of a signal.")                                 \
    X(upgraded, counter, "Connections that became WebSockets.")                                    \
    X(published, counter, "Messages published to a topic.")                                        \
    X(pushed, counter, "Published messages put into outboxes, one for each subscriber.")           \
    X(slow, counter, "Connections ended because they did not read what was pushed.")               \
    X(lost, counter, "Published messages that a process was too slow to hear of.")                 \
    X(fed, counter, "Published messages that came from the feed.")                                 \
    X(feed_connects, counter, "Subscriptions made for the feed.")                                  \
    X(book_updates, counter, "Market data applied to order books.")                                \
    X(book_trades, counter, "Market orders performed.")                                            \
    X(book_quotes, counter, "Quotes read.")                                                        \
    X(book_filled, counter, "Shares of market orders that found an order.")                        \
    X(book_unfilled, counter, "Shares of market orders that found none and were dropped.")         \
    X(book_age_us, counter, "Microseconds since the last market data, summed over trades.")        \
    X(book_old, counter, "Trades for which that was more than a millisecond.")                     \
    X(book_refused, counter, "Operations refused because the journal was full.")                   \
    X(book_rebuilt, counter, "Books built anew after a process died with them in hand.")           \
    X(queued, gauge, "Jobs waiting in the queue.")                                                 \
    X(queue_wait_us, counter, "Microseconds that jobs waited in the queue, in sum.")               \
    X(dequeued, counter, "Jobs taken from the queue.")                                             \
    X(upstream_calls, counter, "Calls to the upstream.")                                           \
    X(upstream_waits, counter, "Calls that had to wait for a free connection.")                    \
    X(upstream_wait_us, counter, "Microseconds that calls waited for a connection, in sum.")       \
    X(upstream_busy_us, counter, "Microseconds that calls had a connection, in sum.")              \
    X(upstream_connects, counter, "Connections made to the upstream.")                             \
    X(upstream_failed, counter,                                                                    \
      "Calls that the upstream refused, broke off or answered with an error.")                     \
    X(upstream_late, counter, "Calls that were not over in time.")                                 \
    X(database_calls, counter, "Statements that were to be executed.")                             \
    X(database_waits, counter, "Statements that had to wait for a free connection.")               \
    X(database_wait_us, counter, "Microseconds that statements waited for one, in sum.")           \
    X(database_busy_us, counter, "Microseconds that statements had a connection, in sum.")         \
    X(database_connects, counter, "Connections made to the database.")                             \
    X(database_failed, counter,                                                                    \
      "Statements that the database refused, broke off or could not be asked.")                    \
    X(database_late, counter, "Statements that were not over in time.")                            \
    X(workers, gauge, "Workers in the pool.")                                                      \
    X(spawned, counter, "Workers, threads or processes started.")                                  \
    X(switches_voluntary, counter, "Context switches of threads and processes that ended.")        \
    X(switches_involuntary, counter, "Preemptions of threads and processes that ended.")

enum counter {
#define X(name, type, help) COUNTER_##name,
    COUNTER_LIST(X)
#undef X
        COUNTERS
};

enum { COUNTER_SLOTS = 512 };

struct counter_slot {
    int64_t value[COUNTERS];
} __attribute__((aligned(64)));

/* The whole shared area, and the layout of a --stats-file. */
struct counters_file {
    uint32_t next_slot; /* the next claim takes this, modulo COUNTER_SLOTS */
    struct counter_slot slot[COUNTER_SLOTS];
    pid_t copy[COUNTER_SLOTS]; /* which of several copies of the server claimed it last; or 0 */
};

/* Map the shared area: anonymous, or FILE (created, truncated) when `path` is given. Dies. */
struct counters_file *counters_create(const char *path);
/* Map an existing file read-only, for an observer. NULL with errno when it cannot. */
const struct counters_file *counters_open(const char *path);

/* A slot for one worker (thread or process). Beyond COUNTER_SLOTS they are shared; adding is
 * atomic. */
struct counter_slot *counters_claim(struct counters_file *);
/* A slot that has not been claimed before; NULL when there is none. It stays its owner's alone as
 * long as counters_claim() is not called more often than there are slots. */
struct counter_slot *counters_claim_alone(struct counters_file *);

/* From here on this process, and those forked from it, claim as this copy of the server. */
void counters_claim_as(pid_t copy);
/* All connections that the slot counts have ended, with a process that was killed. */
void counters_bury(struct counter_slot *);
/* The same for every slot that this copy claimed. */
void counters_bury_copy(struct counters_file *, pid_t copy);

static inline void count_add(struct counter_slot *slot, enum counter which, int64_t n)
{
    __atomic_fetch_add(&slot->value[which], n, __ATOMIC_RELAXED);
}

/* The sum over all slots. */
int64_t counters_sum(const struct counters_file *, enum counter);

/* A worker ended: keep its context switches, which /proc forgets. */
void counters_retire(struct counter_slot *, const struct rusage *);
/* The calling thread is about to end: the same for it. */
void counters_retire_thread(struct counter_slot *);

/* What /metrics says, of one moment, in pieces: no buffer has to hold the whole, and its length is
 * known before the first piece goes out. */
struct counters_report {
    int64_t value[COUNTERS];
    int next; /* the counter with which the next piece begins */
};

enum { COUNTERS_PIECE_MIN = 512 }; /* bytes that hold any one counter */

/* Take all sums. Returns the length of the pieces together. */
size_t counters_report_begin(struct counters_report *, const struct counters_file *);
/* Write the next piece, Prometheus text format 0.0.4, as many counters as fit into `size` (at least
 * COUNTERS_PIECE_MIN). Returns its length; 0: that was all. */
size_t counters_report_piece(struct counters_report *, char *text, size_t size);
/* The same numbers as the members of a JSON object, without braces. */
size_t counters_json(const struct counters_file *, char *text, size_t size);

const char *counter_name(enum counter);

/* A counter that one architecture alone has, so that the list above is that of all servers. The
 * server owns an array of them, which ends with one without name, and names it in its service; it
 * shows up in /metrics of a server that answers that page itself and in the final line, not in a
 * --stats-file. One thread writes `value`. */
struct own_counter {
    const char *name;
    const char *type; /* "counter" or "gauge" */
    const char *help;
    int64_t value;
};

/* One sample with its HELP and TYPE lines, as in a report. Returns its length, 0
 * when it does not fit. */
size_t own_counter_metrics(const struct own_counter *, char *text, size_t size);

#endif
