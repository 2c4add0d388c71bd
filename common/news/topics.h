/* topics: which connections of this process have subscribed to what, and which of them have news.
 *
 * To publish is to put one shared frame into the outbox of each subscriber. That tells nobody yet: a
 * subscriber belongs to a loop, a thread or a process which may be asleep. So those that have got
 * something new are listed here, and the architecture takes them from the list and gets them served, in
 * its own way. What other processes have published they hear through a news_ring. */
#ifndef ARCHBENCH_TOPICS_H
#define ARCHBENCH_TOPICS_H

#include "common/websocket/message.h"
#include "common/websocket/outbox.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/queue.h>

/* What comes before a name in Redis: nothing that it holds for others is touched. */
#define TOPIC_CHANNEL "archbench:"

enum {
    TOPIC_NAME_MAX = 31,    /* characters: letters, digits, _ and - */
    SUBSCRIPTIONS_MAX = 64, /* of one subscriber */
};

struct subscription;

/* One peer that may be told something. Whoever embeds it owns it. */
struct subscriber {
    struct outbox outbox;
    /* From here on under the topics' lock. */
    SLIST_HEAD(, subscription) subscriptions;
    int count;
    bool has_news; /* it is in topics->news */
    TAILQ_ENTRY(subscriber) news;
};

/* What was published. The frame is held by whoever has the news. */
struct publication {
    char topic[TOPIC_NAME_MAX + 1];
    struct frame *frame; /* NULL: it is not news that was published; subscriptions have changed */
};

/* Topics, each by one bit of its hash: it may say yes to one that is not in it, and never no to one that is. */
enum { TOPIC_BITS = 256 };
struct topic_set {
    uint64_t bits[TOPIC_BITS / 64];
};

/* The bit of a topic. */
unsigned topic_bit(const char *topic);
static inline bool topic_set_has(const struct topic_set *set, unsigned bit)
{
    return set->bits[bit / 64] >> bit % 64 & 1;
}

/* All connections of a process share one. */
struct topics {
    pthread_mutex_t lock; /* guards all below, unless it is atomic */
    void *topics;         /* a tree of struct topic, see tsearch(3) */
    TAILQ_HEAD(subscribers_with_news, subscriber) news;
    atomic_int waiting;  /* how many those are */
    size_t outbox_limit; /* bytes that may wait for a subscriber */
};

void topics_init(struct topics *, size_t outbox_limit);

void subscriber_init(struct subscriber *);
/* It is told nothing any more. From here on no other thread knows of it. Without topics (NULL) none ever
 * did. */
void subscriber_end(struct topics *, struct subscriber *);

/* Again is the same as once. -EMFILE: it has SUBSCRIPTIONS_MAX already. Dies when there is no memory. */
int topics_subscribe(struct topics *, struct subscriber *, const char *topic);
void topics_unsubscribe(struct topics *, struct subscriber *, const char *topic);

/* What this process has subscribed to. Returns false, and an empty set, when that is nothing. */
bool topics_interest(struct topics *, struct topic_set *);

/* Put the frame into the outboxes of those that subscribed in this process. Returns how many have got
 * it; one whose outbox is full has not, and is listed to be ended. */
int topics_publish(struct topics *, const char *topic, struct frame *);

/* The next subscriber with news, or with an outbox that is overrun; NULL: there is none. */
struct subscriber *topics_next(struct topics *);
/* May there be one? A look without the lock, for a loop that asks after each event. */
static inline bool topics_have_news(struct topics *topics)
{
    return atomic_load_explicit(&topics->waiting, memory_order_acquire) > 0;
}

#endif
