/* addresses: see addresses.h. */
#include "loadgen/plan/addresses.h"
#include "common/base/util.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void read_target(struct target *target, const char *text)
{
    char error[512];

    if (!url_parse(&target->url, text, error, sizeof error))
        die("%s", error);
    if (!net_resolve(target->url.name, target->url.port, &target->address))
        die("cannot resolve host '%s'", target->url.name);
}

void addresses_read_targets(struct plan *plan, const struct wishes *wishes)
{
    if (wishes->url_count > PLAN_TARGETS)
        die("more than %d URLs", PLAN_TARGETS);
    plan->target_count = wishes->url_count;
    for (int i = 0; i < wishes->url_count; i++)
        read_target(&plan->target[i], wishes->urls[i]);
}

/* The last 32 bits, in which the addresses of a row differ. */
static uint32_t *low_bits(struct net_address *address)
{
    return address->any.sa_family == AF_INET ? &address->v4.sin_addr.s_addr
                                             : &address->v6.sin6_addr.s6_addr32[3];
}

static bool is_address(const char *text, struct net_address *address)
{
    unsigned char bytes[sizeof(struct in6_addr)];

    return (inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1) &&
           net_resolve(text, 0, address);
}

/* The same address as that of `first` in all but the last 32 bits. */
static bool is_in_row(struct net_address first, struct net_address last)
{
    *low_bits(&first) = *low_bits(&last) = 0;
    return first.len == last.len && memcmp(&first.v6, &last.v6, first.len) == 0;
}

/* One address, or the first and the last of a row of them. */
static void add_sources(struct plan *plan, char *text)
{
    struct net_address first, last;
    char *dash = strchr(text, '-');

    if (dash)
        *dash = '\0';
    if (!is_address(text, &first) || !is_address(dash ? dash + 1 : text, &last))
        die("--sources: '%s' is not an address", text);
    if (!is_in_row(first, last))
        die("--sources: from '%s' to '%s' is no row of addresses", text, dash + 1);
    for (uint32_t a = ntohl(*low_bits(&first)), end = ntohl(*low_bits(&last)); a <= end; a++) {
        if (plan->source_count == PLAN_SOURCES)
            die("--sources: more than %d addresses", PLAN_SOURCES);
        *low_bits(&first) = htonl(a);
        plan->source[plan->source_count++] = first;
        if (a == UINT32_MAX)
            break;
    }
}

static void read_list(struct plan *plan, const char *list)
{
    char *copy, *word, *rest;

    copy = rest = strdup(list);
    if (!copy)
        die("out of memory");
    while ((word = strsep(&rest, ",")))
        add_sources(plan, word);
    free(copy);
    if (plan->source_count == 0)
        die("--sources: '%s' names no address, such as 127.0.0.1-127.0.0.8", list);
    for (int i = 0; i < plan->target_count; i++)
        if (plan->target[i].address.len != plan->source[0].len)
            die("--sources: '%s' and %s are not of one family of addresses", list,
                plan->target[i].url.shown);
}

int addresses_ports_with_ease(void)
{
    int first = 32768, last = 60999; /* Linux's defaults */
    FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");

    if (file && fscanf(file, "%d %d", &first, &last) != 2)
        first = 32768, last = 60999;
    if (file)
        fclose(file);
    return last > first + 4 ? (last - first + 1) / 4 : 1;
}

bool addresses_are_crowded(const struct plan *plan)
{
    int all = plan->connections + plan->workload.idle;
    int pairs = plan->target_count * (plan->source_count ? plan->source_count : 1);

    return pairs > 0 && all / pairs > 2 * addresses_ports_with_ease();
}

static bool is_loopback(const struct net_address *address)
{
    return address->any.sa_family == AF_INET &&
           ntohl(address->v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

/* Every address of 127.0.0.0/8 is this machine's, so nobody has to name them. */
static void choose_loopback(struct plan *plan)
{
    int all = plan->connections + plan->workload.idle;
    int each = (all + plan->target_count - 1) / plan->target_count;
    int ease = addresses_ports_with_ease(), needed = (each + ease - 1) / ease;

    for (int i = 0; i < plan->target_count; i++)
        if (!is_loopback(&plan->target[i].address))
            return;
    if (needed > PLAN_SOURCES)
        needed = PLAN_SOURCES;
    for (int i = 0; i < needed && needed > 1; i++) {
        net_resolve("127.0.0.1", 0, &plan->source[i]);
        *low_bits(&plan->source[i]) = htonl(INADDR_LOOPBACK + (uint32_t)i);
        plan->source_count = i + 1;
    }
}

void addresses_read_sources(struct plan *plan, const char *list)
{
    if (list)
        read_list(plan, list);
    else
        choose_loopback(plan);
}
