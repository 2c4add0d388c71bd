/* memory: what the connections of a trial weigh, and how sure that is. docs/method.md, section 9. */
#ifndef ARCHBENCH_MEMORY_H
#define ARCHBENCH_MEMORY_H

#include "cell/trial.h"

/* Growth from before the first connection to the end of the window, in KiB. */
struct memory_growth {
    int64_t connections; /* open at the end */
    double user, page_tables, kernel_stacks;
    double sockets;       /* of the whole host: both ends of each connection, and all that came and
                             went with them */
    double total;         /* the sum of the four */
    double unsure;        /* by so much `sockets` may be too much, or too little */
    bool sockets_weighed; /* the connections are so many that the kernel's own ups and downs ... */
    bool total_weighed;   /* ... are at most BOUNDS_SHARE of what they take */
};

struct memory_growth memory_growth(const struct trial *);

/* Refuse what something else than the connections may have changed by more than BOUNDS_SHARE. */
void memory_judge(struct trial *);

#endif
