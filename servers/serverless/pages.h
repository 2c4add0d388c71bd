/* pages: what the router tells about itself and takes as orders: /metrics with its own counters,
 * /functions, /dead-letters, and POST /dead-letters/replay.
 *
 * conn has no buffer for a page. The text belongs to the client that asked for it, until its next
 * page or its end. */
#ifndef ARCHBENCH_PAGES_H
#define ARCHBENCH_PAGES_H

#include "servers/serverless/platform.h"

/* Make the service know the pages and the router's own counters. */
void pages_init(struct platform *);
/* Answer the page that this client's conn asks for. Its reply can go out at once. */
void pages_answer(struct platform *, struct client *);
/* Bring platform->own up to date. */
void pages_update_own(struct platform *);

#endif
