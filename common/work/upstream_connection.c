#include "common/work/upstream_connection.h"
#include "common/base/net.h"
#include "common/base/util.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int outcome(ssize_t n)
{
    if (n < 0)
        return errno == EINTR || errno == EWOULDBLOCK ? -EAGAIN : -errno;
    return (int)n;
}

struct upstream_connection *upstream_connection_open(const struct net_address *address, int *error)
{
    int fd = net_connect(address, NULL, 0);
    if (fd < 0) {
        *error = fd;
        return NULL;
    }
    struct upstream_connection *connection = must_calloc(1, sizeof *connection);
    connection->fd = fd;
    connection->reader = redisReaderCreate();
    if (!connection->reader)
        die("out of memory");
    return connection;
}

void upstream_connection_close(struct upstream_connection *connection)
{
    close(connection->fd);
    redisFreeCommand(connection->command);
    redisReaderFree(connection->reader);
    free(connection);
}

bool upstream_connection_is_stale(const struct upstream_connection *connection)
{
    char byte;
    return outcome(recv(connection->fd, &byte, 1, MSG_PEEK)) != -EAGAIN;
}

void upstream_connection_set_command(struct upstream_connection *connection,
                                     const struct upstream_command *command)
{
    connection->len = upstream_command_format(command, &connection->command);
    connection->sent = 0;
}

int upstream_connection_finish(struct upstream_connection *connection)
{
    struct pollfd pollfd = {.fd = connection->fd, .events = POLLOUT};
    int error = 0;
    socklen_t len = sizeof error;
    if (poll(&pollfd, 1, 0) <= 0)
        return -EAGAIN;
    getsockopt(pollfd.fd, SOL_SOCKET, SO_ERROR, &error, &len);
    return -error;
}

int upstream_connection_send(struct upstream_connection *connection)
{
    while (connection->sent < connection->len) {
        int n = outcome(send(connection->fd, connection->command + connection->sent,
                             connection->len - connection->sent, MSG_NOSIGNAL));
        if (n < 0)
            return n;
        connection->sent += (size_t)n;
    }
    redisFreeCommand(connection->command);
    connection->command = NULL;
    return 0;
}

int upstream_connection_receive(struct upstream_connection *connection, redisReply **reply)
{
    char *bytes = connection->received;
    int n = outcome(recv(connection->fd, bytes, sizeof connection->received, 0));
    if (n < 0)
        return n;
    if (n == 0)
        return -ECONNRESET;
    if (redisReaderFeed(connection->reader, bytes, (size_t)n) != REDIS_OK ||
        redisReaderGetReply(connection->reader, (void **)reply) != REDIS_OK)
        return -EPROTO;
    return 0;
}
