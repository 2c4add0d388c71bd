"""Where do the response times of short requests go in a surge, and when do they come back?

Each column is a quarter of a second, each row a response time, eight for each doubling; the colour
is the share of the column's short requests that took so long, the line their p99. Between the
dashed lines ten times as many requests want to compute. A band that splits tells of two kinds of
luck: those who met a computation, and those who did not. A dark row at the upper edge had no good
reply."""
import math

from matplotlib.collections import PolyCollection
from matplotlib.colors import LogNorm

from archbench.drawing import chart, style
from archbench.drawing.chart import plt
from archbench.figures import surge
from archbench.formats import timeseries
from archbench.formats.run import NoData
from archbench.stats.estimates import Estimate, estimate, extremes
from archbench.stats.histogram import (add, cells_to_merge, lower_edge_us, quantile, read_bins,
                                       share_above)

LEAST_SHARE = 1e-3  # the lightest colour
COLOURS = "YlGnBu"  # light to dark: readable in print and by colour-blind readers


def over_time(run, cells, cls):
    """{(begin, end) in s: histogram} of these cells, added."""
    found = {}
    for cell in cells:
        begin_s = 0.0
        for end_s, row in timeseries.rows_of(run, cell, cls):
            counts = read_bins(row.get("histogram", []))
            if counts:
                found.setdefault((round(begin_s, 2), round(end_s, 2)), []).append(counts)
            begin_s = end_s
    return {span: add(histograms) for span, histograms in sorted(found.items())}


def during(columns, spans):
    """The histogram of all intervals whose middle is in one of the spans."""
    return add(h for (b, e), h in columns.items() if any(f <= (b + e) / 2 <= t for f, t in spans))


def held_up(run, arch, cls, limit_us):
    """Share of the surge's short requests that take longer than `limit_us`, over the trials."""
    (point, *_) = run.points(surge.WORKLOAD)
    spans, found = run.workload("surge").surges, ([], [])
    for cell in run.cells_at(surge.WORKLOAD, point, arch):
        share = share_above(during(over_time(run, [cell], cls), spans), limit_us)
        if share is not None:
            found[cell["validity"]["verdict"] != "VALID"].append(share)
    return estimate(*found)


def finding(shares, cls, limit_us):
    ends = extremes(shares)
    if ends is None:
        return f"Response times of {cls} requests before, during and after the surge"
    low, high, clear = ends
    what = f"of the {cls} requests take longer than {style.duration(limit_us)}"
    if not clear:
        return f"No clear difference: in the surge, {percent(shares[high])} {what} everywhere"
    return (f"In the surge, {percent(shares[high])} {what} in {high}, "
            f"{percent(shares[low])} in {low}")


def percent(share):
    return f"{style.human(100 * share.value)} %"


class Rows:
    """The common y axis of all panels: a logarithmic one in ms, and above it a row for infinite."""

    def __init__(self, bounds_us):
        finite = [b for b in bounds_us if math.isfinite(b)] or [1.0]
        self.low, self.high = self.edges(min(finite))[0], max(finite) / 1e3
        self.infinite = math.inf in bounds_us
        self.top = self.high * (self.high / self.low) ** 0.09 if self.infinite else self.high

    def edges(self, bound_us):
        """(lower, upper) edge of a bin in ms; the axis has no place for a lower one of 0."""
        if math.isinf(bound_us):
            return self.high * (self.top / self.high) ** 0.3, self.top
        return max(lower_edge_us(bound_us), bound_us / 2) / 1e3, bound_us / 1e3

    def apply(self, ax):
        ax.set_yscale("log")
        ax.set_ylim(self.low, self.top)
        chart.plain_log_axis(ax.yaxis, self.low, self.high)


def panel(c, ax, columns, trials, rows, colours):
    """`trials`: how many valid ones; 0: the columns are those of invalid ones."""
    boxes, shares = [], []
    for (begin_s, end_s), counts in columns.items():
        for bound, count in counts.items():
            low, high = rows.edges(bound)
            boxes.append(((begin_s, low), (end_s, low), (end_s, high), (begin_s, high)))
            shares.append(max(LEAST_SHARE, count / counts.total()))
    # Thousands of boxes: as pixels, or they would be a third of the whole report.
    ax.add_collection(PolyCollection(boxes, facecolors=colours.to_rgba(shares), linewidth=0,
                                     antialiased=False, rasterized=True))
    ax.set_xlim(0, max(end_s for _, end_s in columns))
    line = [((b + e) / 2, quantile(h, 0.99)) for (b, e), h in columns.items()]
    for _, us in line:
        c.saw(Estimate(us, trials=trials, invalid=[] if trials else [us]))
    shown = [(x, sum(rows.edges(us)) / 2 if math.isinf(us) else us / 1e3) for x, us in line]
    for colour, width in (("white", 4), (style.INK, 2)):
        ax.plot(*zip(*shown), color=colour, linewidth=width)
    rows.apply(ax)
    ax.grid(False)


def draw(run):
    run.need(surge.WORKLOAD)
    cls, spans = run.short_class(surge.WORKLOAD), run.workload("surge").surges
    (point, *_) = run.points(surge.WORKLOAD)
    found = {}
    for arch in style.in_order(run.archs(surge.WORKLOAD)):
        cells, valid = cells_to_merge(run, surge.WORKLOAD, point, arch)
        columns = over_time(run, cells, cls)
        if columns:
            found[arch] = (columns, len(cells) if valid else 0)
    if not found:
        raise NoData(f"no time series of workload {surge.WORKLOAD} has histograms of class {cls}")
    limit_us = 1e6 * max(filter(None, map(run.workload(surge.WORKLOAD).cpu_s,
                                          run.workload(surge.WORKLOAD).classes)), default=0.001)
    c = grid(run, found, spans)
    shares = {a: held_up(run, a, cls, limit_us) for a in found}
    return c.finish(finding(shares, cls, limit_us),
                    f"response times of {cls} requests; {style.duration(limit_us)} is the CPU time "
                    "of one computation")


def grid(run, found, spans):
    """A panel for each architecture, and the scale of colours beside them."""
    rows = Rows({bound for columns, _ in found.values() for h in columns.values() for bound in h})
    cols = math.ceil(math.sqrt(len(found)))
    lines = math.ceil(len(found) / cols)
    c = chart.Chart(run, lines, cols, height_in=max(chart.HEIGHT_IN, 2.4 + 2.6 * lines),
                    sharex=True, sharey=True)
    c.merged = True
    colours = plt.cm.ScalarMappable(LogNorm(LEAST_SHARE, 1), COLOURS)
    for ax, (arch, (columns, trials)) in zip(c.axes, found.items()):
        panel(c, ax, columns, trials, rows, colours)
        ax.set_title(arch if trials else f"{arch} (INVALID)")
        for edge in (x for span in spans for x in span):
            ax.axvline(edge, color=style.INK, linestyle="--", linewidth=1.5)
    c.trim_grid(len(found), "response (ms)")
    if rows.infinite:
        c.key_area("upper edge: without a good reply", facecolor="#225ea8")
    c.key("p99", color=style.INK, linewidth=2)
    c.key("begin and end of the surge", color=style.INK, linestyle="--", linewidth=1.5)
    bar = c.figure.colorbar(colours, ax=c.axes, aspect=40, pad=0.01)
    bar.set_ticks([0.001, 0.01, 0.1, 1], labels=["≤ 0.1 %", "1 %", "10 %", "100 %"])
    bar.set_label("share of the interval's requests")
    c.foot = "time (s)"
    return c
