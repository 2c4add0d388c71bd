"""What keeps throughput from growing with the number of clients, and where does it fall?

Replies per second against connections, a panel for each architecture. The curve is the universal
scalability law (Gunther 1993), X(n) = λ n / (1 + σ (n - 1) + κ n (n - 1)), fitted to the points: λ
is what one client gets, σ (contention) what must happen one at a time and bends the curve, κ
(coherence) what each costs every other and turns it downwards, beyond the peak at √((1 - σ) / κ)
connections. Three parameters need four points at least: a run without them has no such figure, and
where fewer are valid they stand alone."""
from dataclasses import dataclass
import math

import numpy as np

from archbench.drawing import chart, style, sweep
from archbench.figures import concurrency
from archbench.formats.run import NoData
from archbench.model import queueing


WORKLOAD = concurrency.WORKLOAD
FEWEST = 4  # points for three parameters
COLUMNS = 4
MARGIN = 1.2  # a peak this far beyond the last point rests on the formula alone


@dataclass(frozen=True)
class Fit:
    """The law's parameters, and where it has its peak, in connections (infinite: nowhere)."""
    single: float
    contention: float
    coherence: float

    @property
    def peak(self):
        if self.contention >= 1:
            return 1.0
        return queueing.usl_peak(self.contention, self.coherence)

    def at(self, n):
        return queueing.usl(n, self.single, self.contention, self.coherence)


def fit(line):
    """The Fit to the valid points of [(connections, Estimate)]; None where they do not determine
    one: too few, or no parameters are better than others."""
    points = [(x, e.value) for x, e in line if e.valid and e.value > 0]
    if len(points) < FEWEST:
        return None
    try:
        return Fit(*queueing.fit_usl(*zip(*points)))
    except RuntimeError:
        return None


def described(found, line):
    """A few lines for the corner of a panel."""
    if found is None:
        valid = sum(e.valid for _, e in line)
        return f"not determined:\n{valid} valid points, needs {FEWEST}" if valid < FEWEST else (
            "not determined:\nno fit converges")
    return (f"λ = {style.human(found.single)}/s\nσ = {found.contention:.2g}\n"
            f"κ = {found.coherence:.2g}\n{peak_in_words(found, line[-1][0])}")


def peak_in_words(found, last):
    if found.peak > MARGIN * last:
        return f"no peak up to {last:,}"
    return f"peak: {style.human(found.peak)}"


def finding(fits, lasts):
    """`lasts`: {arch: most connections that were tried}."""
    known = {a: f for a, f in fits.items() if f}
    if not known:
        return f"Too few points to fit the scalability law: it needs {FEWEST}"
    peaking = {a: f.peak for a, f in known.items() if f.peak <= MARGIN * lasts[a]}
    if not peaking:
        most = max(lasts[a] for a in known)
        return f"By the fitted law, throughput has no peak up to {most:,} connections"
    first = min(peaking, key=peaking.get)
    text = f"By the fitted law, {first} peaks at {style.human(peaking[first])} connections"
    lasting = [a for a in known if a not in peaking]
    if lasting:
        best = max(lasting, key=lambda a: known[a].at(lasts[a]))
        return f"{text}, {best} grows up to {lasts[best]:,}"
    later = max(peaking, key=peaking.get)
    return f"{text}, {later} at {style.human(peaking[later])}" if later != first else text


def panel(c, ax, arch, line, found):
    colour, marker = style.look(arch)
    if found:
        n = np.geomspace(line[0][0], line[-1][0], 200)
        ax.plot(n, found.at(n), color=colour, linewidth=2)
        if found.peak <= line[-1][0]:
            ax.axvline(found.peak, color=style.INK, linestyle=":", linewidth=1.5)
    for x, e in line:
        c.point(ax, x, e.value, c.saw(e), colour, marker, size=9)
    ax.text(0.97, 0.05, described(found, line), transform=ax.transAxes, ha="right", va="bottom",
            fontsize=12, linespacing=1.25,
            bbox={"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 2})
    ax.set_title(arch, fontsize=15)
    ax.tick_params(labelsize=12)


def draw(run):
    run.need(WORKLOAD)
    found = {a: concurrency.series(run, a, "achieved_rate")
             for a in style.in_order(run.archs(WORKLOAD))}
    found = {a: line for a, line in found.items() if any(e.value > 0 for _, e in line)}
    if not found:
        raise NoData(f"no rates were measured in workload {WORKLOAD}")
    if max(map(len, found.values())) < FEWEST:
        raise NoData(f"the scalability law needs {FEWEST} points of workload {WORKLOAD}, and this "
                     f"run has {len(run.points(WORKLOAD))}")
    fits = {a: fit(line) for a, line in found.items()}
    cols = min(COLUMNS, len(found))
    rows = math.ceil(len(found) / cols)
    c = chart.Chart(run, rows, cols, height_in=max(chart.HEIGHT_IN, 2.4 + 2.7 * rows), sharex=True,
                    sharey=True)
    xs = sweep.points_in(found)
    values = [e.value for line in found.values() for _, e in line if e.value > 0]
    for ax, (arch, line) in zip(c.axes, found.items()):
        panel(c, ax, arch, line, fits[arch])
    c.trim_grid(len(found), "good replies/s")
    sweep.Axis("", xs, log=True).apply(c.axes[0])
    c.axes[0].set_yscale("log")
    c.axes[0].set_ylim(min(values) / 1.6, max(values) * 1.6)
    chart.plain_log_axis(c.axes[0].yaxis, min(values) / 1.6, max(values) * 1.6)
    c.foot = "connections"
    if any(fits.values()):
        c.key("universal scalability law, fitted", color=style.GREY, linewidth=2)
    if any(f and f.peak <= xs[-1] for f in fits.values()):
        c.key("its peak", color=style.INK, linestyle=":", linewidth=1.5)
    return c.finish(finding(fits, {a: line[-1][0] for a, line in found.items()}))
