/* arrivals: see arrivals.h. */
#include "loadgen/arrivals.h"

#include <math.h>

#include "common/util.h"

uint64_t random_next(struct random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

double random_unit(struct random *random)
{
    return (double)((random_next(random) >> 11) + 1) * 0x1p-53;
}

void mix_add(struct mix *mix, double weight)
{
    double before = mix->count > 0 ? mix->below[mix->count - 1] : 0;

    mix->below[mix->count++] = before + weight;
}

int mix_draw(const struct mix *mix, struct random *random)
{
    double point;
    int drawn = 0;

    if (mix->count <= 1)
        return 0;
    point = random_unit(random) * mix->below[mix->count - 1];
    while (drawn < mix->count - 1 && point > mix->below[drawn])
        drawn++; /* a class of weight 0 has no room between two bounds: never drawn */
    return drawn;
}

void arrivals_init(struct arrivals *a, enum arrivals_kind kind, uint64_t seed, int worker)
{
    struct random seeds = {seed};
    uint64_t own = 0;

    for (int i = 0; i <= worker; i++)
        own = random_next(&seeds);
    *a = (struct arrivals){.kind = kind, .random = {own}};
}

void arrivals_add_stream(struct arrivals *a, double rate, double phase, int class)
{
    a->stream[a->stream_count++] = (struct stream){.rate = rate, .phase = phase, .class = class};
}

/* Constant arrivals are counted, not summed, so that rounding cannot add up. */
static void advance(struct arrivals *a, struct stream *s)
{
    double gap_ns = (double)NSEC_PER_SEC / s->rate;

    if (s->rate <= 0)
        s->due_ns = INFINITY;
    else if (a->kind == ARRIVALS_CONSTANT)
        s->due_ns = ((double)s->number++ + s->phase) * gap_ns;
    else
        s->due_ns -= log(random_unit(&a->random)) * gap_ns;
}

void arrivals_start(struct arrivals *a, int64_t start_ns)
{
    a->start_ns = start_ns;
    for (int i = 0; i < a->stream_count; i++)
        advance(a, &a->stream[i]);
}

struct arrival arrivals_next(struct arrivals *a)
{
    struct stream *first = &a->stream[0];
    struct arrival arrival;

    for (int i = 1; i < a->stream_count; i++) {
        if (a->stream[i].due_ns < first->due_ns)
            first = &a->stream[i];
    }
    if (a->kind == ARRIVALS_CLOSED || a->stream_count == 0 || !isfinite(first->due_ns))
        return (struct arrival){.intended_ns = INT64_MAX};
    arrival.intended_ns = a->start_ns + (int64_t)first->due_ns;
    arrival.class = first->class >= 0 ? first->class : mix_draw(&a->mix, &a->random);
    advance(a, first);
    return arrival;
}
