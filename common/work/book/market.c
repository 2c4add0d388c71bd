#include "common/work/book/market.h"
#include "common/base/util.h"
#include "common/work/book/owner.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* What was applied since the checkpoint. */
struct tail_entry {
    uint64_t seed;
    uint64_t place; /* its number in the journal, and 1; 0 without a journal */
    uint32_t operation;
};

struct checkpoint {
    uint64_t place; /* of the last operation that is in it */
    struct book book;
};

/* A book with what it is built anew from. `state` is a generation and, in its lower half, the length of the
 * tail: one word, so that a checkpoint becomes valid at the same moment as the tail becomes empty. */
struct shard {
    _Atomic uint64_t state;
    _Atomic uint64_t pending; /* place in the journal of the operation that is under way, or was */
    atomic_bool busy;         /* an operation is under way */
    struct tail_entry tail[MARKET_TAIL];
    struct checkpoint checkpoint[2]; /* that of generation g is g % 2 */
    struct book book;
};

enum {
    GENERATION_NONE,  /* the book has never been used */
    GENERATION_FIRST, /* there is no checkpoint yet: it begins with book_init() */
};

struct guard {
    pthread_mutex_t lock;
} __attribute__((aligned(64)));

struct market_memory {
    struct guard all;
    struct guard each[MARKET_SYMBOLS_MAX];
    struct shard shard[];
};

/* --- the end of a process, at a step a test chooses --------------------------------------------- */

static enum market_step fatal_step;
static int fatal_after; /* 0: never */

void market_die_at(enum market_step step, int operation)
{
    fatal_step = step;
    fatal_after = operation;
}

static inline void pass(enum market_step step)
{
    if (fatal_after && step == fatal_step && --fatal_after == 0)
        kill(getpid(), SIGKILL);
}

/* --- one book ---------------------------------------------------------------------------------- */

static uint32_t generation_of(uint64_t state)
{
    return (uint32_t)(state >> 32);
}

static uint32_t tail_length(uint64_t state)
{
    return (uint32_t)state;
}

static uint64_t state_of(uint32_t generation, uint32_t length)
{
    return (uint64_t)generation << 32 | length;
}

/* The journal's place of the last operation in the tail or before it. */
static uint64_t last_place(const struct shard *shard)
{
    uint32_t length = tail_length(shard->state), generation = generation_of(shard->state);
    if (length)
        return shard->tail[length - 1].place;
    return generation > GENERATION_FIRST ? shard->checkpoint[generation % 2].place : 0;
}

/* The tail is full, and all of it is in the book. */
static void take_checkpoint(struct shard *shard)
{
    uint32_t generation = generation_of(shard->state) + 1;
    struct checkpoint *checkpoint = &shard->checkpoint[generation % 2];
    checkpoint->place = last_place(shard);
    checkpoint->book = shard->book;
    shard->state = state_of(generation, 0);
}

/* From here on the operation is part of the book's history. */
static struct book_result accept(struct shard *shard, enum book_operation operation, uint64_t seed,
                                 uint64_t place)
{
    if (tail_length(shard->state) == MARKET_TAIL)
        take_checkpoint(shard);
    uint64_t state = shard->state;
    shard->tail[tail_length(state)] = (struct tail_entry){seed, place, operation};
    shard->state = state + 1;
    pass(MARKET_TAILED);
    struct book_result result = book_apply(&shard->book, operation, seed);
    pass(MARKET_APPLIED);
    return result;
}

static void use(struct shard *shard, uint32_t symbol)
{
    if (generation_of(shard->state) != GENERATION_NONE)
        return;
    book_init(&shard->book, symbol);
    shard->state = state_of(GENERATION_FIRST, 0);
}

/* Somebody died with this book in hand. What he had written into the journal was accepted, even if the tail
 * does not have it yet. */
static void rebuild(struct market *market, uint32_t symbol)
{
    struct shard *shard = &market->memory->shard[symbol];
    uint32_t generation = generation_of(shard->state);
    struct book_journal_entry entry;
    if (generation == GENERATION_NONE)
        return;
    if (generation == GENERATION_FIRST)
        book_init(&shard->book, symbol);
    else
        shard->book = shard->checkpoint[generation % 2].book;
    for (uint32_t i = 0; i < tail_length(shard->state); i++)
        book_apply(&shard->book, (enum book_operation)shard->tail[i].operation,
                   shard->tail[i].seed);
    uint64_t place = shard->pending;
    if (market->journal.file && place > last_place(shard) &&
        book_journal_read(&market->journal, place - 1, &entry) && entry.symbol == symbol)
        accept(shard, entry.operation, entry.seed, place);
}

/* The journal first: see the top of journal.h. 0, or -ENOSPC. */
static int write_ahead(struct market *market, struct shard *shard,
                       const struct book_journal_entry *entry)
{
    if (!market->journal.file)
        return 0;
    int64_t number = book_journal_reserve(&market->journal);
    if (number < 0)
        return (int)number;
    pass(MARKET_RESERVED);
    shard->pending = (uint64_t)number + 1; /* so that whoever rebuilds the book finds the entry */
    pass(MARKET_NOTED);
    book_journal_write(&market->journal, (uint64_t)number, entry);
    pass(MARKET_JOURNALLED);
    return 0;
}

struct market_result market_apply(struct market *market, enum book_operation operation,
                                  uint64_t seed)
{
    struct book_journal_entry entry = {seed, book_symbol(seed, market->symbols), operation};
    struct shard *shard = &market->memory->shard[entry.symbol];
    shard->busy = true;
    use(shard, entry.symbol);
    struct market_result result = {.fresh_ns = shard->book.fresh_ns};
    if (operation == BOOK_QUOTE) {
        result.result = book_apply(&shard->book, operation, seed);
    } else {
        result.error = write_ahead(market, shard, &entry);
        if (!result.error)
            result.result = accept(shard, operation, seed, shard->pending);
    }
    shard->busy = false;
    return result;
}

/* --- all of them, shared ------------------------------------------------------------------------ */

/* With the lock, after the one that had it died. */
static int rebuild_busy(struct market *market, uint32_t begin, uint32_t end)
{
    int count = 0;
    for (uint32_t symbol = begin; symbol < end; symbol++) {
        if (!market->memory->shard[symbol].busy)
            continue;
        rebuild(market, symbol);
        market->memory->shard[symbol].busy = false;
        count++;
    }
    return count;
}

/* Take the lock that guards the books from `begin` to `end`. Returns how many of them had to be rebuilt. */
static int take(struct market *market, struct guard *guard, uint32_t begin, uint32_t end)
{
    if (pthread_mutex_lock(&guard->lock) != EOWNERDEAD)
        return 0;
    int rebuilt = rebuild_busy(market, begin, end);
    pthread_mutex_consistent(&guard->lock);
    return rebuilt;
}

static struct market_result apply_under(struct market *market, struct guard *guard, uint32_t begin,
                                        uint32_t end, enum book_operation operation, uint64_t seed)
{
    int rebuilt = take(market, guard, begin, end);
    struct market_result result = market_apply(market, operation, seed);
    pthread_mutex_unlock(&guard->lock);
    result.rebuilt = rebuilt;
    return result;
}

static struct market_result apply(struct market *market, enum book_operation operation,
                                  uint64_t seed)
{
    struct market_memory *memory = market->memory;
    uint32_t symbol = book_symbol(seed, market->symbols);
    switch (market->sync) {
    case MARKET_LOCK: return apply_under(market, &memory->all, 0, market->symbols, operation, seed);
    case MARKET_SHARD:
        return apply_under(market, &memory->each[symbol], symbol, symbol + 1, operation, seed);
    case MARKET_OWNER: return owner_perform(market->owner, operation, seed);
    case MARKET_ALONE: break;
    }
    return market_apply(market, operation, seed);
}

/* No update has come yet: then the data is as old as the market, and not as the machine. */
static void count_age(const struct market *market, struct counter_slot *counters, uint64_t fresh_ns)
{
    uint64_t at_ns = (uint64_t)now_ns(), since_ns = (uint64_t)market->opened_ns;
    if (fresh_ns > since_ns)
        since_ns = fresh_ns;
    uint64_t age_ns = at_ns > since_ns ? at_ns - since_ns : 0;
    count_add(counters, COUNTER_book_age_us, (int64_t)(age_ns / NSEC_PER_USEC));
    if (age_ns > MARKET_OLD_NS)
        count_add(counters, COUNTER_book_old, 1);
}

int market_perform(struct market *market, struct counter_slot *counters,
                   enum book_operation operation, uint64_t seed)
{
    static const enum counter counter_of[] = {[BOOK_UPDATE] = COUNTER_book_updates,
                                              [BOOK_TRADE] = COUNTER_book_trades,
                                              [BOOK_QUOTE] = COUNTER_book_quotes};
    struct market_result done = apply(market, operation, seed ? seed : (uint64_t)now_ns());
    if (done.rebuilt)
        count_add(counters, COUNTER_book_rebuilt, done.rebuilt);
    count_add(counters, done.error ? COUNTER_book_refused : counter_of[operation], 1);
    if (operation == BOOK_TRADE && !done.error) {
        count_add(counters, COUNTER_book_filled, done.result.filled);
        count_add(counters, COUNTER_book_unfilled, done.result.unfilled);
        count_age(market, counters, done.fresh_ns);
    }
    return done.error;
}

/* --- the beginning and the end ------------------------------------------------------------------ */

static size_t memory_bytes(uint32_t symbols)
{
    return sizeof(struct market_memory) + symbols * sizeof(struct shard);
}

static struct market_memory *share_memory(uint32_t symbols)
{
    pthread_mutexattr_t attributes;
    struct market_memory *memory = mmap(NULL, memory_bytes(symbols), PROT_READ | PROT_WRITE,
                                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        die_errno("cannot map the order books");
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&memory->all.lock, &attributes);
    for (uint32_t symbol = 0; symbol < symbols; symbol++)
        pthread_mutex_init(&memory->each[symbol].lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return memory;
}

/* Apply what is in the journal. Returns the numbers without an entry. */
static uint64_t apply_journal(struct market *market)
{
    uint64_t length = book_journal_length(&market->journal), skipped = 0;
    struct book_journal_entry entry;
    for (uint64_t number = 0; number < length; number++) {
        if (!book_journal_read(&market->journal, number, &entry)) {
            skipped++;
            continue;
        }
        struct shard *shard = &market->memory->shard[entry.symbol];
        use(shard, entry.symbol);
        shard->pending = number + 1;
        accept(shard, entry.operation, entry.seed, number + 1);
    }
    return skipped;
}

void market_open(struct market *market, uint32_t symbols, const char *journal_path)
{
    *market = (struct market){.memory = share_memory(symbols),
                              .journal = {.fd = -1},
                              .symbols = symbols,
                              .sync = MARKET_SHARD,
                              .opened_ns = now_ns()};
    if (!journal_path)
        return;
    book_journal_open(&market->journal, journal_path, symbols);
    apply_journal(market);
}

void market_close(struct market *market)
{
    book_journal_close(&market->journal);
    munmap(market->memory, memory_bytes(market->symbols));
    market->memory = NULL;
}

const struct book *market_book(const struct market *market, uint32_t symbol)
{
    const struct shard *shard = &market->memory->shard[symbol];
    return generation_of(shard->state) == GENERATION_NONE ? NULL : &shard->book;
}

struct market_total market_total(const struct market *market)
{
    struct market_total total = {0};
    for (uint32_t symbol = 0; symbol < market->symbols; symbol++) {
        const struct book *book = market_book(market, symbol);
        if (!book || !book->applied)
            continue;
        total.digest ^= book_mix(book_digest(book) + symbol);
        total.entries += book->applied;
        total.filled += book->filled;
        total.unfilled += book->unfilled;
    }
    return total;
}

/* The last one who died with a book in hand has nobody after him who would notice. */
static int settle_shared(struct market *market)
{
    struct market_memory *memory = market->memory;
    int rebuilt = 0;
    for (uint32_t symbol = 0; symbol < market->symbols; symbol++) {
        if (!memory->shard[symbol].busy)
            continue;
        bool all = market->sync == MARKET_LOCK;
        struct guard *guard = all ? &memory->all : &memory->each[symbol];
        rebuilt += take(market, guard, all ? 0 : symbol, all ? market->symbols : symbol + 1);
        pthread_mutex_unlock(&guard->lock);
    }
    return rebuilt;
}

void market_settle(struct market *market, struct counter_slot *counters)
{
    if (market->owner)
        owner_settle(market->owner);
    else if (market->sync != MARKET_ALONE)
        count_add(counters, COUNTER_book_rebuilt, settle_shared(market));
}

void market_json(const struct market *market, char *text, size_t size)
{
    struct market_total total = market_total(market);
    text[0] = 0;
    if (total.entries)
        snprintf(text, size, ",\"book_digest\":\"%016llx\",\"book_entries\":%llu",
                 (unsigned long long)total.digest, (unsigned long long)total.entries);
}

const char *market_replay(const char *path, struct market_total *total, uint64_t *skipped)
{
    struct book_journal journal;
    uint32_t symbols;
    const char *reason = book_journal_open_to_read(&journal, path, &symbols);
    if (!reason && symbols <= MARKET_SYMBOLS_MAX) {
        struct market market;
        market_open(&market, symbols, NULL);
        market.journal = journal;
        *skipped = apply_journal(&market);
        *total = market_total(&market);
        market_close(&market);
        return NULL;
    }
    book_journal_close(&journal);
    return reason ? reason : "it is about too many symbols";
}
