/* market: the order books of a server, one for each symbol, as state that threads and processes share.
 *
 * The memory is shared and is made before the first fork, so that one code serves a loop, threads and
 * processes. Who may touch a book, and when, is the architecture's choice: enum market_sync.
 *
 * An operation that may change a book goes into the journal, if there is one, then into the book's tail,
 * then it is applied. A process may be killed between any two instructions. The next one that wants the
 * book learns of it (a robust mutex says EOWNERDEAD) and builds the book anew: the last checkpoint, and the
 * tail applied to it. The tail holds what came since the checkpoint; when it is full there is a new one,
 * written beside the old. So this takes no longer than MARKET_TAIL operations.
 *
 * A book is made when it is first used: a server that is not asked for books has no memory for them. */
#ifndef ARCHBENCH_MARKET_H
#define ARCHBENCH_MARKET_H

#include "common/base/counters.h"
#include "common/work/book/journal.h"

enum market_sync {
    MARKET_LOCK,  /* one lock for all books */
    MARKET_SHARD, /* a lock for each book */
    MARKET_OWNER, /* a thread that has them all; others hand their operations over, and wait */
    MARKET_ALONE, /* there is one thread that could touch them: no lock */
};

#define MARKET_SYNCS "lock|shard|owner" /* as words, for an option */

enum {
    MARKET_SYMBOLS_MAX = 1024,
    MARKET_TAIL = 1024, /* operations from one checkpoint of a book to the next */
};
#define MARKET_OLD_NS INT64_C(1000000) /* market data older than that is counted as old */

struct market_memory;
struct market_owner;

/* Of a process, and with the same memory of those forked from it. */
struct market {
    struct market_memory *memory;
    struct book_journal journal;
    uint32_t symbols;
    enum market_sync sync;
    struct market_owner *owner; /* with MARKET_OWNER: owner.h */
    int64_t opened_ns;
};

/* `journal_path` may be NULL. What the journal has already is applied. Dies when memory or file cannot be
 * had. The lock is for each book; set market->sync before the first operation for another way. */
void market_open(struct market *, uint32_t symbols, const char *journal_path);
void market_close(struct market *);

/* Perform one operation on the book that `seed` chooses, and count it. 0 as the seed: the time now. Returns
 * 0, or -ENOSPC: the journal is full, and nothing has changed. */
int market_perform(struct market *, struct counter_slot *, enum book_operation, uint64_t seed);

/* What an operation came to. */
struct market_result {
    int error;
    int rebuilt; /* books that had to be, because somebody died */
    struct book_result result;
    uint64_t fresh_ns; /* of the book, before the operation */
};
/* The operation alone, for the thread that is the owner. */
struct market_result market_apply(struct market *, enum book_operation, uint64_t seed);

/* When all who used the books have ended, some of them perhaps in the middle of an operation: finish what was
 * accepted. */
void market_settle(struct market *, struct counter_slot *);

/* What all books together have come to. Nobody may use them meanwhile, unless what is read may be torn. */
struct market_total {
    uint64_t digest; /* of all books that an operation was applied to */
    uint64_t entries, filled, unfilled;
};
struct market_total market_total(const struct market *);

/* Members of a JSON object, each with a comma before it, as snprintf; none when nothing was applied. */
void market_json(const struct market *, char *text, size_t size);

/* The same of the books that a journal describes, by applying one entry after the other, and `skipped`:
 * numbers without an entry, of processes that were killed. NULL, or why it cannot be, as a constant
 * sentence. */
const char *market_replay(const char *journal_path, struct market_total *, uint64_t *skipped);

/* For tests: the book of a symbol as it is. NULL: it has not been used. */
const struct book *market_book(const struct market *, uint32_t symbol);
/* For tests: the step of an operation in which this process ends by SIGKILL, and at which operation from
 * now on (1: the next). */
enum market_step {
    MARKET_RESERVED,
    MARKET_NOTED,
    MARKET_JOURNALLED,
    MARKET_TAILED,
    MARKET_APPLIED
};
void market_die_at(enum market_step, int operation);

#endif
