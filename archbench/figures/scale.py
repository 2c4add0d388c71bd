"""What do a million connections cost, and what does each of them cost when there are so many?

The same requests over ever more connections, each in its turn: memory per connection, at both ends
and in the kernel, CPU time per request, and the 99th percentile. Memory that is level is a price
per connection, and nothing else. CPU time rises where the caches no longer hold all connections,
and where more processes must take turns. An architecture whose line ends early met a limit of the
system, which the note names."""
from archbench.drawing import style, sweep
from archbench.formats.run import NoData

WORKLOAD = "scale"
MEMORY = "memory_total_kb_per_connection"
P99_MS = 1e-3


def connections(run, point):
    return float(run.workload(WORKLOAD).setting(point, "connections", point))


def series(run, arch, metric, cls="", factor=1.0):
    """[(connections, Estimate)] of the points at which it was measured."""
    found = [(connections(run, p), run.estimate(WORKLOAD, p, arch, metric, cls))
             for p in run.points(WORKLOAD)]
    return sorted(((x, e.scaled(factor)) for x, e in found if e), key=lambda pair: pair[0])


def finding(memory):
    """The title: which architecture holds most connections, and what one takes. `memory`: {arch:
    series}."""
    ends = {a: line[-1] for a, line in memory.items() if line and line[-1][1].valid}
    if not ends:
        return "Memory and CPU time against the number of connections"
    arch = max(ends, key=lambda a: (ends[a][0], -ends[a][1].value))
    most, each = ends[arch]
    return (f"{arch} holds {most:,.0f} connections at {style.human(each.value)} KiB each: "
            f"{each.value * most / 2**20:.1f} GiB in all")


def draw(run):
    run.need(WORKLOAD)
    archs = run.archs(WORKLOAD)
    memory = {a: series(run, a, MEMORY) for a in archs}
    if not any(memory.values()):
        raise NoData(f"no memory was measured in workload {WORKLOAD}")
    c = sweep.draw(run, archs, [
        sweep.Measure("memory/connection (KiB)", (memory,)),
        sweep.Measure("CPU time/request (µs)",
                      ({a: series(run, a, "cpu_us_per_request") for a in archs},)),
        sweep.Measure("p99 (ms)", ({a: series(run, a, "response_p99_us", "total", P99_MS)
                                    for a in archs},))],
        sweep.Axis("connections", sweep.points_in(memory), log=True))
    return c.finish(finding(memory), sweep.ends_early(run, WORKLOAD, archs))
