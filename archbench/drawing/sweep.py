"""Lines over the points of a sweep. A few architectures share a panel for each measure; of a crowd,
each family has a column of panels of its own, with all others pale behind it."""
from dataclasses import dataclass, field

from archbench.drawing import chart, style

ROW_IN = 2.6  # height of one row of panels, in a crowd
FRAME_IN = 3.8  # of title, names and note, likewise


@dataclass
class Measure:
    """What one row of panels shows."""
    label: str
    layers: tuple  # as Chart.lines() takes them: ({arch: [(x, Estimate)]}, ...)
    log: bool = True
    # What is behind the lines: functions of the axes and of the family shown there (None: all).
    behind: list = field(default_factory=list)


@dataclass
class Axis:
    """What the lines run along: all values of it, and how they are laid out."""
    label: str
    xs: list
    log: bool = False
    from_zero: bool = False
    ticks: bool = False  # one for each value, on an ordinary axis too
    name: callable = style.short  # of a value

    def apply(self, ax):
        if self.log:
            log_axis(ax, self.xs, self.name)
            return
        low, high = 0 if self.from_zero else min(self.xs), max(self.xs)
        margin = 0.02 * (high - low or 1)
        ax.set_xlim(low if self.from_zero else low - margin, high + margin)
        if self.ticks:
            ax.set_xticks(sorted(set(self.xs)))
        ax.xaxis.set_major_formatter(lambda x, _: self.name(x))


def points_in(layer):
    """Every x of {arch: [(x, Estimate)]}."""
    return sorted({x for line in layer.values() for x, _ in line})


def log_axis(ax, xs, name=style.short):
    """A logarithmic axis with a tick for each x; a 0 among them stands half a decade left of the
    smallest other."""
    ticks = sorted(set(xs))
    above = [x for x in ticks if x > 0] or [1]
    if ticks[0] > 0:
        ax.set_xscale("log")
        ax.set_xlim(ticks[0] / 1.25, ticks[-1] * 1.25)
    else:
        ax.set_xscale("symlog", linthresh=above[0], linscale=0.5)
        ax.set_xlim(-0.15 * above[0], above[-1] * 1.25)
    ax.set_xticks(apart(ticks), [name(x) for x in apart(ticks)])
    ax.set_xticks([x for x in ticks if x not in apart(ticks)], minor=True)
    ax.xaxis.set_minor_formatter(chart.NullFormatter())


def apart(ticks):
    """Those ticks of a logarithmic axis whose labels do not meet: the largest, and from there
    down every one that is at least a factor of 4 below its neighbour."""
    kept = []
    for x in reversed(ticks):
        if not kept or x == 0 or x * 4 <= kept[-1]:
            kept.append(x)
    return kept[::-1]


def draw(run, archs, measures, axis, stacked=False):
    """A Chart with all panels, for the caller to finish; measures that nobody has are left out.
    `stacked`: those of a few architectures are above each other rather than side by side."""
    archs = style.in_order(archs)
    measures = [m for m in measures if points_in(m.layers[0])]
    crowd = len(archs) > chart.FEW
    families = list(style.families(archs).items()) if crowd else [("", None)]
    if crowd or stacked:
        rows, cols = len(measures), len(families)
    else:
        rows, cols = 1, len(measures)
    height_in = chart.HEIGHT_IN + (1.8 if rows > 1 else 0)
    if crowd:
        height_in = max(height_in, FRAME_IN + ROW_IN * rows)
    c = chart.Chart(run, rows, cols, height_in=height_in, crowd=len(archs),
                    sharex="col" if rows > 1 else False, sharey="row" if crowd else False)
    places = [(m, f) for m in measures for f in families]
    for k, (ax, (measure, (name, family))) in enumerate(zip(c.axes, places)):
        _panel(c, ax, measure, family, axis)
        if k % cols == 0 or not crowd:
            ax.set_ylabel(measure.label)
        if k // cols == rows - 1 and not crowd:
            ax.set_xlabel(axis.label)
        if crowd and k < cols:
            c.head_column(ax, name, family)
    if crowd:
        c.foot = axis.label
    else:
        c.key_architectures(archs)
    return c


def _panel(c, ax, measure, family, axis):
    axis.apply(ax)
    for put in measure.behind:
        put(ax, family)
    if measure.log:
        c.lines(ax, *measure.layers, family=family)
    else:
        c.plain_lines(ax, measure.layers[0], family=family)
    if family:
        ax.tick_params(labelsize=13)
        ax.yaxis.label.set_size(15)


def ends_early(run, workload, archs):
    """A sentence on the architectures that are missing at some points, grouped by the reason; ''
    when nobody is."""
    reasons = {}
    for arch in style.in_order(archs):
        missing = [p for p in run.points(workload) if run.why_absent(workload, p, arch)]
        for point in missing[:1]:
            why = run.why_absent(workload, point, arch)
            reasons.setdefault(why, []).append(f"{arch} from {point} on")
    return "; ".join(f"without {', '.join(who)} ({why})" for why, who in reasons.items())
