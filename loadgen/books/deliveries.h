/* deliveries: what subscribers of topics get of what others publish. Every message is numbered by its
 * publisher, so that each subscriber sees what is missing, what comes twice and what comes too late.
 * Pure counting: no clock, no socket. */
#ifndef ARCHBENCH_DELIVERIES_H
#define ARCHBENCH_DELIVERIES_H

#include "loadgen/books/stats.h"

#include <stdbool.h>
#include <stdint.h>

/* What one subscriber has got of one publisher. Zeroed: it knows that nothing was published before. */
struct following {
    uint32_t last;    /* the highest number that has come */
    uint32_t before;  /* bit i: last - 1 - i has come */
    uint32_t counted; /* ... has not, and was counted as lost, or as missed */
    bool unknown;     /* it is away: what comes next says what it has missed meanwhile */
    bool returned;    /* it has been: what is further back than `since` is missed, not lost */
    uint8_t since;    /* numbers since it came back; no more are counted than fit */
};

/* Message `number` of the publisher has come. `skipped`: so many numbers right before it may not have been
 * published: they were refused, or their publisher never knew what became of them. False: it has come before. */
bool deliveries_note(struct delivery_stats *, struct following *, uint32_t number,
                     uint32_t skipped);

/* The subscriber's connection was made anew. What was published while it was away it has not lost but missed: whoever
 * is away knows it. */
void deliveries_away(struct following *);

/* How many are still to come when the last message that is known to have been published has this number. At
 * the end of the run they are lost; or missed, if nothing has come since it was away. */
uint32_t deliveries_missing(const struct following *, uint32_t published);
void deliveries_end(struct delivery_stats *, const struct following *, uint32_t published);

/* For each of so many publishers the number of its last message that is known to have been published; zeroed,
 * in memory that forked children share. Dies when memory is out. */
uint32_t *deliveries_share(int publishers);

#endif
