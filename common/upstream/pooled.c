#include "common/upstream/pooled.h"

#include <errno.h>
#include <sys/socket.h>

bool pooled_has_input(const struct pooled_connection *connection)
{
    char byte;
    ssize_t n = recv(connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n >= 0 || (errno != EINTR && errno != EWOULDBLOCK);
}
