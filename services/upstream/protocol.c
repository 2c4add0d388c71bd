#include "services/upstream/upstream.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
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
    return request;
}

static void *add_word(const redisReadTask *task, char *bytes, size_t len)
{
    struct request *request = task->privdata;
    if (!task->parent || task->type != REDIS_REPLY_STRING || len >= WORD_SIZE)
        return NULL;
    char *word = request->word[request->count++];
    memcpy(word, bytes, len);
    word[len] = 0;
    return word;
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

size_t client_unparsed(const struct client *peer)
{
    return peer->reader->len - peer->reader->pos;
}

/* The next request, if it is here as a whole. What cannot become one ends the connection. */
bool client_take_request(struct client *peer)
{
    void *taken = NULL;
    if (redisReaderGetReply(peer->reader, &taken) != REDIS_OK ||
        (!taken && client_unparsed(peer) > REQUEST_MAX)) {
        client_answer(peer,
                      "-ERR Protocol error: a request is an array of up to %d bulk strings\r\n",
                      WORDS_MAX);
        peer->state = STATE_LEAVING;
        return false;
    }
    return taken != NULL;
}

/* --- replies out --------------------------------------------------------------------------------- */

/* A whole reply, or with a bulk string a part of one; client_has_room() was true before. */
void client_answer(struct client *peer, const char *format, ...)
{
    va_list arguments;
    size_t room = OUTPUT_SIZE - peer->output_len;
    va_start(arguments, format);
    int len = vsnprintf(peer->output + peer->output_len, room, format, arguments);
    va_end(arguments);
    if (len < 0 || (size_t)len >= room)
        peer->state = STATE_BROKEN; /* it would be half a reply */
    else
        peer->output_len += (size_t)len;
}

void client_answer_text(struct client *peer, const char *text)
{
    client_answer(peer, "$%zu\r\n%s\r\n", strlen(text), text);
}

void client_send(struct client *peer)
{
    if (!peer->output_len || peer->congested)
        return;
    ssize_t n = send(peer->io.fd, peer->output, peer->output_len, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        peer->state = STATE_BROKEN;
        return;
    }
    size_t sent = n > 0 ? (size_t)n : 0;
    peer->output_len -= sent;
    memmove(peer->output, peer->output + sent, peer->output_len);
    peer->congested = peer->output_len > 0;
}

bool client_has_room(struct client *peer)
{
    if (OUTPUT_SIZE - peer->output_len < REPLY_MAX)
        client_send(peer);
    return OUTPUT_SIZE - peer->output_len >= REPLY_MAX;
}
