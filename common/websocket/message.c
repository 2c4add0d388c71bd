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

/* "*TOPIC ", and room for so many bytes, which begins at *rest. */
static struct frame *begin_delivery(const char *topic, enum opcode opcode, size_t len, char **rest)
{
    size_t topic_len = strlen(topic);
    struct frame *frame = frame_new(opcode, 1 + topic_len + 1 + len, rest);
    *rest = put(*rest, "*", 1);
    *rest = put(*rest, topic, topic_len);
    *rest = put(*rest, " ", 1);
    return frame;
}

struct frame *message_delivery(const char *topic, const struct client_message *message)
{
    char *rest;
    if (!message)
        message = &nothing;
    struct frame *frame = begin_delivery(topic, message->opcode, text_len(message), &rest);
    put_text(rest, message);
    return frame;
}

struct frame *message_delivery_of_text(const char *topic, enum opcode opcode, struct span text)
{
    char *rest;
    struct frame *frame = begin_delivery(topic, opcode, text.len, &rest);
    put(rest, text.data, text.len);
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
