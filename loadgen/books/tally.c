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

void tally_good(struct tally *t, const struct arrival *arrival, const struct exchange *e)
{
    struct class_stats *stats = &t->stats->class[arrival->class];
    int64_t deadline_ns = t->deadline_ns[arrival->class];
    int64_t response_ns = e->came_ns - arrival->intended_ns - e->lag_ns;
    int64_t service_ns = e->came_ns - e->sent_ns;

    if (tally_in_window(t, e->came_ns))
        t->stats->good_in_window++;
    if (!tally_in_window(t, arrival->intended_ns))
        return;
    stats->answered++;
    stats->good++;
    stats->rescued += arrival->attempt > 0;
    stats->missed += deadline_ns > 0 && response_ns > deadline_ns;
    hist_add(&stats->response, response_ns);
    hist_add(&stats->service, service_ns);
    hist_add(&stats->raw, e->read_ns - arrival->intended_ns);
    hist_add(&stats->least_response, response_ns - e->echo_ns);
    hist_add(&stats->least_service, service_ns - e->echo_ns);
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
    hist_add_infinite(&stats->raw);
    hist_add_infinite(&stats->least_response);
    hist_add_infinite(&stats->least_service);
    t->open--;
}

/* How much of that time lies in the window. */
static int64_t in_window_ns(const struct tally *t, int64_t from_ns, int64_t to_ns)
{
    if (from_ns < t->schedule->begin_ns)
        from_ns = t->schedule->begin_ns;
    if (to_ns > t->schedule->end_ns)
        to_ns = t->schedule->end_ns;
    return to_ns > from_ns ? to_ns - from_ns : 0;
}

void tally_waited(struct tally *t, int64_t from_ns, int64_t to_ns)
{
    t->stats->backlogged_ns += in_window_ns(t, from_ns, to_ns);
}

void tally_paused(struct tally *t, int64_t from_ns, int64_t to_ns)
{
    t->stats->paused_ns += in_window_ns(t, from_ns, to_ns);
}
