/* search: see search.h. */
#include "loadgen/judge/search.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

enum { RUNS_TO_BELIEVE = 2 }; /* of a failure, or of an invalid run */

const char *search_outcome_name(enum search_outcome outcome)
{
    switch (outcome) {
    case SEARCH_HELD: return "held";
    case SEARCH_FAILED: return "failed";
    case SEARCH_UNKNOWN: return "unknown";
    }
    return "?";
}

void search_init(struct search *s, double first_rate, double limit, double precision, int steps_max)
{
    if (steps_max < 1)
        steps_max = 1;
    if (steps_max > SEARCH_STEPS_MAX)
        steps_max = SEARCH_STEPS_MAX;
    *s = (struct search){
        .high = INFINITY,
        .ceiling = INFINITY,
        .first = fmin(first_rate, limit),
        .limit = limit,
        .precision = precision,
        .steps_max = steps_max,
        .next = fmin(first_rate, limit),
    };
}

double search_next(const struct search *s)
{
    return s->next;
}

__attribute__((format(printf, 3, 4))) static void end(struct search *s, enum search_end how,
                                                      const char *format, ...)
{
    va_list args;

    s->end = how;
    s->next = 0;
    va_start(args, format);
    vsnprintf(s->why, sizeof s->why, format, args);
    va_end(args);
}

static void record(struct search *s, double rate, enum search_outcome outcome, const char *why)
{
    struct search_step *step = &s->step[s->step_count++];

    step->rate = rate;
    step->outcome = outcome;
    snprintf(step->why, sizeof step->why, "%s", why);
}

/* What the last run at that rate with that outcome said. */
static const char *why_of(const struct search *s, double rate, enum search_outcome outcome)
{
    for (int i = s->step_count - 1; i >= 0; i--) {
        if (s->step[i].rate == rate && s->step[i].outcome == outcome)
            return s->step[i].why;
    }
    return "";
}

/* Everything from here upwards is ruled out. */
static double top(const struct search *s)
{
    return fmin(s->high, s->ceiling);
}

/* A run at `rate` settles what that rate is, or it is too early to tell. The rates asked for lie
 * between low and top, so that each one that is settled is a new end of the bracket. */
static bool settle(struct search *s, double rate, enum search_outcome outcome)
{
    switch (outcome) {
    case SEARCH_HELD: s->low = rate; return true;
    case SEARCH_FAILED:
        if (++s->failed < RUNS_TO_BELIEVE)
            return false;
        s->high = rate;
        return true;
    case SEARCH_UNKNOWN:
        if (++s->unknown < RUNS_TO_BELIEVE)
            return false;
        s->ceiling = rate;
        return true;
    }
    return false;
}

static void end_below_everything(struct search *s)
{
    if (s->ceiling < s->high)
        end(s, SEARCH_GENERATOR, "the generator cannot vouch even for %.6g/s: %s", s->ceiling,
            why_of(s, s->ceiling, SEARCH_UNKNOWN));
    else
        end(s, SEARCH_HOPELESS, "even %.6g/s failed: %s", s->high,
            why_of(s, s->high, SEARCH_FAILED));
}

static void end_at_top(struct search *s)
{
    if (s->ceiling < s->high)
        end(s, SEARCH_GENERATOR, "the generator cannot vouch for %.6g/s: %s", s->ceiling,
            why_of(s, s->ceiling, SEARCH_UNKNOWN));
    else
        end(s, SEARCH_PRECISE, "reached the precision of %.3g %%", 100 * s->precision);
}

/* Choose the next rate by what is known, or end. */
static void proceed(struct search *s)
{
    s->failed = s->unknown = 0;
    if (isinf(top(s)) && s->low >= s->limit)
        end(s, SEARCH_AT_LIMIT, "held up to the limit given, %.6g/s", s->limit);
    else if (isinf(top(s)))
        s->next = fmin(2 * s->low, s->limit);
    else if (s->low > 0 && top(s) <= s->low * (1 + s->precision))
        end_at_top(s);
    else if (s->low > 0)
        s->next = sqrt(s->low * top(s));
    else if (top(s) / 2 < ldexp(s->first, -SEARCH_HALVINGS))
        end_below_everything(s);
    else
        s->next = top(s) / 2;
}

static void end_exhausted(struct search *s)
{
    if (s->low == 0 && isfinite(top(s)))
        end_below_everything(s);
    else
        end(s, SEARCH_EXHAUSTED,
            "%d steps were used up before the precision of %.3g %% was reached", s->steps_max,
            100 * s->precision);
}

void search_take(struct search *s, double rate, enum search_outcome outcome, const char *why)
{
    if (s->end != SEARCH_GOES_ON)
        return;
    record(s, rate, outcome, why);
    if (settle(s, rate, outcome))
        proceed(s);
    if (s->end == SEARCH_GOES_ON && s->step_count == s->steps_max)
        end_exhausted(s);
}
