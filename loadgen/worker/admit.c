/* admit: requests are let in when they are due: by the schedule, or for another attempt. See engine.h. */
#include "loadgen/worker/engine.h"

void admit_set_up(struct client *c, int worker)
{
    const struct plan *plan = c->plan;
    struct arrivals_setup setup = {.kind = plan->arrivals,
                                   .seed = (uint64_t)plan->seed,
                                   .worker = worker,
                                   .workers = plan->workers,
                                   .rate = plan->base_rate,
                                   .class_count = plan->class_count,
                                   .own_rates = workload_has_class_rates(&plan->workload),
                                   .burst = plan->workload.burst,
                                   .phase_count = plan->workload.phase_count,
                                   .phase = plan->workload.phase,
                                   .trace = &plan->trace};

    for (int i = 0; i < plan->class_count; i++) {
        setup.weight[i] = plan->class[i].weight;
        setup.class_rate[i] = plan->class[i].rate;
        setup.modulation[i] = plan->workload.class[i].modulation;
    }
    arrivals_init(&c->arrivals, &setup);
    c->next.intended_ns = INT64_MAX;
}

static void admit(struct client *c, struct arrival arrival)
{
    c->retries.requests++;
    tally_arrival(&c->tally, &arrival);
    tick(c);
    exchange_admit(c, arrival);
}

void admit_arrivals(struct client *c)
{
    int64_t due_ns = c->now_ns < c->schedule->end_ns ? c->now_ns : c->schedule->end_ns - 1;

    while (c->phase == PHASE_RUN) {
        struct arrival arrival = c->next;
        bool gathered = c->has_feeds && feed_gathers(c, &arrival, due_ns);

        if (!gathered && arrival.intended_ns > due_ns)
            break;
        c->next = arrivals_next(&c->arrivals);
        if (!gathered)
            admit(c, arrival);
    }
    if (c->has_feeds && c->phase >= PHASE_RUN)
        feed_round(c);
}

void admit_retries(struct client *c)
{
    int64_t due_ns = c->now_ns;
    struct arrival arrival;

    while (retries_due(&c->retries, due_ns, &arrival)) {
        c->pools[c->plan->class[arrival.class].pool].retrying--;
        tick(c);
        exchange_admit(c, arrival);
    }
}

int64_t admit_next_ns(const struct client *c)
{
    int64_t feed_ns = feed_next_ns(c, false);
    bool precise = c->phase == PHASE_RUN && c->plan->class[c->next.class].gather_ns == 0;
    int64_t due_ns = precise ? c->next.intended_ns : INT64_MAX;

    return feed_ns < due_ns ? feed_ns : due_ns;
}
