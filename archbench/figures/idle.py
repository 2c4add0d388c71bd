"""What do connections that carry nothing take from those that carry something?

Throughput of the busy connections, and CPU time per request, against the number of idle ones beside
them. Look at whose line is not level: select and poll show the kernel every idle connection at
every call, epoll, threads and processes do not."""
from archbench.drawing import sweep
from archbench.formats.run import NoData, number_in
from archbench.stats.estimates import clearly_above

WORKLOAD = "idle"


def idle_at(run, point):
    """How many idle connections a point has."""
    stated = run.workload(WORKLOAD).setting(point, "idle")
    return int(stated or number_in(point) or 0)


def series(run, arch, metric):
    """[(idle connections, Estimate)]."""
    found = [(idle_at(run, p), run.estimate(WORKLOAD, p, arch, metric))
             for p in run.points(WORKLOAD)]
    return sorted(((x, e) for x, e in found if e), key=lambda p: p[0])


def kept(lines):
    """{arch: (share of throughput that is left, is the loss clear)} at the most idle connections
    of the run, for those whose first and last value are valid."""
    most = max((x for line in lines.values() for x, _ in line), default=0)
    found = {}
    for arch, line in lines.items():
        if line and line[0][0] == 0 and line[-1][0] == most > 0 and line[0][1].value > 0:
            first, last = line[0][1], line[-1][1]
            if first.valid and last.valid:
                found[arch] = (last.value / first.value, clearly_above(first, last))
    return most, found


def finding(lines):
    most, found = kept(lines)
    if not found:
        return "Throughput and CPU time beside idle connections"
    worst = min(found, key=lambda a: found[a][0])
    best = max(found, key=lambda a: found[a][0])
    share, clear = found[worst]
    if not clear:
        return f"{most:,} idle connections take nothing clear from anybody"
    text = f"Beside {most:,} idle connections, {worst} keeps {100 * share:.0f} % of its throughput"
    return text if best == worst else f"{text}, {best} {100 * found[best][0]:.0f} %"


def draw(run):
    run.need(WORKLOAD)
    archs = run.archs(WORKLOAD)
    rate, cost = ({a: series(run, a, metric) for a in archs}
                  for metric in ("achieved_rate", "cpu_us_per_request"))
    if not any(rate.values()):
        raise NoData(f"no rates were measured in workload {WORKLOAD}")
    c = sweep.draw(run, archs, [sweep.Measure("good replies/s", (rate,)),
                                sweep.Measure("CPU time per request (µs)", (cost,))],
                   sweep.Axis("idle connections", sweep.points_in(rate), log=True))
    return c.finish(finding(rate), sweep.ends_early(run, WORKLOAD, archs))
