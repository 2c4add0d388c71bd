#include "common/news/feed.h"
#include "common/base/counters.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* The descriptor is an epoll set, with whatever is waited for just now in it: the connection or the timer. */
struct feed {
    int set, timer;
    struct net_address redis;
    struct counter_slot *counters;
    redisContext *connection; /* NULL: there is none, and the timer runs until the next attempt */
    bool follows;             /* the command is sent; from now on Redis speaks */
    bool heard;               /* Redis has, and has let us follow */
};

static void watch(struct feed *feed, int operation, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(feed->set, operation, fd, &event))
        die_errno("cannot watch the feed");
}

static void try_again_later(struct feed *feed)
{
    struct itimerspec pause = {.it_value = {0, FEED_RETRY_NS}};
    timerfd_settime(feed->timer, 0, &pause, NULL);
}

/* hiredis has no connect that takes an address as we have it. */
static void connect_anew(struct feed *feed)
{
    int fd = net_connect(&feed->redis, NULL, 0);
    feed->follows = feed->heard = false;
    if (fd < 0) {
        try_again_later(feed);
        return;
    }
    feed->connection = redisConnectFd(fd);
    if (feed->connection)
        feed->connection->flags &= ~REDIS_BLOCK;
    if (!feed->connection ||
        redisAppendCommand(feed->connection, "PSUBSCRIBE " TOPIC_CHANNEL "*") != REDIS_OK)
        die("out of memory");
    watch(feed, EPOLL_CTL_ADD, fd, EPOLLOUT);
}

/* The set forgets a descriptor that is closed. Where Redis has let us follow, it may well be there again, and each
 * moment without it costs news. Where it has not, whoever answers there might refuse us for ever. */
static void lose(struct feed *feed)
{
    redisFree(feed->connection);
    feed->connection = NULL;
    if (feed->heard)
        connect_anew(feed);
    else
        try_again_later(feed);
}

struct feed *feed_new(const struct net_address *redis, struct counter_slot *counters)
{
    struct feed *feed = must_calloc(1, sizeof *feed);
    *feed = (struct feed){.set = epoll_create1(EPOLL_CLOEXEC),
                          .timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
                          .redis = *redis,
                          .counters = counters};
    if (feed->set < 0 || feed->timer < 0)
        die_errno("cannot make the descriptors of the feed");
    watch(feed, EPOLL_CTL_ADD, feed->timer, EPOLLIN);
    connect_anew(feed);
    return feed;
}

void feed_free(struct feed *feed)
{
    if (feed->connection)
        redisFree(feed->connection);
    close(feed->timer);
    close(feed->set);
    free(feed);
}

int feed_fd(const struct feed *feed)
{
    return feed->set;
}

/* As a frame of text if the bytes are UTF-8, which jansson can tell; a WebSocket would refuse others. */
static enum opcode opcode_of(const char *text, size_t len)
{
    json_t *string = json_stringn(text, len);
    enum opcode opcode = string ? OPCODE_TEXT : OPCODE_BINARY;
    json_decref(string);
    return opcode;
}

static bool is_text(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING;
}

/* A message is: pmessage, the pattern, the channel, what was published. What else comes says that we have
 * subscribed. False: it is no news of a topic. */
static bool read_news(const redisReply *reply, struct publication *news)
{
    const size_t prefix = strlen(TOPIC_CHANNEL);
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 4 || !is_text(reply->element[2]) ||
        !is_text(reply->element[3]))
        return false;
    const redisReply *channel = reply->element[2], *text = reply->element[3];
    if (channel->len <= prefix || channel->len - prefix > TOPIC_NAME_MAX ||
        strlen(channel->str) != channel->len)
        return false;
    memcpy(news->topic, channel->str + prefix, channel->len - prefix + 1);
    news->frame = message_delivery_of_text(news->topic, opcode_of(text->str, text->len),
                                           (struct span){text->str, text->len});
    return true;
}

/* What Redis says first: psubscribe, the pattern, the number of them. From here on nothing is missed. A connection alone
 * is nothing yet: one that is made while Redis is being killed may be accepted by nobody. */
static void note_confirmation(struct feed *feed, const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3 || !is_text(reply->element[0]) ||
        strcmp(reply->element[0]->str, "psubscribe") != 0)
        return;
    feed->heard = true;
    count_add(feed->counters, COUNTER_feed_connects, 1);
}

/* What has come and was not taken yet. False: no news is among it. */
static bool take_received(struct feed *feed, struct publication *news)
{
    redisReply *reply = NULL;
    while (feed->connection) {
        if (redisReaderGetReply(feed->connection->reader, (void **)&reply) != REDIS_OK) {
            lose(feed);
            return false;
        }
        if (!reply)
            return false;
        bool is_news = read_news(reply, news), refused = reply->type == REDIS_REPLY_ERROR;
        if (!is_news)
            note_confirmation(feed, reply);
        freeReplyObject(reply);
        if (refused) { /* it does not let us subscribe, perhaps only for now */
            lose(feed);
            return false;
        }
        if (is_news) {
            count_add(feed->counters, COUNTER_fed, 1);
            return true;
        }
    }
    return false;
}

static void send_command(struct feed *feed)
{
    int done = 0;
    if (redisBufferWrite(feed->connection, &done) != REDIS_OK) {
        lose(feed);
    } else if (done) {
        feed->follows = true;
        watch(feed, EPOLL_CTL_MOD, feed->connection->fd, EPOLLIN);
    }
}

/* Do what can be done now. False: there is nothing. */
static bool advance(struct feed *feed)
{
    struct epoll_event event;
    uint64_t expired;
    if (epoll_wait(feed->set, &event, 1, 0) <= 0)
        return false;
    if (event.data.fd == feed->timer) {
        if (read(feed->timer, &expired, sizeof expired) == sizeof expired && !feed->connection)
            connect_anew(feed);
    } else if (!feed->follows) {
        send_command(feed);
    } else if (redisBufferRead(feed->connection) != REDIS_OK) {
        lose(feed);
    }
    return true;
}

bool feed_next(struct feed *feed, struct publication *news)
{
    while (!take_received(feed, news))
        if (!advance(feed))
            return false;
    return true;
}

void feed_deliver(struct feed *feed, struct topics *topics)
{
    struct publication news;
    advance(feed);
    while (take_received(feed, &news)) {
        count_add(feed->counters, COUNTER_pushed, topics_publish(topics, news.topic, news.frame));
        frame_drop(news.frame);
    }
}
