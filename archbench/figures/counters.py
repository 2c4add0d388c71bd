"""What does it cost threads to count together?

Requests per second, each of which counts many times, against the number of connections. A panel is
a server, a line a way of counting: in a slot for each thread (tss), in one slot by atomic addition,
in one slot under a lock. With one connection nobody is in the way of anybody; what a line loses, or
does not gain, from there to the right is the price of sharing. At the right end, lines of a panel
that share a letter do not differ by more than chance."""
from archbench.drawing import chart, style
from archbench.formats.names import server_of
from archbench.formats.run import NoData, number_in
from archbench.stats import groups

WORKLOAD = "counters"
METRIC = "achieved_rate"
MODES = {"tss": (style.SPARE_COLOURS[1], "o"), "atomic": (style.SPARE_COLOURS[2], "^"),
         "mutex": (style.SPARE_COLOURS[0], "s")}


def mode_of(arch):
    """threads-mutex counts in the mode mutex; a server without options in the first one."""
    return next((mode for mode in MODES if mode in arch.split("-")[1:]), "tss")


def panels(run):
    """{server: {mode: [(connections, Estimate)]}}"""
    found = {}
    for arch in style.in_order(run.archs(WORKLOAD)):
        estimates = [(number_in(point), run.estimate(WORKLOAD, point, arch, METRIC))
                     for point in run.points(WORKLOAD)]
        line = sorted([(x, e) for x, e in estimates if e and x], key=lambda p: p[0])
        if line:
            found.setdefault(server_of(arch), {})[mode_of(arch)] = line
    return found


def rankings(run):
    """{(server, connections): Ranking of the modes, most requests first}"""
    found = {}
    for point in run.points(WORKLOAD):
        of = {}
        for arch in run.archs(WORKLOAD):
            valid, _ = run.values(WORKLOAD, point, arch, METRIC)
            of.setdefault(server_of(arch), {})[mode_of(arch)] = valid
        found |= {(server, number_in(point)): groups.compare(samples, ascending=False)
                  for server, samples in of.items()}
    return found


def finding(ranked):
    """Of rankings(): where the ways differ most, if they do anywhere."""
    gaps = []
    for (server, x), ranking in ranked.items():
        ends = ranking.ends()
        if ends and ends[2]:
            high, low, _ = ends
            gaps.append((high.estimate.value / low.estimate.value, server, x, low.name, high.name))
    if not gaps:
        return "No clear difference between the ways in which threads count"
    ratio, server, x, low, high = max(gaps)
    whom = "one connection" if x == 1 else f"{x:g} connections"
    return f"With {whom}, {server} counts {style.times(ratio)} as fast by {high} as by {low}"


def panel(c, ax, lines, ranked):
    """`ranked`: {connections: Ranking} of this server."""
    for mode, line in lines.items():
        colour, marker = MODES[mode]
        ax.plot([x for x, _ in line], [e.value for _, e in line], color=colour)
        for x, e in line:
            c.point(ax, x, e.value, c.saw(e), colour, marker)
        last, e = line[-1]
        c.words(ax, last, e.value, ranked[last].mark(mode), pale=True)
    ticks = sorted({x for line in lines.values() for x, _ in line})
    ax.set_xscale("log", base=2)
    ax.set_xticks(ticks, [f"{x:g}" for x in ticks], minor=False)
    ax.set_xlabel("connections")


def draw(run):
    run.need(WORKLOAD)
    found = panels(run)
    values = [e.value for lines in found.values() for line in lines.values() for _, e in line]
    if not values or min(values) <= 0:
        raise NoData(f"no rates in workload {WORKLOAD}")
    ranked = rankings(run)
    c = chart.Chart(run, cols=len(found), sharey=True)
    for ax, (server, lines) in zip(c.axes, found.items()):
        panel(c, ax, lines, {x: r for (s, x), r in ranked.items() if s == server})
        ax.set_title(server)
    c.axes[0].set_yscale("log")
    low, high = min(values) / 1.4, max(values) * 1.4
    c.axes[0].set_ylim(low, high)
    chart.plain_log_axis(c.axes[0].yaxis, low, high)
    c.axes[0].set_ylabel("requests per second")
    for mode, (colour, marker) in MODES.items():
        if any(mode in lines for lines in found.values()):
            c.key(mode, color=colour, marker=marker, markersize=10)
    last = {server: max(x for line in lines.values() for x, _ in line)
            for server, lines in found.items()}
    groups.explain(c, {server: ranked[server, x] for server, x in last.items()})
    return c.finish(finding(ranked))
