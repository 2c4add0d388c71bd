/* find: see find.h. */
#include "loadgen/find.h"
#include "loadgen/judge/refusals.h"

#include <math.h>

static const double KEEPS_UP_MIN = 0.98; /* of the requests, settled within the window */

/* A backlog that grows makes each run longer than the last; one of a few seconds may still look
 * good. Requests that failed for other reasons are for the conditions to judge. */
static bool falls_behind(const struct result *result)
{
    const struct class_stats *all = &result->totals->all;
    uint64_t unsettled = all->errors[ERROR_unsent] + all->errors[ERROR_unanswered];
    uint64_t settled = result->totals->good_in_window + class_stats_errors(all) - unsettled;

    return result->totals->saturated && (double)settled < KEEPS_UP_MIN * (double)all->requests;
}

/* Whether the server sustained the rate, or the generator cannot tell. */
static enum search_outcome judge(const struct result *result, const struct criteria *conditions,
                                 char *why, size_t size)
{
    struct criteria_input input = result_for_criteria(result);

    if (result->generator_at_fault || result->verdict.count > 0) {
        snprintf(why, size, "%.*s", SEARCH_TEXT - 1, result->verdict.text[0]);
        return result->generator_at_fault ? SEARCH_UNKNOWN : SEARCH_FAILED;
    }
    if (refusals_of_rates(result)) {
        snprintf(why, size,
                 "a worker of the generator was %.0f %% busy, so it may be the bottleneck",
                 100 * result->totals->busy_max);
        return SEARCH_UNKNOWN;
    }
    if (refusals_concern(result, conditions, why, size))
        return SEARCH_UNKNOWN;
    if (!criteria_hold(conditions, &input, why, size))
        return SEARCH_FAILED;
    if (!falls_behind(result))
        return SEARCH_HELD;
    snprintf(why, size, "only %.1f/s of %.1f/s were answered, and ever more waited",
             result_achieved_rate(result), result_offered_rate(result));
    return SEARCH_FAILED;
}

static void tell_step(const struct search *search, FILE *out)
{
    const struct search_step *step = &search->step[search->step_count - 1];

    if (!out)
        return;
    fprintf(out, "%12.1f/s  %-8s%s%s\n", step->rate, search_outcome_name(step->outcome),
            *step->why ? "  " : "", step->why);
    fflush(out);
}

static void tell_end(const struct search *search, FILE *out)
{
    if (!out)
        return;
    if (search->low > 0 && isfinite(search->high))
        fprintf(out, "highest rate: between %.1f/s and %.1f/s", search->low, search->high);
    else if (search->low > 0)
        fprintf(out, "highest rate: at least %.1f/s", search->low);
    else
        fprintf(out, "no rate held");
    fprintf(out, " (%s)\n\n", *search->why ? search->why : "interrupted");
}

/* The best run so far, and the rate it was run at. */
struct best {
    struct measurement *measurement;
    double rate;
    bool held;
};

/* Rates that hold only ever rise; before the first of them, the last run will do. */
static void keep_better(struct best *best, struct measurement *m, double rate, bool held)
{
    if (best->held && !held) {
        measurement_free(m);
        return;
    }
    if (best->measurement)
        measurement_free(best->measurement);
    *best = (struct best){m, rate, held};
}

/* One run. Returns false when the user has had enough. */
static bool step(struct search *search, struct plan *plan, const struct criteria *conditions,
                 struct best *best)
{
    const struct telling silence = {.control = -1};
    double rate = search_next(search);
    enum search_outcome outcome;
    struct measurement *m;
    char why[SEARCH_TEXT];
    bool go_on;

    plan_set_rate(plan, rate);
    m = measure(plan, &silence);
    go_on = m->crew.interrupts == 0;
    outcome = judge(&m->result, conditions, why, sizeof why);
    if (go_on)
        search_take(search, rate, outcome, outcome == SEARCH_HELD ? "" : why);
    keep_better(best, m, rate, go_on && outcome == SEARCH_HELD);
    return go_on;
}

struct measurement *find_rate(struct search *search, struct plan *plan,
                              const struct criteria *conditions, FILE *out)
{
    struct best best = {0};

    search_init(search, plan->rate, INFINITY, SEARCH_PRECISION, SEARCH_STEPS);
    while (search_next(search) > 0 && step(search, plan, conditions, &best))
        tell_step(search, out);
    plan_set_rate(plan, best.rate);
    tell_end(search, out);
    best.measurement->result.search = search;
    return best.measurement;
}
