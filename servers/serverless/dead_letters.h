/* dead_letters: a dead-letter queue. Events that could not be performed are kept here, the oldest
 * first, so that somebody can look at them, mend the cause, and have them performed after all. The
 * queue is bounded: when it is full, the oldest dead letter goes.
 *
 * The queue writes to a journal. If the journal has a file, dead letters survive the process, and
 * so do records of the events that were under way. */
#ifndef ARCHBENCH_DEAD_LETTERS_H
#define ARCHBENCH_DEAD_LETTERS_H

#include "common/base/util.h"
#include "common/work/program.h"
#include "servers/serverless/journal.h"

#include <stdio.h>
#include <sys/queue.h>

/* The journal's record of an event that has been accepted, and is neither done nor dead. */
struct accepted_event {
    struct journal_entry entry;
    char text[];
};

struct dead_letter {
    struct journal_entry entry; /* has the id of the dead letter */
    char *text;                 /* of the entry; owned */
    const char *function;       /* whose event it was */
    struct program program;
    const char *reason; /* why it is here: a constant */
    int attempts;
    int64_t died_ns; /* or when it was found in the journal */
    bool pinned;     /* it is being replayed: it must not be freed */
    TAILQ_ENTRY(dead_letter) link;
};

/* One thread's. The queue owns its dead letters. */
struct dead_letters {
    TAILQ_HEAD(dead_letter_list, dead_letter) list;
    struct journal *journal;
    int count, limit;
    int64_t lost; /* those that had to go, or found no room */
};

/* The journal is the caller's, and open as long as the queue is used. */
void dead_letters_init(struct dead_letters *, struct journal *, int limit);
/* Free all dead letters; what is in the journal stays there. */
void dead_letters_free(struct dead_letters *);

/* Write into the journal that an event with this program has been accepted. *accepted is the
 * caller's until dead_letters_done() or dead_letters_add(); it is NULL if the journal has no file.
 * Returns 0, or -errno when it could not be written: then the event should be refused. */
int dead_letters_accept(struct dead_letters *, const struct program *,
                        struct accepted_event **accepted);
/* The event has been done. NULL is allowed. */
void dead_letters_done(struct dead_letters *, struct accepted_event *);

/* The event is dead: keep a copy of its program. In the journal the dead letter takes the place of
 * the accepted event (or NULL). Both texts stay the caller's and outlive the queue. If the queue is
 * full, the oldest dead letter that is not pinned goes; if all are pinned, the new one is lost. */
void dead_letters_add(struct dead_letters *, struct accepted_event *, const char *function,
                      const struct program *, const char *reason, int attempts);

/* What a record of the journal says. The reason points into the record. */
struct recovered {
    struct program program;
    int attempts;
    struct span reason; /* empty: the event was under way */
};

/* Read a record of the journal. False: it was not written by such a queue. */
bool dead_letters_read(const struct journal_record *, struct recovered *);
/* Keep what was read as a dead letter with this id. Both texts outlive the queue. */
void dead_letters_recover(struct dead_letters *, uint64_t id, const char *function,
                          const struct recovered *, const char *reason);

/* Take it out and free it. */
void dead_letters_remove(struct dead_letters *, struct dead_letter *);
/* Its reason or the number of its attempts has changed: write that into the journal. */
void dead_letters_update(struct dead_letters *, struct dead_letter *);

/* All of them as a JSON array, the oldest first. */
void dead_letters_print(const struct dead_letters *, FILE *);

#endif
