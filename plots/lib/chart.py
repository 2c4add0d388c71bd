"""The frame of a figure: finding as title, legend, axes, a note on where the data come from."""
import argparse
import math
from pathlib import Path
import re
import sys
import textwrap

from . import style

import matplotlib.pyplot as plt  # noqa: E402  (after style chose the backend)
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from .run import NoData, Run
from .stats import FACTOR_WITHOUT_INTERVALS

WIDTH_IN = 12.8  # 16:9 at 1920x1080
HEIGHT_IN = 7.2
DPI = 150
TITLE_CHARACTERS = 64
SUBTITLE_CHARACTERS = 104
NOTHING_TO_DRAW = 3  # exit status
BAND_STEP = 0.075  # of the finite part of a log axis: one row of infinite values
BAND_LIMIT = 0.5  # of the same: all rows together
FEW = 6  # architectures whose lines and marks have room in one panel
INFINITE_MARK = {"color": style.GREY, "marker": "^", "markersize": 9, "linestyle": ""}


def plain_log_axis(axis, low, high):
    """Ticks 1, 10, 100 rather than powers; 2 and 5 too when there is room for them. None
    outside low..high, even when the axis goes on."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    def ticks(steps):
        return [s * 10.0 ** d for d in decades for s in steps if low <= s * 10.0 ** d <= high]
    crowded = math.log10(high / low) >= 2.5
    axis.set_major_locator(FixedLocator(ticks((1,) if crowded else (1, 2, 5))))
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.10g}"))
    axis.set_minor_locator(FixedLocator(ticks((2, 5)) if crowded else []))
    axis.set_minor_formatter(NullFormatter())


def room(height_in, archs):
    """The height of a figure whose panels hold so many architectures, if `height_in` is right for a
    few: 14 need half as much again."""
    return height_in * (1 + max(0, len(archs) - FEW) / 16)


def balanced(text, characters):
    """Wrap; two lines of like length rather than a full one and an orphan. A number keeps its
    unit beside it."""
    text = re.sub(r"(\d) (times|s|ms|µs|KiB|%)", "\\1\u00a0\\2", text)
    lines = textwrap.wrap(text, characters)
    if len(lines) == 2:
        shorter = textwrap.wrap(text, len(text) // 2 + 5)
        return shorter if len(shorter) == 2 else lines
    return lines


class Chart:
    """A figure under construction. `axes` is always a flat list. `crowd`: how many architectures
    share a panel; many are drawn finer."""

    def __init__(self, run, rows=1, cols=1, height_in=HEIGHT_IN, crowd=FEW, **subplots):
        style.apply()
        self.run = run
        self.figure, axes = plt.subplots(rows, cols, squeeze=False, layout="constrained",
                                         figsize=(WIDTH_IN, height_in), **subplots)
        self.axes = list(axes.flat)
        self.title = ""
        self.fineness = math.sqrt(min(1, FEW / max(1, crowd)))  # of lines and marks
        self._legend = []
        self._drew_invalid = False
        self._drew_infinite = False
        self._trials = set()

    # What is drawn

    def saw(self, estimate):
        """Remember what the note must say of this estimate."""
        self._drew_invalid |= not estimate.valid or bool(estimate.invalid)
        self._trials.add(estimate.trials)
        return estimate

    def key(self, label, **look):
        """One more entry in the legend: a line or a marker."""
        self._legend.append(Line2D([], [], label=label, **look))

    def key_area(self, label, **look):
        """One more entry in the legend: a filled area."""
        self._legend.append(Patch(label=label, **look))

    def key_architectures(self, archs):
        for arch in style.in_order(archs):
            colour, marker = style.look(arch)
            self.key(arch, color=colour, marker=marker, markersize=style.marker_size(marker, 10))

    def lines(self, ax, *layers):
        """Each layer is {arch: [(x, Estimate)]}, the first drawn full, others thin and dashed. The
        y axis is logarithmic; infinite values have a band of their own at the top edge."""
        points = [p for layer in layers for line in layer.values() for p in line]
        finite = [v for _, e in points for v in (e.value, e.low, e.high, *e.invalid)
                  if v is not None and 0 < v < math.inf]
        low, high = (min(finite) / 1.4, max(finite) * 1.4) if finite else (1, 10)
        lost = [(a, line) for layer in layers for a, line in layer.items()
                if any(not e.finite for _, e in line)]
        # One row of the band, as a factor, since the axis is logarithmic.
        step = (high / low) ** min(BAND_STEP, BAND_LIMIT / max(1, len(lost)))
        rows = {id(line): high * step ** (k + 0.6) for k, (_, line) in enumerate(lost)}
        ax.set_yscale("log")
        for k, layer in enumerate(layers):
            for arch, line in layer.items():
                self._line(ax, arch, line, rows.get(id(line)), full=k == 0)
        top = high * step ** (len(lost) + 0.7) if lost else high
        ax.set_ylim(low, top)
        plain_log_axis(ax.yaxis, low, high)
        if lost:
            self._infinite_band(ax, high, top, [x for x, e in points if not e.finite])

    def _infinite_band(self, ax, bottom, top, xs):
        ax.axhspan(bottom, top, color="#f0f0f0", zorder=0, linewidth=0)
        ax.annotate("∞", (0, (bottom * top) ** 0.5), xycoords=("axes fraction", "data"), ha="right",
                    xytext=(-8, 0), textcoords="offset points", va="center", fontsize=24)
        ax.plot(sorted(set(xs)), [top] * len(set(xs)), clip_on=False, **INFINITE_MARK)
        self._drew_infinite = True

    def _line(self, ax, arch, line, row, full):
        """`row`: the height at which this line's infinite values stand."""
        colour, marker = style.look(arch)
        ys = [e.value if e.finite else row for _, e in line]
        dashes = "-" if full else (0, (2, 1.2))
        for (x0, y0, e0), (x1, y1, e1) in zip(*(
                [(x, y, e) for (x, e), y in zip(line[k:], ys[k:])] for k in (0, 1))):
            climbs = e0.finite != e1.finite  # a hint of the way up, not a measured path
            width = 1.5 if climbs else 3 if full else 2
            ax.plot([x0, x1], [y0, y1], color=colour, linewidth=width * self.fineness,
                    linestyle=":" if climbs else dashes, alpha=1 if full else 0.8)
        for (x, e), y in zip(line, ys):
            self.saw(e)
            self.point(ax, x, y, e, colour, marker, size=10 if full else 6)

    def point(self, ax, x, y, e, colour, marker, size=10, vertical=True):
        """One marker with its interval: full when valid, hollow and crossed when not."""
        size = style.marker_size(marker, size * self.fineness)
        if e.low is not None and math.isfinite(e.high):
            interval = ([x, x], [e.low, e.high]) if vertical else ([e.low, e.high], [y, y])
            ax.plot(*interval, color=colour, linewidth=2, solid_capstyle="butt", zorder=2)
        face = colour if e.valid else "white"
        ax.plot(x, y, marker=marker, markersize=size, color=colour, markerfacecolor=face,
                markeredgecolor="white" if e.valid else colour, clip_on=False, linestyle="",
                markeredgewidth=(0.8 if e.valid else 2) * self.fineness,
                zorder=4 if e.valid else 5)
        if not e.valid:
            ax.plot(x, y, marker="x", markersize=size * 0.8, color=colour, markeredgewidth=2,
                    zorder=6, clip_on=False, linestyle="")
            return
        for value in filter(math.isfinite, e.invalid):  # beside valid ones: small crosses
            at = (x, value) if vertical else (value, y)
            ax.plot(*at, marker="x", markersize=7, color=colour, markeredgewidth=1.5, zorder=3,
                    linestyle="", alpha=0.8)

    def name_rows(self, ax, archs):
        """Architectures down the y axis, each name with its own mark."""
        ax.set_yticks(range(len(archs)), archs)
        ax.set_ylim(len(archs) - 0.4, -0.6)
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="y", visible=False)

    # The frame

    def note(self):
        """Where the data come from, in one line."""
        cpu, cores, kernel = self.run.machine()
        known = (cpu, cores and f"{cores} cores", kernel and f"Linux {kernel}",
                 "run " + self.run.manifest.get("run_id", self.run.folder.name),
                 self.run.manifest.get("profile"))
        return "  ·  ".join(str(k) for k in known if k) + "\n" + self._trials_note()

    def _trials_note(self):
        counts = self._trials - {0}
        text = "no valid trial"
        if counts == {1}:
            text = ("one trial per point: no interval can be drawn, and only a factor of "
                    f"{FACTOR_WITHOUT_INTERVALS:g} counts as a difference")
        elif counts:
            span = "–".join(str(n) for n in sorted({min(counts), max(counts)}))
            text = f"median of {span} trials, bars: bootstrap 95 % interval of the median"
        return text

    def _state_keys(self):
        if self._drew_invalid:
            self.key("INVALID", color=style.GREY, marker="x", linestyle="", markeredgewidth=2)
        if self._drew_infinite:
            self.key("infinite: too many without a good reply", **INFINITE_MARK)

    def finish(self, title, subtitle=""):
        """Title, legend and note; the axes get the rest."""
        self._state_keys()
        self.title = title
        height = self.figure.get_figheight()
        y = self._text_block(balanced(title, TITLE_CHARACTERS), 0.16, 0.40, fontsize=24,
                             fontweight="bold", color=style.INK)
        if subtitle:
            y = self._text_block(textwrap.wrap(subtitle, SUBTITLE_CHARACTERS), y + 0.02, 0.28,
                                 fontsize=16, color=style.GREY)
        if self._legend:
            y = self._place_legend(y + 0.04)
        self.figure.text(0.012, 0.08 / height, self.note(), fontsize=11, color=style.GREY,
                         va="bottom", linespacing=1.3)
        bottom = 0.55
        self.figure.get_layout_engine().set(
            rect=(0.008, bottom / height, 0.984, (height - y - 0.1 - bottom) / height))
        return self

    def _text_block(self, lines, from_top_in, line_in, **look):
        """Write lines at the left edge; returns where the next thing may begin, in inches."""
        height = self.figure.get_figheight()
        for line in lines:
            self.figure.text(0.012, 1 - from_top_in / height, line, va="top", **look)
            from_top_in += line_in
        return from_top_in

    def _legend_rows(self):
        """Fill rows from the left: columns of equal width would waste half of the line."""
        rows, used_in = [[]], 0.0
        for handle in self._legend:
            width_in = 0.80 + 0.117 * len(handle.get_label())
            if rows[-1] and used_in + width_in > WIDTH_IN - 0.3:
                rows.append([])
                used_in = 0.0
            rows[-1].append(handle)
            used_in += width_in
        return rows

    def _place_legend(self, from_top_in):
        height = self.figure.get_figheight()
        for row in self._legend_rows():
            self.figure.legend(handles=row, loc="upper left", ncol=len(row), borderaxespad=0,
                               bbox_to_anchor=(0.010, 1 - from_top_in / height), borderpad=0.2,
                               columnspacing=1.3, handletextpad=0.4, handlelength=1.6)
            from_top_in += 0.36
        return from_top_in

    def save(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        metadata = {"Title": self.title}
        if path.suffix == ".svg":
            metadata["Date"] = None  # the same run gives the same file
        self.figure.savefig(path, dpi=DPI, metadata=metadata)


def main(draw, script):
    """The command line of a figure: SCRIPT RUN_DIR [-o FILE]. `draw` takes a Run, returns a
    finished Chart, or raises NoData."""
    stem = Path(script).stem
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("run", metavar="RUN_DIR")
    parser.add_argument("-o", metavar="FILE", type=Path,
                        help=f"one file, by its ending (default: RUN_DIR/figures/{stem}.png, .svg)")
    options = parser.parse_args()
    try:
        chart = draw(Run(options.run))
    except NoData as reason:
        print(f"{stem}: {reason}", file=sys.stderr)
        sys.exit(NOTHING_TO_DRAW)
    default = [Path(options.run) / "figures" / f"{stem}.{kind}" for kind in ("png", "svg")]
    for path in [options.o] if options.o else default:
        chart.save(path)
        print(path)
