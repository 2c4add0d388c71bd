/* Tests of loadgen/output/notes.c: what is worth a note and what is not, on made-up counts. */
#include "loadgen/output/notes.h"
#include "loadgen/plan/addresses.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* An uneventful run: 10000 good requests of one class over all of its 10 connections. */
struct fixture {
    struct plan plan;
    struct totals totals;
    struct result result;
};

static void answer(struct fixture *f, int requests)
{
    struct class_stats *stats = &f->totals.class[0];

    memset(&stats->response, 0, sizeof stats->response);
    stats->requests = stats->good = (uint64_t)requests;
    for (int i = 0; i < requests; i++)
        hist_add(&stats->response, 1000000 + i);
    f->totals.all = *stats;
}

static struct fixture *uneventful(void)
{
    struct fixture *f = calloc(1, sizeof *f);

    f->plan = (struct plan){.arrivals = ARRIVALS_POISSON, .connections = 10, .class_count = 1};
    f->plan.class[0].name = "io";
    f->totals.open = f->totals.used = 10;
    f->result = (struct result){.plan = &f->plan, .totals = &f->totals, .duration_s = 10};
    answer(f, 10000);
    return f;
}

/* The run is worth one note, and it has this in it; NULL: none. */
static void expect(struct fixture *f, const char *note)
{
    const struct sentences *notes = &f->result.notes;

    notes_take(&f->result);
    cr_assert_eq(notes->count, note ? 1 : 0, "%d notes, the first: %s", notes->count,
                 notes->text[0]);
    if (note)
        cr_assert_not_null(strstr(notes->text[0], note), "%s", notes->text[0]);
}

Test(notes, an_uneventful_run_has_none)
{
    struct fixture *f = uneventful();

    expect(f, NULL);
    free(f);
}

Test(notes, percentiles_of_too_few_requests)
{
    struct fixture *f = uneventful();

    answer(f, 1000);
    expect(f, "from p99.9 of 'io'");
    answer(f, 100);
    expect(f, "from p99 of 'io'");
    answer(f, 0);
    expect(f, NULL);
    f->plan.class_count = 2;
    f->plan.class[1].name = "cpu";
    answer(f, 100);
    f->totals.class[1] = f->totals.class[0];
    expect(f, "from p99 of 'io', p99 of 'cpu'");
    free(f);
}

Test(notes, a_deadline_that_most_missed)
{
    struct fixture *f = uneventful();

    f->totals.class[0].missed = 5001;
    expect(f, NULL);
    f->plan.class[0].deadline_ns = 1500000;
    expect(f, "most requests of 'io' missed their deadline of 1.50ms: 5001 of 10000");
    f->totals.class[0].missed = 5000;
    expect(f, NULL);
    free(f);
}

Test(notes, retries_that_make_another_load)
{
    struct fixture *f = uneventful();

    f->totals.all.retries = 1000;
    expect(f, NULL);
    f->totals.all.retries = 2500;
    expect(f, "added 25 % to the load: the server was asked 1250.0 times per second for 1000.0");
    free(f);
}

Test(notes, too_few_ports)
{
    struct fixture *f = uneventful();

    f->plan.target_count = 1;
    f->plan.connections = f->totals.open = f->totals.used = 2 * addresses_ports_with_ease() + 1;
    expect(f, "--sources");
    free(f);
}

Test(notes, why_connections_failed)
{
    struct fixture *f = uneventful();

    f->totals.connect_errno = EADDRNOTAVAIL;
    expect(f, "--sources");
    free(f);
}

Test(notes, connections_that_were_not_there_or_not_used)
{
    struct fixture *f = uneventful();

    f->totals.used = 9;
    expect(f, "only 9 of 10 connections carried a reply");
    f->totals.used = 10;
    f->plan.workload.idle = 5;
    expect(f, "only 10 of 15 connections stood");
    f->totals.open = 15;
    expect(f, NULL);
    f->totals.idle_lost = 2;
    expect(f, "ended idle connections, 2 times");
    free(f);
}

static struct half half(double rate, double p50_ns)
{
    return (struct half){.seconds = 5,
                         .requests = 5000,
                         .good = (uint64_t)(5 * rate),
                         .rate = rate,
                         .p50_ns = p50_ns,
                         .p50_between = {p50_ns - 1, p50_ns + 1, true}};
}

Test(notes, drift_is_noted_unless_the_load_was_to_change)
{
    struct fixture *f = uneventful();

    f->result.drift = (struct drift){true, half(1000, 1e6), half(1000, 1.5e6)};
    expect(f, "the median response was 1.00ms in the first half of the window and 1.50ms in the "
              "second (+50 %)");
    f->plan.workload.phase_count = 2;
    expect(f, NULL);
    f->result.drift = (struct drift){true, half(1000, 1e6), half(800, 1e6)};
    expect(f, NULL);
    f->plan.workload.phase_count = 0;
    expect(f, "1000.0 good replies per second came in the first half of the window and 800.0 in "
              "the second (-20 %)");
    f->plan.arrivals = ARRIVALS_BURSTS;
    expect(f, NULL);
    f->plan.arrivals = ARRIVALS_POISSON;
    f->plan.workload.class_count = 1;
    expect(f, "1000.0 good replies per second came in the first half");
    f->plan.workload.class[0].modulation.load = 4;
    expect(f, NULL);
    free(f);
}
