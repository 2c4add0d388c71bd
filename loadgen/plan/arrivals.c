/* arrivals: see arrivals.h.
 *
 * A rate that changes is made from one that does not: moments at an even rate in operational time,
 * which is the integral of the load over real time, and then the inverse of that integral (Cinlar,
 * "Introduction to Stochastic Processes", 1975, section 4.7). The even rate may be that of any
 * process, so constant arrivals are as exact on a ramp as they are without one. */
#include "loadgen/plan/arrivals.h"
#include "common/base/util.h"

#include <math.h>

static const double NEVER_NS = 1e18; /* thirty years */
static const double TWO_PI = 2 * 3.14159265358979323846;

/* Randomness. */

uint64_t random_next(struct random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

uint64_t random_worker_seed(uint64_t seed, int worker)
{
    struct random seeds = {seed};
    uint64_t own = 0;

    for (int i = 0; i <= worker; i++)
        own = random_next(&seeds);
    return own;
}

double random_unit(struct random *random)
{
    return (double)((random_next(random) >> 11) + 1) * 0x1p-53;
}

double random_exponential(struct random *random)
{
    return -log(random_unit(random));
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

/* Stretches of time. */

static struct stretch even_stretch(double load, double length_ns)
{
    return (struct stretch){.length_ns = length_ns, .from = load, .to = load};
}

static struct stretch phase_stretch(const struct phase *phase, int class)
{
    bool own = class >= 0 && phase->has_class_load[class];
    struct load load = own ? phase->class_load[class] : phase->load;

    return (struct stretch){.length_ns = (double)phase->length_ns,
                            .from = load.from,
                            .to = load.to,
                            .swing = phase->swing,
                            .period_ns = (double)phase->period_ns};
}

/* Of the ramp, per nanosecond. An even stretch may be of any length, 0 and for ever included. */
static double slope_of(const struct stretch *s)
{
    return s->from != s->to ? (s->to - s->from) / s->length_ns : 0;
}

/* At `t_ns` after the start. */
static double load_at(const struct stretch *s, double t_ns)
{
    double ramp = s->from + slope_of(s) * t_ns;

    return s->swing > 0 ? ramp * (1 + s->swing * sin(TWO_PI * t_ns / s->period_ns)) : ramp;
}

/* The integral of load_at from 0 to `t_ns`. */
static double load_integral(const struct stretch *s, double t_ns)
{
    double slope = slope_of(s);
    double ramp = (s->from + slope * t_ns / 2) * t_ns;
    double w, level, rise;

    if (s->swing <= 0)
        return ramp;
    w = TWO_PI / s->period_ns;
    level = (1 - cos(w * t_ns)) / w;
    rise = (sin(w * t_ns) / w - t_ns * cos(w * t_ns)) / w;
    return ramp + s->swing * (s->from * level + slope * rise);
}

/* When the integral of a ramp reaches `area`: the root of slope/2 t^2 + from t - area, written so
 * that nothing cancels out however small the slope is. */
static double ramp_inverse(const struct stretch *s, double area)
{
    double slope = slope_of(s);
    double end_load = sqrt(fmax(0, s->from * s->from + 2 * slope * area));

    return area > 0 ? 2 * area / (s->from + end_load) : 0;
}

/* The same with a swing, not before `low`: Newton's method, held within bounds which close in by
 * bisection where the load is so low that a step goes astray. */
static double swing_inverse(const struct stretch *s, double area, double low)
{
    double high = s->length_ns, t = low;

    for (int i = 0; i < 100; i++) {
        double excess = load_integral(s, t) - area;
        double next = t - excess / load_at(s, t);

        if (excess > 0)
            high = t;
        else
            low = t;
        if (!(next >= low && next <= high)) /* or it is no number at all */
            next = low + (high - low) / 2;
        if (fabs(next - t) < 0.01)
            return next;
        t = next;
    }
    return t;
}

/* The load that holds after the last phase. */
static double last_load(const struct phase *phase, int phase_count, int class)
{
    struct stretch last;

    if (phase_count == 0)
        return 1;
    last = phase_stretch(&phase[phase_count - 1], class);
    return load_at(&last, last.length_ns);
}

double phases_mean_load(const struct phase *phase, int phase_count, int class, double seconds)
{
    double rest_ns = seconds * (double)NSEC_PER_SEC, area = 0;

    for (int i = 0; i < phase_count && rest_ns > 0; i++) {
        struct stretch s = phase_stretch(&phase[i], class);

        area += load_integral(&s, fmin(rest_ns, s.length_ns));
        rest_ns -= s.length_ns;
    }
    if (rest_ns > 0)
        area += rest_ns * last_load(phase, phase_count, class);
    return area / (seconds * (double)NSEC_PER_SEC);
}

/* Streams. */

/* The warm-up, a phase, or what comes after the last one. Without phases that is all there is. */
static struct stretch find_stretch(const struct arrivals *a, const struct stream *s)
{
    const struct phase *phase = a->setup.phase;
    struct stretch first;

    if (s->phase >= a->setup.phase_count)
        return even_stretch(last_load(phase, a->setup.phase_count, s->class), INFINITY);
    if (s->phase >= 0)
        return phase_stretch(&phase[s->phase], s->class);
    first = phase_stretch(&phase[0], s->class);
    return even_stretch(load_at(&first, 0), (double)(a->begin_ns - a->start_ns));
}

static void enter_stretch(const struct arrivals *a, struct stream *s)
{
    s->stretch = find_stretch(a, s);
    if (isfinite(s->stretch.length_ns))
        s->stretch_area = load_integral(&s->stretch, s->stretch.length_ns);
    else
        s->stretch_area = INFINITY;
}

static void leave_stretch(const struct arrivals *a, struct stream *s)
{
    s->stretch_ns += s->stretch.length_ns;
    s->stretch_operational += s->stretch_area;
    s->phase++;
    enter_stretch(a, s);
}

/* From operational to real time. */
static void find_due(const struct arrivals *a, struct stream *s)
{
    const struct stretch *stretch = &s->stretch;
    double area, within;

    while (s->operational - s->stretch_operational >= s->stretch_area)
        leave_stretch(a, s);
    area = s->operational - s->stretch_operational;
    if (stretch->swing > 0)
        within = swing_inverse(stretch, area, fmax(0, s->due_ns - s->stretch_ns));
    else if (stretch->from != stretch->to)
        within = ramp_inverse(stretch, area);
    else
        within = stretch->from > 0 ? area / stretch->from : INFINITY;
    s->due_ns = fmax(s->due_ns, s->stretch_ns + within); /* in order, however it was rounded */
}

/* Modulation: a stream that is in one of two states, each for an exponentially distributed time, and
 * has an even rate in either (W. Fischer and K. Meier-Hellstern, "The Markov-modulated Poisson
 * process (MMPP) cookbook", Performance Evaluation 18, 1993). The states last in real time, whatever
 * the load of the phase. */

static double state_load(const struct stream *s)
{
    const struct modulation *m = &s->modulation;

    return s->in_burst ? m->load : fmax(0, (1 - m->share * m->load) / (1 - m->share));
}

/* The operational time at a real one, which lies in the stretch of this moment or a later one. */
static double operational_at(const struct arrivals *a, const struct stream *s, double at_ns)
{
    struct stream ahead = *s;
    const struct stretch *stretch = &ahead.stretch;

    while (at_ns - ahead.stretch_ns >= stretch->length_ns)
        leave_stretch(a, &ahead);
    if (isinf(stretch->length_ns) && stretch->from <= 0)
        return INFINITY; /* silence until the end: nothing is left to be switched */
    return ahead.stretch_operational + load_integral(stretch, at_ns - ahead.stretch_ns);
}

/* The state has begun at `switch_ns`, where the one before it ended. */
static void find_switch(const struct arrivals *a, struct stream *s)
{
    const struct modulation *m = &s->modulation;
    double mean_ns = (double)m->length_ns * (s->in_burst ? 1 : (1 - m->share) / m->share);

    s->switch_ns += random_exponential(&s->switches) * mean_ns;
    s->switch_operational = operational_at(a, s, s->switch_ns);
}

/* A gap that is cut short by the end of a state begins anew there: exponential ones have no memory. */
static void modulated_gap(struct arrivals *a, struct stream *s)
{
    for (;;) {
        double load = state_load(s);
        double gap = load > 0 ? random_exponential(&a->random) * s->gap_ns / load : INFINITY;

        if (s->operational + gap < s->switch_operational) {
            s->operational += gap;
            return;
        }
        s->operational = s->switch_operational;
        if (isinf(s->operational))
            return;
        s->in_burst = !s->in_burst;
        find_switch(a, s);
    }
}

/* Constant arrivals are counted, not summed, so that rounding cannot add up. */
static void find_moment(struct arrivals *a, struct stream *s)
{
    if (a->setup.kind == ARRIVALS_CONSTANT)
        s->operational = ((double)s->moments + s->offset) * s->gap_ns;
    else if (s->modulation.load > 0)
        modulated_gap(a, s);
    else
        s->operational += random_exponential(&a->random) * s->gap_ns;
    s->moments++;
    s->left = a->setup.kind == ARRIVALS_BURSTS ? a->setup.burst : 1;
    if (isinf(s->operational))
        s->due_ns = INFINITY;
    else
        find_due(a, s);
}

static void start_stream(struct arrivals *a, struct stream *s)
{
    s->phase = a->setup.phase_count > 0 ? -1 : 0;
    enter_stretch(a, s);
    if (s->modulation.load > 0) {
        s->in_burst = random_unit(&s->switches) <= s->modulation.share;
        find_switch(a, s);
    }
    find_moment(a, s);
}

/* `rate` is that of requests over all workers. Poisson processes of several workers add up to one;
 * constant arrivals stay regular because each worker begins at another place of the gap. */
static void add_stream(struct arrivals *a, double rate, int class)
{
    const struct arrivals_setup *setup = &a->setup;
    double together = setup->kind == ARRIVALS_BURSTS ? setup->burst : 1;

    if (rate <= 0)
        return;
    a->stream[a->stream_count] =
        (struct stream){.class = class,
                        .gap_ns = (double)NSEC_PER_SEC * setup->workers * together / rate,
                        .offset = (double)setup->worker / setup->workers};
    if (class >= 0 && setup->kind == ARRIVALS_POISSON) {
        a->stream[a->stream_count].modulation = setup->modulation[class];
        a->stream[a->stream_count].switches.state = random_worker_seed(~setup->seed, class);
    }
    a->stream_count++;
}

static bool is_modulated(const struct arrivals_setup *setup)
{
    bool any = false;

    for (int class = 0; class < setup->class_count; class ++)
        any |= setup->modulation[class].load > 0;
    return any;
}

static bool has_class_loads(const struct arrivals_setup *setup)
{
    bool any = false;

    for (int i = 0; i < setup->phase_count; i++) {
        for (int class = 0; class < setup->class_count; class ++)
            any |= setup->phase[i].has_class_load[class];
    }
    return any;
}

/* One stream serves all classes as long as their shares stay the same. Where a phase sets the load
 * of a single class, or one has a modulated rate, they do not, and each class becomes a stream with
 * its share of the rate. For Poisson arrivals that makes no difference; constant ones then are
 * constant for each class, and a burst is of one class. */
static void add_streams(struct arrivals *a)
{
    const struct arrivals_setup *setup = &a->setup;
    double all = 0;

    if (!setup->own_rates && !has_class_loads(setup) && !is_modulated(setup)) {
        add_stream(a, setup->rate, -1);
        return;
    }
    for (int i = 0; i < setup->class_count; i++)
        all += setup->weight[i];
    for (int i = 0; i < setup->class_count; i++)
        add_stream(
            a, setup->own_rates ? setup->class_rate[i] : setup->rate * setup->weight[i] / all, i);
}

void arrivals_init(struct arrivals *a, const struct arrivals_setup *setup)
{
    *a = (struct arrivals){.setup = *setup,
                           .random = {random_worker_seed(setup->seed, setup->worker)}};
    for (int i = 0; i < setup->class_count; i++)
        mix_add(&a->mix, setup->weight[i]);
    if (setup->kind != ARRIVALS_CLOSED && setup->kind != ARRIVALS_TRACE)
        add_streams(a);
}

void arrivals_start(struct arrivals *a, int64_t start_ns, int64_t begin_ns)
{
    a->start_ns = start_ns;
    a->begin_ns = begin_ns;
    a->origin_ns = start_ns;
    a->entry = (size_t)a->setup.worker;
    for (int i = 0; i < a->stream_count; i++)
        start_stream(a, &a->stream[i]);
}

static struct arrival stream_next(struct arrivals *a)
{
    struct stream *first = &a->stream[0];
    struct arrival arrival = {.intended_ns = INT64_MAX};

    for (int i = 1; i < a->stream_count; i++) {
        if (a->stream[i].due_ns < first->due_ns)
            first = &a->stream[i];
    }
    if (a->stream_count == 0 || first->due_ns > NEVER_NS)
        return arrival;
    arrival.intended_ns = a->start_ns + (int64_t)first->due_ns;
    arrival.class = first->class >= 0 ? first->class : mix_draw(&a->mix, &a->random);
    if (--first->left == 0)
        find_moment(a, first);
    return arrival;
}

static struct arrival trace_next(struct arrivals *a)
{
    const struct trace *trace = a->setup.trace;
    struct arrival arrival = {.intended_ns = INT64_MAX};

    if (a->origin_ns < a->begin_ns &&
        (a->entry >= trace->count || trace->entry[a->entry].at_ns >= a->begin_ns - a->origin_ns)) {
        a->origin_ns = a->begin_ns; /* the warm-up's part is over */
        a->entry = (size_t)a->setup.worker;
    }
    if (a->entry >= trace->count)
        return arrival;
    arrival.intended_ns = a->origin_ns + trace->entry[a->entry].at_ns;
    arrival.class = trace->entry[a->entry].class;
    a->entry += (size_t)a->setup.workers;
    return arrival;
}

struct arrival arrivals_next(struct arrivals *a)
{
    switch (a->setup.kind) {
    case ARRIVALS_CLOSED: break;
    case ARRIVALS_TRACE: return trace_next(a);
    case ARRIVALS_CONSTANT:
    case ARRIVALS_POISSON:
    case ARRIVALS_BURSTS: return stream_next(a);
    }
    return (struct arrival){.intended_ns = INT64_MAX};
}
