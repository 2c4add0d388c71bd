/* upstream: a remote service to wait for. Servers call it for io=upstream:D; the delay is the only
 * work it has.
 *
 * This is no server architecture and is not compared with any: it stands in for the database or
 * service behind one. It speaks RESP2, the protocol of Redis, and the command that waits is one of
 * Redis, BLPOP, so that a server's client side runs against a real Redis too. But it waits with the
 * precision of the kernel's timers (an idle Redis looks at its clock ten times a second), and it
 * fails when it is told to:
 *
 *     build/upstream --port 6380 &
 *     redis-cli -p 6380 blpop archbench:none 0.02      # nothing, after 20 ms
 *     redis-cli -p 6380 config set fail 10             # from now on every tenth call is an error
 *
 * One thread, one loop: a call in progress costs a connection and a timer, so that what is measured
 * is how the server waits, not how the upstream does. Deliberately simple: no inline commands, a
 * request has at most WORDS_MAX words of less than WORD_SIZE bytes, no key has ever a value. */
#include "common/base/net.h"
#include "common/base/options.h"
#include "common/base/timers.h"
#include "common/base/util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <hiredis/read.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    WORDS_MAX = 8,
    WORD_SIZE = 64,
    REQUEST_MAX = 1024, /* bytes of a longest request; more without an end is none */
    INPUT_MAX = 16384,  /* pipelined bytes kept while a call is waited for */
    OUTPUT_SIZE = 2048, /* replies kept for a peer that does not take them */
    REPLY_MAX = 512,    /* bytes of a longest reply */
};

#define embedder(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

/* What can be changed while it runs, with CONFIG SET. */
struct behaviour {
    int64_t delay_ns;    /* added to every call */
    double fail_percent; /* of the calls are answered with an error */
    double drop_percent; /* of the calls end with the connection, unanswered */
    bool stall;          /* nothing but CONFIG is answered; connections stay */
};

struct tally {
    long long connections, refused, commands, calls, failed, dropped;
};

struct upstream {
    struct ev_loop *ev;
    ev_io listener, due;
    ev_signal terminate, interrupt;
    int listener_fd, reserve; /* see net_accept() */
    struct timers timers;     /* of the calls in progress */
    struct behaviour behaviour;
    unsigned short random[3]; /* state of erand48(): which calls go wrong */
    struct tally tally;
    int present; /* connections now */
    LIST_HEAD(peers, client) peers;
};

/* Decided when a call begins, carried out when it is over. */
enum fate { FATE_NIL, FATE_FAIL, FATE_DROP };

enum state {
    STATE_SERVING, /* takes commands */
    STATE_CALLING, /* in a call: later commands wait, for replies keep the order of requests */
    STATE_STALLED, /* never answers again */
    STATE_LEAVING, /* closes when its replies are sent */
    STATE_BROKEN,  /* closes now */
};

struct request {
    int count;
    char word[WORDS_MAX][WORD_SIZE]; /* strings */
};

/* One connection. The upstream owns it, from welcome() to close_peer(). */
struct client {
    struct upstream *upstream;
    LIST_ENTRY(client) all;
    ev_io io;
    struct timer timer; /* the end of its call */
    enum state state;
    enum fate fate;
    redisReader *reader;
    struct request request; /* the reader fills it */
    bool congested;         /* the socket takes no more until it says so */
    size_t output_len;
    char output[OUTPUT_SIZE];
};

/* ---------------------------------------------------------------- requests in
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

static bool open_reader(struct client *peer)
{
    static redisReplyObjectFunctions functions = {
        add_word, begin_request, refuse_integer, refuse_nil, keep,
    };
    peer->reader = redisReaderCreateWithFunctions(&functions);
    if (peer->reader)
        peer->reader->privdata = &peer->request;
    return peer->reader != NULL;
}

static size_t unparsed(const struct client *peer)
{
    return peer->reader->len - peer->reader->pos;
}

/* ---------------------------------------------------------------- replies out */

/* A whole reply, or with a bulk string a part of one; has_room() was true before. */
static void __attribute__((format(printf, 2, 3)))
answer(struct client *peer, const char *format, ...)
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

static void answer_text(struct client *peer, const char *text)
{
    answer(peer, "$%zu\r\n%s\r\n", strlen(text), text);
}

static void send_replies(struct client *peer)
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

static bool has_room(struct client *peer)
{
    if (OUTPUT_SIZE - peer->output_len < REPLY_MAX)
        send_replies(peer);
    return OUTPUT_SIZE - peer->output_len >= REPLY_MAX;
}

/* ---------------------------------------------------------------- settings */

static bool set_delay(struct behaviour *behaviour, const char *value)
{
    return parse_duration(value, strlen(value), &behaviour->delay_ns);
}

static bool set_percent(double *percent, const char *value)
{
    char *end;
    double number = strtod(value, &end);
    if (end == value || *end || !(number >= 0 && number <= 100))
        return false;
    *percent = number;
    return true;
}

static bool set_stall(struct behaviour *behaviour, const char *value)
{
    behaviour->stall = strcasecmp(value, "yes") == 0;
    return behaviour->stall || strcasecmp(value, "no") == 0;
}

/* One draw decides between the two faults, so they must leave room for each other. */
static bool is_possible(const struct behaviour *behaviour)
{
    return behaviour->fail_percent + behaviour->drop_percent <= 100;
}

/* False: there is no such setting, or this cannot be its value; then nothing has changed. */
static bool configure(struct behaviour *behaviour, const char *name, const char *value)
{
    struct behaviour changed = *behaviour;
    bool known = false;
    if (strcasecmp(name, "delay") == 0)
        known = set_delay(&changed, value);
    else if (strcasecmp(name, "fail") == 0)
        known = set_percent(&changed.fail_percent, value);
    else if (strcasecmp(name, "drop") == 0)
        known = set_percent(&changed.drop_percent, value);
    else if (strcasecmp(name, "stall") == 0)
        known = set_stall(&changed, value);
    if (!known || !is_possible(&changed))
        return false;
    *behaviour = changed;
    return true;
}

/* The value as CONFIG SET takes it. False: there is no such setting. */
static bool look_up(const struct behaviour *behaviour, const char *name, char *value, size_t size)
{
    if (strcasecmp(name, "delay") == 0)
        snprintf(value, size, "%.15gus", (double)behaviour->delay_ns / NSEC_PER_USEC);
    else if (strcasecmp(name, "fail") == 0)
        snprintf(value, size, "%g", behaviour->fail_percent);
    else if (strcasecmp(name, "drop") == 0)
        snprintf(value, size, "%g", behaviour->drop_percent);
    else if (strcasecmp(name, "stall") == 0)
        snprintf(value, size, "%s", behaviour->stall ? "yes" : "no");
    else
        return false;
    return true;
}

/* ---------------------------------------------------------------- commands */

/* As srand48(3) does: the bits of a small seed alone would make the first draws small. */
static void seed_faults(struct upstream *upstream, int seed)
{
    upstream->random[0] = 0x330e;
    upstream->random[1] = (unsigned short)seed;
    upstream->random[2] = (unsigned short)(seed >> 16);
}

static enum fate draw_fate(struct upstream *upstream)
{
    double draw = 100 * erand48(upstream->random);
    if (draw < upstream->behaviour.drop_percent)
        return FATE_DROP;
    return draw < upstream->behaviour.drop_percent + upstream->behaviour.fail_percent ? FATE_FAIL
                                                                                      : FATE_NIL;
}

static void begin_call(struct client *peer, double wait_s)
{
    struct upstream *upstream = peer->upstream;
    int64_t wait_ns = (int64_t)ceil(wait_s * NSEC_PER_SEC) + upstream->behaviour.delay_ns;
    peer->state = STATE_CALLING;
    peer->fate = draw_fate(upstream);
    upstream->tally.calls++;
    if (wait_s > 0) /* 0 is "for ever", as in Redis */
        timers_add(&upstream->timers, &peer->timer, now_ns() + wait_ns);
}

static void end_call(struct client *peer)
{
    struct upstream *upstream = peer->upstream;
    peer->state = STATE_SERVING;
    switch (peer->fate) {
    case FATE_NIL: answer(peer, "*-1\r\n"); break;
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

/* BLPOP key [key...] seconds. No key ever has an element, so only the time matters. */
static void do_blpop(struct client *peer)
{
    enum { SECONDS_MAX = 86400 * 365 };
    const char *text = peer->request.word[peer->request.count - 1];
    char *end;
    double wait_s = strtod(text, &end);
    if (end == text || *end || isnan(wait_s) || wait_s > SECONDS_MAX)
        answer(peer, "-ERR timeout is not a float or out of range\r\n");
    else if (wait_s < 0)
        answer(peer, "-ERR timeout is negative\r\n");
    else
        begin_call(peer, wait_s);
}

static void do_ping(struct client *peer)
{
    if (peer->request.count > 1)
        answer_text(peer, peer->request.word[1]);
    else
        answer(peer, "+PONG\r\n");
}

static void get_setting(struct client *peer, const char *name)
{
    char value[64];
    if (!look_up(&peer->upstream->behaviour, name, value, sizeof value)) {
        answer(peer, "*0\r\n");
        return;
    }
    answer(peer, "*2\r\n");
    answer_text(peer, name);
    answer_text(peer, value);
}

static void do_config(struct client *peer)
{
    const struct request *request = &peer->request;
    if (request->count == 3 && strcasecmp(request->word[1], "get") == 0)
        get_setting(peer, request->word[2]);
    else if (request->count != 4 || strcasecmp(request->word[1], "set") != 0)
        answer(peer, "-ERR CONFIG SET name value, or CONFIG GET name\r\n");
    else if (configure(&peer->upstream->behaviour, request->word[2], request->word[3]))
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
    char text[REPLY_MAX - 16];
    snprintf(text, sizeof text,
             "# Clients\r\nconnected_clients:%d\r\nblocked_clients:%d\r\n"
             "# Stats\r\ntotal_connections_received:%lld\r\nrejected_connections:%lld\r\n"
             "total_commands_processed:%lld\r\ncalls:%lld\r\nfailed:%lld\r\ndropped:%lld\r\n",
             upstream->present, count_calls(upstream), tally->connections, tally->refused,
             tally->commands, tally->calls, tally->failed, tally->dropped);
    answer_text(peer, text);
}

static void do_quit(struct client *peer)
{
    answer(peer, "+OK\r\n");
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

static void execute(struct client *peer)
{
    const struct request *request = &peer->request;
    if (request->count == 0) /* Redis takes an empty array for nothing, too */
        return;
    const struct command *command = find_command(request->word[0]);
    peer->upstream->tally.commands++;
    if (peer->upstream->behaviour.stall && (!command || command->execute != do_config))
        peer->state = STATE_STALLED;
    else if (!command)
        answer(peer, "-ERR unknown command\r\n"); /* not echoed: it may hold line ends */
    else if (request->count < command->least || request->count > command->most)
        answer(peer, "-ERR wrong number of arguments for '%s' command\r\n", command->name);
    else
        command->execute(peer);
}

/* ---------------------------------------------------------------- connections */

static void close_peer(struct client *peer)
{
    struct upstream *upstream = peer->upstream;
    ev_io_stop(upstream->ev, &peer->io);
    timers_remove(&upstream->timers, &peer->timer);
    LIST_REMOVE(peer, all);
    upstream->present--;
    close(peer->io.fd);
    redisReaderFree(peer->reader);
    free(peer);
}

/* The next request, if it is here as a whole. What cannot become one ends the connection. */
static bool take_request(struct client *peer)
{
    void *taken = NULL;
    if (redisReaderGetReply(peer->reader, &taken) != REDIS_OK ||
        (!taken && unparsed(peer) > REQUEST_MAX)) {
        answer(peer, "-ERR Protocol error: a request is an array of up to %d bulk strings\r\n",
               WORDS_MAX);
        peer->state = STATE_LEAVING;
        return false;
    }
    return taken != NULL;
}

/* A peer whom we owe something is not read: it must take its replies before it asks for more. One
 * in a call is, up to a limit, for only so we learn that it has left. */
static int wanted_events(const struct client *peer)
{
    if (peer->output_len)
        return EV_WRITE;
    return unparsed(peer) < INPUT_MAX ? EV_READ : 0;
}

static void watch(struct client *peer)
{
    int wanted = wanted_events(peer);
    int watched = ev_is_active(&peer->io) ? peer->io.events & (EV_READ | EV_WRITE) : 0;
    if (watched == wanted)
        return;
    ev_io_stop(peer->upstream->ev, &peer->io);
    ev_io_set(&peer->io, peer->io.fd, wanted);
    if (wanted)
        ev_io_start(peer->upstream->ev, &peer->io);
}

/* Answer what has come, in order, until a call must be waited for or the peer takes no replies. The
 * peer may be gone afterwards. */
static void advance(struct client *peer)
{
    while (has_room(peer) && peer->state == STATE_SERVING && take_request(peer))
        execute(peer);
    send_replies(peer);
    if (peer->state == STATE_BROKEN || (peer->state == STATE_LEAVING && !peer->output_len))
        close_peer(peer);
    else
        watch(peer);
}

static void receive(struct client *peer)
{
    char chunk[INPUT_MAX];
    ssize_t n = recv(peer->io.fd, chunk, sizeof chunk, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0 || redisReaderFeed(peer->reader, chunk, (size_t)n) != REDIS_OK)
        peer->state = STATE_BROKEN;
}

static void on_ready(struct ev_loop *ev, ev_io *io, int events)
{
    struct client *peer = embedder(io, struct client, io);
    (void)ev;
    if (events & EV_READ)
        receive(peer);
    if (events & EV_WRITE)
        peer->congested = false;
    advance(peer);
}

static void on_due(struct ev_loop *ev, ev_io *io, int events)
{
    struct upstream *upstream = ev_userdata(ev);
    int64_t at_ns = now_ns();
    struct timer *timer;
    (void)io, (void)events;
    while ((timer = timers_expire(&upstream->timers, at_ns))) {
        struct client *peer = embedder(timer, struct client, timer);
        end_call(peer);
        advance(peer);
    }
}

static void welcome(struct upstream *upstream, int fd)
{
    struct client *peer = must_calloc(1, sizeof *peer);
    peer->upstream = upstream;
    if (!open_reader(peer))
        die("out of memory");
    ev_io_init(&peer->io, on_ready, fd, EV_READ);
    ev_io_start(upstream->ev, &peer->io);
    LIST_INSERT_HEAD(&upstream->peers, peer, all);
    upstream->present++;
    upstream->tally.connections++;
}

static void on_connect(struct ev_loop *ev, ev_io *io, int events)
{
    struct upstream *upstream = ev_userdata(ev);
    (void)events;
    for (;;) {
        int fd = net_accept(io->fd, SOCK_NONBLOCK, &upstream->reserve);
        if (fd >= 0)
            welcome(upstream, fd);
        else if (fd == -EMFILE)
            upstream->tally.refused++;
        else if (fd != -EINTR && fd != -ECONNABORTED)
            return;
    }
}

/* ---------------------------------------------------------------- the program */

static void on_terminate(struct ev_loop *ev, ev_signal *signal, int events)
{
    (void)signal, (void)events;
    ev_break(ev, EVBREAK_ALL);
}

static void set_up(struct upstream *upstream, int argc, char **argv)
{
    struct behaviour *behaviour = &upstream->behaviour;
    const char *host = "127.0.0.1";
    int port = 6380, seed = 1;
    const struct option_row rows[] = {
        {"host", 'H', OPTION_TEXT, &host, "ADDRESS", "address to listen on", 0, 0},
        {"port", 'p', OPTION_INT, &port, "PORT", "port to listen on, 0: a free one", 0, 65535},
        {"delay", 0, OPTION_DURATION, &behaviour->delay_ns, "TIME", "added to every call", 0, 0},
        {"fail", 0, OPTION_REAL, &behaviour->fail_percent, "PERCENT",
         "calls answered with an error", 0, 100},
        {"drop", 0, OPTION_REAL, &behaviour->drop_percent, "PERCENT",
         "calls that end with the connection, unanswered", 0, 100},
        {"stall", 0, OPTION_FLAG, &behaviour->stall, NULL,
         "keep connections and answer nothing but CONFIG", 0, 0},
        {"seed", 0, OPTION_INT, &seed, "N", "the same calls go wrong for the same seed", 0, 0},
        {0},
    };
    int operand = options_parse(
        &(struct options){"upstream", "", "A remote service to wait for, in the protocol of Redis.",
                          rows, NULL},
        argc, argv);
    if (operand < argc)
        die("'%s' is not an option (see --help)", argv[operand]);
    if (!is_possible(behaviour))
        die("--fail and --drop together are over 100 %%");
    seed_faults(upstream, seed);
    upstream->listener_fd = net_listen(host, &port, 4096);
    upstream->reserve = net_reserve();
}

static void say_ready(const struct upstream *upstream)
{
    struct sockaddr_in address = {0};
    socklen_t len = sizeof address;
    char host[INET_ADDRSTRLEN];
    getsockname(upstream->listener_fd, (struct sockaddr *)&address, &len);
    inet_ntop(AF_INET, &address.sin_addr, host, sizeof host);
    printf("ready upstream %s:%d\n", host, ntohs(address.sin_port));
    fflush(stdout);
}

static void run(struct upstream *upstream)
{
    upstream->ev = ev_loop_new(EVFLAG_NOENV);
    if (!upstream->ev)
        die("libev cannot make a loop here");
    ev_set_userdata(upstream->ev, upstream);
    timers_init(&upstream->timers);
    fcntl(upstream->listener_fd, F_SETFL, O_NONBLOCK);
    ev_io_init(&upstream->listener, on_connect, upstream->listener_fd, EV_READ);
    ev_io_init(&upstream->due, on_due, upstream->timers.fd, EV_READ);
    ev_signal_init(&upstream->terminate, on_terminate, SIGTERM);
    ev_signal_init(&upstream->interrupt, on_terminate, SIGINT);
    ev_io_start(upstream->ev, &upstream->listener);
    ev_io_start(upstream->ev, &upstream->due);
    ev_signal_start(upstream->ev, &upstream->terminate);
    ev_signal_start(upstream->ev, &upstream->interrupt);
    say_ready(upstream); /* a signal from now on is heard */
    ev_run(upstream->ev, 0);
}

/* Calls in progress end with their connections, as when Redis is told to end. */
static void tear_down(struct upstream *upstream)
{
    while (!LIST_EMPTY(&upstream->peers))
        close_peer(LIST_FIRST(&upstream->peers));
    timers_free(&upstream->timers);
    ev_loop_destroy(upstream->ev);
    close(upstream->listener_fd);
}

static void report(const struct tally *tally)
{
    printf("{\"name\":\"upstream\",\"connections\":%lld,\"refused\":%lld,\"commands\":%lld,"
           "\"calls\":%lld,\"failed\":%lld,\"dropped\":%lld}\n",
           tally->connections, tally->refused, tally->commands, tally->calls, tally->failed,
           tally->dropped);
}

int main(int argc, char **argv)
{
    struct upstream upstream = {.peers = LIST_HEAD_INITIALIZER(upstream.peers)};
    set_up(&upstream, argc, argv);
    run(&upstream);
    tear_down(&upstream);
    report(&upstream.tally);
    return 0;
}
