/* Tests of loadgen/books/tally.c: what belongs to the window, and that all of it has one outcome. */
#include "loadgen/books/tally.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* A window from 1000 to 2000. */
struct fixture {
    struct shared *shared;
    struct tally tally;
    struct class_stats *class; /* number 1 */
};

static struct fixture make(void)
{
    struct shared *shared = shared_create(1);

    shared->schedule = (struct schedule){.start_ns = 0, .begin_ns = 1000, .end_ns = 2000};
    return (struct fixture){.shared = shared,
                            .tally = {.schedule = &shared->schedule, .stats = shared->worker},
                            .class = &shared->worker[0].class[1]};
}

/* A request of class 1 that is due at `at`. */
static struct arrival arrive(struct fixture *f, int64_t at)
{
    struct arrival arrival = {.intended_ns = at, .class = 1};

    tally_arrival(&f->tally, &arrival);
    return arrival;
}

/* A good reply that was read as soon as it came, to a request sent in time. */
static void good(struct fixture *f, const struct arrival *arrival, int64_t sent_ns, int64_t came_ns)
{
    struct exchange exchange = {.sent_ns = sent_ns, .came_ns = came_ns, .read_ns = came_ns};

    tally_good(&f->tally, arrival, &exchange);
}

static void discard(struct fixture *f)
{
    shared_free(f->shared, 1);
}

Test(tally, the_window_has_its_begin_and_not_its_end)
{
    struct fixture f = make();

    for (int64_t at = 0; at < 3000; at += 500)
        arrive(&f, at);
    arrive(&f, 1999);
    cr_assert_eq(f.class->requests, 3); /* 1000, 1500, 1999 */
    cr_assert_eq(f.tally.open, 3);
    discard(&f);
}

Test(tally, response_counts_from_the_intention_and_service_from_the_send)
{
    struct fixture f = make();
    struct arrival arrival = arrive(&f, 1100);

    tally_sent(&f.tally, &arrival, 30);
    good(&f, &arrival, 1400, 1900);
    cr_assert_eq(hist_percentile(&f.class->response, 50), 800);
    cr_assert_eq(hist_percentile(&f.class->service, 50), 500);
    cr_assert_eq(hist_percentile(&f.class->lag, 50), 30);
    cr_assert_eq(f.class->good, 1);
    cr_assert_eq(f.class->answered, 1);
    cr_assert_eq(f.class->attempts, 1);
    cr_assert_eq(f.class->rescued, 0);
    cr_assert_eq(f.tally.open, 0);
    discard(&f);
}

Test(tally, what_the_generator_is_late_is_taken_out)
{
    struct fixture f = make();
    struct arrival arrival = arrive(&f, 1100);
    struct exchange exchange = {
        .sent_ns = 1400, .came_ns = 1900, .read_ns = 1950, .lag_ns = 200, .echo_ns = 40};

    f.tally.deadline_ns[1] = 600;
    tally_good(&f.tally, &arrival, &exchange);
    cr_assert_eq(hist_percentile(&f.class->raw, 50), 850);
    cr_assert_eq(hist_percentile(&f.class->response, 50), 600);
    cr_assert_eq(hist_percentile(&f.class->service, 50), 500);
    cr_assert_eq(hist_percentile(&f.class->least_response, 50), 560);
    cr_assert_eq(hist_percentile(&f.class->least_service, 50), 460);
    cr_assert_eq(f.class->missed, 0, "nor does it miss a deadline for that");
    discard(&f);
}

Test(tally, a_late_reply_belongs_to_the_window_of_its_request)
{
    struct fixture f = make();
    struct arrival arrival = arrive(&f, 1900);

    good(&f, &arrival, 1900, 2500);
    cr_assert_eq(f.class->good, 1);
    cr_assert_eq(f.shared->worker[0].good_in_window, 0, "but it is not throughput of the window");
    discard(&f);
}

Test(tally, a_request_of_the_warm_up_is_throughput_and_nothing_else)
{
    struct fixture f = make();
    struct arrival arrival = arrive(&f, 900), failing = arrive(&f, 950);

    f.tally.deadline_ns[1] = 1;
    tally_sent(&f.tally, &arrival, 1);
    tally_status(&f.tally, &arrival, 200);
    good(&f, &arrival, 900, 1100);
    tally_attempt_failed(&f.tally, &failing, ERROR_timeout);
    tally_denied(&f.tally, &failing);
    tally_failure(&f.tally, &failing, ERROR_timeout, false);
    cr_assert_eq(f.shared->worker[0].good_in_window, 1);
    f.shared->worker[0].good_in_window = 0;
    cr_assert_eq(memcmp(f.class, &(struct class_stats){0}, sizeof *f.class), 0);
    cr_assert_eq(f.tally.open, 0);
    discard(&f);
}

Test(tally, every_failure_is_an_infinite_latency)
{
    struct fixture f = make();

    for (int error = 0; error < ERRORS; error++) {
        bool answered = error == ERROR_digest || error == ERROR_status_4xx;
        struct arrival arrival = arrive(&f, 1500);

        tally_failure(&f.tally, &arrival, (enum outcome)error, answered);
        cr_assert_eq(f.class->errors[error], 1);
    }
    cr_assert_eq(f.class->requests, ERRORS);
    cr_assert_eq(f.class->answered, 2);
    cr_assert_eq(f.class->good, 0);
    cr_assert_eq(f.class->response.infinite, ERRORS);
    cr_assert_eq(f.class->service.infinite, ERRORS);
    cr_assert_eq(class_stats_errors(f.class), ERRORS);
    cr_assert_eq(f.class->missed, 0, "there is no deadline to miss");
    cr_assert_eq(f.tally.open, 0);
    cr_assert_eq(f.shared->worker[0].good_in_window, 0);
    discard(&f);
}

Test(tally, several_attempts_are_one_request)
{
    struct fixture f = make();
    struct arrival arrival = arrive(&f, 1100);

    tally_sent(&f.tally, &arrival, 5);
    tally_status(&f.tally, &arrival, 503);
    tally_attempt_failed(&f.tally, &arrival, ERROR_status_5xx);
    tally_denied(&f.tally, &arrival);
    arrival.attempt = 1;
    tally_sent(&f.tally, &arrival, 400);
    tally_status(&f.tally, &arrival, 200);
    good(&f, &arrival, 1500, 1700);
    cr_assert_eq(f.class->requests, 1);
    cr_assert_eq(f.class->attempts, 2);
    cr_assert_eq(f.class->retries, 1);
    cr_assert_eq(f.class->denied, 1);
    cr_assert_eq(f.class->rescued, 1);
    cr_assert_eq(f.class->failed[ERROR_status_5xx], 1);
    cr_assert_eq(f.class->status[5], 1);
    cr_assert_eq(f.class->status[2], 1);
    cr_assert_eq(class_stats_errors(f.class), 0);
    cr_assert_eq(hist_percentile(&f.class->response, 50), 600, "from the first intention");
    cr_assert_eq(hist_percentile(&f.class->service, 50), 200, "from the last send");
    cr_assert_eq(f.class->lag.count, 1, "the pause before a retry is no lag");
    discard(&f);
}

Test(tally, a_deadline_is_missed_by_late_and_by_failed_requests)
{
    static const int64_t replies[] = {1299, 1300, 1301};
    struct fixture f = make();
    struct arrival arrival;

    f.tally.deadline_ns[1] = 200;
    for (int i = 0; i < 3; i++) {
        arrival = arrive(&f, 1100);
        good(&f, &arrival, 1100, replies[i]);
    }
    cr_assert_eq(f.class->missed, 1);
    arrival = arrive(&f, 1100);
    tally_failure(&f.tally, &arrival, ERROR_reset, false);
    cr_assert_eq(f.class->missed, 2);
    cr_assert_eq(f.class->good, 3);
    discard(&f);
}

Test(tally, a_status_that_is_none_is_not_counted)
{
    struct fixture f = make();
    struct arrival arrival = arrive(&f, 1100);

    tally_status(&f.tally, &arrival, 99);
    tally_status(&f.tally, &arrival, 600);
    for (int i = 0; i < 6; i++)
        cr_assert_eq(f.class->status[i], 0);
    discard(&f);
}

Test(tally, waiting_counts_as_far_as_it_lies_in_the_window)
{
    struct fixture f = make();

    tally_waited(&f.tally, 0, 1000);
    tally_waited(&f.tally, 2000, 9000);
    cr_assert_eq(f.shared->worker[0].backlogged_ns, 0);
    tally_waited(&f.tally, 900, 1100);
    tally_waited(&f.tally, 1200, 1250);
    tally_waited(&f.tally, 1980, 5000);
    cr_assert_eq(f.shared->worker[0].backlogged_ns, 100 + 50 + 20);
    discard(&f);
}

Test(tally, totals_add_up_workers_and_classes)
{
    struct shared *shared = shared_create(2);
    struct totals *totals;

    for (int w = 0; w < 2; w++) {
        struct worker_stats *worker = &shared->worker[w];

        worker->realtime = w == 0;
        worker->wall_ns = 100;
        worker->cpu_ns = 15 + 20 * w;
        worker->spin_ns = 5;
        worker->open = worker->used = 3;
        worker->good_in_window = 5;
        for (int i = 0; i < 2; i++) {
            worker->class[i].requests = (uint64_t)(1 + i);
            worker->class[i].errors[ERROR_reset] = 1;
            hist_add(&worker->class[i].response, 1000 * (1 + 2 * w + i));
        }
    }
    totals = totals_of(shared, 2, 2);
    cr_assert_eq(totals->class[1].requests, 4);
    cr_assert_eq(totals->all.requests, 6);
    cr_assert_eq(totals->all.errors[ERROR_reset], 4);
    cr_assert_eq(totals->all.response.count, 4);
    cr_assert_eq(totals->all.response.max, 4000);
    cr_assert_eq(totals->good_in_window, 10);
    cr_assert_float_eq(totals->busy_max, 0.3, 1e-9);
    cr_assert_float_eq(totals->spin_max, 0.05, 1e-9);
    cr_assert_eq(totals->open + totals->used, 12);
    cr_assert_not(totals->realtime, "one worker went without");
    free(totals);
    shared_free(shared, 2);
}
