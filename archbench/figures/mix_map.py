"""Which architecture serves most, for which share of computation and how many clients?

A field is a mix: its column the share of requests that compute, its row the number of clients. It
has the colour and the name of the architecture that does best there, and says by how much the next
one does worse. A pale hatched field has no winner: those named do not differ beyond chance. Left
the most replies per second, right the lowest p99 of the requests that wait: look at where the names
change.

An architecture that turns requests away, or lets them time out, has more to give to the others. A
field names those that leave more than one in a hundred without a good reply, and they do not compete
in it."""
from dataclasses import dataclass
import math
import re

from matplotlib.patches import Rectangle

from archbench.drawing import chart, style
from archbench.formats.run import NoData
from archbench.stats.groups import alike, rank

WORKLOAD = "mix_map"
NAMES_SHOWN = 3  # of those who share a field
MOST_FAILED = 0.01  # of the requests, by who may win
PANELS = (  # what is compared, whether more is better, how much the next one differs
    ("replies/s", lambda cls: ("achieved_rate", ""), True, "next: −{:.0f} %"),
    ("p99 of {cls} requests", lambda cls: ("response_p99_us", cls), False, "next: {:.1f} ×"),
)


@dataclass(frozen=True)
class Field:
    """Who is best at one point: several, where nobody is clearly."""
    best: tuple  # architectures, the best value first; () when nothing valid was measured
    factor: float = None  # best value / next one, or the reverse: 1 and more
    estimates: tuple = ()
    failing: tuple = ()  # (architecture, share of its requests that failed) of who did not compete


def place(point):
    """(connections, share of computing requests in %) of a point called '64x30'."""
    found = re.fullmatch(r"(\d+)x(\d+)", point)
    return (int(found[1]), int(found[2])) if found else None


def failed(run, point):
    """{architecture: share of its requests that failed} of those with more than MOST_FAILED."""
    shares = {a: run.estimate(WORKLOAD, point, a, "error_share") for a in run.archs(WORKLOAD)}
    return {a: share.value for a, share in shares.items()
            if share and share.valid and share.value > MOST_FAILED}


def field(ranking, failing):
    """The Field of a Ranking. `failing`: see failed()."""
    estimates = tuple(e.estimate for e in ranking.entries)
    valid = [e for e in ranking.entries if e.estimate.valid and e.name not in failing]
    left_out = tuple(failing.items())
    if len(valid) < 2:
        return Field(tuple(e.name for e in valid), estimates=estimates, failing=left_out)
    first, second, *_ = valid
    low, high = sorted((first.estimate.value, second.estimate.value))
    factor = high / low if 0 < low < math.inf else math.inf
    return Field(tuple(e.name for e in valid if e is first or alike(first, e)), factor,
                 estimates, left_out)


def fields(run, metric, cls, more_is_better):
    """{(connections, share): Field} of the points that have values."""
    found = {}
    for point in run.points(WORKLOAD):
        ranking = rank(run, WORKLOAD, point, metric, cls, ascending=not more_is_better)
        if place(point) and ranking.entries:
            found[place(point)] = field(ranking, failed(run, point))
    return found


def finding(by_rate):
    """How many mixes each one wins, most first."""
    contested = [f for f in by_rate.values() if f.factor is not None]
    wins = {}
    for f in contested:
        if len(f.best) == 1:
            wins[f.best[0]] = wins.get(f.best[0], 0) + 1
    if not contested:
        return "Which architecture serves most, by clients and share of computation"
    if not wins:
        return f"No architecture clearly serves most in any of {len(contested)} mixes"
    order = sorted(wins, key=lambda a: (-wins[a], a))
    told = ", ".join(f"{a} {wins[a]}" for a in order[1:])
    open_ones = len(contested) - sum(wins.values())
    text = f"{order[0]} serves most in {wins[order[0]]} of {len(contested)} mixes"
    return text + (f", {told}" if told else "") + (f"; no clear winner in {open_ones}"
                                                   if open_ones else "")


def in_words(f, margin):
    """(names, how much the next one differs) for a field."""
    if not f.best:
        return "nobody" if f.failing else "no valid trial", ""
    names = list(f.best[:NAMES_SHOWN]) + ["…"] * (len(f.best) > NAMES_SHOWN)
    if f.factor is None:
        return names[0], "alone"
    if len(f.best) > 1:
        return "\n".join(names), ""
    if math.isinf(f.factor):
        return names[0], "next: infinite" if "×" in margin else "next: none"
    return names[0], margin.format(f.factor if "×" in margin else 100 * (1 - 1 / f.factor))


def box(c, ax, column, row, f, margin):
    """One field of the map."""
    clear = len(f.best) == 1
    colour = style.look(f.best[0])[0] if f.best else style.GREY
    ax.add_patch(Rectangle((column - 0.48, row - 0.48), 0.96, 0.96, facecolor=colour,
                           alpha=0.75 if clear else 0.18, linewidth=0))
    if not clear:
        ax.add_patch(Rectangle((column - 0.48, row - 0.48), 0.96, 0.96, fill=False, hatch="//",
                               edgecolor=style.FAINT, linewidth=0))
    names, beside = in_words(f, margin)
    middle = row - 0.1 * max(0, len(f.failing) - 1)  # the more lines below it, the higher
    back = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 2}
    ax.text(column, middle - (0.1 if beside else 0), names, ha="center", va="center", fontsize=13,
            fontweight="bold" if clear else "normal", bbox=back, linespacing=1.15)
    if beside:
        ax.text(column, middle + 0.22, beside, ha="center", va="center", fontsize=12, bbox=back)
    if f.failing:
        told = "failed: " + "\n".join(f"{a} {100 * share:.0f} %" for a, share in f.failing)
        ax.text(column, row + 0.45, told, ha="center", va="bottom", fontsize=10, bbox=back)
    for e in f.estimates:
        c.saw(e)


def panel(c, ax, found, places, margin):
    rows, columns = (sorted({p[k] for p in places}) for k in (0, 1))
    for (connections, share), f in found.items():
        box(c, ax, columns.index(share), rows.index(connections), f, margin)
    for connections, share in places - set(found):
        ax.text(columns.index(share), rows.index(connections), "no such\nrequests", ha="center",
                va="center", fontsize=12, color=style.GREY)
    ax.set_xticks(range(len(columns)), [f"{share}" for share in columns])
    ax.set_yticks(range(len(rows)), [f"{connections:,}" for connections in rows])
    ax.set_xlim(-0.5, len(columns) - 0.5)
    ax.set_ylim(-0.5, len(rows) - 0.5)
    ax.invert_yaxis()
    ax.grid(False)
    ax.set_xlabel("share of requests that compute (%)")


def draw(run):
    run.need(WORKLOAD)
    cls = run.short_class(WORKLOAD)
    maps = []
    for label, choose, more_is_better, margin in PANELS:
        found = fields(run, *choose(cls), more_is_better)
        if found:
            maps.append((label.format(cls=cls), found, margin))
    if not maps:
        raise NoData(f"no point of workload {WORKLOAD} has values")
    places = {p for _, found, _ in maps for p in found}
    c = chart.Chart(run, cols=len(maps), sharey=True)
    for ax, (label, found, margin) in zip(c.axes, maps):
        panel(c, ax, found, places, margin)
        ax.set_title(f"best by {label}")
    c.axes[0].set_ylabel("clients (connections)")
    c.key_area("no clear winner", facecolor="#eeeeee", hatch="//", edgecolor="#bbbbbb", linewidth=0)
    return c.finish(finding(maps[0][1]))
