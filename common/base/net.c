#include "common/base/net.h"
#include "common/base/util.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool take_family(struct net_address *address, const struct addrinfo *found, int family)
{
    for (; found; found = found->ai_next) {
        if (found->ai_family == family && found->ai_addrlen <= sizeof address->v6) {
            memcpy(&address->any, found->ai_addr, found->ai_addrlen);
            address->len = found->ai_addrlen;
            return true;
        }
    }
    return false;
}

bool net_resolve(const char *host, int port, struct net_address *address)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found;
    *address = (struct net_address){0};
    if (getaddrinfo(host, NULL, &hints, &found))
        return false;
    bool known = take_family(address, found, AF_INET) || take_family(address, found, AF_INET6);
    freeaddrinfo(found);
    if (known && address->any.sa_family == AF_INET)
        address->v4.sin_port = htons((uint16_t)port);
    else if (known)
        address->v6.sin6_port = htons((uint16_t)port);
    return known;
}

int net_port(const struct net_address *address)
{
    bool v4 = address->any.sa_family == AF_INET;
    return ntohs(v4 ? address->v4.sin_port : address->v6.sin6_port);
}

const char *net_address_text(char text[NET_ADDRESS_TEXT], const struct net_address *address)
{
    char host[INET6_ADDRSTRLEN] = "";
    bool v4 = address->any.sa_family == AF_INET;
    const void *bytes = v4 ? (const void *)&address->v4.sin_addr : &address->v6.sin6_addr;
    inet_ntop(address->any.sa_family, bytes, host, sizeof host);
    snprintf(text, NET_ADDRESS_TEXT, v4 ? "%s:%d" : "[%s]:%d", host, net_port(address));
    return text;
}

bool net_split(const char *text, char *host, size_t size, int *port)
{
    const char *colon = strrchr(text, ':');
    bool brackets = colon && text[0] == '[' && colon > text + 1 && colon[-1] == ']';
    size_t len = colon ? (size_t)(colon - text) - 2 * brackets : 0;
    long number;
    if (!len || len >= size || !parse_integer(colon + 1, 1, 65535, &number) ||
        (!brackets && memchr(text, ':', len)))
        return false;
    snprintf(host, size, "%.*s", (int)len, text + brackets);
    *port = (int)number;
    return true;
}

struct net_address net_own_address(int fd)
{
    struct net_address address = {.len = sizeof address.v6};
    getsockname(fd, &address.any, &address.len);
    return address;
}

/* Replies are complete messages: waiting to join them with later bytes (Nagle) only adds delay. */
static void set_nodelay(int fd)
{
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

int net_listen(const char *host, int *port, int backlog)
{
    struct net_address address;
    if (!net_resolve(host, *port, &address))
        die("cannot resolve host '%s'", host);
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die_errno("cannot make a socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(fd, &address.any, address.len))
        die_errno("cannot use %s:%d", host, *port);
    if (listen(fd, backlog))
        die_errno("cannot listen on %s:%d", host, *port);
    address = net_own_address(fd);
    *port = net_port(&address);
    return fd;
}

/* For a listener the kernel reports the length of its backlog and the limit where other sockets
 * have their unacknowledged segments and their selective acknowledgements (tcp_get_info() in
 * net/ipv4/tcp.c of Linux). */
static struct tcp_info backlog_of(int listener)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &len);
    return info;
}

int net_waiting(int listener)
{
    return (int)backlog_of(listener).tcpi_unacked;
}

int net_listen_beside(int listener)
{
    struct net_address address = net_own_address(listener);
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die_errno("cannot make a socket");
    if (setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &(int){1}, sizeof(int)) ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &(int){1}, sizeof(int)) ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) ||
        bind(fd, &address.any, address.len) || listen(fd, (int)backlog_of(listener).tcpi_sacked))
        die_errno("cannot share port %d among listeners", net_port(&address));
    return fd;
}

bool net_await(int listener, int timeout_ms)
{
    struct pollfd pollfd = {.fd = listener, .events = POLLIN};
    return poll(&pollfd, 1, timeout_ms) > 0;
}

int net_reserve(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Descriptors are out. Left alone, a peer would stay in the backlog and keep the listener
 * readable for ever. Give up the reserve for a moment to take the peer and turn it away. The
 * kernel says EMFILE also when no peer waits, so look first. */
static int refuse_one(int listener, int *reserve)
{
    if (!net_await(listener, 0))
        return -EAGAIN;
    if (*reserve >= 0)
        close(*reserve);
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        close(fd);
    *reserve = net_reserve();
    return -EMFILE;
}

int net_accept(int listener, int flags, int *reserve)
{
    int fd = accept4(listener, NULL, NULL, flags | SOCK_CLOEXEC);
    if (fd >= 0) {
        set_nodelay(fd);
        return fd;
    }
    if (errno == EMFILE || errno == ENFILE)
        return refuse_one(listener, reserve);
    return errno == EWOULDBLOCK ? -EAGAIN : -errno;
}

/* The port is left open until connect, which knows the destination: then two connections may share
 * one if only their destinations differ. */
static bool bind_source(int fd, const struct net_address *source)
{
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1}, sizeof(int));
    return bind(fd, &source->any, source->len) == 0;
}

int net_connect(const struct net_address *address, const struct net_address *source,
                int receive_buffer)
{
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    set_nodelay(fd);
    if (receive_buffer > 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    if ((source && !bind_source(fd, source)) ||
        (connect(fd, &address->any, address->len) && errno != EINPROGRESS)) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}
