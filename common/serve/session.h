/* session: a connection served in direct style, by a thread or process that has nothing else to do. All
 * its waits happen there, asleep.
 *
 * A WebSocket may be pushed to while its thread sleeps. Whoever has news for it wakes the thread with
 * SESSION_SIGNAL, which is blocked at all other times: it cannot get lost between a look at the outbox
 * and the sleep (ppoll, as pselect in POSIX). */
#ifndef ARCHBENCH_SESSION_H
#define ARCHBENCH_SESSION_H

#include "common/serve/channel.h"

#include <signal.h>

#define SESSION_SIGNAL SIGUSR1

enum session_event {
    SESSION_OVER,  /* session_end(), and close the descriptor */
    SESSION_NEWS,  /* job_news() of its job: whoever it concerns is to be told. Then go on */
    SESSION_WOKEN, /* the signal has come, or another. Then go on */
};

/* Whoever begins it owns it, for example on its stack. */
struct session {
    int fd;
    struct conn conn;
    sigset_t asleep; /* of a WebSocket: which signals are blocked while it sleeps */
    bool is_channel; /* that is set, and the descriptor does not block */
    struct exchange exchange;
};

/* Before the first thread or process is made: block SESSION_SIGNAL in all of them, and have it do nothing
 * but end a sleep. */
void session_hold_signal(void);

/* Begin with an accepted descriptor, in blocking mode. */
void session_begin(struct session *, int fd, struct service *, struct counter_slot *);
/* Serve it until it is over, or until the caller has something to do. */
enum session_event session_run(struct session *);
void session_end(struct session *);

#endif
