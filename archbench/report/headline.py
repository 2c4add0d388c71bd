"""The report's answer: the architectures side by side in five measures, and a sentence on them."""
from dataclasses import dataclass
import math

from archbench.drawing import measures, style
from archbench.stats.groups import alike, rank


@dataclass(frozen=True)
class Criterion:
    """One column of the table."""
    heading: str
    workload: str
    measure: measures.Measure
    explanation: str
    of_cores: bool = False  # written as a share of what all cores could do


CRITERIA = (
    Criterion("I/O throughput", "io", measures.RATE, "requests per second that wait 10 ms each"),
    Criterion("CPU efficiency", "cpu", measures.RATE, "share of all cores that it uses, at "
              "the smallest CPU time per request that any architecture needs", of_cores=True),
    Criterion("p99 of short beside slow", "bimodal", measures.SHORT_TAIL,
              "response time of trivial requests while others compute"),
    Criterion("memory per connection", "connections", measures.MEMORY,
              "of program and kernel, for one that is hardly used"),
    Criterion("CPU per request", "trivial", measures.CPU, "of a request that asks for nothing"),
)


@dataclass(frozen=True)
class Cell:
    """What one architecture showed in one column."""
    text: str
    interval: str  # '[365/s, 378/s]', or empty
    letters: str
    leads: bool  # none is better by more than chance
    valid: bool
    worse: float  # how many times worse than the best; 1 for the best


@dataclass(frozen=True)
class Column:
    criterion: Criterion
    best: str
    cells: dict  # {architecture: Cell}
    note: str


def _share_of_cores(run, column, ranking):
    """Writes a rate as a share of what all cores could do; None when it cannot be said."""
    costs = [run.estimate(column.workload, "base", r.name, "cpu_us_per_request")
             for r in ranking.entries]
    valid_us = [c.value for c in costs if c and c.valid and c.value > 0]
    cores = run.server_cores(column.workload)
    if not valid_us or not cores:
        return None
    return lambda rate: f"{style.human(100 * rate * 1e-6 * min(valid_us) / cores)} %"


def times_worse(value, best, ascending):
    """How many times worse than the best; infinite when there is no comparison."""
    larger, smaller = (value, best) if ascending else (best, value)
    if larger == smaller:
        return 1.0
    return larger / smaller if smaller > 0 and math.isfinite(larger) else math.inf


def column(run, criterion):
    """The Column of a criterion; None when no architecture has a valid value."""
    if criterion.workload not in run.workloads():
        return None
    of = criterion.measure
    point = run.points(criterion.workload)[0]
    ranking = rank(run, criterion.workload, point, of.metric,
                   of.cls(run, criterion.workload), of.ascending)
    valid = [r for r in ranking.entries if r.estimate.valid]
    if not valid:
        return None
    best = valid[0]
    write = (criterion.of_cores and _share_of_cores(run, criterion, ranking)) or of.text
    cells = {}
    for r in ranking.entries:
        e = r.estimate
        cells[r.name] = Cell(
            write(e.value), "" if e.low is None else f"[{write(e.low)}, {write(e.high)}]",
            r.letters, e.valid and alike(r, best), e.valid,
            times_worse(e.value, best.estimate.value, of.ascending))
    return Column(criterion, best.name, cells, ranking.note)


def columns(run):
    return [c for c in (column(run, criterion) for criterion in CRITERIA) if c]


def contested(found):
    """Those columns in which at least two architectures have valid values."""
    return [c for c in found if sum(cell.valid for cell in c.cells.values()) > 1]


def leaders(found):
    """([architectures that lead most often], how often)."""
    counts = {}
    for c in found:
        for arch, cell in c.cells.items():
            counts[arch] = counts.get(arch, 0) + cell.leads
    most = max(counts.values(), default=0)
    return style.in_order(a for a, n in counts.items() if n == most and n), most


def dearest(found, arch):
    """(Column, times worse) where this architecture falls behind the most; None where it leads
    everywhere, or was not measured."""
    behind = [(c, c.cells[arch].worse) for c in found
              if arch in c.cells and c.cells[arch].valid and not c.cells[arch].leads]
    return max(behind, key=lambda b: b[1], default=None)


def _listed(names):
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


NO_PRICE = "nothing measured here speaks against it"


def _price(found, arch):
    """What the choice of this architecture costs, as the end of a sentence."""
    at = dearest(found, arch)
    if at:
        where, worse = at
        by = f"{style.times(worse)} worse" if math.isfinite(worse) else "beyond all measure worse"
        return f"its price is {where.criterion.heading}, {by} than in {where.best}"
    missing = [c.criterion.heading for c in found if arch not in c.cells or not c.cells[arch].valid]
    if missing:
        return f"there is no valid measurement of its {_listed(missing)}"
    return NO_PRICE


def unanswered(taken):
    """Why there is no answer. `taken`: the workloads of the run."""
    asked = list(dict.fromkeys(c.workload for c in CRITERIA))
    present = [workload for workload in asked if workload in taken]
    if not present:
        return f"This run does not answer it: it took none of the workloads {', '.join(asked)}."
    where = (f"workload {present[0]} no" if len(present) == 1 else
             f"none of the workloads {', '.join(present)} do")
    return f"This run does not answer it: in {where} two architectures have a valid result."


def answer(found, taken=()):
    """The answer in one sentence, from the columns alone. `taken`: the workloads of the run."""
    judged = contested(found)
    if not judged:
        return unanswered(taken)
    best, most = leaders(judged)
    if len(best) > 3:
        return (f"Nothing here tells them apart: {len(best)} architectures are each among the best "
                f"in {most} of {len(judged)} measures.")
    if len(best) > 1:
        prices = {arch: _price(judged, arch) for arch in best}
        said = "; ".join(f"for {arch}, {price}" for arch, price in prices.items())
        if set(prices.values()) == {NO_PRICE}:
            said = NO_PRICE.removesuffix("it") + "them"
        return (f"{_listed(best)} are each among the best in {most} of {len(judged)} measures: "
                f"{said}.")
    return (f"{best[0]} is among the best in {most} of {len(judged)} measures, more often than any "
            f"other; {_price(judged, best[0])}.")


def widest(found):
    """The costliest choice one can make, in a sentence; '' when nothing differs."""
    gaps = [(cell.worse, c, arch) for c in contested(found) for arch, cell in c.cells.items()
            if cell.valid and not cell.leads]
    if not gaps:
        return ""
    worse, c, arch = max(gaps, key=lambda g: g[0])
    ratio = f", {style.times(worse)} worse" if math.isfinite(worse) else ""
    return (f"The widest gap is in {c.criterion.heading}: {c.cells[c.best].text} in {c.best}, "
            f"{c.cells[arch].text} in {arch}{ratio}.")


def rows(found):
    """[(architecture, [Cell or None per column])]: the one that leads most often comes first."""
    archs = style.in_order({a for c in found for a in c.cells})
    led = {a: sum(a in c.cells and c.cells[a].leads for c in found) for a in archs}
    archs.sort(key=lambda a: -led[a])
    return [(a, [c.cells.get(a) for c in found]) for a in archs]
