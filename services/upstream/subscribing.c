/* SUBSCRIBE, PSUBSCRIBE, UNSUBSCRIBE, PUNSUBSCRIBE: a reply for each name, as from Redis. */
#include "services/upstream/upstream.h"

#include <string.h>

static void answer(struct client *peer, const char *kind, const struct span *name)
{
    buffer_print(&peer->output, "*3\r\n$%zu\r\n%s\r\n", strlen(kind), kind);
    if (name)
        buffer_bulk(&peer->output, *name);
    else
        buffer_print(&peer->output, "$-1\r\n");
    buffer_print(&peer->output, ":%d\r\n", peer->subscriptions.count);
}

static void subscribe(struct client *peer, enum audience audience, const char *kind)
{
    const struct span *name = peer->request.word + 1;
    int count = peer->request.count - 1;
    if (!channels_allow(audience, name, count)) {
        buffer_print(&peer->output,
                     "-ERR names have up to %d bytes, and in patterns only a * at the end\r\n",
                     KEY_LEN_MAX);
        return;
    }
    if (peer->subscriptions.count + count > SUBSCRIPTIONS_MAX) {
        buffer_print(&peer->output, "-ERR a connection has %d subscriptions at most\r\n",
                     SUBSCRIPTIONS_MAX);
        return;
    }
    for (int i = 0; i < count; i++) {
        channels_join(peer, audience, name[i]);
        answer(peer, kind, &name[i]);
    }
}

static void unsubscribe(struct client *peer, enum audience audience, struct span name,
                        const char *kind)
{
    channels_leave(peer, audience, name);
    answer(peer, kind, &name);
}

/* Without names: all. There is a reply even if there was none. */
static void unsubscribe_all(struct client *peer, enum audience audience, const char *kind)
{
    const struct span *name = channels_of(peer, audience);
    if (!name)
        answer(peer, kind, NULL);
    for (; name; name = channels_of(peer, audience)) {
        char copy[KEY_LEN_MAX]; /* the name goes with the last subscription to it */
        struct span kept = {copy, name->len};
        memcpy(copy, name->data, name->len);
        unsubscribe(peer, audience, kept, kind);
    }
}

static void unsubscribe_some(struct client *peer, enum audience audience, const char *kind)
{
    const struct request *request = &peer->request;
    if (request->count == 1)
        unsubscribe_all(peer, audience, kind);
    for (int i = 1; i < request->count; i++)
        unsubscribe(peer, audience, request->word[i], kind);
}

void do_subscribe(struct client *peer)
{
    subscribe(peer, AUDIENCE_CHANNEL, "subscribe");
}

void do_psubscribe(struct client *peer)
{
    subscribe(peer, AUDIENCE_PATTERN, "psubscribe");
}

void do_unsubscribe(struct client *peer)
{
    unsubscribe_some(peer, AUDIENCE_CHANNEL, "unsubscribe");
}

void do_punsubscribe(struct client *peer)
{
    unsubscribe_some(peer, AUDIENCE_PATTERN, "punsubscribe");
}
