#include "common/base/net.h"
#include "common/base/util.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

bool net_resolve(const char *host, int port, struct sockaddr_in *address)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(host, NULL, &hints, &found))
        return false;
    memcpy(address, found->ai_addr, sizeof *address);
    address->sin_port = htons((uint16_t)port);
    freeaddrinfo(found);
    return true;
}

/* Replies are complete messages: waiting to join them with later bytes (Nagle) only adds delay. */
static void set_nodelay(int fd)
{
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

int net_listen(const char *host, int *port, int backlog)
{
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    if (!net_resolve(host, *port, &address))
        die("cannot resolve host '%s'", host);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die_errno("cannot make a socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(fd, (struct sockaddr *)&address, sizeof address))
        die_errno("cannot use %s:%d", host, *port);
    if (listen(fd, backlog))
        die_errno("cannot listen on %s:%d", host, *port);
    getsockname(fd, (struct sockaddr *)&address, &len);
    *port = ntohs(address.sin_port);
    return fd;
}

/* The kernel reports a listener's backlog where other sockets have their selective
 * acknowledgements. */
static int backlog_of(int listener)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &len);
    return (int)info.tcpi_sacked;
}

int net_listen_beside(int listener)
{
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    getsockname(listener, (struct sockaddr *)&address, &len);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die_errno("cannot make a socket");
    if (setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &(int){1}, sizeof(int)) ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &(int){1}, sizeof(int)) ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) ||
        bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, backlog_of(listener)))
        die_errno("cannot share port %d among listeners", ntohs(address.sin_port));
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
 * kernel says EMFILE also when nobody waits, so look first. */
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
static bool bind_source(int fd, const struct in_addr *source)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = *source};

    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1}, sizeof(int));
    return bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
}

int net_connect(const struct sockaddr_in *address, const struct in_addr *source, int receive_buffer)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    set_nodelay(fd);
    if (receive_buffer > 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    if ((source && !bind_source(fd, source)) ||
        (connect(fd, (const struct sockaddr *)address, sizeof *address) && errno != EINPROGRESS)) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}
