/* retries: see retries.h. */
#include "loadgen/worker/retries.h"
#include "common/base/util.h"

#include <stdlib.h>

/* Doubling stops here: 2^10 times the base is long after every drain. */
enum { DOUBLINGS_MAX = 10 };

struct waiting {
    struct timer timer; /* first, so that it leads to the rest */
    struct arrival arrival;
    enum outcome error;
};

void retries_init(struct retries *r, const struct retry *rule, uint64_t seed)
{
    *r = (struct retries){.rule = *rule, .random = {seed}};
    timers_init_bare(&r->timers);
}

/* A wrong request stays wrong, and a server that computes wrongly is to be found out, not asked
 * until it is right by chance. */
static bool may_help(enum outcome error)
{
    return error != ERROR_status_4xx && error != ERROR_digest && error != ERROR_unsent &&
           error != ERROR_unanswered;
}

static int64_t pause_ns(struct retries *r, int attempt)
{
    int doublings = attempt < DOUBLINGS_MAX ? attempt : DOUBLINGS_MAX;

    return (int64_t)(random_unit(&r->random) * (double)(r->rule.base_ns << doublings));
}

enum retry_answer retries_ask(struct retries *r, const struct arrival *arrival, enum outcome error,
                              int64_t now_ns)
{
    struct waiting *waiting;

    if (arrival->attempt >= r->rule.limit || !may_help(error))
        return RETRY_NEVER;
    if ((double)(r->made + 1) > r->rule.budget * (double)r->requests)
        return RETRY_DENIED;
    r->made++;
    waiting = must_calloc(1, sizeof *waiting);
    waiting->arrival = *arrival;
    waiting->error = error;
    timers_add(&r->timers, &waiting->timer, now_ns + pause_ns(r, arrival->attempt));
    return RETRY_GRANTED;
}

/* Take out the first that is due by then, as it was when its attempt failed. */
static bool take(struct retries *r, int64_t now_ns, struct arrival *arrival, enum outcome *error)
{
    struct waiting *waiting = (struct waiting *)timers_expire(&r->timers, now_ns);

    if (!waiting)
        return false;
    *arrival = waiting->arrival;
    *error = waiting->error;
    free(waiting);
    return true;
}

bool retries_due(struct retries *r, int64_t now_ns, struct arrival *arrival)
{
    enum outcome error;

    if (!take(r, now_ns, arrival, &error))
        return false;
    arrival->attempt++;
    return true;
}

int64_t retries_next_ns(const struct retries *r)
{
    return timers_next_ns(&r->timers);
}

bool retries_abandon(struct retries *r, struct arrival *arrival, enum outcome *error)
{
    return take(r, INT64_MAX, arrival, error);
}

void retries_free(struct retries *r)
{
    struct arrival arrival;
    enum outcome error;

    while (retries_abandon(r, &arrival, &error))
        ;
    timers_free(&r->timers);
}
