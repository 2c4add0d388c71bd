/* tally: see tally.h. */
#include "loadgen/tally.h"

void tally_arrival(struct tally *t, int class, int64_t intended_ns)
{
    if (!tally_in_window(t, intended_ns))
        return;
    t->stats->class[class].requests++;
    t->open++;
}

void tally_sent(struct tally *t, int class, int64_t intended_ns, int64_t lag_ns)
{
    if (tally_in_window(t, intended_ns))
        hist_add(&t->stats->class[class].lag, lag_ns);
}

/* Without a good reply it took for ever. */
static void end_badly(struct tally *t, struct class_stats *stats, enum outcome error)
{
    stats->errors[error]++;
    hist_add_infinite(&stats->response);
    hist_add_infinite(&stats->service);
    t->open--;
}

void tally_reply(struct tally *t, int class, int64_t intended_ns, int64_t sent_ns, int64_t now_ns,
                 enum outcome outcome)
{
    struct class_stats *stats = &t->stats->class[class];

    if (outcome == OUTCOME_GOOD && tally_in_window(t, now_ns))
        t->stats->good_in_window++;
    if (!tally_in_window(t, intended_ns))
        return;
    stats->answered++;
    if (outcome != OUTCOME_GOOD) {
        end_badly(t, stats, outcome);
        return;
    }
    stats->good++;
    hist_add(&stats->response, now_ns - intended_ns);
    hist_add(&stats->service, now_ns - sent_ns);
    t->open--;
}

void tally_failure(struct tally *t, int class, int64_t intended_ns, enum outcome error)
{
    if (tally_in_window(t, intended_ns))
        end_badly(t, &t->stats->class[class], error);
}

void tally_waited(struct tally *t, int64_t from_ns, int64_t to_ns)
{
    if (from_ns < t->schedule->begin_ns)
        from_ns = t->schedule->begin_ns;
    if (to_ns > t->schedule->end_ns)
        to_ns = t->schedule->end_ns;
    if (to_ns > from_ns)
        t->stats->backlogged_ns += to_ns - from_ns;
}
