/* answer: the least that a server can do, so that a generator is what a benchmark measures.
 *
 * One thread sends the same reply, the bytes of a file, for each recv that brings something. It
 * parses nothing, so it is honest only with generators that send one whole request at a time.
 *
 *   build/bench/answer reply.txt */
#include "common/base/net.h"
#include "common/base/options.h"
#include "common/base/util.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256, BUFFER_SIZE = 16 * 1024, BACKLOG = 4096 };

struct server {
    int epoll, listener, reserve;
    size_t reply_len;
    char reply[BUFFER_SIZE];
};

static void read_reply(struct server *s, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, s->reply, sizeof s->reply);

    if (n < 0)
        die_errno("cannot read '%s'", path);
    if (n == 0 || n == sizeof s->reply)
        die("'%s' is no reply of less than %zu bytes", path, sizeof s->reply);
    s->reply_len = (size_t)n;
    close(fd);
}

static void watch(const struct server *s, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};

    if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event))
        die_errno("cannot watch a descriptor");
}

static void take_peer(struct server *s)
{
    int fd = net_accept(s->listener, SOCK_NONBLOCK, &s->reserve);

    if (fd >= 0)
        watch(s, fd, EPOLLIN | EPOLLET);
}

/* A request is smaller than any socket buffer, and so is a reply. */
static void answer(const struct server *s, int fd)
{
    char buffer[BUFFER_SIZE];

    if (recv(fd, buffer, sizeof buffer, 0) <= 0 ||
        send(fd, s->reply, s->reply_len, MSG_NOSIGNAL) != (ssize_t)s->reply_len)
        close(fd);
}

int main(int argc, char **argv)
{
    const struct option_row rows[] = {{0}};
    const struct options options = {"answer", "FILE",
                                    "Answer every request with the bytes of FILE.", rows, NULL};
    int first = options_parse(&options, argc, argv), port = 0;
    struct epoll_event events[EVENTS];
    struct server server;

    if (first != argc - 1)
        die("give one file");
    read_reply(&server, argv[first]);
    server.listener = net_listen("127.0.0.1", &port, BACKLOG);
    server.reserve = net_reserve();
    server.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (server.epoll < 0)
        die_errno("cannot make an epoll");
    watch(&server, server.listener, EPOLLIN);
    printf("ready answer 127.0.0.1:%d\n", port);
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(server.epoll, events, EVENTS, -1);

        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == server.listener)
                take_peer(&server);
            else
                answer(&server, events[i].data.fd);
        }
    }
}
