"""How much longer does a short request take because others block?

The p99 of short requests in the mix as a multiple of their p99 alone, per architecture: left beside
requests that compute, right beside requests that read the disk. 1, the dashed line, is no penalty.
The rows give the multiple and both times. An architecture that is far right in one panel and not in
the other hands one kind of blocking to other threads or to the kernel, and the other kind not."""
from dataclasses import dataclass
import math

from archbench.drawing import chart, style
from archbench.figures import cpu_share, disk
from archbench.formats.run import NoData
from archbench.stats.estimates import Estimate, estimate, extremes, median, ranked, ratio_of_medians

METRIC = "response_p99_us"


@dataclass(frozen=True)
class Pair:
    """Two points of a workload: short requests alone, and beside the most blocking there is."""
    workload: str
    alone: str
    mixed: str
    among: str  # what the others do, for a reader


def having_short(run, workload):
    """Points at which some architecture has a p99 of the short class, in their order."""
    cls = run.short_class(workload)
    return [p for p in run.points(workload)
            if any(run.estimate(workload, p, a, METRIC, cls) for a in run.archs(workload))]


def blocking(run, workload):
    """{point: how much blocking it has}: bytes of a read, or computing requests in percent."""
    points = having_short(run, workload)
    if workload == disk.WORKLOAD:
        return {p: disk.read_bytes(run, p) for p in points}
    computing = [c for c in run.classes(workload) if c != run.short_class(workload)]
    first = run.archs(workload)[0]  # the mix is the same for all
    return {p: cpu_share.share(run, p, first, computing) for p in points}


def pair(run, workload):
    """The Pair of a workload; None when the run lacks either end."""
    found = blocking(run, workload) if workload in run.workloads() else {}
    alone = [p for p, much in found.items() if much == 0]
    mixed = max(found, key=found.get, default=None)
    if not alone or found[mixed] == 0:
        return None
    among = (f"reads of {style.size(found[mixed])}" if workload == disk.WORKLOAD
             else f"{found[mixed]:.0f} % computing requests")
    return Pair(workload, alone[0], mixed, among)


def multiple(run, of, arch):
    """Estimate of p99 in the mix / p99 alone; None when one is missing. Where an end has no valid
    trial the multiple is not valid either."""
    cls = run.short_class(of.workload)
    (mixed, bad_mixed), (alone, bad_alone) = (
        run.values(of.workload, point, arch, METRIC, cls) for point in (of.mixed, of.alone))
    valid = bool(mixed and alone)
    mixed, alone = (mixed, alone) if valid else (mixed + bad_mixed, alone + bad_alone)
    found = ratio(mixed, alone)
    return found if valid or found is None else estimate([], [found.value])


def ratio(mixed, alone):
    """Estimate of the medians' ratio; without an interval when some are infinite, for these have no
    place in resampled means. None when there is no finite base."""
    if all(map(math.isfinite, mixed + alone)):
        return ratio_of_medians(mixed, alone)
    if not mixed or not alone or math.isinf(median(alone)):
        return None
    return Estimate(median(mixed) / median(alone), trials=min(len(mixed), len(alone)))


def times(run, of, arch):
    """'1.20 ms → 35.0 ms'"""
    cls = run.short_class(of.workload)
    ends = [run.estimate(of.workload, p, arch, METRIC, cls) for p in (of.alone, of.mixed)]
    return " → ".join(style.duration(e.value) for e in ends)


def finding(found, of):
    """Of the first panel."""
    known = {a: e for a, e in found.items() if e}
    ends = extremes(known)
    if ends is None:
        return f"p99 of short requests among {of.among}, against alone"
    low, high, clear = ends
    if not clear:
        return f"No clear difference: {of.among} cost short requests alike everywhere"
    return (f"Among {of.among}, the p99 of short ones is {in_words(known[low])} that alone in "
            f"{low}, {in_words(known[high])} in {high}")


def in_words(e):
    return style.times(e.value) if e.finite else "infinitely many times"


def panel(c, ax, run, of, found):
    finite = [v for e in found.values() if e for v in (e.value, e.low, e.high)
              if v and math.isfinite(v)] + [1]
    low, high = min(finite) / 1.3, max(max(finite), 2)
    right = high * (high / low) ** 0.08  # where the infinite ones stand
    chart.log_x(ax, low, right * (right / low) ** 0.85)  # room for the words behind
    chart.plain_log_axis(ax.xaxis, low, right)           # which is not part of the scale
    for row, (arch, e) in enumerate(found.items()):
        if e is None:
            ax.text(0.02, row, "not measured at both", color=style.GREY, va="center", fontsize=13,
                    transform=ax.get_yaxis_transform())
            continue
        colour, marker = style.look(arch)
        x = e.value if e.finite else right
        c.point(ax, x, row, c.saw(e), colour, marker if e.finite else ">", size=13, vertical=False)
        number = f"{style.human(e.value)} ×" if e.finite else "∞"
        c.words(ax, max(x, e.high or 0), row, f"{number}  ({times(run, of, arch)})", pale=True)
    ax.axvline(1, color=style.INK, linestyle="--", linewidth=2, zorder=0)
    c.name_rows(ax, list(found))
    ax.set_xlabel("p99 in the mix / p99 alone")
    ax.set_title(f"among {of.among}")


def draw(run):
    run.need(cpu_share.WORKLOAD, disk.WORKLOAD)
    pairs = [p for p in (pair(run, w) for w in (cpu_share.WORKLOAD, disk.WORKLOAD)) if p]
    found = [{a: multiple(run, p, a) for a in style.in_order(run.archs(p.workload))}
             for p in pairs]
    if not any(e for of_pair in found for e in of_pair.values()):
        raise NoData("no workload has short requests both alone and beside blocking ones")
    most = max(map(len, found))
    c = chart.Chart(run, cols=len(pairs), height_in=max(chart.HEIGHT_IN, 2.6 + 0.5 * most))
    for ax, of, multiples in zip(c.axes, pairs, found):
        panel(c, ax, run, of, {a: multiples[a] for a in ranked(multiples)})
    c.key("no penalty", color=style.INK, linestyle="--", linewidth=2)
    return c.finish(finding(found[0], pairs[0]))
