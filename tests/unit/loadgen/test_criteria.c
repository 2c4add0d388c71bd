/* Tests of loadgen/judge/criteria.c: every form of a condition, every mistake, and what it is judged to
 * be on made-up counts. */
#include "loadgen/judge/criteria.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const NAMES[] = {"fast", "slow", "service"};
enum { FAST, SLOW, SERVICE, NAMED };

static struct criteria parse(const char *text)
{
    struct criteria criteria;
    char error[256] = "";

    cr_assert(criteria_parse(&criteria, text, NAMES, NAMED, error, sizeof error), "%s: %s", text,
              error);
    return criteria;
}

static struct criterion parse_one(const char *text)
{
    struct criteria criteria = parse(text);

    cr_assert_eq(criteria.count, 1);
    return criteria.criterion[0];
}

Test(criteria, a_percentile_of_the_response_is_the_plain_form)
{
    struct criterion c = parse_one("p99<5ms");

    cr_assert_eq(c.metric, METRIC_PERCENTILE);
    cr_assert_eq(c.percent, 99);
    cr_assert_eq(c.latency, LATENCY_RESPONSE);
    cr_assert_eq(c.class, -1);
    cr_assert_eq(c.op, OP_LESS);
    cr_assert_eq(c.limit, 5e6);
    cr_assert_str_eq(c.name, "p99");
}

Test(criteria, percentiles_have_any_number_of_digits)
{
    cr_assert_eq(parse_one("p50<1s").percent, 50);
    cr_assert_eq(parse_one("p99.9<1s").percent, 99.9);
    cr_assert_eq(parse_one("p99.999<1s").percent, 99.999);
    cr_assert_eq(parse_one("p0<1s").percent, 0);
    cr_assert_eq(parse_one("p100<1s").percent, 100);
}

Test(criteria, durations_may_be_decimal)
{
    cr_assert_eq(parse_one("p50<1.5ms").limit, 1.5e6);
    cr_assert_eq(parse_one("max<250us").limit, 250e3);
    cr_assert_eq(parse_one("mean>0").limit, 0);
}

Test(criteria, each_operator)
{
    cr_assert_eq(parse_one("p9<1s").op, OP_LESS);
    cr_assert_eq(parse_one("p9<=1s").op, OP_AT_MOST);
    cr_assert_eq(parse_one("p9>1s").op, OP_GREATER);
    cr_assert_eq(parse_one("p9>=1s").op, OP_AT_LEAST);
}

Test(criteria, each_metric_and_latency)
{
    cr_assert_eq(parse_one("mean<1s").metric, METRIC_MEAN);
    cr_assert_eq(parse_one("max<1s").metric, METRIC_MAX);
    cr_assert_eq(parse_one("errors<1").metric, METRIC_ERRORS);
    cr_assert_eq(parse_one("missed<1").metric, METRIC_MISSED);
    cr_assert_eq(parse_one("rate>1").metric, METRIC_RATE);
    cr_assert_eq(parse_one("response.p9<1s").latency, LATENCY_RESPONSE);
    cr_assert_eq(parse_one("service.p9<1s").latency, LATENCY_SERVICE);
    cr_assert_eq(parse_one("lag.max<1s").latency, LATENCY_LAG);
}

Test(criteria, a_percent_sign_makes_a_share_of_a_count)
{
    struct criterion share = parse_one("errors<0.1%"), count = parse_one("missed<=12");

    cr_assert(share.share);
    cr_assert_eq(share.limit, 0.1);
    cr_assert_not(count.share);
    cr_assert_eq(count.limit, 12);
}

Test(criteria, a_class_stands_before_the_latency)
{
    cr_assert_eq(parse_one("slow.p99<5ms").class, SLOW);
    cr_assert_eq(parse_one("slow.lag.p99<5ms").class, SLOW);
    cr_assert_eq(parse_one("slow.lag.p99<5ms").latency, LATENCY_LAG);
    cr_assert_eq(parse_one("fast.errors<1%").class, FAST);
    cr_assert_str_eq(parse_one("fast.errors<1%").name, "fast.errors");
}

Test(criteria, a_class_named_like_a_latency_is_reached_by_both_names)
{
    cr_assert_eq(parse_one("service.p99<5ms").class, -1);
    cr_assert_eq(parse_one("service.response.p99<5ms").class, SERVICE);
    cr_assert_eq(parse_one("service.response.p99<5ms").latency, LATENCY_RESPONSE);
    cr_assert_eq(parse_one("service.service.p99<5ms").latency, LATENCY_SERVICE);
    cr_assert_eq(parse_one("service.errors<1").class, SERVICE, "errors have no service time");
}

Test(criteria, several_conditions_and_blanks)
{
    struct criteria criteria = parse(" p99 < 5ms ,\terrors<=0.1% , fast.rate >= 100.5 ");

    cr_assert_eq(criteria.count, 3);
    cr_assert_str_eq(criteria.criterion[0].name, "p99");
    cr_assert_eq(criteria.criterion[1].op, OP_AT_MOST);
    cr_assert_eq(criteria.criterion[2].class, FAST);
    cr_assert_eq(criteria.criterion[2].limit, 100.5);
}

struct mistake {
    const char *text, *quoted;
};

Test(criteria, a_mistake_is_quoted)
{
    static const struct mistake mistakes[] = {
        {"", "a condition is missing"},
        {"p99<5ms,", "a condition is missing"},
        {"p99<5ms,,max<1s", "a condition is missing"},
        {"p99", "'p99' compares nothing"},
        {"p99=5ms", "'p99=5ms' compares nothing"},
        {"p99=<5ms", "'p99=' is not"},
        {"p99<", "'' is not a duration"},
        {"<5ms", "'' is not [CLASS.]"},
        {"p99<5", "p99: '5' is not a duration"},
        {"p99<5%", "'5%' is not a duration"},
        {"p99<inf", "'inf' is not a duration"},
        {"p99<<5ms", "'<5ms' is not a duration"},
        {"p99<5ms max<1s", "'5ms max<1s' is not a duration"},
        {"p101<5ms", "'p101' is not"},
        {"p100.01<5ms", "'p100.01' is not"},
        {"p<5ms", "'p' is not"},
        {"p-1<5ms", "'p-1' is not"},
        {"p1e1<5ms", "'p1e1' is not"},
        {"p9.9.9<5ms", "'p9.9.9' is not"},
        {"p99 .9<5ms", "'p99 .9' is not"},
        {"median<5ms", "'median' is not"},
        {"other.p99<5ms", "'other.p99' is not"},
        {"slow<5ms", "'slow' is not"},
        {"slow.fast.p99<5ms", "'slow.fast.p99' is not"},
        {"lag.slow.p99<5ms", "'lag.slow.p99' is not"},
        {"lag.errors<1%", "'lag.errors' is not"},
        {"errors<5ms", "errors: '5ms' is neither a count nor a share"},
        {"errors<101%", "'101%' is neither"},
        {"errors<-1", "'-1' is neither"},
        {"errors<.", "'.' is neither"},
        {"errors<1e3", "'1e3' is neither"},
        {"rate>90%", "rate: '90%' is not a number"},
    };

    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        struct criteria criteria;
        char error[256] = "";

        cr_assert_not(
            criteria_parse(&criteria, mistakes[i].text, NAMES, NAMED, error, sizeof error), "%s",
            mistakes[i].text);
        cr_assert_not_null(strstr(error, mistakes[i].quoted), "%s: %s", mistakes[i].text, error);
    }
}

/* `count` conditions. */
static bool parse_many(int count, char *error, size_t size)
{
    struct criteria criteria;
    char text[1024] = "";

    for (int i = 0; i < count; i++)
        sprintf(text + strlen(text), "%smax<%dms", i > 0 ? "," : "", i + 1);
    return criteria_parse(&criteria, text, NULL, 0, error, size);
}

Test(criteria, there_is_a_bound_on_their_number)
{
    char error[256] = "";

    cr_assert(parse_many(CRITERIA_MAX, error, sizeof error));
    cr_assert_not(parse_many(CRITERIA_MAX + 1, error, sizeof error));
    cr_assert_not_null(strstr(error, "'max<17ms' is one condition too many"), "%s", error);
}

Test(criteria, there_is_a_bound_on_their_length)
{
    struct criteria criteria;
    char error[256] = "", text[400];

    for (int len = 4; len < 300; len++) { /* p0.000...<1s */
        bool fits = len < CRITERION_NAME;

        snprintf(text, sizeof text, "p0.%0*d<1s", len - 3, 0);
        cr_assert_eq(criteria_parse(&criteria, text, NULL, 0, error, sizeof error), fits);
        cr_assert(fits || strstr(error, "'p0.000"), "%s", error);
    }
    for (int len = 10; len < 300; len++) { /* blanks count, too: up to 127 */
        snprintf(text, sizeof text, "%-*s", len, "p0<1s");
        cr_assert_eq(criteria_parse(&criteria, text, NULL, 0, error, sizeof error), len <= 127);
    }
}

Test(criteria, an_error_never_leaves_its_buffer)
{
    struct criteria criteria;
    char error[16];

    memset(error, '#', sizeof error);
    cr_assert_not(criteria_parse(&criteria, "other.p99<5ms", NULL, 0, error, 8));
    cr_assert_eq(strlen(error), 7);
    cr_assert_eq(error[8], '#');
}

/* A run of 10 s with 100 requests of 1, 2, ..., 100 ms, all in the class `slow`. Service times are
 * half of that. `fast` and `service` had no request. */
struct fixture {
    struct class_stats all, class[NAMED];
    struct criteria_input input;
};

static struct fixture *a_run(void)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct class_stats *slow = &f->class[SLOW];

    slow->requests = slow->answered = slow->good = 100;
    for (int64_t i = 1; i <= 100; i++) {
        hist_add(&slow->response, i * 1000000);
        hist_add(&slow->service, i * 500000);
        hist_add(&slow->lag, 1000);
    }
    f->all = *slow;
    f->input = (struct criteria_input){.all = &f->all,
                                       .class = f->class,
                                       .class_count = NAMED,
                                       .duration_s = 10,
                                       .achieved_rate = 9.5};
    return f;
}

/* `count` of the requests fail instead. */
static void break_requests(struct fixture *f, uint64_t count)
{
    f->all.good -= count;
    f->all.errors[ERROR_timeout] = count - 1;
    f->all.errors[ERROR_reset] = 1;
    f->all.response = (struct hist){0};
    for (uint64_t i = 0; i < f->all.good; i++)
        hist_add(&f->all.response, 1000000);
    for (uint64_t i = 0; i < count; i++)
        hist_add_infinite(&f->all.response);
}

/* Where all must hold, this one does, and says nothing. */
static void expect_holds(const struct fixture *f, const char *text)
{
    struct criteria criteria = parse(text);
    char why[CRITERIA_TEXT] = "?";

    cr_assert(criteria_hold(&criteria, &f->input, why, sizeof why), "%s: %s", text, why);
    cr_assert_str_eq(why, "");
}

/* Where all must hold, this one does not, and says `sentence`. */
static void expect_breaks(const struct fixture *f, const char *text, const char *sentence)
{
    struct criteria criteria = parse(text);
    char why[CRITERIA_TEXT] = "";

    cr_assert_not(criteria_hold(&criteria, &f->input, why, sizeof why), "%s", text);
    cr_assert_str_eq(why, sentence, "%s", why);
}

/* Where one that holds is a failure, this one is, and says `sentence`; NULL: it is none. */
static void expect_fails(const struct fixture *f, const char *text, const char *sentence)
{
    struct criteria criteria = parse(text);
    char why[CRITERIA_TEXT] = "?";

    cr_assert_eq(criteria_any(&criteria, &f->input, why, sizeof why), sentence != NULL, "%s", text);
    cr_assert_str_eq(why, sentence ? sentence : "", "%s", why);
}

Test(criteria, operators_differ_at_the_limit)
{
    struct fixture *f = a_run(); /* the maximum is exact */

    expect_breaks(f, "max<100ms", "max is 100 ms, not below 100 ms");
    expect_holds(f, "max<=100ms");
    expect_breaks(f, "max>100ms", "max is 100 ms, not above 100 ms");
    expect_holds(f, "max>=100ms");
    expect_holds(f, "max<100.1ms");
    expect_breaks(f, "max<=99.9ms", "max is 100 ms, above 99.9 ms");
    expect_holds(f, "max>99.9ms");
    expect_breaks(f, "max>=100.1ms", "max is 100 ms, below 100.1 ms");
    free(f);
}

Test(criteria, each_latency_has_its_own_value)
{
    struct fixture *f = a_run();

    expect_breaks(f, "max<0", "max is 100 ms, not below 0 ns");
    expect_breaks(f, "service.max<0", "service.max is 50 ms, not below 0 ns");
    expect_breaks(f, "lag.max<0", "lag.max is 1 us, not below 0 ns");
    expect_breaks(f, "mean<1us", "mean is 50.5 ms, not below 1 us");
    expect_breaks(f, "p50<=1s,p50>2s", "p50 is 50 ms, not above 2 s");
    free(f);
}

Test(criteria, as_many_digits_as_tell_the_value_from_the_limit)
{
    struct fixture *f = a_run();

    f->all.response = (struct hist){0};
    hist_add(&f->all.response, 5000100);
    expect_breaks(f, "max<=5ms", "max is 5.0001 ms, above 5 ms");
    expect_breaks(f, "max<=4ms", "max is 5 ms, above 4 ms");
    hist_add(&f->all.response, 999960000);
    expect_breaks(f, "max<20us", "max is 1000 ms, not below 20 us");
    f->input.achieved_rate = 12345.678;
    expect_breaks(f, "rate>20000", "rate is 12346/s, not above 20000/s");
    expect_breaks(f, "rate>12346", "rate is 12345.7/s, not above 12346/s");
    free(f);
}

Test(criteria, errors_are_a_share_or_a_count)
{
    struct fixture *f = a_run();

    break_requests(f, 2);
    expect_holds(f, "errors<=2%,errors<=2");
    expect_breaks(f, "errors<0.1%", "errors are 2 %, not below 0.1 %");
    expect_breaks(f, "errors<2", "errors are 2, not below 2");
    expect_holds(f, "slow.errors<1");
    free(f);
}

Test(criteria, missed_deadlines_are_a_share_or_a_count)
{
    struct fixture *f = a_run();

    f->class[SLOW].missed = 3;
    expect_breaks(f, "slow.missed<3%", "slow.missed are 3 %, not below 3 %");
    expect_breaks(f, "slow.missed<2", "slow.missed are 3, not below 2");
    expect_holds(f, "missed<1");
    free(f);
}

Test(criteria, a_class_has_its_good_replies_as_its_rate)
{
    struct fixture *f = a_run();

    expect_breaks(f, "rate>10", "rate is 9.5/s, not above 10/s");
    expect_breaks(f, "slow.rate>10", "slow.rate is 10/s, not above 10/s");
    expect_breaks(f, "fast.rate>0", "fast.rate is 0/s, not above 0/s");
    free(f);
}

Test(criteria, requests_that_failed_are_infinitely_late)
{
    struct fixture *f = a_run();

    break_requests(f, 2);
    expect_holds(f, "p98<5ms");
    expect_breaks(f, "p99<5ms", "p99 is infinite, not below 5 ms");
    expect_breaks(f, "max<24h", "max is infinite, not below 86400 s");
    expect_breaks(f, "mean<24h", "mean is infinite, not below 86400 s");
    expect_fails(f, "p99>10ms", "p99 is infinite, above 10 ms");
    expect_fails(f, "p98>10ms", NULL);
    free(f);
}

Test(criteria, what_was_not_measured_speaks_for_nobody)
{
    struct fixture *f = a_run();

    expect_breaks(f, "fast.p99<5ms", "fast.p99 is not known: nothing was measured");
    expect_breaks(f, "fast.p99>5ms", "fast.p99 is not known: nothing was measured");
    expect_breaks(f, "fast.mean>0", "fast.mean is not known: nothing was measured");
    expect_breaks(f, "fast.errors<1%", "fast.errors are not known: nothing was measured");
    expect_breaks(f, "fast.missed<1", "fast.missed are not known: nothing was measured");
    expect_fails(f, "fast.p99>5ms", "fast.p99 is not known: nothing was measured");
    expect_fails(f, "fast.p99<5ms", "fast.p99 is not known: nothing was measured");
    f->input.class_count = SLOW;
    expect_breaks(f, "slow.max<1s", "slow.max is not known: nothing was measured");
    f->input.class_count = NAMED;
    f->input.duration_s = 0;
    expect_breaks(f, "rate>1", "rate is not known: nothing was measured");
    expect_fails(f, "slow.rate<1", "slow.rate is not known: nothing was measured");
    free(f);
}

Test(criteria, all_must_hold_and_the_first_that_does_not_is_named)
{
    struct fixture *f = a_run();

    expect_holds(f, "p50<1s,errors<1%,rate>9,slow.p50<51ms");
    expect_breaks(f, "p50<1s,slow.service.max<40ms,rate>10",
                  "slow.service.max is 50 ms, not below 40 ms");
    free(f);
}

Test(criteria, one_is_enough_to_fail_and_the_first_is_named)
{
    struct fixture *f = a_run();

    expect_fails(f, "p50>1s,errors>=1%,rate<9", NULL);
    expect_fails(f, "p50>1s,max>=100ms,rate<10", "max is 100 ms, at least 100 ms");
    expect_fails(f, "rate<10", "rate is 9.5/s, below 10/s");
    expect_fails(f, "errors<=1%", "errors are 0 %, at most 1 %");
    free(f);
}
