#include "common/upstream/upstream_command.h"
#include "common/base/util.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* That of UPSTREAM_WAIT, which no step writes, is no name. */
static const char *const names[] = {[UPSTREAM_WAIT] = "",
                                    [UPSTREAM_GET] = "get",
                                    [UPSTREAM_SET] = "set",
                                    [UPSTREAM_INCR] = "incr",
                                    [UPSTREAM_PUBLISH] = "publish"};

const char *upstream_verb_name(enum upstream_verb verb)
{
    return names[verb];
}

bool upstream_verb_of(const char *name, size_t len, enum upstream_verb *verb)
{
    for (enum upstream_verb v = UPSTREAM_GET; v <= UPSTREAM_PUBLISH; v++) {
        if (strlen(names[v]) == len && memcmp(name, names[v], len) == 0) {
            *verb = v;
            return true;
        }
    }
    return false;
}

static int format_wait(int64_t duration_ns, char **text)
{
    double seconds = (double)duration_ns / (double)NSEC_PER_SEC;
    return duration_ns ? redisFormatCommand(text, "BLPOP " TOPIC_CHANNEL "none %.9f", seconds)
                       : redisFormatCommand(text, "PING");
}

/* With one more argument, if its data is not NULL. */
static int format(const char *verb, const char *name, struct span argument, char **text)
{
    char key[sizeof TOPIC_CHANNEL + UPSTREAM_NAME_MAX];
    int key_len = snprintf(key, sizeof key, TOPIC_CHANNEL "%s", name);
    const char *words[] = {verb, key, argument.data};
    const size_t lens[] = {strlen(verb), (size_t)key_len, argument.len};
    return redisFormatCommandArgv(text, argument.data ? 3 : 2, words, lens);
}

static struct span value_of(const struct client_message *message)
{
    static char fixed[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    _Static_assert(sizeof fixed - 1 == UPSTREAM_VALUE, "the header says so");
    return message ? message->payload : (struct span){fixed, UPSTREAM_VALUE};
}

static int format_publish(const char *name, const struct client_message *message, char **text)
{
    struct span delivery = message_text(message);
    int len = format("PUBLISH", name, delivery, text);
    free(delivery.data);
    return len;
}

static int format_any(const struct upstream_command *command, char **text)
{
    const char *name = command->name;
    switch (command->verb) {
    case UPSTREAM_WAIT: return format_wait(command->duration_ns, text);
    case UPSTREAM_GET: return format("GET", name, (struct span){0}, text);
    case UPSTREAM_SET: return format("SET", name, value_of(command->message), text);
    case UPSTREAM_INCR: return format("INCR", name, (struct span){0}, text);
    case UPSTREAM_PUBLISH: return format_publish(name, command->message, text);
    }
    return -1;
}

size_t upstream_command_format(const struct upstream_command *command, char **text)
{
    int len = format_any(command, text);
    if (len < 0)
        die("out of memory");
    return (size_t)len;
}
