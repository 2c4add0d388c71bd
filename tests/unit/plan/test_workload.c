/* Tests of loadgen/plan/workload.c: what a workload file says, point by point. */
#include "loadgen/plan/trace.h"
#include "tests/unit/plan/workload_file.h"

static const char mix[] = "; What does CPU work do?\n"
                          "[workload]\n"
                          "question    = What does CPU work do?\n"
                          "arrivals    = poisson ; a comment\n"
                          "connections = 64\n"
                          "rate        = 70%\n"
                          "placement   = split\n"
                          "timeout     = 1500ms\n"
                          "\n"
                          "[class io]\n"
                          "weight  = 70\n"
                          "request = /work?io=timer:10ms&class=io\n"
                          "[class cpu]\n"
                          "weight  = 30\n"
                          "request = HEAD /work?cpu=hash:5ms;x&class=cpu\n";

Test(workload, says_what_the_file_says)
{
    struct workload w;

    cr_assert(load(&w, mix, NULL), "%s", error);
    cr_assert_str_eq(w.question, "What does CPU work do?");
    cr_assert_eq(w.arrivals, ARRIVALS_POISSON);
    cr_assert_eq(w.connections, 64);
    cr_assert(w.rate.given && w.rate.percent);
    cr_assert_eq(w.rate.value, 70);
    cr_assert_eq(w.placement, PLACEMENT_SPLIT);
    cr_assert_eq(w.timeout_ns, 1500000000);
    cr_assert_eq(w.class_count, 2);
    cr_assert_str_eq(w.class[0].name, "io");
    cr_assert_eq(w.class[0].weight, 70);
    cr_assert_str_eq(w.class[0].method, "GET");
    cr_assert_str_eq(w.class[0].target, "/work?io=timer:10ms&class=io");
    cr_assert_str_eq(w.class[1].method, "HEAD");
    cr_assert_str_eq(w.class[1].target, "/work?cpu=hash:5ms;x&class=cpu");
    cr_assert_not(workload_has_class_rates(&w));
}

Test(workload, defaults_stand_where_the_file_is_silent)
{
    struct workload w;

    cr_assert(load(&w, "[class a]\nrequest = /\n", "base"), "%s", error);
    cr_assert_eq(w.arrivals, ARRIVALS_CLOSED);
    cr_assert_eq(w.connections, 10);
    cr_assert_eq(w.placement, PLACEMENT_SHARED);
    cr_assert_eq(w.timeout_ns, 2000000000);
    cr_assert_eq(w.class[0].weight, 1);
}

static const char sweep[] = "[workload]\narrivals = constant\nrate = 100\n"
                            "[class io]\nrequest = /io\n"
                            "[class cpu]\nrequest = /cpu\n"
                            "[point light]\nrate = 30%\ncpu.weight = 10\n"
                            "[point as_it_is]\n"
                            "[point heavy]\narrivals = closed\nio.weight = 0\ncpu.request = /more\n"
                            "[quick]\npoints = light heavy\ntrials = 3\nduration = 1500ms\n"
                            "servers = event:--upstream=poll all\n"
                            "[full]\nwarmup = 2s\nconnections = 100\n";

Test(workload, a_point_overrides_and_the_others_do_not)
{
    struct workload w;

    cr_assert(load(&w, sweep, "light"), "%s", error);
    cr_assert_eq(w.rate.value, 30);
    cr_assert(w.rate.percent);
    cr_assert_eq(w.class[1].weight, 10);
    cr_assert_eq(w.arrivals, ARRIVALS_CONSTANT);
    cr_assert_str_eq(w.class[1].target, "/cpu");

    cr_assert(load(&w, sweep, "heavy"), "%s", error);
    cr_assert_eq(w.arrivals, ARRIVALS_CLOSED);
    cr_assert(!w.rate.given);
    cr_assert_eq(w.class[0].weight, 0);
    cr_assert_eq(w.class[1].weight, 1);
    cr_assert_str_eq(w.class[1].target, "/more");
}

/* libinih takes 200 bytes of a line. */
Test(workload, a_query_may_be_long)
{
    struct workload w;
    static char text[4000], query[1500];

    memset(query, 'q', sizeof query - 1);
    snprintf(text, sizeof text, "[workload]\n; %s\n[class a]\nrequest  =  /%s  ; why\nweight = 3\n",
             query, query);
    cr_assert(load(&w, text, NULL), "%s", error);
    cr_assert_eq(w.class[0].target[0], '/');
    cr_assert_str_eq(w.class[0].target + 1, query);
    cr_assert_eq(w.class[0].weight, 3);
}

Test(workload, a_byte_order_mark_is_no_part_of_the_text)
{
    struct workload w;

    cr_assert(load(&w, "\xef\xbb\xbf[class a]\nrequest = /\n", NULL), "%s", error);
    cr_assert_eq(w.class_count, 1);
    cr_assert_not(load(&w, "[class a]\n\xef\xbb\xbfrequest = /\n", NULL));
}

Test(workload, a_report_section_is_for_the_report)
{
    struct workload w;

    cr_assert(load(&w, "[class a]\nrequest = /\n[report]\npart = x\nfigure = y\n", NULL), "%s",
              error);
    cr_assert_not(load(&w, "[class a]\nrequest = /\n[report]\nparts = x\n", NULL));
    cr_assert_str_eq(error, "FILE:4: unknown key 'parts' of a report");
}

Test(workload, a_case_section_is_for_the_plan_and_the_report)
{
    struct workload w;

    cr_assert(load(&w,
                   "[class a]\nrequest = /\n[case]\nname = chat\nid = B9\ntitle = x\norder = 1\n",
                   NULL),
              "%s", error);
    cr_assert_eq(w.class_count, 1);
    cr_assert_not(load(&w, "[class a]\nrequest = /\n[case]\nname = x\npart = x\n", NULL));
    cr_assert_str_eq(error, "FILE:5: unknown key 'part' of a case");
}

Test(workload, keys_after_a_case_section_are_those_of_their_own_section)
{
    struct workload w;

    cr_assert(load(&w, "[case]\nname = x\n[class a]\nrequest = /\nweight = 3\n[point p]\n", "p"),
              "%s", error);
    cr_assert_eq(w.class[0].weight, 3);
}

Test(workload, a_point_without_keys_exists)
{
    struct workload w;

    cr_assert(load(&w, sweep, "as_it_is"), "%s", error);
    cr_assert_eq(w.rate.value, 100);
    cr_assert_eq(w.class[1].weight, 1);
}

static const char every_key[] = "[workload]\n"
                                "arrivals = bursts\n"
                                "rate     = 100\n"
                                "burst    = 25\n"
                                "ramp     = 2500.5\n"
                                "idle     = 1000\n"
                                "churn    = 3\n"
                                "kill     = 1500ms\n"
                                "[class fast]\n"
                                "request     = /fast\n"
                                "deadline    = 20ms\n"
                                "[class slow]\n"
                                "request      = /slow\n"
                                "connections  = 7\n"
                                "send_rate    = 100\n"
                                "receive_rate = 1.5k\n"
                                "[point other]\n"
                                "burst = 1\n"
                                "ramp  = 0\n"
                                "idle  = 0\n"
                                "churn = 0\n"
                                "kill  = 0\n"
                                "slow.connections  = 0\n"
                                "slow.send_rate    = 0\n"
                                "slow.receive_rate = 0\n"
                                "fast.deadline     = 0\n"
                                "[point same]\n";

Test(workload, connections_and_clients_may_be_special)
{
    struct workload w;

    cr_assert(load(&w, every_key, "same"), "%s", error);
    cr_assert_eq(w.arrivals, ARRIVALS_BURSTS);
    cr_assert_eq(w.burst, 25);
    cr_assert_eq(w.ramp, 2500.5);
    cr_assert_eq(w.idle, 1000);
    cr_assert_eq(w.churn, 3);
    cr_assert_eq(w.kill_ns, 1500000000);
    cr_assert_eq(w.class[0].deadline_ns, 20000000);
    cr_assert_eq(w.class[0].connections, 0);
    cr_assert_eq(w.class[0].send_rate, 0);
    cr_assert_eq(w.class[1].deadline_ns, 0);
    cr_assert_eq(w.class[1].connections, 7);
    cr_assert_eq(w.class[1].send_rate, 100);
    cr_assert_eq(w.class[1].receive_rate, 1536);
}

Test(workload, a_point_may_take_back_what_is_special)
{
    struct workload w;

    cr_assert(load(&w, every_key, "other"), "%s", error);
    cr_assert_eq(w.burst, 1);
    cr_assert_eq(w.ramp, 0);
    cr_assert_eq(w.idle, 0);
    cr_assert_eq(w.churn, 0);
    cr_assert_eq(w.kill_ns, 0);
    cr_assert_eq(w.class[0].deadline_ns, 0);
    cr_assert_eq(w.class[1].connections, 0);
    cr_assert_eq(w.class[1].send_rate, 0);
    cr_assert_eq(w.class[1].receive_rate, 0);
}

Test(workload, what_is_special_is_not_by_default)
{
    struct workload w;

    cr_assert(load(&w, "[class a]\nrequest = /\n", NULL), "%s", error);
    cr_assert_eq(w.think.mean_ns, 0);
    cr_assert_eq(w.burst, 0);
    cr_assert_str_eq(w.trace, "");
    cr_assert_eq(w.ramp, 0);
    cr_assert_eq(w.idle, 0);
    cr_assert_eq(w.churn, 0);
    cr_assert_eq(w.kill_ns, 0);
    cr_assert_eq(w.phase_count, 0);
}

Test(workload, a_upstream_may_have_options)
{
    static const char text[] = "[workload]\n"
                               "upstream = --delay 1ms --fail 2\n"
                               "server_options = --upstream-pool=5\n"
                               "[class a]\n"
                               "request = /work?cpu=hash:1ms&io=upstream:20ms&class=a\n"
                               "[point slow]\n"
                               "upstream = --delay 5ms\n"
                               "[point plain]\n"
                               "upstream =\n"
                               "server_options =\n"
                               "a.request = /work?io=timer:20ms\n";
    struct workload w;

    cr_assert(load(&w, text, "slow"), "%s", error);
    cr_assert_str_eq(w.upstream, "--delay 5ms");
    cr_assert_str_eq(w.server_options, "--upstream-pool=5");
    cr_assert(workload_calls_upstream(&w));
    cr_assert(load(&w, text, "plain"), "%s", error);
    cr_assert_str_eq(w.upstream, "");
    cr_assert_str_eq(w.server_options, "");
    cr_assert_not(workload_calls_upstream(&w));
    cr_assert(load(&w, "[class a]\nrequest = /\n[class b]\nrequest = /?io=upstream:1s\n", NULL));
    cr_assert_str_eq(w.upstream, "");
    cr_assert(workload_calls_upstream(&w));
    cr_assert(load(&w, "[class a]\nrequest = /work?io=backend:1s\n", NULL));
    cr_assert(workload_calls_upstream(&w));
    cr_assert(load(&w, "[class a]\nrequest = /work?io=redis:get:a\n", NULL));
    cr_assert(workload_calls_upstream(&w));
    cr_assert(load(&w, "[class a]\nrequest = /work?io=sql:a\n", NULL));
    cr_assert(workload_calls_upstream(&w), "which stands in for a database");
    cr_assert_not(workload_reads_disk(&w));
    cr_assert(load(&w, "[class a]\nrequest = /work?cpu=hash:1ms&io=disk:1m\n", NULL));
    cr_assert(workload_reads_disk(&w));
}

Test(workload, think_time_is_exponential_unless_it_is_fixed)
{
    struct workload w;
    struct think think;

    cr_assert(load(&w, "[workload]\nthink = 100ms\n[class a]\nrequest = /\n", NULL), "%s", error);
    cr_assert_not(w.think.fixed);
    cr_assert_eq(w.think.mean_ns, 100000000);
    cr_assert(workload_parse_think("fixed 1.5s", &think));
    cr_assert(think.fixed);
    cr_assert_eq(think.mean_ns, 1500000000);
    cr_assert(workload_parse_think("exponential  20us", &think));
    cr_assert_not(think.fixed);
    cr_assert_eq(think.mean_ns, 20000);
    cr_assert(workload_parse_think("0", &think));
    cr_assert_eq(think.mean_ns, 0);
    for (const char *const *bad =
             (const char *const[]){"", "fixed", "fixed100ms", "100", "100ms fixed", "uniform 100ms",
                                   "fixed -1s", "-1s", NULL};
         *bad; bad++)
        cr_assert_not(workload_parse_think(*bad, &think), "accepted: '%s'", *bad);
}

static const char phases[] = "[workload]\narrivals = poisson\nrate = 100\n"
                             "[class io]\nrequest = /io\n"
                             "[class cpu]\nrequest = /cpu\n"
                             "[phase calm]\nduration = 2s\n"
                             "[phase spike]\nduration = 500ms\nload = 2.5\ncpu.load = 10\n"
                             "[phase climb]\nduration = 1s\nload = 1..3\nio.load = .5..0\n"
                             "[phase day]\nduration = 4s\nswing = 0.5\nperiod = 2s\n"
                             "[point p]\nrate = 200\n";

Test(workload, phases_come_in_their_order)
{
    static const char *const names[] = {"calm", "spike", "climb", "day"};
    static const int64_t lengths_ns[] = {2000000000, 500000000, 1000000000, 4000000000};
    struct workload w;

    cr_assert(load(&w, phases, "p"), "%s", error);
    cr_assert_eq(w.phase_count, 4);
    for (int i = 0; i < 4; i++) {
        cr_assert_str_eq(w.phase[i].name, names[i]);
        cr_assert_eq(w.phase[i].length_ns, lengths_ns[i]);
    }
}

static void expect_load(struct load load, double from, double to)
{
    cr_assert_eq(load.from, from);
    cr_assert_eq(load.to, to);
}

Test(workload, a_phase_has_a_load_and_classes_may_have_their_own)
{
    struct workload w;

    cr_assert(load(&w, phases, "p"), "%s", error);
    expect_load(w.phase[0].load, 1, 1);
    expect_load(w.phase[1].load, 2.5, 2.5);
    expect_load(w.phase[2].load, 1, 3);
    expect_load(w.phase[3].load, 1, 1);
    cr_assert_not(w.phase[0].has_class_load[0] || w.phase[0].has_class_load[1]);
    cr_assert(!w.phase[1].has_class_load[0] && w.phase[1].has_class_load[1]);
    cr_assert(w.phase[2].has_class_load[0] && !w.phase[2].has_class_load[1]);
    expect_load(w.phase[1].class_load[1], 10, 10);
    expect_load(w.phase[2].class_load[0], 0.5, 0);
    cr_assert_eq(w.phase[2].swing, 0);
    cr_assert_eq(w.phase[3].swing, 0.5);
    cr_assert_eq(w.phase[3].period_ns, 2000000000);
}

Test(workload, every_kind_of_arrivals_is_called_as_in_a_file)
{
    for (int kind = ARRIVALS_CLOSED; kind <= ARRIVALS_TRACE; kind++) {
        struct workload w;
        char text[200];

        snprintf(text, sizeof text, "[workload]\narrivals = %s\n%s\n[class a]\nrequest = /\n",
                 arrivals_name((enum arrivals_kind)kind),
                 kind == ARRIVALS_TRACE    ? "trace = x"
                 : kind == ARRIVALS_CLOSED ? ""
                                           : "rate = 1");
        cr_assert(load(&w, text, NULL), "%s", error);
        cr_assert_eq((int)w.arrivals, kind);
    }
}

Test(workload, classes_may_have_rates)
{
    struct workload w;

    cr_assert(load(&w,
                   "[workload]\narrivals = poisson\n[class a]\nrate = 50\nrequest = /a\n"
                   "[class b]\nrate = 2.5%\nrequest = POST /b\n",
                   NULL),
              "%s", error);
    cr_assert(workload_has_class_rates(&w));
    cr_assert_eq(w.class[0].rate.value, 50);
    cr_assert_not(w.class[0].rate.percent);
    cr_assert_eq(w.class[1].rate.value, 2.5);
    cr_assert(w.class[1].rate.percent);
}

/* Tests are run in the root of the tree. */
Test(workload, the_examples_can_be_read)
{
    static const char *const names[] = {"ramp", "replay", "sine", "slow_clients", "spike"};
    struct workload w;
    char path[100], raw[256] = "";

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "loadgen/examples/%s.ini", names[i]);
        cr_assert(workload_load(&w, path, NULL, raw, sizeof raw), "%s", raw);
    }
    cr_assert(workload_load(&w, "loadgen/examples/churn.ini", "10", raw, sizeof raw), "%s", raw);
    cr_assert_eq(w.churn, 10);
}

Test(workload, the_replayed_example_has_its_trace_beside_it)
{
    struct workload w;
    struct trace trace;
    char raw[256] = "";

    cr_assert(workload_load(&w, "loadgen/examples/replay.ini", NULL, raw, sizeof raw), "%s", raw);
    cr_assert(trace_load(&trace, w.trace, &w, raw, sizeof raw), "%s", raw);
    cr_assert_gt(trace.count, 50);
    trace_free(&trace);
}
