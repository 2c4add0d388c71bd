"""Which words of the guide's performance table do the measurements earn?

A row is an architecture, a panel one of the ratios that Table C1 judges by: bands are its words,
their edges its thresholds (docs/table-c1.md). The label of each mark is the word that the
measurement earns and, where the guide has a word too, whether it is the same. The latency word
comes from the two right panels together: it is High (blocking) when waits are stretched, else
Optimal or Low (I/O) by what short requests suffer."""
from dataclasses import dataclass
import math

from archbench.drawing import chart, style
from archbench.formats.run import NoData
from archbench.stats.estimates import Estimate
from archbench.tables import c1 as table_c1

BANDS = ("#e3e3e3", "#f0f0f0", "#fafafa")  # from the worst word to the best


@dataclass(frozen=True)
class Panel:
    """One ratio. `column`: of Table C1, whose word is beside the marks; None: no word.
    `edges`: its thresholds, ascending; `words`: of the bands between them, from the left."""
    heading: str
    label: str
    column: str
    log: bool
    edges: tuple
    words: tuple


def shares(column, label, scale):
    """A Panel of a share, from a scale of table_c1."""
    ascending = sorted(scale)
    return Panel(table_c1.COLUMNS[column], label, column, False,
                 tuple(least for least, _ in ascending[1:]), tuple(w for _, w in ascending))


PANELS = (
    shares("io", "share of the best", table_c1.IO_WORDS),
    shares("cpu", "share of all cores", table_c1.CPU_WORDS),
    Panel("Latency of I/O", "p99 / wait", None, True, (table_c1.LOW_IO,), ("low", "stretched")),
    Panel("Latency beside slow", "p99 of short / a slow one", "latency", True,
          (table_c1.SHORT_STAYS_SHORT,), ("stays short", "waits")),
)


def stretched(measurements, arch):
    """p99 in io as a multiple of the wait, as table_c1 judges it; None when it was not measured."""
    wait_s = table_c1.wait_of_io(measurements.run)
    e = measurements.single("io", arch, "response_p99_us", "total")
    return e.scaled(1e-6 / wait_s) if e and wait_s else None


def judged(measurements, panel, arch):
    """(Estimate or None, what is behind the mark)."""
    if panel.column is None:
        e = stretched(measurements, arch)
        return e, f"{style.human(e.value)} ×" if e else "not measured"
    result = table_c1.JUDGES[panel.column](measurements, arch)
    if result.value is None:
        return None, result.earned
    claim = table_c1.GUIDE.get((arch, panel.column))
    verdict = {"agree": "as the guide says", "disagree": f"guide: {claim}"}.get(
        table_c1.agreement(claim, result), "")
    e = Estimate(result.value, result.low, result.high, result.trials)
    return e, "\n".join(filter(None, (result.earned, verdict)))


def finding(measurements, archs):
    """How many of the guide's ratings hold, and one that does not."""
    found = {(a, c): (claim, table_c1.JUDGES[c](measurements, a))
             for (a, c), claim in table_c1.GUIDE.items() if a in archs}
    known = {k: v for k, v in found.items() if v[1].judged}
    missed = [(k, *v) for k, v in known.items() if v[0] != v[1].earned]
    if not known:
        return "None of the guide's ratings could be put to the test"
    earned = f"{len(known) - len(missed)} of the guide's {len(known)} ratings hold"
    if not missed:
        return earned
    (arch, column), claim, result = missed[0]
    return f"{earned}; {table_c1.COLUMNS[column]} of {arch} is {result.earned}, not {claim}"


def limits(panel, estimates):
    """(low, high) of the x axis, with room for words on the right."""
    if not panel.log:
        return 0, 1.15
    values = [v for e in estimates if e for v in (e.value, e.low, e.high)
              if v and math.isfinite(v) and v > 0]
    low, high = min((*values, *panel.edges)) / 2, max((*values, *panel.edges)) * 2
    return low, high


def bands(ax, panel, low, high):
    edges = (low, *panel.edges, high)
    for k, name in enumerate(panel.words):
        place = k if panel.words[-1] == "Excellent" else len(BANDS) - 1 - k
        ax.axvspan(edges[k], edges[k + 1], color=BANDS[place], zorder=-1, linewidth=0)
        ends = edges[k:k + 2]
        middle = math.sqrt(math.prod(ends)) if panel.log else sum(ends) / 2
        above = 1.01 + 0.035 * (k % 2)  # narrow bands: one word higher than the next
        ax.text(middle, above, name, transform=ax.get_xaxis_transform(), ha="center", va="bottom",
                fontsize=10.5, color=style.GREY)
    for edge in panel.edges:
        ax.axvline(edge, color=style.GREY, linewidth=1.2, linestyle="--", zorder=0)


def draw_panel(c, ax, panel, of_archs):
    low, high = limits(panel, [e for e, _ in of_archs.values()])
    if panel.log:
        chart.log_x(ax, low, high)
    else:
        ax.set_xlim(low, high)
        ax.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    bands(ax, panel, low, high)
    for row, (arch, (e, text)) in enumerate(of_archs.items()):
        if e is None:
            ax.text(0.04, row, text, transform=ax.get_yaxis_transform(), color=style.GREY,
                    va="center", fontsize=12)
            continue
        colour, marker = style.look(arch)
        x = e.value if e.finite else high / (high / low) ** 0.04
        c.point(ax, x, row, c.saw(e), colour, marker if e.finite else ">", size=13, vertical=False)
        place = ax.transAxes.inverted().transform(ax.transData.transform((x, row)))[0]
        side = "left" if place < 0.35 else "right" if place > 0.65 else "center"
        ax.annotate(text, (x, row), xytext=(0, -15), textcoords="offset points", va="top",
                    ha=side, fontsize=12, color=style.INK, linespacing=1.15,
                    bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1}
                    ).set_in_layout(False)
    c.name_rows(ax, list(of_archs))
    ax.set_xlabel(panel.label, fontsize=14)
    ax.set_title(panel.heading, fontsize=14, pad=32)
    ax.tick_params(axis="x", labelsize=12)


def draw(run):
    measurements = table_c1.Measurements(run)
    archs = [a for a in style.in_order(table_c1.ROWS) if a in run.archs()]
    found = [{a: judged(measurements, panel, a) for a in archs} for panel in PANELS]
    if not any(e for of_archs in found for e, _ in of_archs.values()):
        raise NoData("this run has neither io, cpu nor bimodal for the guide's architectures")
    c = chart.rows_chart(run, archs, 1.1, cols=len(PANELS))
    for ax, panel, of_archs in zip(c.axes, PANELS, found):
        draw_panel(c, ax, panel, of_archs)
    return c.finish(finding(measurements, archs))
