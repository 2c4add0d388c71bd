/* Tests of loadgen/judge/verdict.c: each gate just passed and just failed, on made-up counts. */
#include "loadgen/judge/verdict.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* A flawless run of one worker: 1000 good requests of 10 ms in a window of 1 s. */
struct fixture {
    struct plan plan;
    struct totals totals;
    struct shared *shared;
    struct result result;
};

static struct fixture *perfect(enum arrivals_kind arrivals)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct class_stats *all = &f->totals.all;

    f->shared = shared_create(1);
    f->plan = (struct plan){.arrivals = arrivals, .connections = 10, .workers = 1};
    f->shared->worker[0].wall_ns = 1000000000;
    f->shared->worker[0].cpu_ns = 500000000;
    all->requests = all->answered = all->good = 1000;
    for (int i = 0; i < 1000; i++) {
        hist_add(&all->response, 10000000);
        hist_add(&all->service, 10000000);
        hist_add(&all->raw, 10000000);
        hist_add(&all->lag, 1000);
    }
    f->result = (struct result){
        .plan = &f->plan, .totals = &f->totals, .shared = f->shared, .duration_s = 1};
    return f;
}

static void discard(struct fixture *f)
{
    shared_free(f->shared, 1);
    free(f);
}

/* The run is invalid for one reason, and it has this in it; NULL: valid. */
static void expect(struct fixture *f, const char *reason)
{
    const struct sentences *verdict = &f->result.verdict;

    verdict_judge(&f->result);
    cr_assert_eq(verdict->count, reason ? 1 : 0, "%d reasons, the first: %s", verdict->count,
                 verdict->text[0]);
    if (reason)
        cr_assert_not_null(strstr(verdict->text[0], reason), "%s", verdict->text[0]);
}

Test(verdict, a_perfect_run_is_valid)
{
    for (int arrivals = ARRIVALS_CLOSED; arrivals <= ARRIVALS_TRACE; arrivals++) {
        struct fixture *f = perfect((enum arrivals_kind)arrivals);

        expect(f, NULL);
        discard(f);
    }
}

Test(verdict, missing_replies_need_the_server_to_be_saturated)
{
    struct fixture *f = perfect(ARRIVALS_POISSON);

    f->totals.all.answered = f->totals.all.good = 980;
    f->totals.all.errors[ERROR_timeout] = 20;
    expect(f, NULL);
    f->totals.all.answered = f->totals.all.good = 979;
    f->totals.all.errors[ERROR_timeout] = 21;
    expect(f, "2.1 % of 1000 arrivals got no reply");
    expect(f, "'timeout'");
    f->totals.saturated = true;
    expect(f, NULL);
    discard(f);
}

Test(verdict, what_a_killed_server_owes_is_a_result)
{
    struct fixture *f = perfect(ARRIVALS_POISSON);

    f->totals.all.answered = f->totals.all.good = 900;
    f->totals.all.errors[ERROR_reset] = 100;
    expect(f, "10.0 % of 1000 arrivals got no reply");
    f->plan.workload.kill_ns = 1;
    expect(f, NULL);
    f->totals.all.answered = f->totals.all.good = 0;
    f->totals.all.errors[ERROR_reset] = 1000;
    expect(f, "none of 1000 requests got a good reply");
    discard(f);
}

Test(verdict, bad_answers_are_results_and_not_faults_of_the_run)
{
    struct fixture *f = perfect(ARRIVALS_POISSON);

    f->totals.all.good = 500;
    f->totals.all.errors[ERROR_status_5xx] = 500;
    expect(f, NULL);
    f->totals.all.good = 0;
    f->totals.all.errors[ERROR_status_5xx] = 1000;
    expect(f, "none of 1000 requests got a good reply, mostly because of 'status_5xx'");
    discard(f);
}

Test(verdict, one_wrong_digest_is_too_many)
{
    struct fixture *f = perfect(ARRIVALS_POISSON);

    f->plan.class_count = 2;
    f->plan.class[1].has_digest = true;
    f->totals.class[0].good = 700;
    f->totals.class[1].good = 299;
    f->totals.class[1].errors[ERROR_digest] = 1;
    f->totals.class[1].failed[ERROR_digest] = 1;
    f->totals.all.errors[ERROR_digest] = 1;
    f->totals.all.failed[ERROR_digest] = 1;
    expect(f, "1 of 300 replies had no or the wrong digest");
    discard(f);
}

Test(verdict, little_s_law)
{
    struct fixture *f = perfect(ARRIVALS_CLOSED);
    struct littles_law law;

    cr_assert(littles_law(&f->result, &law));
    cr_assert_float_eq(law.rate_x_latency, 10, 1e-9); /* 1000/s x 10 ms */
    cr_assert_float_eq(law.error, 0, 1e-9);

    f->result.duration_s = 1.05; /* 4.8 %, and the edges of the window excuse 1 % more */
    expect(f, NULL);
    f->result.duration_s = 1.08; /* 7.4 % */
    expect(f, "Little's law is off by 7.4 %");
    f->totals.reconnects = 100; /* not all connections were there all the time */
    expect(f, NULL);
    f->totals.reconnects = 0;
    f->plan.arrivals = ARRIVALS_CONSTANT;
    cr_assert_not(littles_law(&f->result, &law));
    expect(f, NULL);
    discard(f);
}

/* Of twelve connections two are those of users who pause after a 503. */
Test(verdict, little_s_law_leaves_out_who_pauses)
{
    struct fixture *f = perfect(ARRIVALS_CLOSED);
    struct littles_law law;

    f->plan.connections = 12;
    expect(f, "Little's law is off by 16.7 %");
    f->totals.paused_s = 2 * f->result.duration_s;
    cr_assert(littles_law(&f->result, &law));
    cr_assert_float_eq(law.connections, 10, 1e-9);
    expect(f, NULL);
    discard(f);
}

/* 1000 requests in 1 s of 10 ms each are 10 connections; a think time of 90 ms makes them 100. */
Test(verdict, little_s_law_counts_the_think_time)
{
    struct fixture *f = perfect(ARRIVALS_CLOSED);
    struct littles_law law;

    f->plan.connections = 100;
    f->plan.workload.think = (struct think){.fixed = true, .mean_ns = 90000000};
    cr_assert(littles_law(&f->result, &law));
    cr_assert_float_eq(law.rate_x_latency, 100, 1e-9);
    expect(f, NULL);
    f->result.duration_s = 1.20; /* 16.7 %; 5 % and 100 cut requests of 1000 are 15 % */
    expect(f, "Little's law is off by 16.7 %");
    f->plan.workload.think.fixed = false; /* 3 x 0.9 / sqrt(1000) = 8.5 % more by chance */
    expect(f, NULL);
    f->result.duration_s = 1.36; /* 26.5 % */
    expect(f, "Little's law is off by 26.5 %");
    discard(f);
}

Test(verdict, little_s_law_does_not_know_retries_and_excuses_churn)
{
    struct fixture *f = perfect(ARRIVALS_CLOSED);
    struct littles_law law;

    f->result.duration_s = 1.5;
    f->totals.churned = 11;
    expect(f, NULL);
    f->totals.churned = 10;
    expect(f, "Little's law");
    f->totals.all.retries = 1;
    cr_assert_not(littles_law(&f->result, &law));
    expect(f, NULL);
    discard(f);
}

Test(verdict, a_wrong_digest_that_a_retry_made_good_counts)
{
    struct fixture *f = perfect(ARRIVALS_POISSON);

    f->plan.class_count = 1;
    f->plan.class[0].has_digest = true;
    f->totals.class[0].good = 1000;
    f->totals.class[0].failed[ERROR_digest] = f->totals.all.failed[ERROR_digest] = 2;
    expect(f, "2 of 1002 replies had no or the wrong digest");
    discard(f);
}

Test(verdict, spinning_is_not_being_busy)
{
    struct fixture *f = perfect(ARRIVALS_POISSON);

    f->shared->worker[0].cpu_ns = 990000000;
    f->shared->worker[0].spin_ns = 500000000;
    cr_assert_float_eq(worker_busy(&f->shared->worker[0]), 0.49, 1e-9);
    f->shared->worker[0].spin_ns = 10000000;
    cr_assert_float_eq(worker_busy(&f->shared->worker[0]), 0.98, 1e-9);
    discard(f);
}

Test(verdict, a_peak_of_the_load_may_saturate_the_server_for_a_moment)
{
    struct fixture *f = perfect(ARRIVALS_POISSON);

    f->totals.all.answered = f->totals.all.good = 900;
    f->totals.all.errors[ERROR_timeout] = 100;
    f->shared->worker[0].backlogged_ns = 20000000;
    expect(f, "10.0 % of 1000 arrivals got no reply");
    f->plan.workload.phase_count = 2;
    expect(f, NULL);
    f->shared->worker[0].backlogged_ns = 10000000;
    expect(f, "10.0 % of 1000 arrivals got no reply");
    f->shared->worker[0].backlogged_ns = 20000000;
    f->plan.workload.phase_count = 0;
    f->plan.arrivals = ARRIVALS_TRACE;
    expect(f, NULL);
    discard(f);
}

Test(verdict, a_run_without_a_window_or_with_dead_workers)
{
    struct fixture *f = perfect(ARRIVALS_POISSON);

    f->result.lost = 1;
    expect(f, "1 of 1 workers died");
    f->result.lost = 0;
    f->totals.all = (struct class_stats){0};
    expect(f, "no request fell into the window");
    f->result.duration_s = 0;
    expect(f, "stopped before the window opened");
    discard(f);
}

Test(verdict, a_worker_is_saturated_when_arrivals_wait)
{
    struct worker_stats *worker = calloc(1, sizeof *worker);

    worker->wall_ns = 1000;
    worker->backlogged_ns = 500;
    cr_assert_not(worker_saturated(worker));
    worker->backlogged_ns = 501;
    cr_assert(worker_saturated(worker));
    worker->backlogged_ns = 10;
    worker->backlog_end = 1;
    cr_assert_not(worker_saturated(worker), "it may wait for a moment");
    worker->backlogged_ns = 11;
    cr_assert(worker_saturated(worker));
    free(worker);
}
