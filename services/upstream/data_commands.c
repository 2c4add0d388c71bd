/* GET, SET, DEL, INCR, PUBLISH: calls, carried out when their time is over. Redis's replies. */
#include "services/upstream/upstream.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void refuse_memory(struct client *peer)
{
    buffer_print(&peer->output, "-OOM command not allowed when used memory > 'maxmemory'.\r\n");
}

void do_get(struct client *peer)
{
    const struct span *value = store_get(&peer->upstream->store, peer->request.word[1]);
    if (value)
        buffer_bulk(&peer->output, *value);
    else
        buffer_print(&peer->output, "$-1\r\n");
}

void do_set(struct client *peer)
{
    const struct request *request = &peer->request;
    if (request->count > 3) /* EX, NX and the like */
        buffer_print(&peer->output, "-ERR syntax error\r\n");
    else if (store_set(&peer->upstream->store, request->word[1], request->word[2]))
        buffer_print(&peer->output, "+OK\r\n");
    else
        refuse_memory(peer);
}

void do_del(struct client *peer)
{
    const struct request *request = &peer->request;
    int deleted = 0;
    for (int i = 1; i < request->count; i++)
        deleted += store_delete(&peer->upstream->store, request->word[i]);
    buffer_print(&peer->output, ":%d\r\n", deleted);
}

/* As Redis: as it would be printed, without blanks, plus signs or zeros before it. */
static bool read_integer(const struct span *value, long long *number)
{
    char text[32], printed[32];
    if (value->len >= sizeof text)
        return false;
    memcpy(text, value->data, value->len);
    text[value->len] = 0;
    *number = strtoll(text, NULL, 10);
    int len = snprintf(printed, sizeof printed, "%lld", *number);
    return (size_t)len == value->len && memcmp(printed, text, value->len) == 0;
}

void do_incr(struct client *peer)
{
    struct store *store = &peer->upstream->store;
    struct span key = peer->request.word[1];
    const struct span *value = store_get(store, key);
    long long number = 0;
    char text[32];
    if (value && !read_integer(value, &number)) {
        buffer_print(&peer->output, "-ERR value is not an integer or out of range\r\n");
        return;
    }
    if (number == LLONG_MAX) {
        buffer_print(&peer->output, "-ERR increment or decrement would overflow\r\n");
        return;
    }
    int len = snprintf(text, sizeof text, "%lld", number + 1);
    if (store_set(store, key, (struct span){text, (size_t)len}))
        buffer_print(&peer->output, ":%s\r\n", text);
    else
        refuse_memory(peer);
}

void do_publish(struct client *peer)
{
    const struct span *word = peer->request.word;
    int told = channels_publish(peer->upstream, word[1], word[2]);
    buffer_print(&peer->output, ":%d\r\n", told);
}
