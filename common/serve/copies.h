/* copies: the whole server several times behind one port, for whatever one process has too little
 * of, such as descriptors. Each copy is a process with a listener and counters of its own; one that
 * dies is replaced. No architecture has to know: --processes does it in server_setup(). */
#ifndef ARCHBENCH_COPIES_H
#define ARCHBENCH_COPIES_H

#include "common/serve/server.h"

/* Fork `count` copies and return in each of them, with the server as it is to be there. The parent
 * does not return: it says that the server is ready, replaces the dead (see workers.h) until
 * SIGTERM or SIGINT, and exits with the last line that server_finish() prints. */
void copies_make(struct server *, int count);

#endif
