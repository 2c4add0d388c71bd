/* channels: publish and subscribe, as Redis has it.
 *
 * To publish is to put the message into the output of each subscriber, and to list the subscriber
 * among those that have something to send. They are served when the command is done: a connection
 * that breaks then must not vanish from a list that is being gone through.
 *
 * A subscriber that does not read costs nobody else anything. What waits for it is bounded; beyond
 * that its connection is ended. */
#ifndef ARCHBENCH_CHANNELS_H
#define ARCHBENCH_CHANNELS_H

#include "common/base/util.h"

#include <stdbool.h>
#include <sys/queue.h>

struct upstream;
struct client;
struct subscription;

enum { SUBSCRIPTIONS_MAX = 1024 }; /* of one client */

/* A channel has a name; a pattern is the beginning of names, or all of one. */
enum audience { AUDIENCE_CHANNEL, AUDIENCE_PATTERN };

/* All zero: nobody has subscribed to anything. */
struct channels {
    void *by_name[2]; /* trees of channels and of patterns, see tsearch(3) */
    LIST_HEAD(, channel) patterns;
};

/* Of one client; the owner initialises it with TAILQ_INIT and `count` 0. */
struct subscriptions {
    TAILQ_HEAD(, subscription) list; /* in the order in which they were made */
    int count;
};

/* Can these be subscribed to? Not when a name is too long, and not when a pattern has a character
 * that is special to Redis, but for a * at its end. */
bool channels_allow(enum audience, const struct span *name, int count);

/* Again is the same as once. The client has less than SUBSCRIPTIONS_MAX. */
void channels_join(struct client *, enum audience, struct span name);
void channels_leave(struct client *, enum audience, struct span name);
/* The name of one of its subscriptions of this kind; NULL: it has none. */
const struct span *channels_of(const struct client *, enum audience);
void channels_leave_all(struct client *);

/* Returns how many have got it; of two subscriptions of one client each counts. */
int channels_publish(struct upstream *, struct span name, struct span message);

#endif
