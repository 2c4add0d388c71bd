"""The drawing with which the report explains percentile plots: two real curves of the run."""
from dataclasses import dataclass
import math

from archbench.drawing import style
from archbench.stats.histogram import cells_to_merge, of_class

WIDTH, HEIGHT = 900, 420
LEFT, RIGHT, TOP, BOTTOM = 84, 150, 24, 62
PERCENTILES = (0.5, 0.9, 0.99, 0.999, 0.9999)
LEAST_TAIL = 0.9  # a lesson on percentiles needs one beyond the median
BEYOND = 10  # a curve ends where fewer requests lie beyond
PREFERRED = (("bimodal", "short"), ("cpu_share", "short"), ("mix", "io"))


@dataclass(frozen=True)
class Curve:
    """Response times of the requests of a class, over all trials."""
    arch: str
    points: tuple  # (share of the requests, milliseconds that they took at most), rising
    requests: int  # those without a reply included

    def at(self, share):
        """Milliseconds that this share of the requests took at most; None beyond the curve."""
        return next((ms for s, ms in self.points if s >= share), None)


def curve(arch, counts):
    """The Curve of a histogram, {milliseconds: requests that took so long}, infinite ones among
    them; None of one that is too small."""
    requests, below, points = sum(counts.values()), 0, []
    for ms in sorted(counts):
        below += counts[ms]
        if requests - below >= BEYOND and ms > 0:
            points.append((below / requests, ms))
    return Curve(arch, tuple(points), requests) if points else None


def _merged(run, workload, point, arch, cls):
    """The histograms of all valid trials as one: {milliseconds: requests}."""
    cells, valid = cells_to_merge(run, workload, point, arch)
    counts = of_class(run, cells, cls) if valid else {}
    return {us / 1e3: number for us, number in counts.items()}


def _curves(run, workload, point, cls):
    """Of all architectures whose requests there are enough to see one in ten."""
    found = [curve(arch, _merged(run, workload, point, arch, cls)) for arch in run.archs(workload)]
    return [c for c in found if c and c.at(LEAST_TAIL)]


def example(run):
    """(workload, point, class, [Curve, ...]) of the two that part the most, or of the only one, at
    the last point of a workload that has any; None when no cell left a histogram."""
    candidates = [p for p in PREFERRED if p[0] in run.workloads()]
    candidates += [(w, c) for w in run.workloads() for c in run.classes(w)]
    for workload, cls in candidates:
        for point in reversed(run.points(workload)):
            curves = _curves(run, workload, point, cls)
            if curves:
                curves.sort(key=lambda c: c.points[-1][1])
                return workload, point, cls, list(dict.fromkeys((curves[0], curves[-1])))
    return None


class Frame:
    """From share and milliseconds to places in the drawing; both axes are logarithmic."""

    def __init__(self, curves):
        values = [ms for c in curves for s, ms in c.points if s >= PERCENTILES[0] / 2]
        self.low, self.high = min(values) / 1.3, max(values) * 1.3
        beyond = min(1 - c.points[-1][0] for c in curves)
        self.shares = [s for s in PERCENTILES if s <= max(0.9, 1 - max(beyond, 1e-5)) + 1e-9]
        self.last = max(math.log10(1 / max(beyond, 1e-5)), 1.0)

    def x(self, share):
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log10(1 / (1 - share)) / self.last

    def y(self, ms):
        part = math.log(max(ms, self.low) / self.low) / math.log(self.high / self.low)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * part

    def milliseconds(self):
        """Where the y axis has a line: 1, 10, 100; 2 and 5 too while there are few."""
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for steps in ((1,), (1, 2, 5)):
            found = [s * 10.0 ** d for d in decades for s in steps
                     if self.low <= s * 10.0 ** d <= self.high]
            if len(found) > 2:
                break
        return found


def _label_heights(frame, curves):
    """Where each curve's name stands: at its end, but never on another's."""
    heights, last = {}, math.inf
    for c in sorted(curves, key=lambda c: c.points[-1][1]):
        last = min(frame.y(c.points[-1][1]), last - 22)
        heights[c.arch] = last
    return heights


def lesson(run):
    """All that the template needs to draw and explain; None without a histogram."""
    found = example(run)
    if found is None:
        return None
    workload, point, cls, curves = found
    frame = Frame(curves)
    heights = _label_heights(frame, curves)
    worst = curves[-1]
    share = 0.99 if worst.at(0.99) else LEAST_TAIL
    return {
        "workload": workload, "point": point, "class": cls, "width": WIDTH, "height": HEIGHT,
        "left": LEFT, "right": WIDTH - RIGHT, "top": TOP, "bottom": HEIGHT - BOTTOM,
        "x_ticks": [(frame.x(s), f"{100 * s:g} %") for s in frame.shares],
        "y_ticks": [(frame.y(ms), f"{ms:g}") for ms in frame.milliseconds()],
        "curves": [{
            "arch": c.arch, "requests": c.requests, "colour": style.look(c.arch)[0],
            "path": " ".join(f"{frame.x(s):.1f},{frame.y(ms):.1f}" for s, ms in c.points),
            "end": (frame.x(c.points[-1][0]), frame.y(c.points[-1][1])),
            "label_y": heights[c.arch],
            "median": style.duration(1e3 * c.at(0.5)),
            "tail": style.duration(1e3 * c.at(share)) if c.at(share) else "beyond the curve",
        } for c in curves],
        "share": f"{100 * share:g}", "one_in": f"{1 / (1 - share):.0f}",
        "mark": (frame.x(share), frame.y(worst.at(share))),
        "worst": worst.arch, "worst_tail": style.duration(1e3 * worst.at(share)),
    }
