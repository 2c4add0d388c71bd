/* letters: a dead-letter queue. What could not be done is kept, the oldest first, so that somebody
 * may look at it, mend the cause and have it done after all. It is bounded: the oldest goes. */
#ifndef ARCHBENCH_LETTERS_H
#define ARCHBENCH_LETTERS_H

#include "common/program.h"

#include <stdio.h>
#include <sys/queue.h>

struct letter {
    const char *function; /* whose event it was */
    struct program program;
    const char *reason;
    int attempts;
    unsigned id; /* 1, 2, ... in the order in which they came */
    int64_t died_ns;
    bool pinned; /* somebody works on it: it does not go */
    TAILQ_ENTRY(letter) link;
};

/* One thread's. The queue owns its letters. */
struct letters {
    TAILQ_HEAD(letter_list, letter) list;
    int count, limit;
    unsigned ever;
    int64_t lost; /* had to go, or found no room */
};

void letters_init(struct letters *, int limit);
/* Free all letters. */
void letters_free(struct letters *);

/* Keep a copy of the program; both texts stay the caller's and outlive the queue. Where there is no
 * room, the oldest that is not pinned goes, and where none is, the new one. */
void letters_add(struct letters *, const char *function, const struct program *, const char *reason,
                 int attempts);

/* Take it out and free it. */
void letters_remove(struct letters *, struct letter *);

/* All of them as a JSON array, the oldest first. */
void letters_print(const struct letters *, FILE *);

#endif
