/* net: TCP sockets. Failed set-ups die; expected outcomes are negative errno values. */
#ifndef ARCHBENCH_NET_H
#define ARCHBENCH_NET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

/* Listen on host (a dotted address or name; IPv4) and port (0: a free one, stored back).
 * Blocking, close-on-exec, SO_REUSEADDR. Dies when it cannot. */
int net_listen(const char *host, int *port, int backlog);

/* Another listener on the address of `listener`, with the same backlog. Both get SO_REUSEPORT: from
 * now on the kernel gives each new connection to one of all such listeners, by a hash of its
 * addresses and ports. The first was opened without it, so a port that a stranger uses is still
 * refused. Dies when it cannot. */
int net_listen_beside(int listener);

/* Accept one peer with TCP_NODELAY; `flags` as for accept4 (SOCK_NONBLOCK).
 * Returns the descriptor, or -EAGAIN (nobody waits), -EINTR, -ECONNABORTED (a
 * peer gave up), -EMFILE (descriptors are out: one peer was refused at once, so that the
 * backlog moves on), or another -errno. `*reserve` is a descriptor kept for that
 * moment, from net_reserve(). */
int net_accept(int listener, int flags, int *reserve);
int net_reserve(void);

/* Wait until a peer waits at the listener, or it was shut down; at most timeout_ms (-1: for ever).
 * False: neither happened. */
bool net_await(int listener, int timeout_ms);

/* Resolve host and port into an IPv4 address. Returns false when the name has none. */
bool net_resolve(const char *host, int port, struct sockaddr_in *address);

/* Start a non-blocking connect with TCP_NODELAY, from an address of this machine (NULL: the system
 * chooses) and any free port of it. `receive_buffer`: bytes the kernel may hold for us (0: as many
 * as it likes), to be set before the window is agreed on. Returns the descriptor or -errno. */
int net_connect(const struct sockaddr_in *address, const struct in_addr *source,
                int receive_buffer);

#endif
