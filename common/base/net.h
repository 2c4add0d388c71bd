/* net: TCP sockets. Failed set-ups die; expected outcomes are negative errno values. */
#ifndef ARCHBENCH_NET_H
#define ARCHBENCH_NET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

/* An address of IPv4 or IPv6, with its port. */
struct net_address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    };
    socklen_t len; /* of the member that any.sa_family names */
};

enum { NET_ADDRESS_TEXT = INET6_ADDRSTRLEN + 16 };

/* Resolve a name, or an address of either family without brackets, and a port. A name that has
 * addresses of both families gives an IPv4 one. Returns false when it has none. */
bool net_resolve(const char *host, int port, struct net_address *address);

/* The port of an address, in the machine's order. */
int net_port(const struct net_address *address);

/* "127.0.0.1:8080" or "[::1]:8080", into `text`, which it returns. */
const char *net_address_text(char text[NET_ADDRESS_TEXT], const struct net_address *address);

/* "HOST:PORT", where an IPv6 address has brackets, into the host without them and the port. Returns
 * false when the text is of another form or the host has `size` characters or more. */
bool net_split(const char *text, char *host, size_t size, int *port);

/* Listen on host (see net_resolve; `::` takes IPv4 peers too, unless the system forbids it) and port
 * (0: a free one, stored back). Blocking, close-on-exec, SO_REUSEADDR. Dies when it cannot. */
int net_listen(const char *host, int *port, int backlog);

/* Another listener on the address of `listener`, with the same backlog. Both get SO_REUSEPORT: from
 * now on the kernel gives each new connection to one of all such listeners, by a hash of its
 * addresses and ports. The first was opened without it, so a port that a stranger uses is still
 * refused. Dies when it cannot. */
int net_listen_beside(int listener);

/* Accept one peer with TCP_NODELAY; `flags` as for accept4 (SOCK_NONBLOCK).
 * Returns the descriptor, or -EAGAIN (no peer waits), -EINTR, -ECONNABORTED (a
 * peer gave up), -EMFILE (descriptors are out: one peer was refused at once, so that the
 * backlog moves on; left waiting, it would keep the listener readable for ever), or another -errno.
 * `*reserve` is a descriptor kept for that moment, from net_reserve(). */
int net_accept(int listener, int flags, int *reserve);
int net_reserve(void);

/* Wait until a peer waits at the listener, or it was shut down; at most timeout_ms (-1: for ever).
 * False: neither happened. */
bool net_await(int listener, int timeout_ms);

/* How many peers the kernel has connected and holds until they are accepted. Safe in a signal
 * handler. */
int net_waiting(int listener);

/* The address of our end of a socket. */
struct net_address net_own_address(int fd);

/* Start a non-blocking connect with TCP_NODELAY, from an address of this machine, of the same
 * family (NULL: the system chooses), and any free port of it. `receive_buffer`: bytes the kernel may hold for us (0: as many
 * as it likes), to be set before the window is agreed on. Returns the descriptor or -errno. */
int net_connect(const struct net_address *address, const struct net_address *source,
                int receive_buffer);

#endif
