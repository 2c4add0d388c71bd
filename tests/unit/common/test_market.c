/* Order books that threads and processes share: nothing that was accepted is lost, whoever dies and when. */
#include "common/base/util.h"
#include "common/work/book/market.h"
#include "common/work/book/owner.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SYMBOLS = 4 };

/* A market with its journal in memory, and the counters. */
struct place {
    struct market market;
    struct counters_file *counters;
    struct counter_slot *slot;
    int file;
    char path[32];
};

static void open_place(struct place *place, bool journalled, enum market_sync sync)
{
    place->file = memfd_create("journal", 0);
    snprintf(place->path, sizeof place->path, "/proc/self/fd/%d", place->file);
    market_open(&place->market, SYMBOLS, journalled ? place->path : NULL);
    place->market.sync = sync;
    if (sync == MARKET_OWNER)
        place->market.owner = owner_start(&place->market);
    place->counters = counters_create(NULL);
    place->slot = counters_claim(place->counters);
}

static void close_place(struct place *place)
{
    market_close(&place->market);
    close(place->file);
}

static int perform(struct place *place, uint64_t seed)
{
    return market_perform(&place->market, place->slot, seed % 50 == 0 ? BOOK_TRADE : BOOK_UPDATE,
                          seed);
}

/* What the market has come to is what its journal says, and its books are in order. */
static struct market_total agrees(const struct place *place)
{
    struct market_total total = market_total(&place->market), replay;
    uint64_t skipped;
    cr_assert_null(market_replay(place->path, &replay, &skipped));
    cr_assert_eq(total.entries, replay.entries, "%" PRIu64 " applied, %" PRIu64 " in the journal",
                 total.entries, replay.entries);
    cr_assert_eq(total.digest, replay.digest);
    cr_assert_eq(total.filled, replay.filled);
    cr_assert_eq(total.unfilled, replay.unfilled);
    for (uint32_t symbol = 0; symbol < SYMBOLS; symbol++) {
        const struct book *book = market_book(&place->market, symbol);
        if (book)
            cr_assert_null(book_fault(book), "%s", book_fault(book));
    }
    return total;
}

Test(market, one_thread)
{
    struct place place;
    open_place(&place, true, MARKET_ALONE);
    for (uint64_t seed = 1; seed <= 20000; seed++)
        cr_assert_eq(perform(&place, seed), 0);
    cr_assert_eq(agrees(&place).entries, 20000);
    cr_assert_eq(counters_sum(place.counters, COUNTER_book_trades), 400);
    cr_assert_eq(counters_sum(place.counters, COUNTER_book_updates), 19600);
    close_place(&place);
}

Test(market, nothing_is_made_before_it_is_used)
{
    struct place place;
    open_place(&place, true, MARKET_SHARD);
    for (uint32_t symbol = 0; symbol < SYMBOLS; symbol++)
        cr_assert_null(market_book(&place.market, symbol));
    cr_assert_eq(market_total(&place.market).digest, 0);
    market_perform(&place.market, place.slot, BOOK_QUOTE, 5);
    cr_assert_not_null(market_book(&place.market, book_symbol(5, SYMBOLS)));
    cr_assert_eq(agrees(&place).digest, 0, "a quote leaves no trace");
    close_place(&place);
}

Test(market, a_seed_of_0_is_the_time)
{
    struct place place;
    open_place(&place, true, MARKET_SHARD);
    uint64_t begin_ns = (uint64_t)now_ns();
    market_perform(&place.market, place.slot, BOOK_UPDATE, 0);
    uint64_t fresh_ns = 0;
    for (uint32_t symbol = 0; symbol < SYMBOLS; symbol++)
        if (market_book(&place.market, symbol))
            fresh_ns = market_book(&place.market, symbol)->fresh_ns;
    cr_assert_geq(fresh_ns, begin_ns);
    cr_assert_leq(fresh_ns, (uint64_t)now_ns());
    agrees(&place);
    close_place(&place);
}

/* A seed of the wanted symbol, not below `from`. */
static uint64_t seed_of_symbol(uint32_t symbol, uint64_t from)
{
    while (book_symbol(from, SYMBOLS) != symbol)
        from++;
    return from;
}

Test(market, the_age_of_the_data)
{
    struct place place;
    open_place(&place, false, MARKET_SHARD);
    uint64_t sent_ns = seed_of_symbol(2, (uint64_t)now_ns() + 20 * NSEC_PER_MSEC);
    market_perform(&place.market, place.slot, BOOK_UPDATE, sent_ns);
    market_perform(&place.market, place.slot, BOOK_TRADE, seed_of_symbol(2, 1));
    cr_assert_eq(counters_sum(place.counters, COUNTER_book_age_us), 0, "data from the future");
    cr_assert_eq(counters_sum(place.counters, COUNTER_book_old), 0);
    usleep(50000);
    market_perform(&place.market, place.slot, BOOK_TRADE, seed_of_symbol(2, 2));
    int64_t age_us = counters_sum(place.counters, COUNTER_book_age_us);
    cr_assert_geq(age_us, 29000);
    cr_assert_leq(age_us, ((int64_t)now_ns() - (int64_t)sent_ns) / NSEC_PER_USEC);
    cr_assert_eq(counters_sum(place.counters, COUNTER_book_old), 1);
    close_place(&place);
}

/* --- at the same time --------------------------------------------------------------------------- */

enum { CREW = 4, EACH = 20000 };

struct member {
    struct place *place;
    int index;
};

static void *work(void *argument)
{
    struct member *member = argument;
    for (uint64_t i = 0; i < EACH; i++)
        perform(member->place, 1 + i * CREW + (uint64_t)member->index);
    return NULL;
}

static void several_threads(enum market_sync sync)
{
    struct place place;
    pthread_t threads[CREW];
    struct member members[CREW];
    open_place(&place, true, sync);
    for (int i = 0; i < CREW; i++) {
        members[i] = (struct member){&place, i};
        cr_assert_eq(pthread_create(&threads[i], NULL, work, &members[i]), 0);
    }
    for (int i = 0; i < CREW; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(agrees(&place).entries, CREW * EACH);
}

Test(market, several_threads_and_one_lock)
{
    several_threads(MARKET_LOCK);
}

Test(market, several_threads_and_a_lock_for_each_book)
{
    several_threads(MARKET_SHARD);
}

Test(market, several_threads_and_an_owner)
{
    several_threads(MARKET_OWNER);
}

/* --- death -------------------------------------------------------------------------------------- */

/* A process that performs so many operations and is killed in the middle of the last one. */
static void die_in(struct place *place, enum market_step step, int operation, uint64_t first)
{
    pid_t pid = fork();
    if (pid == 0) {
        market_die_at(step, operation);
        for (uint64_t i = 0; i < 1000000; i++)
            perform(place, first + i);
        _exit(1);
    }
    int status;
    waitpid(pid, &status, 0);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "it was not killed");
}

/* At each step of an operation, the first one, one in the middle, and around a checkpoint. */
static void survive(bool journalled, enum market_sync sync)
{
    static const int operations[] = {1, 2, 777, SYMBOLS * MARKET_TAIL + 5, 20000};
    for (int step = journalled ? MARKET_RESERVED : MARKET_TAILED; step <= MARKET_APPLIED; step++) {
        struct place place;
        struct market_total total;
        uint64_t first = 1, accepted = 0;
        open_place(&place, journalled, sync);
        for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
            die_in(&place, (enum market_step)step, operations[i], first);
            accepted += (uint64_t)operations[i] - (step < MARKET_JOURNALLED);
            first += 1000000;
            for (uint64_t k = 0; k < 100; k++) /* those that come after find the books in order */
                cr_assert_eq(perform(&place, first++), 0);
            accepted += 100;
            total = journalled ? agrees(&place) : market_total(&place.market);
            cr_assert_eq(total.entries, accepted, "step %d, %d operations", step, operations[i]);
        }
        cr_assert_eq(counters_sum(place.counters, COUNTER_book_rebuilt), 5);
        die_in(&place, (enum market_step)step, 500, first); /* and nobody comes after it */
        market_settle(&place.market, place.slot);
        total = journalled ? agrees(&place) : market_total(&place.market);
        cr_assert_eq(total.entries, accepted + 500 - (step < MARKET_JOURNALLED), "step %d", step);
        cr_assert_eq(counters_sum(place.counters, COUNTER_book_rebuilt), 6);
        market_settle(&place.market, place.slot); /* which it is once */
        cr_assert_eq(counters_sum(place.counters, COUNTER_book_rebuilt), 6);
        close_place(&place);
    }
}

Test(market, a_process_that_dies_loses_nothing, .timeout = 60)
{
    survive(true, MARKET_SHARD);
}

Test(market, a_process_that_dies_with_all_books_loses_nothing, .timeout = 60)
{
    survive(true, MARKET_LOCK);
}

Test(market, a_process_that_dies_loses_nothing_without_a_journal, .timeout = 60)
{
    survive(false, MARKET_SHARD);
}

/* The owner is in this process, and its clients are killed from outside; the slots of more of them than there
 * are slots are used again. */
Test(market, clients_of_an_owner_are_killed, .timeout = 120)
{
    struct place place;
    open_place(&place, true, MARKET_OWNER);
    for (uint64_t round = 1; round <= OWNER_SLOTS / CREW + 100; round++) {
        pid_t pids[CREW];
        for (int i = 0; i < CREW; i++) {
            pids[i] = fork();
            if (pids[i] == 0)
                for (uint64_t seed = (round * CREW + (uint64_t)i) << 32;; seed++)
                    perform(&place, seed);
        }
        usleep((useconds_t)(book_mix(round) % 1000));
        for (int i = 0; i < CREW; i++) {
            kill(pids[i], SIGKILL);
            waitpid(pids[i], NULL, 0);
        }
    }
    for (uint64_t seed = 1; seed <= 1000; seed++)
        cr_assert_eq(perform(&place, seed), 0);
    owner_settle(place.market.owner); /* what a client had posted in its last moment */
    cr_assert_gt(agrees(&place).entries, 5000);
    cr_assert_eq(counters_sum(place.counters, COUNTER_book_rebuilt), 0);
    close_place(&place);
}

/* The same history with and without deaths is the same book. */
Test(market, a_book_that_was_built_anew_is_the_same, .timeout = 60)
{
    struct place killed, spared;
    open_place(&killed, false, MARKET_SHARD);
    open_place(&spared, false, MARKET_SHARD);
    die_in(&killed, MARKET_TAILED, 9000, 1);
    for (uint64_t seed = 1; seed <= 9000; seed++)
        perform(&spared, seed);
    for (uint64_t seed = 9001; seed <= 10000; seed++) {
        perform(&killed, seed);
        perform(&spared, seed);
    }
    cr_assert_eq(market_total(&killed.market).digest, market_total(&spared.market).digest);
    close_place(&killed);
    close_place(&spared);
}

/* Several at a time, each killed from outside at any instruction. */
Test(market, killed_at_any_moment, .timeout = 120)
{
    struct place place;
    open_place(&place, true, MARKET_SHARD);
    pid_t pids[CREW] = {0};
    for (uint64_t round = 0; round < 200; round++) {
        int victim = (int)(round % CREW);
        if (pids[victim]) {
            usleep((useconds_t)(book_mix(round) % 3000));
            kill(pids[victim], SIGKILL);
            waitpid(pids[victim], NULL, 0);
        }
        pids[victim] = fork();
        if (pids[victim] == 0)
            for (uint64_t seed = (round + 1) << 32;; seed++)
                perform(&place, seed);
    }
    for (int i = 0; i < CREW; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }
    for (uint64_t seed = 1; seed <= 1000; seed++)
        cr_assert_eq(perform(&place, seed), 0);
    cr_assert_gt(agrees(&place).entries, 10000);
    cr_assert_gt(counters_sum(place.counters, COUNTER_book_rebuilt), 0, "nobody died with a book");
    close_place(&place);
}

/* --- the journal --------------------------------------------------------------------------------- */

Test(market, goes_on_where_another_server_ended)
{
    struct place place;
    open_place(&place, true, MARKET_SHARD);
    for (uint64_t seed = 1; seed <= 5000; seed++)
        perform(&place, seed);
    struct market_total before = market_total(&place.market);
    market_close(&place.market);
    market_open(&place.market, SYMBOLS, place.path);
    cr_assert_eq(agrees(&place).digest, before.digest);
    die_in(&place, MARKET_JOURNALLED, 50, 5001); /* all of it dies, in the middle */
    market_close(&place.market);
    market_open(&place.market, SYMBOLS, place.path);
    cr_assert_eq(agrees(&place).entries, 5050);
    for (uint64_t seed = 6000; seed < 7000; seed++)
        perform(&place, seed);
    cr_assert_eq(agrees(&place).entries, 6050);
    close_place(&place);
}

/* Its maker was killed between making room for it and beginning it. */
Test(market, a_journal_that_was_never_begun_is_begun)
{
    struct place place = {.file = memfd_create("journal", 0)};
    snprintf(place.path, sizeof place.path, "/proc/self/fd/%d", place.file);
    cr_assert_eq(ftruncate(place.file, BOOK_JOURNAL_HEAD_BYTES + 16 * BOOK_JOURNAL_STEP), 0);
    cr_assert_eq(pwrite(place.file, &(uint32_t){SYMBOLS + 1}, 4, 24), 4); /* its symbols were set */
    market_open(&place.market, SYMBOLS, place.path);
    place.counters = counters_create(NULL);
    place.slot = counters_claim(place.counters);
    for (uint64_t seed = 1; seed <= 100; seed++)
        cr_assert_eq(perform(&place, seed), 0);
    cr_assert_eq(agrees(&place).entries, 100);
    close_place(&place);
}

Test(market, another_file_of_zeros_is_no_journal, .exit_code = 2)
{
    struct market market;
    char path[32];
    int file = memfd_create("zeros", 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    cr_assert_eq(ftruncate(file, BOOK_JOURNAL_HEAD_BYTES + 16 * BOOK_JOURNAL_STEP + 16), 0);
    market_open(&market, SYMBOLS, path);
}

Test(market, a_journal_that_cannot_grow_refuses)
{
    struct place place;
    open_place(&place, true, MARKET_SHARD);
    rlim_t bytes = BOOK_JOURNAL_HEAD_BYTES + 16 * BOOK_JOURNAL_STEP;
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){bytes, bytes});
    for (uint64_t seed = 1; seed <= BOOK_JOURNAL_STEP; seed++)
        cr_assert_eq(perform(&place, seed), 0, "operation %" PRIu64, seed);
    struct market_total full = agrees(&place);
    for (uint64_t seed = 1; seed <= 100; seed++)
        cr_assert_eq(perform(&place, 1000000 + seed), -ENOSPC);
    cr_assert_eq(agrees(&place).digest, full.digest, "what was refused has changed nothing");
    cr_assert_eq(counters_sum(place.counters, COUNTER_book_refused), 100);
    cr_assert_eq(market_perform(&place.market, place.slot, BOOK_QUOTE, 1), 0);
    close_place(&place);
}
