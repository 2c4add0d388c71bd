#include "common/upstream/upstream_connection.h"
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
    connection->pooled = (struct pooled_connection){.protocol = &resp_protocol, .fd = fd};
    connection->reader = redisReaderCreate();
    if (!connection->reader)
        die("out of memory");
    return connection;
}

void upstream_connection_close(struct upstream_connection *connection)
{
    close(connection->pooled.fd);
    redisFreeCommand(connection->command);
    redisReaderFree(connection->reader);
    free(connection);
}

void upstream_connection_set_command(struct upstream_connection *connection,
                                     const struct upstream_command *command)
{
    connection->len = upstream_command_format(command, &connection->command);
    connection->sent = 0;
}

int upstream_connection_finish(struct upstream_connection *connection)
{
    struct pollfd pollfd = {.fd = connection->pooled.fd, .events = POLLOUT};
    int error = 0;
    socklen_t len = sizeof error;
    connection->pooled.events = POLLOUT;
    if (poll(&pollfd, 1, 0) <= 0)
        return -EAGAIN;
    getsockopt(pollfd.fd, SOL_SOCKET, SO_ERROR, &error, &len);
    return -error;
}

int upstream_connection_send(struct upstream_connection *connection)
{
    connection->pooled.events = POLLOUT;
    while (connection->sent < connection->len) {
        int n = outcome(send(connection->pooled.fd, connection->command + connection->sent,
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
    connection->pooled.events = POLLIN;
    int n = outcome(recv(connection->pooled.fd, bytes, sizeof connection->received, 0));
    if (n < 0)
        return n;
    if (n == 0)
        return -ECONNRESET;
    if (redisReaderFeed(connection->reader, bytes, (size_t)n) != REDIS_OK ||
        redisReaderGetReply(connection->reader, (void **)reply) != REDIS_OK)
        return -EPROTO;
    return 0;
}

/* --- as one of a pool ------------------------------------------------------------------------- */

static struct upstream_connection *own(struct pooled_connection *pooled)
{
    return container_of(pooled, struct upstream_connection, pooled);
}

static struct pooled_connection *open_resp(const struct upstream_target *target, int *error)
{
    struct upstream_connection *connection = upstream_connection_open(&target->address, error);
    return connection ? &connection->pooled : NULL;
}

static int finish_resp(struct pooled_connection *pooled)
{
    return upstream_connection_finish(own(pooled));
}

static void set_resp(struct pooled_connection *pooled, const struct upstream_command *command)
{
    upstream_connection_set_command(own(pooled), command);
}

static int send_resp(struct pooled_connection *pooled)
{
    return upstream_connection_send(own(pooled));
}

/* After an error, too, the connection is as good as before; not so if more follows, which has no
 * owner. */
static int receive_resp(struct pooled_connection *pooled, struct upstream_answer *answer)
{
    const redisReader *reader = own(pooled)->reader;
    redisReply *reply = NULL;
    int error = upstream_connection_receive(own(pooled), &reply);
    if (!reply)
        return error;
    *answer = (struct upstream_answer){
        .complete = true,
        .usable = reader->pos == reader->len,
        .error = reply->type == REDIS_REPLY_ERROR ? -EREMOTEIO : 0,
        .is_zero = reply->type == REDIS_REPLY_INTEGER && reply->integer == 0,
    };
    freeReplyObject(reply);
    return 0;
}

static void close_resp(struct pooled_connection *pooled)
{
    upstream_connection_close(own(pooled));
}

static const char *reason_resp(int error)
{
    switch (-error) {
    case ETIMEDOUT: return "the upstream did not answer in time";
    case EREMOTEIO: return "the upstream answered with an error";
    case EPROTO: return "the upstream's answer cannot be read";
    case ENOLINK: return "nobody follows this channel";
    case ECONNRESET:
    case EPIPE: return "the upstream closed the connection";
    }
    return "the upstream cannot be reached";
}

const struct upstream_protocol resp_protocol = {
    .open = open_resp,
    .finish = finish_resp,
    .set_command = set_resp,
    .send = send_resp,
    .receive = receive_resp,
    .is_stale = pooled_has_input,
    .close = close_resp,
    .reason = reason_resp,
};
