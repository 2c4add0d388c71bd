#include "common/base/util.h"
#include "services/upstream/upstream.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void begin_call(struct client *peer, double wait_s)
{
    struct upstream *upstream = peer->upstream;
    int64_t wait_ns = (int64_t)ceil(wait_s * NSEC_PER_SEC) + upstream->behaviour.delay_ns;
    peer->state = STATE_CALLING;
    peer->fate = behaviour_draw_fate(&upstream->behaviour);
    upstream->tally.calls++;
    if (wait_s > 0) /* 0 is "for ever", as in Redis */
        timers_add(&upstream->timers, &peer->timer, now_ns() + wait_ns);
}

void client_end_call(struct client *peer)
{
    struct upstream *upstream = peer->upstream;
    peer->state = STATE_SERVING;
    switch (peer->fate) {
    case FATE_NIL: client_answer(peer, "*-1\r\n"); break;
    case FATE_FAIL:
        upstream->tally.failed++;
        client_answer(peer, "-ERR failed on purpose (CONFIG SET fail)\r\n");
        break;
    case FATE_DROP:
        upstream->tally.dropped++;
        peer->state = STATE_BROKEN;
        break;
    }
}

/* BLPOP key [key...] seconds. No key ever has an element, so only the time matters. */
static void do_blpop(struct client *peer)
{
    enum { SECONDS_MAX = 86400 * 365 };
    const char *text = peer->request.word[peer->request.count - 1];
    char *end;
    double wait_s = strtod(text, &end);
    if (end == text || *end || isnan(wait_s) || wait_s > SECONDS_MAX)
        client_answer(peer, "-ERR timeout is not a float or out of range\r\n");
    else if (wait_s < 0)
        client_answer(peer, "-ERR timeout is negative\r\n");
    else
        begin_call(peer, wait_s);
}

static void do_ping(struct client *peer)
{
    if (peer->request.count > 1)
        client_answer_text(peer, peer->request.word[1]);
    else
        client_answer(peer, "+PONG\r\n");
}

static void get_setting(struct client *peer, const char *name)
{
    char value[64];
    if (!behaviour_get(&peer->upstream->behaviour, name, value, sizeof value)) {
        client_answer(peer, "*0\r\n");
        return;
    }
    client_answer(peer, "*2\r\n");
    client_answer_text(peer, name);
    client_answer_text(peer, value);
}

static void do_config(struct client *peer)
{
    const struct request *request = &peer->request;
    if (request->count == 3 && strcasecmp(request->word[1], "get") == 0)
        get_setting(peer, request->word[2]);
    else if (request->count != 4 || strcasecmp(request->word[1], "set") != 0)
        client_answer(peer, "-ERR CONFIG SET name value, or CONFIG GET name\r\n");
    else if (behaviour_set(&peer->upstream->behaviour, request->word[2], request->word[3]))
        client_answer(peer, "+OK\r\n");
    else
        client_answer(peer, "-ERR no such setting, or not a value for it\r\n");
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
    char text[REPLY_MAX - 16];
    snprintf(text, sizeof text,
             "# Clients\r\nconnected_clients:%d\r\nblocked_clients:%d\r\n"
             "# Stats\r\ntotal_connections_received:%lld\r\nrejected_connections:%lld\r\n"
             "total_commands_processed:%lld\r\ncalls:%lld\r\nfailed:%lld\r\ndropped:%lld\r\n",
             upstream->present, count_calls(upstream), tally->connections, tally->refused,
             tally->commands, tally->calls, tally->failed, tally->dropped);
    client_answer_text(peer, text);
}

static void do_quit(struct client *peer)
{
    client_answer(peer, "+OK\r\n");
    peer->state = STATE_LEAVING;
}

static const struct command {
    const char *name;
    int least, most; /* words, the name included */
    void (*execute)(struct client *);
} commands[] = {
    {"blpop", 3, WORDS_MAX, do_blpop}, {"ping", 1, 2, do_ping}, {"config", 3, 4, do_config},
    {"info", 1, 2, do_info},           {"quit", 1, 1, do_quit},
};

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcasecmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

void client_execute(struct client *peer)
{
    const struct request *request = &peer->request;
    if (request->count == 0) /* Redis takes an empty array for nothing, too */
        return;
    const struct command *command = find_command(request->word[0]);
    peer->upstream->tally.commands++;
    if (peer->upstream->behaviour.stall && (!command || command->execute != do_config))
        peer->state = STATE_STALLED;
    else if (!command)
        client_answer(peer, "-ERR unknown command\r\n"); /* not echoed: it may hold line ends */
    else if (request->count < command->least || request->count > command->most)
        client_answer(peer, "-ERR wrong number of arguments for '%s' command\r\n", command->name);
    else
        command->execute(peer);
}
