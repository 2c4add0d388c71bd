#include "services/upstream/upstream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* --- requests in --------------------------------------------------------------------------------
 *
 * hiredis parses replies, and a request is one: an array of bulk strings. These functions are what
 * it calls instead of allocating objects. NULL is its "out of memory": the way to refuse. */

static void *begin_request(const redisReadTask *task, int elements)
{
    struct request *request = task->privdata;
    if (task->parent || elements > WORDS_MAX)
        return NULL;
    request->count = 0;
    buffer_drop(&request->text, request->text.len);
    return request;
}

static void *add_word(const redisReadTask *task, char *bytes, size_t len)
{
    struct request *request = task->privdata;
    if (!task->parent || task->type != REDIS_REPLY_STRING ||
        request->text.len + len > REQUEST_MAX || (!request->count && len > COMMAND_LEN_MAX))
        return NULL;
    request->word[request->count++].len = len;
    buffer_put(&request->text, (struct span){bytes, len});
    buffer_put(&request->text, (struct span){(char *)"", 1});
    return request;
}

static void *refuse_integer(const redisReadTask *task, long long value)
{
    (void)task, (void)value;
    return NULL;
}

static void *refuse_nil(const redisReadTask *task)
{
    (void)task;
    return NULL;
}

static void keep(void *object)
{
    (void)object; /* the peer owns it */
}

bool client_open_reader(struct client *peer)
{
    static redisReplyObjectFunctions functions = {
        add_word, begin_request, refuse_integer, refuse_nil, keep,
    };
    peer->reader = redisReaderCreateWithFunctions(&functions);
    if (peer->reader)
        peer->reader->privdata = &peer->request;
    return peer->reader != NULL;
}

void client_free_reader(struct client *peer)
{
    buffer_free(&peer->request.text);
    redisReaderFree(peer->reader);
}

size_t client_unparsed(const struct client *peer)
{
    return peer->reader->len - peer->reader->pos;
}

/* What has come is the length of a word, and perhaps a part of the word. hiredis waits for the rest,
 * however long it is said to be; we do not keep so much. */
static bool is_too_long(const struct client *peer)
{
    enum { LENGTH_MAX = 32 }; /* bytes of the length; the type before it has been taken already */
    const char *length = peer->reader->buf + peer->reader->pos;
    size_t len = client_unparsed(peer);
    if (!memmem(length, len < LENGTH_MAX ? len : LENGTH_MAX, "\r\n", 2))
        return len >= LENGTH_MAX;
    return strtoll(length, NULL, 10) > REQUEST_MAX;
}

/* The text has moved while it grew: only now can it be told where its words are. */
static void find_words(struct request *request)
{
    char *at = request->text.data;
    for (int i = 0; i < request->count; i++) {
        request->word[i].data = at;
        at += request->word[i].len + 1;
    }
}

bool client_take_request(struct client *peer)
{
    void *taken = NULL;
    if (redisReaderGetReply(peer->reader, &taken) != REDIS_OK || (!taken && is_too_long(peer))) {
        buffer_print(&peer->output,
                     "-ERR Protocol error: a request is an array of up to %d bulk strings, of up "
                     "to %d bytes together\r\n",
                     WORDS_MAX, REQUEST_MAX);
        peer->state = STATE_LEAVING;
        return false;
    }
    if (taken)
        find_words(&peer->request);
    return taken != NULL;
}

/* --- replies out --------------------------------------------------------------------------------- */

void client_send(struct client *peer)
{
    struct buffer *output = &peer->output;
    if (!output->len || peer->congested)
        return;
    ssize_t n = send(peer->io.fd, output->data, output->len, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        peer->state = STATE_BROKEN;
        return;
    }
    buffer_drop(output, n > 0 ? (size_t)n : 0);
    peer->congested = output->len > 0;
}

bool client_has_room(struct client *peer)
{
    if (peer->output.len >= OUTPUT_MAX)
        client_send(peer);
    return peer->output.len < OUTPUT_MAX;
}
