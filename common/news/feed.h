/* feed: what anybody publishes in a Redis (io=redis:publish, on whatever server), as news for the subscribers of
 * this process. So servers that know nothing of each other tell their subscribers the same.
 *
 * It has a connection of its own, since one that has subscribed takes no other command, and follows every
 * channel that begins with archbench: at once; the rest of a channel's name is the topic. One descriptor tells a
 * loop, or a thread that sleeps, when there is something to do; it stays the same for as long as there is a feed.
 * When the connection is lost it is made anew, first at once and then every FEED_RETRY_NS until that succeeds. What
 * was published in between nobody keeps: Redis's channels have no memory. */
#ifndef ARCHBENCH_FEED_H
#define ARCHBENCH_FEED_H

#include "common/base/net.h"
#include "common/base/util.h"
#include "common/news/topics.h"

#include <stdbool.h>

#define FEED_RETRY_NS (100 * NSEC_PER_MSEC)

struct feed;
struct counter_slot;

/* Begin to connect, and count each time when it has subscribed: the counters must outlive it. Dies when it gets
 * no descriptors. Whoever calls owns it, and is the one thread that uses it. */
struct feed *feed_new(const struct net_address *redis, struct counter_slot *);
void feed_free(struct feed *);

/* Readable when feed_next() has something to do. */
int feed_fd(const struct feed *);
/* The next news, of which the caller then holds the frame. Never waits; false: there is none until the descriptor is
 * readable. */
bool feed_next(struct feed *, struct publication *);
/* Read once, and push the news to the subscribers of this process, whom topics_next() then gives. A loop that went on
 * until nothing is left would be kept from its connections by a feed that never ends. */
void feed_deliver(struct feed *, struct topics *);

#endif
