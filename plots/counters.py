#!/usr/bin/python3
"""What does it cost threads to count together?

Requests per second, each of which counts many times, against the number of connections. A panel is
a server, a line a way of counting: in a slot for each thread (tss), in one slot by atomic addition,
in one slot under a lock. With one connection nobody is in the way of anybody; what a line loses, or
does not gain, from there to the right is the price of sharing."""
from lib import chart, style
from lib.run import NoData, number_in
from lib.stats import extremes

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
            found.setdefault(style.server_of(arch), {})[mode_of(arch)] = line
    return found


def finding(found):
    """Where the ways differ most, if they clearly do anywhere."""
    gaps = []
    for server, lines in found.items():
        for x in sorted({x for line in lines.values() for x, _ in line}):
            at = {mode: dict(line).get(x) for mode, line in lines.items()}
            ends = extremes(at)
            if ends and ends[2]:
                low, high, _ = ends
                gaps.append((at[high].value / at[low].value, server, x, low, high))
    if not gaps:
        return "No clear difference between the ways in which threads count"
    ratio, server, x, low, high = max(gaps)
    whom = "one connection" if x == 1 else f"{x:g} connections"
    return f"With {whom}, {server} counts {style.times(ratio)} as fast by {high} as by {low}"


def panel(c, ax, lines):
    for mode, line in lines.items():
        colour, marker = MODES[mode]
        ax.plot([x for x, _ in line], [e.value for _, e in line], color=colour)
        for x, e in line:
            c.point(ax, x, e.value, c.saw(e), colour, marker)
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
    c = chart.Chart(run, cols=len(found), sharey=True)
    for ax, (server, lines) in zip(c.axes, found.items()):
        panel(c, ax, lines)
        ax.set_title(server)
    c.axes[0].set_yscale("log")
    low, high = min(values) / 1.4, max(values) * 1.4
    c.axes[0].set_ylim(low, high)
    chart.plain_log_axis(c.axes[0].yaxis, low, high)
    c.axes[0].set_ylabel("requests per second")
    for mode, (colour, marker) in MODES.items():
        if any(mode in lines for lines in found.values()):
            c.key(mode, color=colour, marker=marker, markersize=10)
    return c.finish(finding(found))


if __name__ == "__main__":
    chart.main(draw, __file__)
