#include "common/work/book/book.h"

#include <string.h>

#define GOLDEN UINT64_C(0x9e3779b97f4a7c15)

/* Of a hundred updates. */
enum { NEW_ORDERS = 9, IMMEDIATE = 3, CANCELS = 6 };
enum {
    OVERLAP = 1,   /* a bid may be so far above the middle, and an ask below it */
    REACH = 16,    /* ... one that is filled at once or dropped so far */
    DISTANCE = 256 /* of an order from the best price that can be drawn, less than */
};

uint64_t book_mix(uint64_t seed)
{
    uint64_t z = seed + GOLDEN;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

/* What a seed says, beside the symbol. */
struct draw {
    uint32_t percent; /* 0 to 99 */
    enum book_side side;
    uint32_t quantity;
    uint32_t pick;     /* of an order, modulo how many there are */
    uint32_t distance; /* of two drawn the smaller one: most orders are near the middle */
};

static struct draw draw_of(uint64_t seed)
{
    uint64_t a = book_mix(seed + GOLDEN), b = book_mix(seed + 2 * GOLDEN);
    uint32_t one = b >> 32 & (DISTANCE - 1), other = b >> 40 & (DISTANCE - 1);
    return (struct draw){.percent = (uint32_t)a % 100,
                         .side = a >> 32 & 1 ? BOOK_ASK : BOOK_BID,
                         .quantity = 1 + (uint32_t)(a >> 33) % BOOK_QUANTITY_MAX,
                         .pick = (uint32_t)b,
                         .distance = one < other ? one : other};
}

static enum book_side other_side(enum book_side side)
{
    return side == BOOK_BID ? BOOK_ASK : BOOK_BID;
}

static uint16_t limit_price(enum book_side side, uint32_t distance)
{
    return (uint16_t)(side == BOOK_BID ? BOOK_MIDDLE + OVERLAP - (int)distance
                                       : BOOK_MIDDLE - OVERLAP + (int)distance);
}

/* --- levels and queues ------------------------------------------------------------------------- */

static void mark_level(struct book *book, enum book_side side, uint16_t price, bool used)
{
    uint64_t bit = UINT64_C(1) << price % 64, *word = &book->used[side][price / 64];
    *word = used ? *word | bit : *word & ~bit;
}

/* The highest bid or the lowest ask; BOOK_NONE: there is none. */
static uint16_t best_price(const struct book *book, enum book_side side)
{
    const uint64_t *used = book->used[side];
    const int words = BOOK_LEVELS / 64;
    for (int i = 0; i < words; i++) {
        int word = side == BOOK_BID ? words - 1 - i : i;
        if (used[word])
            return (uint16_t)(word * 64 + (side == BOOK_BID ? 63 - __builtin_clzll(used[word])
                                                            : __builtin_ctzll(used[word])));
    }
    return BOOK_NONE;
}

static void enqueue(struct book *book, uint16_t index)
{
    struct book_order *order = &book->order[index];
    struct book_level *level = &book->level[order->price];
    order->next = BOOK_NONE;
    order->before = level->last;
    if (level->last == BOOK_NONE) {
        level->first = index;
        mark_level(book, (enum book_side)order->side, order->price, true);
    } else {
        book->order[level->last].next = index;
    }
    level->last = index;
}

static void dequeue(struct book *book, uint16_t index)
{
    const struct book_order *order = &book->order[index];
    struct book_level *level = &book->level[order->price];
    if (order->before == BOOK_NONE)
        level->first = order->next;
    else
        book->order[order->before].next = order->next;
    if (order->next == BOOK_NONE)
        level->last = order->before;
    else
        book->order[order->next].before = order->before;
    if (level->first == BOOK_NONE)
        mark_level(book, (enum book_side)order->side, order->price, false);
}

/* The last of those that rest takes the place of this one, which becomes the first vacant one. */
static void vacate(struct book *book, uint16_t index)
{
    struct book_order *order = &book->order[index];
    uint16_t last = book->order_at[--book->resting];
    book->order_at[order->place] = last;
    book->order[last].place = order->place;
    book->order_at[book->resting] = index;
    book->resting_of[order->side]--;
}

static void remove_order(struct book *book, uint16_t index)
{
    dequeue(book, index);
    vacate(book, index);
}

/* --- orders that come in ----------------------------------------------------------------------- */

/* An order of this side fills what rests on the other one, up to its limit. Returns what is left of
 * its quantity. */
static uint32_t fill(struct book *book, enum book_side side, uint16_t limit, uint32_t quantity)
{
    while (quantity) {
        uint16_t price = best_price(book, other_side(side));
        if (price == BOOK_NONE || (side == BOOK_BID ? price > limit : price < limit))
            break;
        uint16_t index = book->level[price].first;
        struct book_order *order = &book->order[index];
        uint32_t shares = order->quantity < quantity ? order->quantity : quantity;
        quantity -= shares;
        order->quantity -= shares;
        if (!order->quantity)
            remove_order(book, index);
    }
    return quantity;
}

/* There is room: what a new order finds is less than what makes the book full. */
static void place_order(struct book *book, enum book_side side, uint16_t price, uint32_t quantity)
{
    quantity = fill(book, side, price, quantity);
    if (!quantity)
        return;
    uint16_t place = (uint16_t)book->resting++, index = book->order_at[place];
    book->order[index] = (struct book_order){
        .quantity = quantity, .price = price, .place = place, .side = (uint8_t)side};
    book->resting_of[side]++;
    enqueue(book, index);
}

/* The order keeps its place among those that rest, if anything of it is left to rest. */
static void move_order(struct book *book, uint16_t index, uint32_t distance)
{
    struct book_order *order = &book->order[index];
    enum book_side side = (enum book_side)order->side;
    uint16_t price = limit_price(side, distance);
    dequeue(book, index);
    order->price = price;
    order->quantity = fill(book, side, price, order->quantity);
    if (order->quantity)
        enqueue(book, index);
    else
        vacate(book, index);
}

static void place_drawn(struct book *book, const struct draw *draw, enum book_side side)
{
    place_order(book, side, limit_price(side, draw->distance), draw->quantity);
}

/* --- operations -------------------------------------------------------------------------------- */

static void update(struct book *book, const struct draw *draw)
{
    uint16_t picked = book->resting ? book->order_at[draw->pick % book->resting] : BOOK_NONE;
    enum book_side thinner =
        book->resting_of[BOOK_BID] <= book->resting_of[BOOK_ASK] ? BOOK_BID : BOOK_ASK;
    bool is_new = draw->percent < NEW_ORDERS;
    bool is_immediate = !is_new && draw->percent < NEW_ORDERS + IMMEDIATE;
    bool cancels = !is_new && !is_immediate && draw->percent < NEW_ORDERS + IMMEDIATE + CANCELS;
    if (is_new && book->resting < BOOK_ORDERS)
        place_drawn(book, draw, draw->side);
    else if (is_immediate)
        fill(book, draw->side,
             (uint16_t)(draw->side == BOOK_BID ? BOOK_MIDDLE + REACH : BOOK_MIDDLE - REACH),
             draw->quantity);
    else if (cancels && book->resting < BOOK_TARGET)
        place_drawn(book, draw, thinner);
    else if (is_new || cancels)
        remove_order(book, picked);
    else if (picked != BOOK_NONE)
        move_order(book, picked, draw->distance);
}

static struct book_result trade(struct book *book, const struct draw *draw)
{
    uint16_t any = draw->side == BOOK_BID ? BOOK_LEVELS - 1 : 0;
    uint32_t left = fill(book, draw->side, any, draw->quantity);
    struct book_result result = {.filled = draw->quantity - left, .unfilled = left};
    book->filled += result.filled;
    book->unfilled += result.unfilled;
    return result;
}

void book_init(struct book *book, uint32_t symbol)
{
    memset(book, 0, sizeof *book);
    for (int i = 0; i < BOOK_LEVELS; i++)
        book->level[i] = (struct book_level){BOOK_NONE, BOOK_NONE};
    for (int i = 0; i < BOOK_ORDERS; i++)
        book->order_at[i] = (uint16_t)i;
    for (uint64_t i = 0; book->resting < BOOK_TARGET; i++) {
        struct draw draw = draw_of(((uint64_t)symbol << 32) + i);
        place_drawn(book, &draw, draw.side);
    }
}

struct book_result book_apply(struct book *book, enum book_operation operation, uint64_t seed)
{
    struct draw draw;
    switch (operation) {
    case BOOK_QUOTE:
        return (struct book_result){.bid = best_price(book, BOOK_BID),
                                    .ask = best_price(book, BOOK_ASK)};
    case BOOK_UPDATE:
        draw = draw_of(seed);
        book->applied++;
        if (seed > book->fresh_ns)
            book->fresh_ns = seed;
        update(book, &draw);
        break;
    case BOOK_TRADE:
        draw = draw_of(seed);
        book->applied++;
        return trade(book, &draw);
    }
    return (struct book_result){0};
}

/* --- looking at a whole book -------------------------------------------------------------------- */

static uint64_t fold(uint64_t digest, uint64_t word)
{
    return book_mix(digest ^ word);
}

/* By price, and at each price by time. The places count because a later update picks by them. */
uint64_t book_digest(const struct book *book)
{
    uint64_t digest = fold(fold(0, book->applied), book->fresh_ns);
    digest = fold(fold(digest, book->filled), book->unfilled);
    for (int price = 0; price < BOOK_LEVELS; price++) {
        for (uint16_t i = book->level[price].first; i != BOOK_NONE; i = book->order[i].next) {
            const struct book_order *order = &book->order[i];
            digest = fold(digest, (uint64_t)order->side << 63 | (uint64_t)order->price << 48 |
                                      (uint64_t)order->place << 32 | order->quantity);
        }
    }
    return digest;
}

/* A level's queue. *seen counts its orders by side. */
static const char *level_fault(const struct book *book, uint16_t price, uint32_t *seen)
{
    uint16_t before = BOOK_NONE, i = book->level[price].first;
    enum book_side side = i == BOOK_NONE ? BOOK_BID : (enum book_side)book->order[i].side;
    for (; i != BOOK_NONE; before = i, i = book->order[i].next) {
        const struct book_order *order = &book->order[i];
        if (order->price != price || order->side != side || order->before != before)
            return "an order is in a queue that is not its own";
        if (order->quantity < 1 || order->quantity > BOOK_QUANTITY_MAX)
            return "an order has a quantity that none can have";
        if (order->place >= book->resting || book->order_at[order->place] != i)
            return "an order that rests is not at its place";
        if (++seen[side] > BOOK_ORDERS)
            return "a queue has no end";
    }
    if (book->level[price].last != before)
        return "a queue ends elsewhere";
    bool used = book->level[price].first != BOOK_NONE;
    for (int s = 0; s < BOOK_SIDES; s++)
        if ((book->used[s][price / 64] >> price % 64 & 1) != (used && s == (int)side))
            return "a level is not marked as it is";
    return NULL;
}

const char *book_fault(const struct book *book)
{
    uint32_t seen[BOOK_SIDES] = {0};
    for (int price = 0; price < BOOK_LEVELS; price++) {
        const char *fault = level_fault(book, (uint16_t)price, seen);
        if (fault)
            return fault;
    }
    if (seen[BOOK_BID] != book->resting_of[BOOK_BID] ||
        seen[BOOK_ASK] != book->resting_of[BOOK_ASK] ||
        seen[BOOK_BID] + seen[BOOK_ASK] != book->resting)
        return "orders rest in no queue";
    uint16_t bid = best_price(book, BOOK_BID), ask = best_price(book, BOOK_ASK);
    if (bid != BOOK_NONE && ask != BOOK_NONE && bid >= ask)
        return "the best bid is not below the best ask";
    return NULL;
}
