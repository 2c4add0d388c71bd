/* delays: how late the generator is, and what that does to the numbers.
 *
 * It can be late twice. A request is sent after it was due: its lag. A reply is read after it came:
 * the kernel says when that was (SO_TIMESTAMPING). Both are known for every request, and are taken
 * out of its response time.
 *
 * What is left is the effect on the server. While the generator does not run, requests become due, and
 * then they are sent together: the server has a queue that it would not have had. It cannot be longer
 * than the lag: if every request of a first-come-first-served server arrives at most L later than it
 * should, it also leaves at most L later. A request that is sent l late of these L thus waited at most
 * L - l because of it. One that is late alone waited no longer; that is most of them, since a sleeper
 * which is woken late is late for one request. When requests are sent in time again, the queue that
 * is left shrinks as long as the server has time to spare: by a second in each second if it is half
 * busy, the assumption here. */
#ifndef ARCHBENCH_DELAYS_H
#define ARCHBENCH_DELAYS_H

#include <stdint.h>

/* Zeroed: no lag so far. */
struct echo {
    int64_t left_ns; /* by how much a request may be kept for longer, at ... */
    int64_t at_ns;
};

/* A request is sent now, lag_ns late. Returns how much longer the server may keep it because those
 * before it were late. */
static inline int64_t echo_of(struct echo *echo, int64_t now_ns, int64_t lag_ns)
{
    int64_t left_ns = echo->left_ns - (now_ns - echo->at_ns);

    echo->left_ns = left_ns > lag_ns ? left_ns : lag_ns;
    echo->at_ns = now_ns;
    return echo->left_ns - lag_ns;
}

#endif
