/* verdict: see verdict.h. One function is one gate. */
#include "loadgen/judge/verdict.h"
#include "loadgen/judge/limits.h"

#include <math.h>
#include <string.h>

static const double SHORTFALL_MAX = 0.02; /* replies missing from the arrivals */
static const double LITTLE_ERROR_MAX = 0.05;
static const double LITTLE_SIGMAS = 3;    /* chance stays below this in 997 of 1000 runs */
static const double DISTURBED_MAX = 0.01; /* errors and reconnects that Little's law may ignore */
static const double PEAK_MIN = 0.01;      /* of the window, with a backlog: a peak, no hiccup */

bool littles_law(const struct result *r, struct littles_law *law)
{
    const struct class_stats *all = &r->totals->all;
    double rate = r->duration_s > 0 ? (double)all->good / r->duration_s : 0;
    double think_ns = (double)r->plan->workload.think.mean_ns;

    if (r->plan->arrivals != ARRIVALS_CLOSED || rate <= 0 || all->retries > 0)
        return false;
    law->connections = r->plan->connections - r->totals->paused_s / r->duration_s;
    law->rate_x_latency = rate * (hist_mean(&all->raw) + think_ns) / 1e9;
    law->error = fabs(law->rate_x_latency - law->connections) / law->connections;
    return true;
}

static int commonest_error(const struct class_stats *all)
{
    int commonest = 0;

    for (int i = 1; i < ERRORS; i++) {
        if (all->errors[i] > all->errors[commonest])
            commonest = i;
    }
    return commonest;
}

static void judge_presence(struct result *r)
{
    const struct class_stats *all = &r->totals->all;
    int error = commonest_error(all);
    bool connecting = error == ERROR_connect && r->totals->connect_errno;
    char cause[LIMITS_TEXT];

    r->generator_at_fault |= r->lost > 0;
    if (r->lost > 0)
        sentences_add(
            &r->verdict,
            "%d of %d workers died, and their requests are not all accounted for: run again",
            r->lost, r->plan->workers);
    if (r->duration_s <= 0)
        sentences_add(&r->verdict, "it was stopped before the window opened: let it run longer");
    else if (all->requests == 0)
        sentences_add(&r->verdict,
                      "no request fell into the window of %.3f s: raise the rate or the duration",
                      r->duration_s);
    else if (all->good == 0)
        sentences_add(
            &r->verdict,
            "none of %llu requests got a good reply, mostly because of '%s'%s%s: see to the server "
            "and to the request",
            (unsigned long long)all->requests, error_name(error), connecting ? ", " : "",
            connecting ? limits_of_connecting(cause, r->totals->connect_errno) : "");
}

/* A peak in the load may saturate the server for less of the window than worker_saturated() asks
 * for. What is lost then is the server's doing, too. */
static bool was_saturated(const struct result *r)
{
    if (r->totals->saturated || !result_load_varies(r))
        return r->totals->saturated;
    for (int i = 0; i < r->plan->workers; i++) {
        const struct worker_stats *worker = &r->shared->worker[i];

        if ((double)worker->backlogged_ns > PEAK_MIN * (double)worker->wall_ns)
            return true;
    }
    return false;
}

/* When a process of the server is killed, replies that never come are the result. */
static void judge_shortfall(struct result *r)
{
    const struct class_stats *all = &r->totals->all;
    double missing = (double)(all->requests - all->answered) / (double)all->requests;

    if (r->plan->arrivals == ARRIVALS_CLOSED || all->requests == 0 || all->good == 0 ||
        r->plan->workload.kill_ns > 0)
        return;
    if (missing > SHORTFALL_MAX && !was_saturated(r))
        sentences_add(
            &r->verdict,
            "%.1f %% of %llu arrivals got no reply, above %.0f %%, although connections were free "
            "(mostly '%s'): see to the server, or allow more --timeout and --drain",
            100 * missing, (unsigned long long)all->requests, 100 * SHORTFALL_MAX,
            error_name(commonest_error(all)));
}

static void judge_digests(struct result *r)
{
    uint64_t wrong = result_digests_wrong(r);

    if (wrong > 0)
        sentences_add(
            &r->verdict,
            "%llu of %llu replies had no or the wrong digest of their work: does the server do the "
            "work, and does it use the same calibration file?",
            (unsigned long long)wrong, (unsigned long long)result_digests_checked(r));
}

/* The window cuts the first and the last request of each connection, hence one request of
 * tolerance. The mean of n exponential think times deviates from Z by Z / sqrt(n). */
static double little_tolerance(const struct result *r, const struct littles_law *law)
{
    const struct think *think = &r->plan->workload.think;
    double requests = (double)r->totals->all.requests;
    double think_share =
        (double)think->mean_ns / (hist_mean(&r->totals->all.raw) + (double)think->mean_ns);

    return LITTLE_ERROR_MAX + law->connections / requests +
           (think->fixed ? 0 : LITTLE_SIGMAS * think_share / sqrt(requests));
}

/* When requests failed or connections were remade, not all of them were in use all the time. */
static void judge_little(struct result *r)
{
    const struct class_stats *all = &r->totals->all;
    double disturbed =
        (double)(all->requests - all->good + r->totals->reconnects + r->totals->churned);
    struct littles_law law;

    if (!littles_law(r, &law) || disturbed > DISTURBED_MAX * (double)all->requests)
        return;
    if (law.error > little_tolerance(r, &law))
        sentences_add(
            &r->verdict,
            "Little's law is off by %.1f %%, above %.0f %%: rate x latency is %.2f with %.0f "
            "connections: some were not in use. Give the generator more CPU, or warm up until the "
            "server has accepted all of them",
            100 * law.error, 100 * LITTLE_ERROR_MAX, law.rate_x_latency, law.connections);
}

void verdict_judge(struct result *r)
{
    r->verdict.count = 0;
    r->generator_at_fault = false;
    judge_presence(r);
    judge_shortfall(r);
    judge_digests(r);
    judge_little(r);
}
