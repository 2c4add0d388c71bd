/* addresses: where a run connects to, and from where. */
#ifndef ARCHBENCH_ADDRESSES_H
#define ARCHBENCH_ADDRESSES_H

#include "loadgen/plan/plan.h"

/* Fill in plan->target from the URLs. Dies with one line when one is no URL or its host has no
 * address. */
void addresses_read_targets(struct plan *, const struct wishes *);

/* Fill in plan->source from --sources: addresses, and FIRST-LAST for a row of them. Without it, and
 * when the plan has more connections than one address of this machine can make with ease and all
 * targets are in 127.0.0.0/8, so many addresses from 127.0.0.1 on as are needed; else the system
 * chooses. Dies with one line when the list is no list of addresses. */
void addresses_read_sources(struct plan *, const char *list);

/* So many connections one source can make to one target with ease: a quarter of the ephemeral ports
 * (net.ipv4.ip_local_port_range). With half of them the kernel's search for a free port, which
 * looks at ports of one parity first, takes milliseconds. */
int addresses_ports_with_ease(void);

/* Has the plan so many connections from one source to one target that this search takes long?
 * Without sources the system has chosen one. */
bool addresses_are_crowded(const struct plan *);

#endif
