"""The frame of a figure: finding as title, legend, axes, a note on where the data come from."""
from itertools import groupby
import math
import re
import textwrap

from matplotlib.lines import Line2D
from matplotlib.patches import Patch
import matplotlib.pyplot as plt
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from archbench.drawing import style
from archbench.stats.estimates import FACTOR_WITHOUT_INTERVALS, coverage


WIDTH_IN = 12.8  # 16:9 at 1920x1080
HEIGHT_IN = 7.2
DPI = 150
TITLE_CHARACTERS = 64
SUBTITLE_CHARACTERS = 104
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
    major = ticks((1,) if crowded else (1, 2, 5))
    axis.set_major_locator(FixedLocator(major if len(major) > 1 else ticks(range(1, 10))))
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.10g}"))
    axis.set_minor_locator(FixedLocator(ticks((2, 5)) if crowded else []))
    axis.set_minor_formatter(NullFormatter())


def log_x(ax, low, high):
    """A logarithmic x axis from low to high with plain ticks."""
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    plain_log_axis(ax.xaxis, low, high)


def _span(counts):
    """'3', or '2–5' of unequal ones."""
    return "–".join(str(n) for n in sorted({min(counts), max(counts)}))


def balanced(text, characters):
    """Wrap; two lines of like length rather than a full one and an orphan. A number keeps its
    unit beside it."""
    text = re.sub(r"(\d) (times|s|ms|µs|KiB|%)", "\\1\u00a0\\2", text)
    lines = textwrap.wrap(text, characters)
    if len(lines) == 2:
        shorter = textwrap.wrap(text, min(characters, len(text) // 2 + 5))
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
        self.foot = ""  # below all panels, when they share the x axis
        self.merged = False  # what is drawn comes from the sum of the trials' histograms
        self._heads_in = 0.0  # room for the heads of columns
        self.fineness = math.sqrt(min(1, FEW / max(1, crowd)))  # of lines and marks
        self._legend = []
        self._drew_invalid = False
        self._drew_infinite = False
        self._drew_zero = False
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

    def lines(self, ax, *layers, family=None):
        """Each layer is {arch: [(x, Estimate)]}, the first drawn full, others thin and dashed. The
        y axis is logarithmic; infinite values have a band of their own at the top edge, and what is
        not above zero is at the lower one. With a `family`, a list of architectures, these are
        drawn, the first layer of all others is pale behind them, and the axis is the same for
        every family."""
        everyone = {a for layer in layers for a in layer}
        low, high = self._finite_range(layers)
        layers = [{a: self._above(line, low) for a, line in layer.items()} for layer in layers]
        families = style.families(everyone).values() if family else [everyone]
        rows = max(len(self._lost(layers, members)) for members in families)
        # One row of the band, as a factor, since the axis is logarithmic.
        step = (high / low) ** min(BAND_STEP, BAND_LIMIT / max(1, rows))
        top = high * step ** (rows + 0.7) if rows else high
        ax.set_yscale("log")
        ax.set_ylim(low, top)
        plain_log_axis(ax.yaxis, low, high)
        members = set(family or everyone)
        self._pale(ax, layers[0], everyone - members)
        lost = self._lost(layers, members)
        heights = {id(line): high * step ** (k + 0.6) for k, line in enumerate(lost)}
        for k, layer in enumerate(layers):
            for arch in style.in_order(set(layer) & members):
                self._line(ax, arch, layer[arch], heights.get(id(layer[arch])), full=k == 0)
        if rows:
            shared = family and not ax.get_subplotspec().is_first_col()
            self._infinite_band(ax, high, top, "" if shared else "∞",
                                {x for line in lost for x, e in line if not e.finite})

    def _above(self, line, low):
        """The same line, with what has no place on the axis at its lower edge."""
        self._drew_zero |= any(e.value <= 0 for _, e in line)
        return [(x, e.at_least(low)) for x, e in line]

    @staticmethod
    def _finite_range(layers):
        """What the finite part of a logarithmic axis must hold."""
        finite = [v for layer in layers for line in layer.values() for _, e in line
                  for v in (e.value, e.low, e.high, *e.invalid)
                  if v is not None and 0 < v < math.inf]
        return (min(finite) / 1.4, max(finite) * 1.4) if finite else (1, 10)

    @staticmethod
    def _lost(layers, members):
        """The lines of these architectures that have infinite values."""
        return [line for layer in layers for a, line in layer.items()
                if a in members and any(not e.finite for _, e in line)]

    @staticmethod
    def _pale(ax, lines, archs):
        """Other architectures, to compare with: finite parts of their lines, without a name."""
        for arch in style.in_order(archs):
            known = [(x, e.value) for x, e in lines.get(arch, ()) if e.finite]
            ax.plot([x for x, _ in known], [y for _, y in known], color=style.FAINT, linewidth=1.5,
                    zorder=0.5)

    def _infinite_band(self, ax, bottom, top, name, xs):
        """`xs`: where there are infinite values; the band may be there for other panels' sake."""
        ax.axhspan(bottom, top, color="#f0f0f0", zorder=0, linewidth=0)
        ax.annotate(name, (0, (bottom * top) ** 0.5), xycoords=("axes fraction", "data"),
                    ha="right", xytext=(-8, 0), textcoords="offset points", va="center",
                    fontsize=24)
        if xs:
            ax.plot(sorted(xs), [top] * len(xs), clip_on=False, **INFINITE_MARK)
        self._drew_infinite = True

    def _line(self, ax, arch, line, row, full):
        """`row`: the height at which this line's infinite values stand."""
        colour, marker = style.look(arch)
        ys = [e.value if e.finite else row for _, e in line]
        spans = groupby(range(len(line) - 1), lambda k: line[k][1].finite != line[k + 1][1].finite)
        for climbs, steps in spans:  # a climb is a hint of the way up, not a measured path
            steps = list(steps)
            part = slice(steps[0], steps[-1] + 2)
            width = 1.5 if climbs else 3 if full else 2
            dashes = ":" if climbs else "-" if full else (0, (2, 1.2))
            ax.plot([x for x, _ in line[part]], ys[part], color=colour, linestyle=dashes,
                    linewidth=width * self.fineness, alpha=1 if full else 0.8)
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

    def plain_lines(self, ax, lines, family=None):
        """As lines(), of one layer of finite values, on an axis from 0 that is not logarithmic."""
        members = set(family or lines)
        self._pale(ax, lines, set(lines) - members)
        for arch in style.in_order(set(lines) & members):
            self._line(ax, arch, lines[arch], None, full=True)
        tops = [v for line in lines.values() for _, e in line for v in (e.value, e.high) if v]
        ax.set_ylim(0, 1.06 * max(tops, default=1))
        ax.yaxis.set_major_formatter(lambda y, _: style.short(y))

    def head_column(self, ax, name, archs):
        """The name of a family above a column of panels, with its members."""
        def handle(arch):
            colour, marker = style.look(arch)
            return Line2D([], [], label=arch, color=colour, marker=marker,
                          markersize=style.marker_size(marker, 9))
        legend = ax.legend(handles=[handle(a) for a in archs], title=name, loc="lower left",
                           bbox_to_anchor=(-0.06, 1), fontsize=12.5, alignment="left",
                           title_fontproperties={"weight": "bold", "size": 14}, borderpad=0.1,
                           handlelength=1.2, handletextpad=0.4, labelspacing=0.25)
        legend.set_in_layout(False)  # names as wide as they like; finish() makes room above
        self._heads_in = max(self._heads_in, 0.42 + 0.22 * len(archs))

    def span(self, ax, y, arch, ends, right, text, pale=False):
        """Two values of one thing, the first small and the second large, joined, with a text
        behind. Infinite ones are at `right`."""
        colour, marker = style.look(arch)
        at = [e.value if e.finite else right for e in ends]
        ax.plot(at, [y, y], color=colour, linewidth=3 if pale else 7, alpha=0.35,
                solid_capstyle="round", zorder=1)
        for x, e, size in zip(at, ends, (6, 9) if pale else (9, 16)):
            self.point(ax, x, y, self.saw(e), colour, marker if e.finite else ">", size=size,
                       vertical=False)
        bounds = [e.high for e in ends if e.high is not None and math.isfinite(e.high)]
        self.words(ax, max(*at, *bounds), y, text, pale)

    @staticmethod
    def words(ax, x, y, text, pale=False):
        """A number in words, to the right of a mark."""
        ax.annotate(text, (x, y), xytext=(14, 0), textcoords="offset points", va="center",
                    fontsize=13 if pale else 16, fontweight="normal" if pale else "bold",
                    color=style.GREY if pale else style.INK, annotation_clip=False,
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 1}, zorder=3)

    def name_rows(self, ax, archs):
        """Architectures down the y axis, each name with its own mark."""
        ax.set_yticks(range(len(archs)), archs)
        ax.set_ylim(len(archs) - 0.4, -0.6)
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="y", visible=False)

    def trim_grid(self, used, label):
        """Of a grid of panels that share their axes: hide those behind the first `used`, name the y
        axis at the left edge, and number the x axis below each column's last panel."""
        for k, ax in enumerate(self.axes):
            place = ax.get_subplotspec()
            ax.set_visible(k < used)
            ax.tick_params(labelbottom=k + place.get_gridspec().ncols >= used)
            ax.set_ylabel(label if place.is_first_col() else "", fontsize=14)

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
        if counts and self.merged:
            text = ("one valid trial" if counts == {1} else
                    f"the histograms of {_span(counts)} valid trials, added")
        elif counts == {1}:
            text = ("one trial per point: no interval can be drawn, and only a factor of "
                    f"{FACTOR_WITHOUT_INTERVALS:g} counts as a difference")
        elif counts:
            share = f"{100 * coverage(min(counts - {1})):.0f} %"  # a single one has no interval
            text = (f"median of {_span(counts)} trials, bars: an interval that holds the true "
                    f"median in {share} of cases")
        return text

    def _state_keys(self):
        if self._drew_invalid:
            self.key("INVALID", color=style.GREY, marker="x", linestyle="", markeredgewidth=2)
        if self._drew_zero:
            self.key("lower edge: zero", color=style.GREY, marker="_", linestyle="", markersize=14)
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
        y += self._heads_in
        self.figure.text(0.012, 0.08 / height, self.note(), fontsize=11, color=style.GREY,
                         va="bottom", linespacing=1.3)
        bottom = 0.55
        if self.foot:
            self.figure.text(0.5, bottom / height, self.foot, fontsize=17, color=style.INK,
                             ha="center", va="bottom")
            bottom += 0.33
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


def rows_chart(run, rows, row_in, cols=1):
    """A Chart for a row per architecture, of so many inches each."""
    return Chart(run, cols=cols, height_in=max(HEIGHT_IN, 2.6 + row_in * len(rows)), sharey=True)


def save(draw, run, stem, target=None):
    """Draw a figure of a run: into the file `target`, by its ending, or else as PNG and SVG into the
    run's folder figures/. Returns the paths. `draw` takes a Run, and returns a finished Chart or
    raises NoData."""
    chart = draw(run)
    paths = [target] if target else [run.folder / "figures" / f"{stem}.{kind}"
                                     for kind in ("png", "svg")]
    for path in paths:
        chart.save(path)
    return paths
