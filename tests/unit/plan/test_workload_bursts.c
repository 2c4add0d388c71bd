/* Tests of loadgen/plan/workload.c: classes that come in bursts, and messages that wait for each other. */
#include "tests/unit/plan/workload_file.h"

static const char feed[] = "[workload]\narrivals = poisson\nrate = 100\n"
                           "[class feed]\nprotocol = websocket\none_way = yes\ngather = 200us\n"
                           "request = /work?at={time}\n"
                           "burst_load = 4\nburst_length = 50ms\nburst_share = 12.5%\n"
                           "[class trade]\nrequest = /trade\n"
                           "[point bursts]\n"
                           "[point steeper]\nfeed.burst_load = 8\n"
                           "[point even]\narrivals = constant\n";

Test(workload, a_class_may_come_in_bursts)
{
    const struct modulation *m;
    struct workload w;

    cr_assert(load(&w, feed, "bursts"), "%s", error);
    m = &w.class[0].modulation;
    cr_assert_eq(m->load, 4);
    cr_assert_eq(m->length_ns, 50000000);
    cr_assert_eq(m->share, 0.125);
    cr_assert_eq(w.class[1].modulation.load, 0);
    cr_assert_eq(w.class[0].gather_ns, 200000);
    cr_assert(workload_is_modulated(&w));
    cr_assert(load(&w, feed, "steeper"), "%s", error);
    cr_assert_eq(w.class[0].modulation.load, 8, "all comes in bursts");
    cr_assert(load(&w, feed, "even"), "%s", error);
    cr_assert_not(workload_is_modulated(&w), "other arrivals have none");
}
