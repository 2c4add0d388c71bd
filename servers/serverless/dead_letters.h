/* dead_letters: a dead-letter queue. What could not be done is kept, the oldest first, so that somebody
 * may look at it, mend the cause and have it done after all. It is bounded: the oldest goes. If its
 * journal has a file, it survives the process, and so does the note of what was under way. */
#ifndef ARCHBENCH_DEAD_LETTERS_H
#define ARCHBENCH_DEAD_LETTERS_H

#include "common/base/util.h"
#include "common/work/program.h"
#include "servers/serverless/journal.h"

#include <stdio.h>
#include <sys/queue.h>

/* An event that has been accepted and is neither done nor dead. */
struct note {
    struct journal_entry entry;
    char text[];
};

struct dead_letter {
    struct journal_entry entry; /* its id is the letter's, or was that of its event's note */
    char *text;                 /* of the entry; owned */
    const char *function;       /* whose event it was */
    struct program program;
    const char *reason;
    int attempts;
    int64_t died_ns; /* or when it was found in the journal */
    bool pinned;     /* somebody works on it: it does not go */
    TAILQ_ENTRY(dead_letter) link;
};

/* One thread's. The queue owns its letters. */
struct dead_letters {
    TAILQ_HEAD(letter_list, dead_letter) list;
    struct journal *journal;
    int count, limit;
    int64_t lost; /* had to go, or found no room */
};

/* The journal is the caller's, and open as long as the queue is used. */
void dead_letters_init(struct dead_letters *, struct journal *, int limit);
/* Free all letters; what is in the journal stays there. */
void dead_letters_free(struct dead_letters *);

/* Note in the journal that an event with this program has been accepted. *note: the caller's, until
 * dead_letters_done() or dead_letters_add(); NULL without a file. 0, or -errno when it could not be written:
 * then nothing is noted, and the event should be refused. */
int dead_letters_note(struct dead_letters *, const struct program *, struct note **note);
/* The event has been done. NULL is allowed. */
void dead_letters_done(struct dead_letters *, struct note *);

/* An event is dead: keep a copy of its program, and in the journal in place of its note (or NULL).
 * Both texts stay the caller's and outlive the queue. Where there is no room, the oldest that is
 * not pinned goes, and where none is, the new one. */
void dead_letters_add(struct dead_letters *, struct note *, const char *function,
                      const struct program *, const char *reason, int attempts);

/* What a record of the journal tells. The reason points into it. */
struct recovered {
    struct program program;
    int attempts;
    struct span reason; /* empty: the event was under way */
};

/* False: it is no record of a queue like this. */
bool dead_letters_read(const struct journal_record *, struct recovered *);
/* Keep what was found, under its id. */
void dead_letters_recover(struct dead_letters *, uint64_t id, const char *function,
                          const struct recovered *, const char *reason);

/* Take it out and free it. */
void dead_letters_remove(struct dead_letters *, struct dead_letter *);
/* Its reason or the number of its attempts has changed. */
void dead_letters_update(struct dead_letters *, struct dead_letter *);

/* All of them as a JSON array, the oldest first. */
void dead_letters_print(const struct dead_letters *, FILE *);

#endif
