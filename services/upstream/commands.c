#include "common/base/util.h"
#include "services/upstream/upstream.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { WAIT_FOR_EVER = -1 };

static void answer(struct client *peer, const char *reply)
{
    buffer_print(&peer->output, "%s", reply);
}

/* A call that takes so long, and the delay, and then is carried out; or fails, without any effect. */
static void begin_call(struct client *peer, int64_t wait_ns, void (*carry_out)(struct client *))
{
    struct upstream *upstream = peer->upstream;
    peer->state = STATE_CALLING;
    peer->fate = behaviour_draw_fate(&upstream->behaviour);
    peer->carry_out = carry_out;
    upstream->tally.calls++;
    if (wait_ns == WAIT_FOR_EVER)
        return;
    wait_ns += upstream->behaviour.delay_ns;
    if (wait_ns)
        timers_add(&upstream->timers, &peer->timer, now_ns() + wait_ns);
    else
        client_end_call(peer);
}

void client_end_call(struct client *peer)
{
    struct upstream *upstream = peer->upstream;
    peer->state = STATE_SERVING;
    switch (peer->fate) {
    case FATE_GOOD: peer->carry_out(peer); break;
    case FATE_FAIL:
        upstream->tally.failed++;
        answer(peer, "-ERR failed on purpose (CONFIG SET fail)\r\n");
        break;
    case FATE_DROP:
        upstream->tally.dropped++;
        peer->state = STATE_BROKEN;
        break;
    }
}

static void answer_nil(struct client *peer)
{
    answer(peer, "*-1\r\n");
}

/* BLPOP key [key...] seconds. No key ever has an element, so only the time matters. */
static void do_blpop(struct client *peer)
{
    enum { SECONDS_MAX = 86400 * 365 };
    const char *text = peer->request.word[peer->request.count - 1].data;
    char *end;
    double wait_s = strtod(text, &end);
    if (end == text || *end || isnan(wait_s) || wait_s > SECONDS_MAX)
        answer(peer, "-ERR timeout is not a float or out of range\r\n");
    else if (wait_s < 0)
        answer(peer, "-ERR timeout is negative\r\n");
    else if (wait_s > 0)
        begin_call(peer, (int64_t)ceil(wait_s * NSEC_PER_SEC), answer_nil);
    else /* as in Redis */
        begin_call(peer, WAIT_FOR_EVER, answer_nil);
}

static void answer_text(struct client *peer, const char *text)
{
    buffer_bulk(&peer->output, (struct span){(char *)text, strlen(text)});
}

/* A subscriber gets the reply in the form of a push. */
static void do_ping(struct client *peer)
{
    const struct request *request = &peer->request;
    struct span text = request->count > 1 ? request->word[1] : (struct span){(char *)"", 0};
    if (peer->subscriptions.count)
        answer(peer, "*2\r\n$4\r\npong\r\n");
    if (peer->subscriptions.count || request->count > 1)
        buffer_bulk(&peer->output, text);
    else
        answer(peer, "+PONG\r\n");
}

static void get_setting(struct client *peer, const char *name)
{
    char value[64];
    if (!behaviour_get(&peer->upstream->behaviour, name, value, sizeof value)) {
        answer(peer, "*0\r\n");
        return;
    }
    answer(peer, "*2\r\n");
    answer_text(peer, name);
    answer_text(peer, value);
}

static void do_config(struct client *peer)
{
    const struct span *word = peer->request.word;
    int count = peer->request.count;
    if (count == 3 && strcasecmp(word[1].data, "get") == 0)
        get_setting(peer, word[2].data);
    else if (count != 4 || strcasecmp(word[1].data, "set") != 0)
        answer(peer, "-ERR CONFIG SET name value, or CONFIG GET name\r\n");
    else if (behaviour_set(&peer->upstream->behaviour, word[2].data, word[3].data))
        answer(peer, "+OK\r\n");
    else
        answer(peer, "-ERR no such setting, or not a value for it\r\n");
}

/* Those in progress: counted when asked for, as a connection can end in many ways. */
static int count_calls(const struct upstream *upstream)
{
    int count = 0;
    struct client *peer;
    LIST_FOREACH (peer, &upstream->peers, all)
        count += peer->state == STATE_CALLING;
    return count;
}

/* Fields that Redis has too bear its names. */
static void do_info(struct client *peer)
{
    const struct upstream *upstream = peer->upstream;
    const struct tally *tally = &upstream->tally;
    char text[1024];
    snprintf(text, sizeof text,
             "# Clients\r\nconnected_clients:%d\r\nblocked_clients:%d\r\n"
             "# Stats\r\ntotal_connections_received:%lld\r\nrejected_connections:%lld\r\n"
             "total_commands_processed:%lld\r\ncalls:%lld\r\nfailed:%lld\r\ndropped:%lld\r\n"
             "published:%lld\r\ndelivered:%lld\r\nslow:%lld\r\n",
             upstream->present, count_calls(upstream), tally->connections, tally->refused,
             tally->commands, tally->calls, tally->failed, tally->dropped, tally->published,
             tally->delivered, tally->slow);
    answer_text(peer, text);
}

static void do_quit(struct client *peer)
{
    answer(peer, "+OK\r\n");
    peer->state = STATE_LEAVING;
}

enum {
    TAKES_TIME = 1,      /* a call, carried out when the delay is over */
    FOR_SUBSCRIBERS = 2, /* allowed to those that have subscribed */
    WHILE_STALLED = 4,
};

static const struct command {
    const char *name;
    int least, most; /* words, the name included */
    unsigned traits;
    void (*execute)(struct client *);
} commands[] = {
    {"blpop", 3, WORDS_MAX, 0, do_blpop},
    {"get", 2, 2, TAKES_TIME, do_get},
    {"set", 3, WORDS_MAX, TAKES_TIME, do_set},
    {"del", 2, WORDS_MAX, TAKES_TIME, do_del},
    {"incr", 2, 2, TAKES_TIME, do_incr},
    {"publish", 3, 3, TAKES_TIME, do_publish},
    {"subscribe", 2, WORDS_MAX, FOR_SUBSCRIBERS, do_subscribe},
    {"psubscribe", 2, WORDS_MAX, FOR_SUBSCRIBERS, do_psubscribe},
    {"unsubscribe", 1, WORDS_MAX, FOR_SUBSCRIBERS, do_unsubscribe},
    {"punsubscribe", 1, WORDS_MAX, FOR_SUBSCRIBERS, do_punsubscribe},
    {"ping", 1, 2, FOR_SUBSCRIBERS, do_ping},
    {"quit", 1, 1, FOR_SUBSCRIBERS, do_quit},
    {"config", 3, 4, WHILE_STALLED, do_config},
    {"info", 1, 2, 0, do_info},
};

static const struct command *find_command(struct span name)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strlen(commands[i].name) == name.len &&
            strncasecmp(commands[i].name, name.data, name.len) == 0)
            return &commands[i];
    return NULL;
}

/* True: it is, as it is written and in the client's state. Else the reply says why not. */
static bool is_allowed(struct client *peer, const struct command *command)
{
    const struct request *request = &peer->request;
    if (!command)
        answer(peer, "-ERR unknown command\r\n"); /* not echoed: it may hold line ends */
    else if (request->count < command->least || request->count > command->most)
        buffer_print(&peer->output, "-ERR wrong number of arguments for '%s' command\r\n",
                     command->name);
    else if (peer->subscriptions.count && !(command->traits & FOR_SUBSCRIBERS))
        buffer_print(&peer->output,
                     "-ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / "
                     "QUIT / RESET are allowed in this context\r\n",
                     command->name);
    else
        return true;
    return false;
}

void client_execute(struct client *peer)
{
    struct upstream *upstream = peer->upstream;
    if (peer->request.count == 0) /* Redis takes an empty array for nothing, too */
        return;
    const struct command *command = find_command(peer->request.word[0]);
    upstream->tally.commands++;
    if (upstream->behaviour.stall && !(command && command->traits & WHILE_STALLED))
        peer->state = STATE_STALLED;
    else if (!is_allowed(peer, command))
        return;
    else if (command->traits & TAKES_TIME)
        begin_call(peer, 0, command->execute);
    else
        command->execute(peer);
}
