/* deliveries: see deliveries.h. */
#include "loadgen/books/deliveries.h"
#include "common/base/util.h"

#include <sys/mman.h>

enum { REMEMBERED = 32 };

/* A number that is not above the last one: late, or here already. A late one was counted as lost or missed, unless nobody
 * knew that it was published. */
static bool note_old(struct delivery_stats *stats, struct following *f, uint32_t number)
{
    uint32_t back = f->last - number;
    uint32_t bit = back >= 1 && back <= REMEMBERED ? UINT32_C(1) << (back - 1) : 0;

    if (!bit || f->before & bit) {
        stats->doubled++;
        return false;
    }
    uint64_t *missing = f->returned && back > f->since ? &stats->away : &stats->lost;
    if (f->counted & bit)
        *missing -= *missing > 0; /* it may have been counted before the window */
    f->before |= bit;
    f->counted &= ~bit;
    stats->disordered++;
    return true;
}

static uint32_t shifted(uint64_t bits, uint32_t step)
{
    return step > REMEMBERED ? 0 : (uint32_t)(bits << step);
}

/* Bits from `begin` to `end`, without that. */
static uint32_t range(uint32_t begin, uint32_t end)
{
    uint32_t below_end = end >= REMEMBERED ? UINT32_MAX : (UINT32_C(1) << end) - 1;

    return begin >= REMEMBERED ? 0 : below_end & ~((UINT32_C(1) << begin) - 1);
}

/* The highest number so far is `step` above the last one. */
static void go_on(struct following *f, uint32_t step, uint32_t skipped)
{
    f->before = shifted((uint64_t)f->before << 1 | (f->last > 0), step - 1);
    f->counted = shifted(f->counted, step) | range(skipped, step - 1);
    f->last += step;
    if (f->unknown)
        f->since = 0;
    else
        f->since = f->since + step < UINT8_MAX ? (uint8_t)(f->since + step) : UINT8_MAX;
    f->returned |= f->unknown;
    f->unknown = false;
}

bool deliveries_note(struct delivery_stats *stats, struct following *f, uint32_t number,
                     uint32_t skipped)
{
    uint32_t step = number - f->last;

    stats->delivered++;
    if (number <= f->last)
        return note_old(stats, f, number);
    if (step - 1 > skipped)
        *(f->unknown ? &stats->away : &stats->lost) += step - 1 - skipped;
    go_on(f, step, skipped);
    return true;
}

void deliveries_away(struct following *f)
{
    f->unknown = true;
}

static uint32_t behind(const struct following *f, uint32_t published)
{
    return published > f->last ? published - f->last : 0;
}

uint32_t deliveries_missing(const struct following *f, uint32_t published)
{
    return f->unknown ? 0 : behind(f, published);
}

void deliveries_end(struct delivery_stats *stats, const struct following *f, uint32_t published)
{
    *(f->unknown ? &stats->away : &stats->lost) += behind(f, published);
}

uint32_t *deliveries_share(int publishers)
{
    size_t size = (size_t)publishers * sizeof(uint32_t);
    uint32_t *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (shared == MAP_FAILED)
        die_errno("cannot map %zu bytes of shared memory", size);
    return shared;
}
