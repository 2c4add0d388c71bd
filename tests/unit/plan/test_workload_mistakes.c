/* Tests of loadgen/plan/workload.c: mistakes are named with their line. */
#include "tests/unit/plan/workload_file.h"

struct mistake {
    const char *text, *point, *complaint;
};

#define CLASS "[class a]\nrequest = /\n"
#define OPEN  "[workload]\narrivals = poisson\nrate = 5\n" /* three lines */

static const struct mistake mistakes[] = {
    {"[workload]\nspeed = 1\n" CLASS, NULL, "FILE:2: unknown key 'speed'"},
    {"[workload]\narrivals = sometimes\n" CLASS, NULL, "FILE:2: arrivals: 'sometimes'"},
    {"[workload]\nconnections = 0\n" CLASS, NULL, "FILE:2: connections: '0'"},
    {"[workload]\nconnections = 5x\n" CLASS, NULL, "FILE:2: connections: '5x'"},
    {"[workload]\nrate = 5\n" CLASS, NULL, "FILE: closed arrivals, but a rate needs"},
    {OPEN "burst = 5\n" CLASS, NULL, "FILE: poisson arrivals, but burst needs"},
    {"[workload]\nrate = -5\n" CLASS, NULL, "FILE:2: rate: '-5'"},
    {"[workload]\nrate = nan\n" CLASS, NULL, "FILE:2: rate: 'nan'"},
    {"[workload]\nrate = 5 per second\n" CLASS, NULL, "FILE:2: rate"},
    {"[workload]\nrate = 5%%\n" CLASS, NULL, "FILE:2: rate"},
    {"[workload]\ndrain = 0\n" CLASS, NULL, "FILE:2: drain: '0'"},
    {"[workload]\ntimeout = 5\n" CLASS, NULL, "FILE:2: timeout: '5'"},
    {"[workload]\nplacement = here\n" CLASS, NULL, "FILE:2: placement: 'here'"},
    {"[workload]\narrivals = poisson\n" CLASS, NULL, "FILE: poisson arrivals need a rate"},
    {"[workload]\njust words\n" CLASS, NULL, "FILE:2: neither"},
    {"[workloads]\nrate = 5\n" CLASS, NULL, "FILE:1: unknown section [workloads]"},
    {"rate = 5\n" CLASS, NULL, "FILE:1: 'rate' comes before any [section]"},
    {"[workload]\nrate = 5\n", NULL, "FILE: there is no [class NAME]"},
    {"[class a]\nweight = 1\n", NULL, "FILE: [class a] has no request"},
    {"[class a]\nrequest = work\n", NULL, "FILE:2: request: 'work'"},
    {"[class a]\nrequest = get /\n", NULL, "FILE:2: request: 'get /'"},
    {"[class a]\nrequest = / HTTP/1.1\n", NULL, "FILE:2: request"},
    {"[class a]\nweight = heavy\n", NULL, "FILE:2: weight: 'heavy'"},
    {"[class a]\nwait = 1\n", NULL, "FILE:2: unknown key 'wait' of a class"},
    {"[class a b]\nrequest = /\n", NULL, "FILE:1: 'a b' cannot name a class"},
    {"[class total]\nrequest = /\n", NULL, "FILE:1: 'total' cannot name a class"},
    {CLASS CLASS, NULL, "FILE:3: [class a] is here twice"},
    {"[class a]\nweight = 0\nrequest = /\n", NULL, "FILE: no class has a weight"},
    {"[class a]\nrequest = /\nrate = 5\n[class b]\nrequest = /\n", NULL,
     "FILE: either every class has a rate or none"},
    {"[class a]\nrequest = /\nrate = 5\n", NULL,
     "FILE: closed arrivals, but classes with a rate need"},
    {CLASS "[point p]\nb.weight = 1\n", "p", "FILE:4: 'b.weight': there is no such class"},
    {CLASS "[point p]\nspeed = 1\n", "p", "FILE:4: unknown key 'speed'"},
    {CLASS "[point p]\nspeed = 1\n[point q]\n", "q", "FILE:4: unknown key 'speed'"},
    {CLASS "[point p]\n[point q]\n", NULL, "FILE: choose a point; there is: p q"},
    {CLASS "[point p]\n[point q]\n", "r", "FILE: no point 'r'; there is: p q"},
    {CLASS, "r", "FILE: no point 'r'; there is: base"},
    {CLASS "[point p]\n[point p]\n", "p", "FILE:4: [point p] is here twice"},
    {"[point p]\n" CLASS, "p", "FILE:2: [class a] must come before"},
    {CLASS "[point p]\n[workload]\nrate = 1\n", "p", "FILE:4: [workload] must come before"},
    {CLASS "[quick]\ntrials = none\n", NULL, "FILE:4: trials: 'none'"},
    {CLASS "[quick]\nduration = 3\n", NULL, "FILE:4: duration: '3'"},
    {CLASS "[quick]\nspeed = 3\n", NULL, "FILE:4: unknown key 'speed' of a profile"},
    {CLASS "[quick]\nservers =\n", NULL, "FILE:4: servers: '' is not the names of servers"},
    {"[workload]\nthink = 5\n" CLASS, NULL, "FILE:2: think: '5' is not [fixed"},
    {"[workload]\nburst = 0\n" CLASS, NULL, "FILE:2: burst: '0' is not a whole number from 1"},
    {"[workload]\nramp = fast\n" CLASS, NULL, "FILE:2: ramp: 'fast' is not connections"},
    {"[workload]\nidle = -1\n" CLASS, NULL, "FILE:2: idle: '-1' is not a whole number from 0"},
    {"[workload]\nupstream = fast\n" CLASS, NULL,
     "FILE:2: upstream: 'fast' is not options such as"},
    {"[workload]\nchurn = 1.5\n" CLASS, NULL, "FILE:2: churn: '1.5' is not a whole number"},
    {"[workload]\nkill = soon\n" CLASS, NULL, "FILE:2: kill: 'soon' is not a duration"},
    {"[workload]\nkill_what = nobody\n" CLASS, NULL, "FILE:2: kill_what: 'nobody' is not server"},
    {"[workload]\nkill_what = redis\n" CLASS, NULL,
     "FILE: closed arrivals, but kill_what = redis needs components"},
    {"[workload]\ncomponents = postgresql\nkill_what = redis\n" CLASS, NULL,
     "FILE: closed arrivals, but kill_what = redis needs components"},
    {"[workload]\ncomponents = redis mysql\n" CLASS, NULL,
     "FILE:2: components: 'redis mysql' is not redis"},
    {"[workload]\nsql =\n" CLASS, NULL, "FILE:2: sql: '' is not the name"},
    {"[workload]\nschema =\n" CLASS, NULL, "FILE:2: schema: '' is not the name"},
    {"[workload]\ntrace =\n" CLASS, NULL, "FILE:2: trace: '' is not the name"},
    {"[workload]\ntrace = x\n" CLASS, NULL,
     "FILE: closed arrivals, but a trace needs trace arrivals"},
    {"[workload]\narrivals = trace\n" CLASS, NULL, "FILE: trace arrivals need a trace"},
    {"[workload]\narrivals = trace\ntrace = x\nrate = 5\n" CLASS, NULL,
     "FILE: trace arrivals have the rate of the trace"},
    {"[workload]\narrivals = trace\ntrace = x\n" CLASS "rate = 5\n", NULL,
     "FILE: trace arrivals, but classes with a rate need"},
    {"[workload]\narrivals = bursts\n" CLASS, NULL, "FILE: bursts arrivals need a rate"},
    {OPEN "think = 5ms\n" CLASS, NULL, "FILE: poisson arrivals, but think needs closed arrivals"},
    {"[class a]\ndeadline = 5\n", NULL, "FILE:2: deadline: '5' is not a duration"},
    {"[class a]\nconnections = -1\n", NULL, "FILE:2: connections: '-1'"},
    {"[class a]\nsend_rate = 5 k\n", NULL, "FILE:2: send_rate: '5 k' is not a number of bytes"},
    {"[class a]\nreceive_rate = -5\n", NULL, "FILE:2: receive_rate: '-5' is not a number of bytes"},
    {CLASS "[point p]\na.send_rate = x\n", "p", "FILE:4: send_rate: 'x'"},
    {OPEN CLASS "[phase p]\nload = 2\n", NULL, "FILE: [phase p] has no duration"},
    {OPEN CLASS "[phase p]\nduration = 0\n", NULL, "FILE:7: duration: '0'"},
    {OPEN CLASS "[phase p]\nload = 1..\n", NULL, "FILE:7: load: '1..' is neither"},
    {OPEN CLASS "[phase p]\nload = ..3\n", NULL, "FILE:7: load: '..3' is neither"},
    {OPEN CLASS "[phase p]\nload = -1\n", NULL, "FILE:7: load: '-1' is neither"},
    {OPEN CLASS "[phase p]\nload = 1 .. 3\n", NULL, "FILE:7: load: '1 .. 3' is neither"},
    {OPEN CLASS "[phase p]\na.load = x\n", NULL, "FILE:7: a.load: 'x' is neither"},
    {OPEN CLASS "[phase p]\nb.load = 2\n", NULL, "FILE:7: 'b.load': there is no such class"},
    {OPEN "[phase p]\na.load = 2\n" CLASS, NULL, "FILE:5: 'a.load': there is no such class"},
    {OPEN CLASS "[phase p]\na.weight = 2\n", NULL, "FILE:7: 'a.weight': a phase sets nothing"},
    {OPEN CLASS "[phase p]\nrate = 2\n", NULL, "FILE:7: unknown key 'rate' of a phase"},
    {OPEN CLASS "[phase p]\nswing = 1.1\n", NULL, "FILE:7: swing: '1.1' is not a number from 0"},
    {OPEN CLASS "[phase p]\nduration = 1s\nswing = 1\n", NULL, "FILE: [phase p] has a swing with"},
    {OPEN CLASS "[phase p]\nduration = 1s\nperiod = 1s\n", NULL, "FILE: [phase p] has a period"},
    {OPEN CLASS "[phase p]\nduration = 1s\n[phase p]\n", NULL, "FILE:8: [phase p] is here tw"},
    {OPEN CLASS "[phase p q]\n", NULL, "FILE:6: 'p q' cannot name a phase"},
    {OPEN CLASS "[point x]\n[phase p]\n", "x", "FILE:7: [phase p] must come before"},
    {CLASS "[phase p]\nduration = 1s\n", NULL, "FILE: closed arrivals, but phases need"},
    {"[workload]\narrivals = trace\ntrace = x\n" CLASS "[phase p]\nduration = 1s\n", NULL,
     "FILE: trace arrivals, but phases need constant, poisson or bursts"},
    {OPEN CLASS "burst_load = 1\n", NULL, "FILE:6: burst_load: '1' is not a number above 1"},
    {OPEN CLASS "burst_length = 10us\n", NULL,
     "FILE:6: burst_length: '10us' is not a duration from"},
    {OPEN CLASS "burst_share = 0.1\n", NULL, "FILE:6: burst_share: '0.1' is not a percentage"},
    {OPEN CLASS "burst_share = 100%\n", NULL, "FILE:6: burst_share: '100%' is not a percentage"},
    {OPEN CLASS "burst_load = 4\nburst_share = 10%\n", NULL,
     "FILE: class a: burst_load, burst_length and burst_share belong together"},
    {OPEN CLASS "burst_load = 4\nburst_length = 1s\nburst_share = 30%\n", NULL,
     "FILE: class a: burst_load x burst_share is above 100 %"},
    {"[workload]\narrivals = constant\nrate = 5\n" CLASS
     "burst_load = 4\nburst_length = 1s\nburst_share = 10%\n",
     NULL, "FILE: class a: burst_load needs poisson arrivals"},
    {OPEN CLASS "gather = fast\n", NULL, "FILE:6: gather: 'fast' is not a duration"},
    {OPEN CLASS "gather = 1ms\n", NULL, "FILE: class a: gather needs one_way"},
    {OPEN CLASS "protocol = websocket\none_way = yes\ngather = 2s\n", NULL,
     "FILE: class a: gather has to be shorter than timeout"},
    {OPEN "[class a]\nrequest = /{time}?{time}\n", NULL,
     "FILE: class a: {time} can be in a request only once"},
    {"[workload]\nquestion = one\n  two\n" CLASS, NULL, "FILE:3: a line must not begin"},
};

Test(workload, mistakes_are_named_with_their_line)
{
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        struct workload w;

        cr_assert_not(load(&w, mistakes[i].text, mistakes[i].point), "accepted: %s",
                      mistakes[i].text);
        cr_assert_eq(strncmp(error, mistakes[i].complaint, strlen(mistakes[i].complaint)), 0,
                     "for %s\nexpected: %s\n     got: %s", mistakes[i].text, mistakes[i].complaint,
                     error);
    }
}

Test(workload, a_line_too_long_is_an_error_and_not_cut)
{
    struct workload w;
    static char text[4000] = "[class a]\nrequest = /";

    memset(text + strlen(text), 'x', 2500);
    cr_assert_not(load(&w, text, NULL));
    cr_assert_eq(strncmp(error, "FILE:2: the line has more than", 30), 0, "%s", error);
}

Test(workload, has_room_for_so_many_phases_and_no_more)
{
    struct workload w;
    char text[1000] = OPEN CLASS;

    for (int i = 0; i <= WORKLOAD_PHASES; i++) {
        size_t used = strlen(text);

        snprintf(text + used, sizeof text - used, "[phase p%d]\nduration = 1s\n", i);
        cr_assert_eq(load(&w, text, NULL), i < WORKLOAD_PHASES, "%s", error);
    }
    cr_assert_str_eq(error, "FILE:38: more than 16 phases");
}

Test(workload, a_missing_file_is_an_error)
{
    struct workload w;
    char reason[256];

    cr_assert_not(workload_load(&w, "/nowhere/x.ini", NULL, reason, sizeof reason));
    cr_assert_str_eq(reason, "/nowhere/x.ini: No such file or directory");
}
