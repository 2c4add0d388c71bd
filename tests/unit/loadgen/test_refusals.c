/* Tests of loadgen/judge/refusals.c: exactly the numbers that may be wrong are refused. */
#include "loadgen/judge/refusals.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* 1000 good requests of one class, 10 ms each, of which the last so many may be `blur_ns` too
 * long. */
struct fixture {
    struct plan plan;
    struct totals totals;
    struct result result;
};

static struct fixture *make(int blurred, int64_t blur_ns)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct class_stats *stats = &f->totals.class[0];

    f->plan = (struct plan){.arrivals = ARRIVALS_POISSON, .class_count = 1};
    f->plan.class[0].name = "io";
    stats->requests = stats->good = 1000;
    for (int i = 0; i < 1000; i++) {
        int64_t least_ns = 10000000 - (i < blurred ? blur_ns : 0);

        hist_add(&stats->response, 10000000);
        hist_add(&stats->service, 10000000);
        hist_add(&stats->least_response, least_ns);
        hist_add(&stats->least_service, least_ns);
    }
    f->totals.all = *stats;
    f->result = (struct result){.plan = &f->plan, .totals = &f->totals, .duration_s = 10};
    refusals_judge(&f->result);
    return f;
}

static const char *reason(const struct fixture *f, const char *metric)
{
    for (int i = 0; i < f->result.refusals.count; i++)
        if (strcmp(f->result.refusals.refusal[i].metric, metric) == 0)
            return f->result.refusals.refusal[i].reason;
    return NULL;
}

Test(refusals, nothing_is_refused_without_a_delay)
{
    struct fixture *f = make(0, 0);

    cr_assert_eq(f->result.refusals.count, 0);
    cr_assert_eq(refusals_uncertainty_ns(&f->result, &f->totals.all, 99), 0);
    free(f);
}

Test(refusals, up_to_a_tenth_is_told_and_not_refused)
{
    struct fixture *f = make(1000, 900000);

    cr_assert_eq(f->result.refusals.count, 0);
    cr_assert_float_eq(refusals_uncertainty_ns(&f->result, &f->totals.all, 99), 900000, 20000);
    free(f);
}

Test(refusals, more_than_a_tenth_is_refused_of_the_class_and_of_all)
{
    struct fixture *f = make(1000, 2000000);

    cr_assert(strstr(reason(f, "io.response_p99_us"), "up to 20 % of its"), "%s",
              reason(f, "io.response_p99_us"));
    cr_assert_not_null(reason(f, "total.response_p50_us"));
    cr_assert_not_null(reason(f, "total.service_mean_us"));
    cr_assert_null(reason(f, "achieved_rate"));
    free(f);
}

Test(refusals, only_the_percentiles_that_are_concerned)
{
    struct fixture *f = make(960, 2000000); /* all but the largest 4 % may be shorter */

    cr_assert_not_null(reason(f, "io.response_p90_us"));
    cr_assert_null(reason(f, "io.response_p99_us"));
    cr_assert_null(reason(f, "io.response_max_us"));
    free(f);
}

Test(refusals, failed_requests_take_for_ever_whatever_the_generator_did)
{
    struct fixture *f = make(1000, 2000000);
    struct class_stats *stats = &f->totals.class[0];

    for (int i = 0; i < 100; i++) {
        hist_add_infinite(&stats->response);
        hist_add_infinite(&stats->least_response);
    }
    f->totals.all = *stats;
    refusals_judge(&f->result);
    cr_assert_null(reason(f, "io.response_p99_us"));
    cr_assert_not_null(reason(f, "io.response_p50_us"));
    free(f);
}

Test(refusals, a_busy_worker_makes_the_rates_unsure_and_no_latency)
{
    struct fixture *f = make(0, 0);

    f->totals.busy_max = 0.89;
    refusals_judge(&f->result);
    cr_assert_eq(f->result.refusals.count, 0);
    cr_assert(!refusals_of_rates(&f->result));
    f->totals.busy_max = 0.95;
    refusals_judge(&f->result);
    cr_assert(refusals_of_rates(&f->result));
    cr_assert_eq(f->result.refusals.count, 2);
    cr_assert(strstr(reason(f, "achieved_rate"), "95 % busy"));
    cr_assert_not_null(reason(f, "*.good_rate"));
    free(f);
}

/* A tenth of the requests took ten times as long as the others. */
static struct fixture *make_held(enum arrivals_kind arrivals, struct holds server)
{
    struct fixture *f = make(0, 0);
    struct class_stats *stats = &f->totals.class[0];

    f->plan.arrivals = arrivals;
    *stats = (struct class_stats){.requests = 1000, .good = 1000};
    for (int i = 0; i < 1000; i++) {
        int64_t took_ns = i < 900 ? 1000000 + i * 10 : 10000000;

        hist_add(&stats->response, took_ns);
        hist_add(&stats->service, took_ns);
        hist_add(&stats->least_response, took_ns);
        hist_add(&stats->least_service, took_ns);
    }
    f->totals.all = *stats;
    f->result.server = server;
    refusals_judge(&f->result);
    return f;
}

Test(refusals, what_others_may_have_made_longer)
{
    struct fixture *f = make_held(ARRIVALS_POISSON, (struct holds){.share = 0.06});

    cr_assert_float_eq(f->result.reach, 0.12, 0.001);
    cr_assert(strstr(reason(f, "io.response_p99_us"), "cores that others held"));
    cr_assert_not_null(reason(f, "total.service_max_us"));
    cr_assert_null(reason(f, "io.response_p50_us"));
    cr_assert_null(reason(f, "io.response_p90_us"));
    cr_assert_null(reason(f, "achieved_rate"), "all were answered");
    cr_assert_float_eq(refusals_uncertainty_ns(&f->result, &f->totals.all, 99), 9e6, 0.1e6);
    free(f);
}

Test(refusals, what_others_held_for_a_moment_is_not_judged)
{
    struct fixture *f = make_held(ARRIVALS_POISSON, (struct holds){.share = 0.019, .per_s = 50});

    cr_assert_eq(f->result.reach, 0);
    cr_assert_eq(f->result.refusals.count, 0);
    free(f);
}

Test(refusals, a_closed_loop_could_have_answered_more)
{
    struct fixture *f = make_held(ARRIVALS_CLOSED, (struct holds){.share = 0.09});

    cr_assert_null(reason(f, "achieved_rate"));
    f->result.server.share = 0.11;
    refusals_judge(&f->result);
    cr_assert(strstr(reason(f, "achieved_rate"), "11 % of the window"));
    cr_assert_not_null(reason(f, "*.good_rate"));
    cr_assert_null(reason(f, "error_share"), "there are none");
    f->totals.all.good -= 1;
    f->totals.all.errors[ERROR_timeout] = 1;
    refusals_judge(&f->result);
    cr_assert_not_null(reason(f, "error_share"));
    free(f);
}

Test(refusals, an_open_loop_only_where_not_all_were_answered)
{
    struct fixture *f = make_held(ARRIVALS_POISSON, (struct holds){.share = 0.3});

    cr_assert_null(reason(f, "achieved_rate"));
    f->totals.all.good = 990;
    f->totals.all.errors[ERROR_status_5xx] = 10;
    refusals_judge(&f->result);
    cr_assert_not_null(reason(f, "achieved_rate"));
    cr_assert_not_null(reason(f, "error_share"));
    free(f);
}

/* With priority over the server it waits for strangers only, and where replies are stamped by the
 * kernel its waiting is taken out. */
Test(refusals, a_generator_without_a_core_counts_in_a_closed_loop)
{
    struct fixture *f = make_held(ARRIVALS_CLOSED, (struct holds){0});

    f->totals.holds = (struct holds){.share = 0.2};
    refusals_judge(&f->result);
    cr_assert_eq(f->result.reach, 0);
    f->totals.realtime = true;
    refusals_judge(&f->result);
    cr_assert_float_eq(f->result.reach, 0.4, 0.001);
    f->plan.workload.think.mean_ns = 1000;
    refusals_judge(&f->result);
    cr_assert_eq(f->result.reach, 0);
    free(f);
}

Test(refusals, a_condition_on_a_refused_number_cannot_be_judged)
{
    static const char *const names[] = {"io"};
    static const struct {
        const char *condition;
        bool concerned;
    } examples[] = {{"p99<5ms", true},      {"io.service.p50<5ms", true}, {"mean<5ms", true},
                    {"lag.p99<5ms", false}, {"errors<1", false},          {"rate>5", false},
                    {"io.max<5ms", true},   {"errors<1,p99.5<1ms", true}};
    struct fixture *f = make(1000, 2000000);
    struct criteria criteria;
    char text[200];

    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        cr_assert(criteria_parse(&criteria, examples[i].condition, names, 1, text, sizeof text));
        cr_assert_eq(refusals_concern(&f->result, &criteria, text, sizeof text),
                     examples[i].concerned, "%s", examples[i].condition);
    }
    free(f);
}
