#include "services/upstream/channels.h"
#include "services/upstream/upstream.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

struct channel {
    struct span name; /* first: what the trees are ordered by. In `bytes` */
    enum audience audience;
    LIST_HEAD(, subscription) subscriptions;
    LIST_ENTRY(channel) patterns; /* of a pattern */
    char bytes[];
};

/* In the lists of its channel and of its client. */
struct subscription {
    struct channel *channel;
    struct client *peer;
    LIST_ENTRY(subscription) of_channel;
    TAILQ_ENTRY(subscription) of_peer;
};

/* --- subscriptions ------------------------------------------------------------------------------- */

static bool is_plain(struct span name)
{
    for (size_t i = 0; i < name.len; i++)
        if (memchr("*?[]\\", name.data[i], 5))
            return false;
    return true;
}

static bool ends_with_star(struct span name)
{
    return name.len && name.data[name.len - 1] == '*';
}

bool channels_allow(enum audience audience, const struct span *name, int count)
{
    for (int i = 0; i < count; i++) {
        struct span stem = {name[i].data, name[i].len - ends_with_star(name[i])};
        if (name[i].len > KEY_LEN_MAX || (audience == AUDIENCE_PATTERN && !is_plain(stem)))
            return false;
    }
    return true;
}

/* NULL: nobody has subscribed to it. */
static struct channel *find(const struct channels *channels, enum audience audience,
                            struct span name)
{
    struct channel **found = tfind(&name, &channels->by_name[audience], span_compare);
    return found ? *found : NULL;
}

static struct channel *find_or_add(struct channels *channels, enum audience audience,
                                   struct span name)
{
    struct channel *channel = find(channels, audience, name);
    if (channel)
        return channel;
    channel = must_calloc(1, sizeof *channel + name.len);
    channel->name = (struct span){channel->bytes, name.len};
    channel->audience = audience;
    memcpy(channel->name.data, name.data, name.len);
    LIST_INIT(&channel->subscriptions);
    if (!tsearch(channel, &channels->by_name[audience], span_compare))
        die("out of memory");
    if (audience == AUDIENCE_PATTERN)
        LIST_INSERT_HEAD(&channels->patterns, channel, patterns);
    return channel;
}

static struct subscription *find_subscription(const struct client *peer, enum audience audience,
                                              struct span name)
{
    struct subscription *subscription;
    TAILQ_FOREACH (subscription, &peer->subscriptions.list, of_peer)
        if (subscription->channel->audience == audience &&
            span_compare(&subscription->channel->name, &name) == 0)
            return subscription;
    return NULL;
}

void channels_join(struct client *peer, enum audience audience, struct span name)
{
    if (find_subscription(peer, audience, name))
        return;
    struct subscription *subscription = must_calloc(1, sizeof *subscription);
    struct channel *channel = find_or_add(&peer->upstream->channels, audience, name);
    *subscription = (struct subscription){.channel = channel, .peer = peer};
    LIST_INSERT_HEAD(&channel->subscriptions, subscription, of_channel);
    TAILQ_INSERT_TAIL(&peer->subscriptions.list, subscription, of_peer);
    peer->subscriptions.count++;
}

/* A channel without subscribers is forgotten. */
static void end(struct subscription *subscription)
{
    struct client *peer = subscription->peer;
    struct channel *channel = subscription->channel;
    TAILQ_REMOVE(&peer->subscriptions.list, subscription, of_peer);
    peer->subscriptions.count--;
    LIST_REMOVE(subscription, of_channel);
    free(subscription);
    if (!LIST_EMPTY(&channel->subscriptions))
        return;
    tdelete(channel, &peer->upstream->channels.by_name[channel->audience], span_compare);
    if (channel->audience == AUDIENCE_PATTERN)
        LIST_REMOVE(channel, patterns);
    free(channel);
}

void channels_leave(struct client *peer, enum audience audience, struct span name)
{
    struct subscription *subscription = find_subscription(peer, audience, name);
    if (subscription)
        end(subscription);
}

const struct span *channels_of(const struct client *peer, enum audience audience)
{
    const struct subscription *subscription;
    TAILQ_FOREACH (subscription, &peer->subscriptions.list, of_peer)
        if (subscription->channel->audience == audience)
            return &subscription->channel->name;
    return NULL;
}

void channels_leave_all(struct client *peer)
{
    while (!TAILQ_EMPTY(&peer->subscriptions.list))
        end(TAILQ_FIRST(&peer->subscriptions.list));
}

/* --- messages ------------------------------------------------------------------------------------ */

/* Have it served when the command is done. */
static void list(struct client *peer)
{
    if (peer->listed)
        return;
    peer->listed = true;
    TAILQ_INSERT_TAIL(&peer->upstream->told, peer, told);
}

/* If something waits for the client already, what is added follows by itself. */
static bool tell(struct client *peer, const struct buffer *push)
{
    struct upstream *upstream = peer->upstream;
    if (peer->state == STATE_LEAVING || peer->state == STATE_BROKEN)
        return false;
    if (peer->output.len + push->len > upstream->outbox_limit) {
        upstream->tally.slow++;
        peer->state = STATE_BROKEN;
        list(peer);
        return false;
    }
    if (!peer->output.len)
        list(peer);
    buffer_put(&peer->output, (struct span){push->data, push->len});
    return true;
}

static int tell_all(const struct channel *channel, const struct buffer *push)
{
    struct subscription *subscription;
    int told = 0;
    LIST_FOREACH (subscription, &channel->subscriptions, of_channel)
        told += tell(subscription->peer, push);
    return told;
}

static int tell_channel(const struct channel *channel, struct span message)
{
    struct buffer push = {0};
    buffer_print(&push, "*3\r\n$7\r\nmessage\r\n");
    buffer_bulk(&push, channel->name);
    buffer_bulk(&push, message);
    int told = tell_all(channel, &push);
    buffer_free(&push);
    return told;
}

static int tell_pattern(const struct channel *pattern, struct span name, struct span message)
{
    struct buffer push = {0};
    buffer_print(&push, "*4\r\n$8\r\npmessage\r\n");
    buffer_bulk(&push, pattern->name);
    buffer_bulk(&push, name);
    buffer_bulk(&push, message);
    int told = tell_all(pattern, &push);
    buffer_free(&push);
    return told;
}

static bool matches(struct span pattern, struct span name)
{
    if (!ends_with_star(pattern))
        return span_compare(&pattern, &name) == 0;
    return name.len >= pattern.len - 1 && memcmp(pattern.data, name.data, pattern.len - 1) == 0;
}

int channels_publish(struct upstream *upstream, struct span name, struct span message)
{
    const struct channel *channel = find(&upstream->channels, AUDIENCE_CHANNEL, name);
    const struct channel *pattern;
    int told = channel ? tell_channel(channel, message) : 0;
    LIST_FOREACH (pattern, &upstream->channels.patterns, patterns)
        if (matches(pattern->name, name))
            told += tell_pattern(pattern, name, message);
    upstream->tally.published++;
    upstream->tally.delivered += told;
    return told;
}
