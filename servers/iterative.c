/* iterative: one process, one thread, one connection at a time.
 *
 * Who blocks:  all: while one connection is open, all others wait in the kernel's backlog.
 * Strength:    nothing can be simpler; the baseline that the others are compared with.
 * Weakness:    one idle client stops the server.
 * Try it:      build/servers/iterative --port 8080 &  curl 127.0.0.1:8080/
 *
 * Name:    iterative
 * Ids:     A0
 * Family:  processes
 * Look:    #000000 star4
 * Read:    serve, connections=main
 * Blocks:  compute timer upstream disk
 * Tasks:   0
 * Push:    no
 * Book:    owned by the only thread
 * Compute: 1
 * Peers:   1
 */
#include "common/serve/serve.h"
#include "common/serve/server.h"

#include <errno.h>
#include <unistd.h>

static void serve(struct server *server, int fd)
{
    server_serves(server, fd);
    serve_blocking(fd, &server->service, server->counters);
    server_serves(server, -1);
    close(fd);
}

int main(int argc, char **argv)
{
    struct server server;
    int fd;

    server_setup(&server, argc, argv, NULL);
    server_books(&server, MARKET_ALONE);
    server_stop_on_signal(&server, true);
    server_ready(&server);

    while ((fd = server_accept(&server)) != -ESHUTDOWN)
        if (fd >= 0)
            serve(&server, fd);
    return server_finish(&server);
}
