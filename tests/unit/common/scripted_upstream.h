/* An upstream of the test's own: a listener, and calls of a pool that connects to it. */
#ifndef ARCHBENCH_TEST_UPSTREAM_H
#define ARCHBENCH_TEST_UPSTREAM_H

#include "common/base/net.h"
#include "common/base/util.h"
#include "common/upstream/upstream.h"
#include "common/work/job.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PATIENCE_MS = 5000 };
#define NIL        "*-1\r\n"
#define BLPOP_50MS "*3\r\n$5\r\nBLPOP\r\n$14\r\narchbench:none\r\n$11\r\n0.050000000\r\n"

static int listener, port;
static struct upstream_turns turns;
static struct upstream_pool pool;
static struct counters_file *counters;
static struct counter_slot *slot;

static inline void setup(void)
{
    listener = net_listen("127.0.0.1", &port, 64);
    counters = counters_create(NULL);
    slot = counters_claim(counters);
}

static inline void open_pool(int limit, int64_t timeout_ns)
{
    char where[32];
    snprintf(where, sizeof where, "127.0.0.1:%d", port);
    upstream_turns_init(&turns);
    upstream_init(&pool, &turns, where, limit, timeout_ns);
}

static inline void begin(struct upstream_call *call)
{
    struct upstream_command wait = {.verb = UPSTREAM_WAIT, .duration_ns = 50 * NSEC_PER_MSEC};
    upstream_begin(call, &pool, slot, wait);
}

static inline bool is_readable(int fd, int timeout_ms)
{
    return poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, timeout_ms) > 0;
}

/* --- the upstream's side ---------------------------------------------------------------------- */

static inline int take_connection(void)
{
    cr_assert(is_readable(listener, PATIENCE_MS), "nobody connects");
    return accept(listener, NULL, NULL);
}

static inline void expect(int fd, const char *command)
{
    char text[256] = {0};
    size_t len = strlen(command);
    cr_assert(is_readable(fd, PATIENCE_MS), "no command");
    cr_assert_eq(recv(fd, text, len, MSG_WAITALL), (ssize_t)len);
    cr_assert_str_eq(text, command);
    cr_assert(!is_readable(fd, 0), "it says more than the command");
}

static inline void say(int fd, const char *text)
{
    cr_assert_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static inline void expect_end(int fd)
{
    char byte;
    cr_assert(is_readable(fd, PATIENCE_MS), "the connection is still open");
    cr_assert_leq(recv(fd, &byte, 1, 0), 0);
    close(fd);
}

/* --- the caller's ---------------------------------------------------------------------------- */

/* One wait, as a loop would do it, and what follows. */
static inline int go_on(struct upstream_call *call)
{
    struct pollfd pollfd = {.fd = upstream_fd(call), .events = upstream_events(call)};
    cr_assert_geq(pollfd.fd, 0, "it waits for its turn");
    cr_assert_eq(poll(&pollfd, 1, PATIENCE_MS), 1);
    return upstream_advance(call);
}

/* Up to where the reply is waited for. */
static inline void go_to_reply(struct upstream_call *call)
{
    int result = upstream_advance(call);
    while (result == -EAGAIN && call->state != UPSTREAM_RECEIVING)
        result = go_on(call);
    cr_assert_eq(result, -EAGAIN, "%d", result);
    cr_assert_eq(upstream_events(call), POLLIN);
}

/* A whole call on a new connection; the upstream's end of it. */
static inline int call_once(void)
{
    struct upstream_call call;
    begin(&call);
    go_to_reply(&call);
    int fd = take_connection();
    expect(fd, BLPOP_50MS);
    say(fd, NIL);
    cr_assert_eq(go_on(&call), 0);
    return fd;
}

static inline int64_t counted(enum counter which)
{
    return counters_sum(counters, which);
}

/* --- one call -------------------------------------------------------------------------------- */

#endif
