/* book: a limit order book of one symbol, by price and then by time, with whole prices.
 *
 * A book is a flat struct without pointers (orders and levels name each other by index), so that it can
 * lie in memory that processes share, and be copied as a whole. Nothing is allocated, and each operation
 * has a bound: an order has BOOK_QUANTITY_MAX shares at most, so it meets at most as many others.
 *
 * What an operation does follows from the book and from one number, the seed. So a message of a feed
 * needs no other field, and a replay of the seeds in their order ends with the same book, whatever
 * thread or process applied them (docs/formats.md, "Order books"). */
#ifndef ARCHBENCH_BOOK_H
#define ARCHBENCH_BOOK_H

#include <stdbool.h>
#include <stdint.h>

enum {
    BOOK_LEVELS = 1024,
    BOOK_MIDDLE = BOOK_LEVELS / 2, /* around which prices are drawn: all are within the levels */
    BOOK_ORDERS = 4096,            /* resting at most */
    BOOK_TARGET = 1024,            /* fewer are filled up: see book_apply() */
    BOOK_QUANTITY_MAX = 100,       /* shares of an order */
};

enum book_operation {
    BOOK_UPDATE, /* market data: a new order, one that is filled at once or never, a cancel, a move */
    BOOK_TRADE, /* a market order: filled from the best price on; what finds no order is dropped */
    BOOK_QUOTE, /* read the best bid and ask; changes nothing */
};

enum book_side { BOOK_BID, BOOK_ASK, BOOK_SIDES };

enum { BOOK_NONE = 0xffff }; /* in place of the index of an order */

/* An order that rests. Its queue is that of its level, the oldest first. */
struct book_order {
    uint32_t quantity;
    uint16_t price;
    uint16_t next, before; /* in the queue; BOOK_NONE at its ends */
    uint16_t place;        /* in book->order_at */
    uint8_t side;
};

/* One price. Bids and asks never have the same one. */
struct book_level {
    uint16_t first, last; /* BOOK_NONE: nobody rests here */
};

struct book {
    uint64_t applied;  /* operations that could change it */
    uint64_t fresh_ns; /* the latest seed of an update, which is the time when it was sent */
    uint64_t filled, unfilled; /* shares of market orders */
    uint32_t resting;          /* orders ... */
    uint32_t resting_of[BOOK_SIDES];
    uint64_t used[BOOK_SIDES][BOOK_LEVELS / 64]; /* levels with orders of this side, a bit each */
    struct book_level level[BOOK_LEVELS];
    uint16_t order_at[BOOK_ORDERS]; /* those that rest come first, then the vacant ones */
    struct book_order order[BOOK_ORDERS];
};

/* What an operation came to. */
struct book_result {
    uint32_t filled, unfilled; /* shares of a market order */
    uint16_t bid, ask;         /* of a quote: the best prices; BOOK_NONE: there is none */
};

/* Scatter the bits of a number: the step of SplitMix64 (https://prng.di.unimi.it/splitmix64.c). */
uint64_t book_mix(uint64_t seed);
/* The symbol, of so many, that an operation with this seed is about. */
static inline uint32_t book_symbol(uint64_t seed, uint32_t symbols)
{
    return (uint32_t)(book_mix(seed) % symbols);
}

/* The book with which a symbol begins: BOOK_TARGET orders, always the same. */
void book_init(struct book *, uint32_t symbol);

/* Of updates 9 % are new limit orders, 3 % are filled at once or dropped (IOC), 6 % cancel an order and
 * 82 % move one to another price, where it is the last in the queue: the mix of exchange-core's test data
 * (https://github.com/exchange-core/exchange-core). Trades take orders away; so while a book has fewer than
 * BOOK_TARGET, a cancel becomes a new order of the thinner side; and in a full one a new order is a cancel.
 * An order that meets the other side is filled there first, whether it is new or was moved. */
struct book_result book_apply(struct book *, enum book_operation, uint64_t seed);

/* One number for all that decides what the book does next. */
uint64_t book_digest(const struct book *);

/* The first breach of what always holds (bids are below asks, queues and sums agree) as a sentence; NULL:
 * the book is in order. For tests. */
const char *book_fault(const struct book *);

#endif
