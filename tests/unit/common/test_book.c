/* One order book: what always holds, and that orders are filled by price and then by time. Each operation
 * is put against the same one done step by step (tests/python/programs/test_replay.py). */
#include "common/work/book/book.h"
#include "common/work/book/operation.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static uint64_t resting_quantity(const struct book *book)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < book->resting; i++)
        sum += book->order[book->order_at[i]].quantity;
    return sum;
}

/* All orders of a side from the best price on, each price in the order of time. Returns how many. */
static int list(const struct book *book, enum book_side side, uint16_t *found)
{
    int count = 0;
    for (int i = 0; i < BOOK_LEVELS; i++) {
        int price = side == BOOK_BID ? BOOK_LEVELS - 1 - i : i;
        for (uint16_t k = book->level[price].first; k != BOOK_NONE; k = book->order[k].next)
            if (book->order[k].side == (uint8_t)side)
                found[count++] = k;
    }
    return count;
}

static bool has_order(const struct book *book, uint16_t index)
{
    return book->order[index].place < book->resting &&
           book->order_at[book->order[index].place] == index;
}

/* After a trade: the orders of the other side have lost its shares from the first one on, and all others
 * are as they were. */
static void check_priority(const struct book *before, const struct book *after, uint32_t filled)
{
    static uint16_t orders[BOOK_ORDERS];
    enum book_side hit =
        after->resting_of[BOOK_BID] != before->resting_of[BOOK_BID] ? BOOK_BID : BOOK_ASK;
    uint64_t lost_by[BOOK_SIDES] = {0};
    for (uint32_t i = 0; i < before->resting; i++) {
        uint16_t k = before->order_at[i];
        uint32_t left = has_order(after, k) ? after->order[k].quantity : 0;
        lost_by[before->order[k].side] += before->order[k].quantity - left;
    }
    if (lost_by[BOOK_BID])
        hit = BOOK_BID;
    cr_assert(lost_by[BOOK_BID] == 0 || lost_by[BOOK_ASK] == 0);
    cr_assert_eq(lost_by[BOOK_BID] + lost_by[BOOK_ASK], filled);
    int count = list(before, hit, orders);
    for (int i = 0; i < count; i++) {
        uint32_t quantity = before->order[orders[i]].quantity;
        uint32_t shares = quantity < filled ? quantity : filled;
        filled -= shares;
        if (shares == quantity)
            cr_assert(!has_order(after, orders[i]), "an order with better priority is left");
        else
            cr_assert_eq(after->order[orders[i]].quantity, quantity - shares);
    }
}

Test(book, begins_the_same_each_time)
{
    static struct book one, again, other;
    book_init(&one, 3);
    book_init(&again, 3);
    book_init(&other, 4);
    cr_assert_eq(book_digest(&one), book_digest(&again));
    cr_assert_neq(book_digest(&one), book_digest(&other));
    cr_assert_eq(one.resting, BOOK_TARGET);
    cr_assert_null(book_fault(&one), "%s", book_fault(&one));
}

Test(book, holds_what_it_must_after_each_of_100000_operations)
{
    static struct book book, before;
    book_init(&book, 0);
    uint64_t traded = 0;
    for (uint64_t i = 0; i < 100000; i++) {
        bool trades = i % 50 == 49;
        before = book;
        struct book_result result = book_apply(&book, trades ? BOOK_TRADE : BOOK_UPDATE, i);
        const char *fault = book_fault(&book);
        cr_assert_null(fault, "after %" PRIu64 " operations: %s", i + 1, fault);
        cr_assert_eq(book.applied, i + 1);
        if (!trades)
            continue;
        traded += result.filled;
        cr_assert_eq(resting_quantity(&before) - resting_quantity(&book), result.filled);
        check_priority(&before, &book, result.filled);
    }
    cr_assert_eq(book.filled, traded);
    cr_assert_gt(book.filled, 100 * book.unfilled, "at this share of trades nearly all are filled");
    cr_assert_gt(book.resting, BOOK_TARGET * 9 / 10);
    cr_assert_lt(book.resting, BOOK_TARGET * 2);
}

/* What updates do to single orders: a moved one is the last at its price, a cancelled one leaves the others
 * alone. */
Test(book, a_move_loses_its_time_and_a_cancel_disturbs_nobody)
{
    static struct book book, before;
    int moves = 0, cancels = 0, placed = 0;
    book_init(&book, 1);
    for (uint64_t seed = 0; seed < 20000; seed++) {
        before = book;
        book_apply(&book, BOOK_UPDATE, seed);
        uint64_t lost = resting_quantity(&before) - resting_quantity(&book);
        int changed = 0, gone = 0;
        for (uint32_t i = 0; i < before.resting; i++) {
            uint16_t k = before.order_at[i];
            if (!has_order(&book, k)) {
                gone++;
                continue;
            }
            if (book.order[k].price == before.order[k].price)
                continue;
            changed++;
            cr_assert_eq(book.level[book.order[k].price].last, k, "it kept an earlier time");
        }
        cr_assert_leq(changed, 1);
        moves += changed && !lost;
        cancels += !changed && gone == 1 && book.resting == before.resting - 1;
        placed += book.resting > before.resting;
        if (book.resting > before.resting) {
            uint16_t k = book.order_at[book.resting - 1];
            cr_assert_eq(book.level[book.order[k].price].last, k);
        }
    }
    cr_assert_gt(moves, 15000);
    cr_assert_gt(cancels, 500);
    cr_assert_gt(placed, 1500);
}

Test(book, orders_of_one_price_are_filled_in_the_order_of_time)
{
    static struct book book, before;
    int partly = 0;
    book_init(&book, 2);
    for (uint64_t seed = 1000; seed < 2000; seed++) {
        before = book;
        uint64_t quantity = resting_quantity(&book);
        struct book_result result = book_apply(&book, BOOK_TRADE, seed);
        check_priority(&before, &book, result.filled);
        partly += quantity - resting_quantity(&book) != 0 && book.resting == before.resting;
        if (book.resting_of[BOOK_BID] == 0 || book.resting_of[BOOK_ASK] == 0)
            break;
    }
    cr_assert_gt(partly, 10, "of an order only a part is taken, and the rest stays first");
}

Test(book, what_finds_no_order_is_dropped_and_counted)
{
    static struct book book;
    uint64_t asked = 0;
    book_init(&book, 5);
    uint64_t begin = resting_quantity(&book);
    for (uint64_t seed = 0; seed < 5000; seed++) {
        struct book_result result = book_apply(&book, BOOK_TRADE, seed);
        asked += result.filled + result.unfilled;
    }
    cr_assert_eq(book.resting, 0);
    cr_assert_eq(book.filled, begin);
    cr_assert_eq(book.filled + book.unfilled, asked);
    struct book_result quote = book_apply(&book, BOOK_QUOTE, 1);
    cr_assert(quote.bid == BOOK_NONE && quote.ask == BOOK_NONE);
    for (uint64_t seed = 0; seed < 2000; seed++) { /* an empty book fills up again */
        book_apply(&book, BOOK_UPDATE, seed);
        cr_assert_null(book_fault(&book));
    }
    cr_assert_gt(book.resting, 100);
}

Test(book, a_quote_changes_nothing)
{
    static struct book book, before;
    book_init(&book, 0);
    before = book;
    struct book_result quote = book_apply(&book, BOOK_QUOTE, 77);
    cr_assert_eq(memcmp(&book, &before, sizeof book), 0);
    cr_assert_lt(quote.bid, quote.ask);
    static uint16_t bids[BOOK_ORDERS], asks[BOOK_ORDERS];
    list(&book, BOOK_BID, bids);
    list(&book, BOOK_ASK, asks);
    cr_assert_eq(quote.bid, book.order[bids[0]].price);
    cr_assert_eq(quote.ask, book.order[asks[0]].price);
}

Test(book, the_latest_time_counts)
{
    static struct book book;
    book_init(&book, 0);
    for (int i = 0; i < 3; i++)
        book_apply(&book, BOOK_UPDATE, (uint64_t[]){5, 900, 7}[i]);
    book_apply(&book, BOOK_TRADE, 5000);
    cr_assert_eq(book.fresh_ns, 900);
}

Test(book, a_book_that_is_damaged_is_found_out)
{
    static struct book good, bad;
    book_init(&good, 0);
    uint16_t k = good.order_at[10];
    for (int damage = 0; damage < 6; damage++) {
        bad = good;
        switch (damage) {
        case 0: bad.order[k].quantity = 0; break;
        case 1: bad.order[k].price ^= 1; break;
        case 2: bad.order[k].place = 11; break;
        case 3: bad.resting--; break;
        case 4: bad.used[BOOK_BID][0] ^= 1; break;
        case 5: bad.order[k].side ^= 1; break;
        }
        cr_assert_not_null(book_fault(&bad), "damage %d", damage);
    }
}

Test(operation, texts)
{
    static const struct {
        const char *text;
        enum book_operation operation;
        uint64_t seed;
    } good[] = {{"update", BOOK_UPDATE, 0},
                {"trade:5", BOOK_TRADE, 5},
                {"quote:0", BOOK_QUOTE, 0},
                {"update:18446744073709551615", BOOK_UPDATE, UINT64_MAX},
                {"trade:00012", BOOK_TRADE, 12}};
    static const char *const bad[] = {
        "",        "x",        "updat",     "updates",
        "update:", "update:x", "update:-1", "update:18446744073709551616",
        ":5",      "trade:5 ", "trade:1e3", "trade::5"};
    enum book_operation operation;
    uint64_t seed;
    char text[64];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        cr_assert(book_operation_parse(good[i].text, strlen(good[i].text), &operation, &seed));
        cr_assert(operation == good[i].operation && seed == good[i].seed, "%s", good[i].text);
        book_operation_format(operation, seed, text, sizeof text);
        enum book_operation again;
        uint64_t same;
        cr_assert(book_operation_parse(text, strlen(text), &again, &same));
        cr_assert(again == operation && same == seed);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_assert(!book_operation_parse(bad[i], strlen(bad[i]), &operation, &seed), "%s", bad[i]);
}
