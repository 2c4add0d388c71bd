/* bare: the least that a client can do, as the bound that no measuring client passes.
 *
 * One thread keeps its connections busy: send a fixed request, take whatever one recv brings for
 * the reply, send again. It parses nothing, checks nothing and times nothing but the whole, so it
 * is honest only with a server whose replies are a few hundred bytes and never come in two parts.
 * What a load generator does beyond this is the price of its numbers.
 *
 *   build/bench/bare -c 64 -d 2s 8080 */
#include "common/base/options.h"
#include "common/base/util.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { EVENTS = 256, BUFFER_SIZE = 16 * 1024, SILENCE_MS = 2000 };

struct settings {
    int connections;
    int64_t warmup_ns, duration_ns;
    long port;
};

struct client {
    int epoll;
    char request[128];
    size_t request_len;
};

static struct settings read_options(int argc, char **argv)
{
    struct settings s = {
        .connections = 64, .warmup_ns = 200 * NSEC_PER_MSEC, .duration_ns = 2 * NSEC_PER_SEC};
    const struct option_row rows[] = {
        {"connections", 'c', OPTION_INT, &s.connections, "CONNS", "connections to keep busy", 1,
         1e6},
        {"duration", 'd', OPTION_DURATION, &s.duration_ns, "TIME", "length of the window", 0, 0},
        {"warmup", 0, OPTION_DURATION, &s.warmup_ns, "TIME", "load before the window", 0, 0},
        {0},
    };
    int first = options_parse(&(struct options){"bare", "PORT",
                                                "Ask 127.0.0.1 for / as fast as it goes and count.",
                                                rows, NULL},
                              argc, argv);
    if (first != argc - 1 || !parse_integer(argv[first], 1, 65535, &s.port))
        die("give one port of 127.0.0.1");
    if (s.duration_ns == 0)
        die("the window needs a length");
    return s;
}

/* A request is smaller than any socket buffer, and there is never more than one in it. */
static void ask(const struct client *c, int fd)
{
    if (send(fd, c->request, c->request_len, MSG_NOSIGNAL) != (ssize_t)c->request_len)
        die_errno("cannot send");
}

/* Blocking, as the socket stays: epoll says when there is something to receive. */
static int open_connection(const struct client *c, const struct sockaddr_in *address)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof *address))
        die_errno("cannot connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    event.data.fd = fd;
    if (epoll_ctl(c->epoll, EPOLL_CTL_ADD, fd, &event))
        die_errno("cannot watch a connection");
    return fd;
}

/* Open all connections and send the first request on each. The bytes are those that loadgen sends
 * for the same URL. */
static void begin(struct client *c, const struct settings *s)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)s->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    c->request_len = (size_t)snprintf(c->request, sizeof c->request,
                                      "GET / HTTP/1.1\r\nHost: 127.0.0.1:%ld\r\n\r\n", s->port);
    c->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (c->epoll < 0)
        die_errno("cannot make an epoll");
    for (int i = 0; i < s->connections; i++)
        ask(c, open_connection(c, &address));
}

/* Follow every reply with the next request until the clock says `end_ns`. Returns the replies. */
static uint64_t run_until(const struct client *c, int64_t end_ns)
{
    struct epoll_event events[EVENTS];
    char buffer[BUFFER_SIZE];
    uint64_t replies = 0;

    while (now_ns() < end_ns) {
        int count = epoll_wait(c->epoll, events, EVENTS, SILENCE_MS);
        if (count == 0)
            die("the server has not answered for %d ms", SILENCE_MS);
        for (int i = 0; i < count; i++) {
            if (recv(events[i].data.fd, buffer, sizeof buffer, 0) <= 0)
                die("the server gave up a connection");
            replies++;
            ask(c, events[i].data.fd);
        }
    }
    return replies;
}

int main(int argc, char **argv)
{
    struct settings settings = read_options(argc, argv);
    struct client client;

    begin(&client, &settings);
    run_until(&client, now_ns() + settings.warmup_ns);
    int64_t begin_ns = now_ns();
    uint64_t replies = run_until(&client, begin_ns + settings.duration_ns);
    printf("%.0f requests/s\n", (double)replies * NSEC_PER_SEC / (double)(now_ns() - begin_ns));
    return 0;
}
