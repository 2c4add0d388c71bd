/* Tests of cell/judge.c: of what became of a window, exactly the numbers that may be wrong are
 * refused. */
#include "cell/run.h"
#include "common/base/util.h"

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

/* A trial of one second in which nothing happened. */
struct fixture {
    struct trial_setup setup;
    struct trial trial;
    struct run run;
};

static void judge_new(struct fixture *f)
{
    json_decref(f->trial.refused);
    json_decref(f->trial.reasons);
    f->trial.refused = json_object();
    f->trial.reasons = json_array();
    judge_trial(&f->run);
}

static struct fixture *make(const char *arrivals)
{
    struct fixture *f = must_calloc(1, sizeof *f);
    f->run = (struct run){.setup = &f->setup, .trial = &f->trial};
    f->setup.duration_ns = NSEC_PER_SEC;
    CPU_SET(0, &f->setup.cores.server);
    f->trial.load =
        json_pack("{ss si si sf s{sb s[f] s[f]}}", "arrivals", arrivals, "good", 1000, "requests",
                  1000, "duration_s", 1.0, "generator", "realtime", 1, "busy", 0.3, "spin", 0.0);
    f->trial.end.usage.at_ns = NSEC_PER_SEC;
    f->trial.end.usage.cpu_ns = NSEC_PER_SEC / 2;
    f->trial.begin.usage.tasks = f->trial.end.usage.tasks = 1;
    f->trial.end.host.all_ticks = 100L * sysconf(_SC_NPROCESSORS_ONLN);
    judge_new(f);
    return f;
}

static void destroy(struct fixture *f)
{
    trial_free(&f->trial);
    free(f);
}

static bool refused(const struct fixture *f, const char *metric)
{
    return json_object_get(f->trial.refused, metric) != NULL;
}

static size_t count(const struct fixture *f)
{
    return json_object_size(f->trial.refused);
}

Test(judge, nothing_happened)
{
    struct fixture *f = make("poisson");
    cr_assert_eq(count(f), 0);
    cr_assert_eq(json_array_size(f->trial.reasons), 0);
    cr_assert_eq(judge_holds(&f->run).share, 0);
    destroy(f);
}

/* An open loop that was answered whole stays as it was asked for; memory and switches stay. */
Test(judge, steal)
{
    struct fixture *f = make("poisson");
    f->trial.end.host.steal_ticks = f->trial.end.host.all_ticks * 2 / 100;
    judge_new(f);
    cr_assert_eq(count(f), 0, "up to the limit");
    f->trial.end.host.steal_ticks = f->trial.end.host.all_ticks * 3 / 100;
    judge_new(f);
    cr_assert(refused(f, "*.response_*") && refused(f, "*.service_*"));
    cr_assert(refused(f, "cpu_us_per_request") && refused(f, "cores_used"));
    cr_assert_eq(count(f), 4);
    destroy(f);
}

Test(judge, steal_in_a_closed_loop)
{
    struct fixture *f = make("closed");
    f->trial.end.host.steal_ticks = f->trial.end.host.all_ticks / 10;
    judge_new(f);
    cr_assert(refused(f, "achieved_rate") && refused(f, "*.good_rate"));
    cr_assert(!refused(f, "error_share"), "there are none");
    json_object_set_new(f->trial.load, "good", json_integer(990));
    judge_new(f);
    cr_assert(refused(f, "error_share"));
    cr_assert(!refused(f, "switches_per_request"));
    destroy(f);
}

static void let_others_run(struct fixture *f, double share)
{
    f->trial.end.usage.others_ns =
        (int64_t)(share * NSEC_PER_SEC * (double)sysconf(_SC_NPROCESSORS_ONLN));
}

Test(judge, others_beside_work_that_switches_often)
{
    struct fixture *f = make("closed");
    f->trial.end.usage.voluntary = 10000; /* 50 us for each */
    let_others_run(f, 0.09);
    judge_new(f);
    cr_assert_eq(count(f), 0);
    let_others_run(f, 0.11);
    judge_new(f);
    cr_assert(refused(f, "cpu_us_per_request") && refused(f, "switches_per_request"));
    cr_assert(!refused(f, "*.response_*"), "that is for the holds to say");
    cr_assert_float_eq(f->trial.others, 0.11, 0.001);
    destroy(f);
}

Test(judge, others_beside_long_computations)
{
    struct fixture *f = make("closed");
    f->trial.end.usage.voluntary = 100; /* 5 ms for each */
    let_others_run(f, 0.3);
    judge_new(f);
    cr_assert(refused(f, "switches_per_request"));
    cr_assert(!refused(f, "cpu_us_per_request"));
    destroy(f);
}

Test(judge, others_beside_a_generator_without_priority)
{
    struct fixture *f = make("closed");
    json_object_set_new(json_object_get(f->trial.load, "generator"), "realtime", json_false());
    let_others_run(f, 0.3);
    judge_new(f);
    cr_assert(refused(f, "*.response_*") && refused(f, "achieved_rate"));
    destroy(f);
}

Test(judge, accept_queue)
{
    struct fixture *f = make("closed");
    f->trial.end.host.listen_drops = f->trial.end.host.listen_overflows = 3;
    judge_new(f);
    cr_assert(refused(f, "*.response_*") && refused(f, "achieved_rate"));
    cr_assert(!refused(f, "cpu_us_per_request"));
    cr_assert(strstr(json_string_value(json_object_get(f->trial.refused, "achieved_rate")),
                     "overflowed 3 times"));
    f->setup.kill_ns = 1; /* others come back all at once: that is what is looked at */
    judge_new(f);
    cr_assert_eq(count(f), 0);
    destroy(f);
}

/* Redis has one thread for all commands, PostgreSQL as many processes as connections. */
Test(judge, a_component_that_has_no_time_to_spare)
{
    struct fixture *f = make("poisson");
    for (enum component i = 0; i < COMPONENTS; i++) {
        f->setup.has_component[i] = true;
        CPU_SET(0, &f->run.component[i].cores);
        CPU_SET(1, &f->run.component[i].cores);
        f->trial.end.component_cpu_ns[i] = NSEC_PER_SEC * 95 / 100;
    }
    judge_new(f);
    cr_assert_eq(json_array_size(f->trial.reasons), 1);
    cr_assert(
        strstr(json_string_value(json_array_get(f->trial.reasons, 0)), "the redis was 95 % busy"));
    f->trial.end.component_cpu_ns[COMPONENT_REDIS] = 0;
    f->trial.end.component_cpu_ns[COMPONENT_POSTGRESQL] = 2 * NSEC_PER_SEC * 95 / 100;
    judge_new(f);
    cr_assert_eq(json_array_size(f->trial.reasons), 1);
    cr_assert(strstr(json_string_value(json_array_get(f->trial.reasons, 0)),
                     "the postgresql was 95 % busy"));
    destroy(f);
}

static void use_disk(struct fixture *f, int64_t ours, int64_t all, int64_t busy_ms)
{
    f->setup.reads_disk = true;
    f->trial.end.disk_bytes = ours;
    f->trial.end.host.disk_bytes = all;
    f->trial.end.host.disk_busy_ms = busy_ms;
    judge_new(f);
}

Test(judge, a_disk_that_works_for_others)
{
    struct fixture *f = make("closed");
    use_disk(f, 0, 0, 0);
    cr_assert_eq(count(f), 0);
    use_disk(f, 1 << 20, 1 << 20, 900);
    cr_assert_eq(count(f), 0, "it was the server");
    use_disk(f, 1 << 20, 10 << 20, 100);
    cr_assert_eq(count(f), 0, "it had time for both");
    use_disk(f, 1 << 20, 10 << 20, 900);
    cr_assert(refused(f, "*.response_*") && refused(f, "achieved_rate"));
    f->setup.reads_disk = false;
    judge_new(f);
    cr_assert_eq(count(f), 0, "nobody reads it");
    destroy(f);
}

Test(judge, a_window_of_which_half_was_seen)
{
    struct fixture *f = make("poisson");
    f->trial.end.usage.at_ns = NSEC_PER_SEC * 95 / 100; /* less than a tenth is missing */
    judge_new(f);
    cr_assert_eq(json_array_size(f->trial.reasons), 0);
    f->trial.end.usage.at_ns = NSEC_PER_SEC / 2;
    judge_new(f);
    cr_assert_eq(json_array_size(f->trial.reasons), 1);
    cr_assert_str_eq(json_string_value(json_array_get(f->trial.reasons, 0)),
                     "of the window of 1.00 s the cell saw 0.50 s");
    destroy(f);
}

Test(judge, an_upstream_that_is_the_bottleneck)
{
    struct fixture *f = make("closed");
    f->trial.end.upstream_cpu_ns = NSEC_PER_SEC * 95 / 100;
    judge_new(f);
    cr_assert_eq(json_array_size(f->trial.reasons), 1);
    destroy(f);
}

Test(judge, holds_of_a_server_with_a_core_for_each_task)
{
    struct fixture *f = make("poisson");
    struct proc_usage *end = &f->trial.end.usage;
    end->held_ns = NSEC_PER_SEC / 10;
    end->involuntary = 40;
    end->voluntary = 1000; /* 5 us each */
    struct holds holds = judge_holds(&f->run);
    cr_assert_float_eq(holds.share, 0.095, 1e-6);
    cr_assert_float_eq(holds.per_s, 40, 1e-6);
    cr_assert_float_eq(holds.busy, 0.5, 1e-6);
    cr_assert_eq(holds.hands, 0);
    f->setup.kill_ns = 1;
    cr_assert_eq(judge_holds(&f->run).share, 0);
    destroy(f);
}

/* Its tasks wait for each other: only what others can have done is held against them. */
Test(judge, holds_of_a_server_whose_tasks_compete)
{
    struct fixture *f = make("poisson");
    struct proc_usage *end = &f->trial.end.usage;
    end->tasks = 65;
    end->held_ns = 3 * NSEC_PER_SEC;
    end->involuntary = 5000;
    cr_assert_eq(judge_holds(&f->run).share, 0, "nobody else ran");
    let_others_run(f, 0.2);
    struct holds holds = judge_holds(&f->run);
    double share = (double)end->others_ns / NSEC_PER_SEC; /* all of it on this core */
    cr_assert_float_eq(holds.share, share, 1e-6);
    cr_assert_float_eq(holds.per_s, 1000 * share, 1e-6);
    cr_assert_float_eq(holds.hands, 3.5, 1e-6);
    end->held_ns = NSEC_PER_SEC / 20;
    cr_assert_float_eq(judge_holds(&f->run).share, 0.05, 1e-6, "it waited for less than that");
    f->trial.begin.usage.held_ns = end->held_ns = -1;
    holds = judge_holds(&f->run);
    cr_assert_float_eq(holds.share, share, 1e-6, "not known");
    cr_assert_eq(holds.hands, 0);
    destroy(f);
}
