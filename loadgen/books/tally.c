/* tally: see tally.h. */
#include "loadgen/books/tally.h"

void tally_arrival(struct tally *t, const struct arrival *arrival)
{
    if (!tally_in_window(t, arrival->intended_ns))
        return;
    t->stats->class[arrival->class].requests++;
    t->open++;
}

/* A later attempt is sent when its pause is over, and that is no lag. */
void tally_sent(struct tally *t, const struct arrival *arrival, int64_t lag_ns)
{
    struct class_stats *stats = &t->stats->class[arrival->class];

    if (!tally_in_window(t, arrival->intended_ns))
        return;
    stats->attempts++;
    stats->retries += arrival->attempt > 0;
    if (arrival->attempt == 0)
        hist_add(&stats->lag, lag_ns);
}

void tally_status(struct tally *t, const struct arrival *arrival, int status)
{
    if (tally_in_window(t, arrival->intended_ns) && status >= 100 && status < 600)
        t->stats->class[arrival->class].status[status / 100]++;
}

void tally_attempt_failed(struct tally *t, const struct arrival *arrival, enum outcome error)
{
    if (tally_in_window(t, arrival->intended_ns))
        t->stats->class[arrival->class].failed[error]++;
}

void tally_denied(struct tally *t, const struct arrival *arrival)
{
    if (tally_in_window(t, arrival->intended_ns))
        t->stats->class[arrival->class].denied++;
}

void tally_good(struct tally *t, const struct arrival *arrival, int64_t sent_ns, int64_t now_ns)
{
    struct class_stats *stats = &t->stats->class[arrival->class];
    int64_t deadline_ns = t->deadline_ns[arrival->class];

    if (tally_in_window(t, now_ns))
        t->stats->good_in_window++;
    if (!tally_in_window(t, arrival->intended_ns))
        return;
    stats->answered++;
    stats->good++;
    stats->rescued += arrival->attempt > 0;
    stats->missed += deadline_ns > 0 && now_ns - arrival->intended_ns > deadline_ns;
    hist_add(&stats->response, now_ns - arrival->intended_ns);
    hist_add(&stats->service, now_ns - sent_ns);
    t->open--;
}

/* Without a good reply it took for ever. */
void tally_failure(struct tally *t, const struct arrival *arrival, enum outcome error,
                   bool answered)
{
    struct class_stats *stats = &t->stats->class[arrival->class];

    if (!tally_in_window(t, arrival->intended_ns))
        return;
    stats->answered += answered;
    stats->errors[error]++;
    stats->missed += t->deadline_ns[arrival->class] > 0;
    hist_add_infinite(&stats->response);
    hist_add_infinite(&stats->service);
    t->open--;
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
