/* deliveries: see deliveries.h. */
#include "loadgen/books/deliveries.h"
#include "common/base/util.h"

#include <sys/mman.h>

enum { REMEMBERED = 32 };

/* A number that is not above the last one: late, or here already. Late ones were counted as lost. */
static bool note_old(struct delivery_stats *stats, struct following *f, uint32_t number)
{
    uint32_t back = f->last - number;
    uint32_t bit = back >= 1 && back <= REMEMBERED ? UINT32_C(1) << (back - 1) : 0;

    if (!bit || f->before & bit) {
        stats->doubled++;
        return false;
    }
    f->before |= bit;
    stats->disordered++;
    stats->lost -= stats->lost > 0;
    return true;
}

bool deliveries_note(struct delivery_stats *stats, struct following *f, uint32_t number,
                     uint32_t skipped)
{
    uint32_t step = number - f->last;
    bool was_away = f->unknown;

    stats->delivered++;
    if (number <= f->last)
        return note_old(stats, f, number);
    if (step - 1 > skipped)
        *(was_away ? &stats->away : &stats->lost) += step - 1 - skipped;
    f->unknown = false;
    if (was_away) {
        *f = (struct following){.last = number, .before = UINT32_MAX};
        return true;
    }
    f->before = step > REMEMBERED
                    ? 0
                    : (uint32_t)((((uint64_t)f->before << 1) | (f->last > 0)) << (step - 1));
    f->last = number;
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
