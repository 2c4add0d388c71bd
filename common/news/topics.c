#include "common/news/topics.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

struct topic {
    char name[TOPIC_NAME_MAX + 1]; /* first: the key of the tree */
    LIST_HEAD(, subscription) subscriptions;
};

/* In the lists of its topic and of its subscriber. */
struct subscription {
    struct topic *topic;
    struct subscriber *subscriber;
    LIST_ENTRY(subscription) of_topic;
    SLIST_ENTRY(subscription) of_subscriber;
};

void topics_init(struct topics *topics, size_t outbox_limit)
{
    *topics = (struct topics){.lock = PTHREAD_MUTEX_INITIALIZER, .outbox_limit = outbox_limit};
    TAILQ_INIT(&topics->news);
}

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Under the lock; NULL: nobody has subscribed to it. */
static struct topic *find(const struct topics *topics, const char *name)
{
    struct topic **found = tfind(name, &topics->topics, compare);
    return found ? *found : NULL;
}

static struct topic *find_or_add(struct topics *topics, const char *name)
{
    struct topic *topic = find(topics, name);
    if (topic)
        return topic;
    topic = must_calloc(1, sizeof *topic);
    strncpy(topic->name, name, TOPIC_NAME_MAX);
    LIST_INIT(&topic->subscriptions);
    if (!tsearch(topic, &topics->topics, compare))
        die("out of memory");
    return topic;
}

static struct subscription *find_subscription(const struct subscriber *subscriber, const char *name)
{
    struct subscription *subscription;
    SLIST_FOREACH (subscription, &subscriber->subscriptions, of_subscriber)
        if (strcmp(subscription->topic->name, name) == 0)
            return subscription;
    return NULL;
}

/* Under the lock. A topic without subscribers is forgotten. */
static void end_subscription(struct topics *topics, struct subscription *subscription)
{
    struct topic *topic = subscription->topic;
    SLIST_REMOVE(&subscription->subscriber->subscriptions, subscription, subscription,
                 of_subscriber);
    subscription->subscriber->count--;
    LIST_REMOVE(subscription, of_topic);
    free(subscription);
    if (LIST_EMPTY(&topic->subscriptions)) {
        tdelete(topic, &topics->topics, compare);
        free(topic);
    }
}

void subscriber_init(struct subscriber *subscriber)
{
    outbox_init(&subscriber->outbox);
    SLIST_INIT(&subscriber->subscriptions);
    subscriber->count = 0;
    subscriber->has_news = false;
}

/* Under the lock. */
static void unlist(struct topics *topics, struct subscriber *subscriber)
{
    TAILQ_REMOVE(&topics->news, subscriber, news);
    subscriber->has_news = false;
    topics->waiting--;
}

/* Under the lock. */
static void forget(struct topics *topics, struct subscriber *subscriber)
{
    while (!SLIST_EMPTY(&subscriber->subscriptions))
        end_subscription(topics, SLIST_FIRST(&subscriber->subscriptions));
    if (subscriber->has_news)
        unlist(topics, subscriber);
}

void subscriber_end(struct topics *topics, struct subscriber *subscriber)
{
    if (topics) {
        pthread_mutex_lock(&topics->lock);
        forget(topics, subscriber);
        pthread_mutex_unlock(&topics->lock);
    }
    outbox_free(&subscriber->outbox);
}

static int add_subscription(struct topics *topics, struct subscriber *subscriber, const char *name)
{
    if (find_subscription(subscriber, name))
        return 0;
    if (subscriber->count == SUBSCRIPTIONS_MAX)
        return -EMFILE;
    struct topic *topic = find_or_add(topics, name);
    struct subscription *subscription = must_calloc(1, sizeof *subscription);
    *subscription = (struct subscription){.topic = topic, .subscriber = subscriber};
    LIST_INSERT_HEAD(&topic->subscriptions, subscription, of_topic);
    SLIST_INSERT_HEAD(&subscriber->subscriptions, subscription, of_subscriber);
    subscriber->count++;
    return 0;
}

/* FNV-1a, folded (http://www.isthe.com/chongo/tech/comp/fnv/). */
unsigned topic_bit(const char *topic)
{
    uint32_t hash = 2166136261u;
    for (; *topic; topic++)
        hash = (hash ^ (uint8_t)*topic) * 16777619u;
    return (hash ^ hash >> 8 ^ hash >> 16 ^ hash >> 24) % TOPIC_BITS;
}

static void add_to_set(const void *node, VISIT visit, void *set)
{
    unsigned bit = topic_bit((*(struct topic *const *)node)->name);
    if (visit == postorder || visit == leaf)
        ((struct topic_set *)set)->bits[bit / 64] |= UINT64_C(1) << bit % 64;
}

bool topics_interest(struct topics *topics, struct topic_set *set)
{
    *set = (struct topic_set){{0}};
    pthread_mutex_lock(&topics->lock);
    twalk_r(topics->topics, add_to_set, set);
    bool some = topics->topics;
    pthread_mutex_unlock(&topics->lock);
    return some;
}

int topics_subscribe(struct topics *topics, struct subscriber *subscriber, const char *topic)
{
    pthread_mutex_lock(&topics->lock);
    int error = add_subscription(topics, subscriber, topic);
    pthread_mutex_unlock(&topics->lock);
    return error;
}

void topics_unsubscribe(struct topics *topics, struct subscriber *subscriber, const char *topic)
{
    pthread_mutex_lock(&topics->lock);
    struct subscription *subscription = find_subscription(subscriber, topic);
    if (subscription)
        end_subscription(topics, subscription);
    pthread_mutex_unlock(&topics->lock);
}

/* Under the lock. One that is listed already needs no other word. */
static bool tell(struct topics *topics, struct subscriber *subscriber, struct frame *frame)
{
    bool put = outbox_put(&subscriber->outbox, frame, topics->outbox_limit);
    if (!subscriber->has_news) {
        TAILQ_INSERT_TAIL(&topics->news, subscriber, news);
        subscriber->has_news = true;
        topics->waiting++;
    }
    return put;
}

int topics_publish(struct topics *topics, const char *name, struct frame *frame)
{
    struct subscription *subscription;
    int told = 0;
    pthread_mutex_lock(&topics->lock);
    struct topic *topic = find(topics, name);
    if (topic)
        LIST_FOREACH (subscription, &topic->subscriptions, of_topic)
            told += tell(topics, subscription->subscriber, frame);
    pthread_mutex_unlock(&topics->lock);
    return told;
}

struct subscriber *topics_next(struct topics *topics)
{
    pthread_mutex_lock(&topics->lock);
    struct subscriber *subscriber = TAILQ_FIRST(&topics->news);
    if (subscriber)
        unlist(topics, subscriber);
    pthread_mutex_unlock(&topics->lock);
    return subscriber;
}
