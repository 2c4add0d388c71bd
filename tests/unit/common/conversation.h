/* A conversation with a connection, without a descriptor: what is pushed into it, and what it sends. */
#ifndef ARCHBENCH_TEST_CONVERSATION_H
#define ARCHBENCH_TEST_CONVERSATION_H

#include "common/serve/conn.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct service service;
static struct counter_slot *slot;

static void setup(void)
{
    service =
        (struct service){.calibration = {.units_per_ms = {10}, .request_us = 1, .parallel = 1},
                         .counters = counters_create(NULL),
                         .idle_timeout_ns = 5 * NSEC_PER_SEC,
                         .header_timeout_ns = NSEC_PER_SEC};
    exchanges_init(&service.exchanges);
    slot = counters_claim(service.counters);
}

struct conversation {
    char *replies; /* all that was sent */
    size_t len, room;
    bool closed, shut;
    size_t send_at_most; /* bytes per send; 0: all */
};

static void keep(struct conversation *conversation, struct span out)
{
    if (conversation->len + out.len + 1 > conversation->room) {
        conversation->room = 2 * (conversation->len + out.len + 1);
        conversation->replies = realloc(conversation->replies, conversation->room);
    }
    memcpy(conversation->replies + conversation->len, out.data, out.len);
    conversation->len += out.len;
    conversation->replies[conversation->len] = 0;
}

/* Run until it wants to read or is over. */
static void advance(struct conn *conn, struct conversation *conversation)
{
    for (;;) {
        switch (conn->want) {
        case WANT_READ: return;
        case WANT_JOB:
            job_start(conn->job, WAIT_NONE);
            conn_job_done(conn);
            break;
        case WANT_WRITE: {
            struct span out = conn_out(conn);
            cr_assert_gt(out.len, 0);
            if (conversation->send_at_most && out.len > conversation->send_at_most)
                out.len = conversation->send_at_most;
            keep(conversation, out);
            conn_sent(conn, (ssize_t)out.len);
            conversation->shut |= conn_lingers(conn);
            break;
        }
        case WANT_CLOSE: conversation->closed = true; return;
        }
    }
}

static void push(struct conn *conn, struct conversation *conversation, const char *text, size_t len)
{
    while (len && !conversation->closed) {
        struct span in = conn_in(conn);
        size_t n = in.len < len ? in.len : len;
        cr_assert_gt(n, 0);
        memcpy(in.data, text, n);
        conn_received(conn, (ssize_t)n);
        advance(conn, conversation);
        text += n;
        len -= n;
    }
}

__attribute__((unused)) static int count(const char *text, const char *what)
{
    int n = 0;
    while (text && (text = strstr(text, what)))
        n++, text++;
    return n;
}

#define HOST "Host: a\r\n\r\n"

#endif
