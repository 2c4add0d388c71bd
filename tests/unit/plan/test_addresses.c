/* Tests of loadgen/plan/addresses.c: from where to connect. */
#include "loadgen/plan/addresses.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* A plan of so many connections to these targets. */
static struct plan *planned(int connections, int targets, const char *host)
{
    struct plan *plan = calloc(1, sizeof *plan);

    plan->connections = connections;
    plan->target_count = targets;
    for (int i = 0; i < targets; i++)
        cr_assert(net_resolve(host, 8000 + i, &plan->target[i].address));
    return plan;
}

static const char *source(const struct plan *plan, int i)
{
    static char text[NET_ADDRESS_TEXT];

    return net_address_text(text, &plan->source[i]);
}

Test(addresses, few_connections_leave_the_choice_to_the_system)
{
    struct plan *plan = planned(addresses_ports_with_ease(), 1, "127.0.0.1");

    addresses_read_sources(plan, NULL);
    cr_assert_eq(plan->source_count, 0);
    cr_assert(!addresses_are_crowded(plan));
    free(plan);
}

Test(addresses, many_on_loopback_get_as_many_sources_as_they_need)
{
    int ease = addresses_ports_with_ease();
    struct plan *plan = planned(ease, 2, "127.0.0.1");

    plan->workload.idle = 5 * ease + 1; /* idle ones need a port as well */
    addresses_read_sources(plan, NULL);
    cr_assert_eq(plan->source_count, 4);
    cr_assert_str_eq(source(plan, 0), "127.0.0.1:0");
    cr_assert_str_eq(source(plan, 3), "127.0.0.4:0");
    cr_assert(!addresses_are_crowded(plan));
    free(plan);
}

Test(addresses, elsewhere_nobody_knows_which_are_ours)
{
    static const char *const hosts[] = {"192.0.2.1", "::1"};

    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        struct plan *plan = planned(3 * addresses_ports_with_ease(), 1, hosts[i]);

        addresses_read_sources(plan, NULL);
        cr_assert_eq(plan->source_count, 0, "%s", hosts[i]);
        cr_assert(addresses_are_crowded(plan), "%s", hosts[i]);
        free(plan);
    }
}

Test(addresses, a_list_is_followed)
{
    struct plan *plan = planned(1, 1, "127.0.0.1");

    addresses_read_sources(plan, "127.0.0.9,127.0.0.254-127.0.1.1");
    cr_assert_eq(plan->source_count, 5);
    cr_assert_str_eq(source(plan, 0), "127.0.0.9:0");
    cr_assert_str_eq(source(plan, 2), "127.0.0.255:0");
    cr_assert_str_eq(source(plan, 4), "127.0.1.1:0");
    free(plan);
}
