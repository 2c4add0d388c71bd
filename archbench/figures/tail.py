"""What do the slowest one in a hundred, in a thousand, get?

Response times by percentile: every decade of the x axis is one more nine, so the tail gets as much
room as all the rest. A row of panels is a class of requests. The trials' histograms are added, and
a line ends where fewer than ten requests lie beyond. Look at where a line bends: up to there
requests were lucky, from there on they met something, and its height tells how long that took."""
from archbench.drawing import style, sweep
from archbench.formats.run import CPU_CLASSES, NoData
from archbench.stats.estimates import Estimate, extremes
from archbench.stats.histogram import cells_to_merge, of_class, quantile

WORKLOADS = ("bimodal", "mix")
BEYOND = 10  # requests that must lie beyond a percentile that is shown
# Percentiles by what lies beyond: one request in so many.
ONE_IN = tuple(step * 10.0 ** decade for decade in range(6) for step in (1, 2, 4) if
               step * 10 ** decade > 1)


class Nines(sweep.Axis):
    """One in 10 is 90 %, one in 100 is 99 %."""

    def apply(self, ax):
        ax.set_xscale("log")
        ax.set_xlim(min(self.xs) / 1.1, max(self.xs) * 1.3)
        ticks = [2, *(10 ** k for k in range(1, 7) if 10 ** k <= max(self.xs))]
        ax.set_xticks(ticks, [percent(x) for x in ticks])
        ax.set_xticks([], minor=True)


def percent(one_in):
    return f"{100 * (1 - 1 / one_in):.10g} %"


def merged(run, workload, arch, cls):
    """(histogram in us, number of valid trials; 0: it is that of invalid ones)."""
    (point, *_) = run.points(workload)
    cells, valid = cells_to_merge(run, workload, point, arch)
    return of_class(run, cells, cls), len(cells) if valid else 0


def line(histogram, trials):
    """[(one in how many lies beyond, Estimate in ms)] as far as the requests suffice."""
    found = []
    for one_in in ONE_IN:
        if histogram.total() / one_in >= BEYOND:
            ms = quantile(histogram, 1 - 1 / one_in) / 1e3
            found.append((one_in, Estimate(ms, trials=trials, invalid=[] if trials else [ms])))
    return found


def lines(run, workload, cls):
    """{arch: line} of those who have one."""
    found = {a: line(*merged(run, workload, a, cls)) for a in run.archs(workload)}
    return {a: points for a, points in found.items() if points}


def finding(found, cls):
    """At the farthest percentile that two architectures at least can show."""
    for one_in in reversed(ONE_IN):
        at = {a: dict(points).get(one_in) for a, points in found.items()}
        ends = extremes(at)
        if ends is None:
            continue
        low, high, clear = ends
        if not clear:
            return f"No clear difference: {percent(one_in)} of {cls} requests fare alike everywhere"
        best, worst = (style.duration(1e3 * at[a].value) for a in (low, high))
        told = f"over {worst}" if at[high].finite else "for ever"
        return (f"One {cls} request in {style.short(one_in)} takes over {best} in {low}, {told} in "
                f"{high}")
    return f"Response time of {cls} requests by percentile"


def panels(run):
    """{(workload, class): {arch: line}}, the class that others disturb first."""
    found = {}
    for workload in (w for w in WORKLOADS if w in run.workloads()):
        for cls in sorted(run.classes(workload), key=lambda c: (c in CPU_CLASSES, c)):
            of_class = lines(run, workload, cls)
            if of_class:
                found[workload, cls] = of_class
    return found


def draw(run):
    run.need(*WORKLOADS)
    found = panels(run)
    if not found:
        raise NoData("no histogram of requests enough in " + " or ".join(WORKLOADS))
    archs = {a for of_class in found.values() for a in of_class}
    measures = [sweep.Measure(f"{cls} in {workload} (ms)", (of_class,))
                for (workload, cls), of_class in found.items()]
    xs = sorted({x for of_class in found.values() for x in sweep.points_in(of_class)})
    c = sweep.draw(run, archs, measures, Nines("percentile", xs))
    c.merged = True
    (_, cls), first = next(iter(found.items()))
    return c.finish(finding(first, cls))
