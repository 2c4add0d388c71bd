#include "common/websocket/message.h"

#include <string.h>

/* A delivery begins with *, see message_delivery(). */
static bool is_id(const struct span *id)
{
    for (size_t i = 0; i < id->len; i++)
        if (id->data[i] < '!' || id->data[i] > '~')
            return false;
    return id->len > 0 && id->len <= MESSAGE_ID_MAX && id->data[0] != '*';
}

bool message_parse(struct client_message *message, struct span text, const char **reason)
{
    char *end = text.data + text.len;
    char *line_end = text.len ? memchr(text.data, '\n', text.len) : NULL;
    char *payload = line_end ? line_end + 1 : end;
    if (!line_end)
        line_end = end;
    char *blank = text.len ? memchr(text.data, ' ', (size_t)(line_end - text.data)) : NULL;
    *reason = "a message is written ID TARGET, and its payload after a line feed";
    if (!blank)
        return false;
    message->id = (struct span){text.data, (size_t)(blank - text.data)};
    message->target = (struct span){blank + 1, (size_t)(line_end - blank - 1)};
    message->payload = (struct span){payload, (size_t)(end - payload)};
    if (is_id(&message->id))
        return true;
    *reason = "an ID is 1 to 32 visible ASCII characters, and does not begin with *";
    return false;
}

static char *put(char *at, const char *text, size_t len)
{
    memcpy(at, text, len);
    return at + len;
}

/* What is published when nothing came with the request. */
static const struct client_message nothing = {
    .opcode = OPCODE_TEXT, .id = {(char *)"-", 1}, .payload = {(char *)"", 0}};

static size_t text_len(const struct client_message *message)
{
    return message->id.len + 1 + message->payload.len;
}

static void put_text(char *at, const struct client_message *message)
{
    at = put(at, message->id.data, message->id.len);
    at = put(at, "\n", 1);
    put(at, message->payload.data, message->payload.len);
}

struct frame *message_delivery(const char *topic, const struct client_message *message)
{
    if (!message)
        message = &nothing;
    size_t topic_len = strlen(topic);
    char *at;
    struct frame *frame = frame_new(message->opcode, 1 + topic_len + 1 + text_len(message), &at);
    at = put(at, "*", 1);
    at = put(at, topic, topic_len);
    at = put(at, " ", 1);
    put_text(at, message);
    return frame;
}

struct span message_text(const struct client_message *message)
{
    if (!message)
        message = &nothing;
    struct span text = {must_calloc(1, text_len(message)), text_len(message)};
    put_text(text.data, message);
    return text;
}
