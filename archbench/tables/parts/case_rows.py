"""What the rows of the case studies share: counters of a server as rates, what Redis and PostgreSQL took of
the CPU, and why a number is missing or does not count."""
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import NamedTuple

from archbench.drawing import style
from archbench.stats.estimates import estimate
from archbench.tables.parts import guide_table as gt

# A component that takes more than such a share of the cores, while they have next to nothing left,
# has slowed the server down: then a latency says more of the machine than of the architecture.
TAKEN, FULL = 0.1, 0.95


class Place(NamedTuple):
    """Where a number was measured."""
    workload: str
    point: str
    arch: str


@dataclass(frozen=True)
class CaseRow:
    """A line of a case study's table."""
    row: gt.Row
    components: str  # their part of the CPU while it was measured


HEADER = [*gt.HEADER[:-2], "components", *gt.HEADER[-2:]]


def values(case_row):
    """Its texts in the order of HEADER."""
    texts = [getattr(case_row.row, name) for name in gt.HEADER]
    return [*texts[:-2], case_row.components, *texts[-2:]]


def of_cells(facts, place, number):
    """The Estimate of number(cell) over the valid cells of a place; None without one."""
    found = facts.run.estimate_of(*place, number)
    return found if found and found.valid else None


def window_s(cell):
    return (cell.get("load") or {}).get("duration_s")


def counted(cell, name):
    """A counter of the server over the window; None where it has none of this name."""
    return (cell.get("counters") or {}).get(name)


def per_second(facts, place, name):
    """A counter's rate."""
    def rate(cell):
        count, seconds = counted(cell, name), window_s(cell)
        return None if count is None or not seconds else count / seconds
    return of_cells(facts, place, rate)


def quotient(facts, place, above, below, factor=1.0):
    """One counter divided by another."""
    def ratio(cell):
        top, bottom = counted(cell, above), counted(cell, below)
        return None if top is None or not bottom else factor * top / bottom
    return of_cells(facts, place, ratio)


def why_missing(facts, place, number):
    """Why there is no estimate of `number` (as in validity.refused: total.delivery_p99_us), as the start
    of a sentence."""
    for where, pattern, reason in facts.run.refused():
        if where[:3] == tuple(place) and fnmatchcase(number, pattern):
            return f"{number} of {place.arch} is refused: {reason.rstrip('.')}"
    for where, reasons in facts.run.invalid_cells():
        if where[:3] == tuple(place) and reasons:
            return f"No trial of {place.arch} is valid: {reasons[0].rstrip('.')}"
    return facts.why_not(*place)


# What the components took.

def shares(facts, place):
    """{component: Estimate of the cores that it used}"""
    found = {}
    for cell in facts.run.cells_at(*place):
        if cell["validity"]["verdict"] != "VALID":
            continue
        for part in cell.get("components") or ():
            if part.get("cores_used") is not None:
                found.setdefault(part["name"], []).append(part["cores_used"])
    return {name: estimate(cores) for name, cores in found.items()}


def programs(facts, place):
    """{component: the program that was it}"""
    return {part["name"]: part.get("program") or "unknown" for cell in facts.run.cells_at(*place)
            for part in cell.get("components") or ()}


def components_text(facts, place):
    """'redis 0.04 and postgresql 0.31 of 2 cores (bundled, PostgreSQL 15.3)'; the program of each."""
    used = shares(facts, place)
    if not used:
        return gt.NOTHING
    shown = " and ".join(f"{name} {e.value:.2f}" for name, e in used.items())
    named = ", ".join(dict.fromkeys(programs(facts, place).values()))
    return f"{shown} of {facts.cores(place.workload)} cores ({named})"


def crowded_out(facts, place):
    """Why the components have spoiled latencies and rates of this place, as a sentence; '' when they have
    not: see TAKEN."""
    cores = facts.cores(place.workload)
    taken = sum(e.value for e in shares(facts, place).values())
    others = [facts.estimate(*place, metric) for metric in ("cores_used", "generator_busy_max")]
    busy = taken + sum(e.value for e in others if e)
    if taken < TAKEN * cores or busy < FULL * cores:
        return ""
    return (f"refused: the components used {style.human(taken)} of {cores} cores, and all together "
            f"{style.human(busy)}, so that {place.arch} had to wait for them.")


def told(facts, place, row):
    """The CaseRow of a row that needs no judgement by what the components took."""
    return CaseRow(row, components_text(facts, place))


def held_back(facts, place, row):
    """The CaseRow of a row whose number they may have spoiled: then it decides nothing."""
    reason = crowded_out(facts, place) if row.measured != gt.NOT_MEASURED else ""
    if reason:
        row = replace(row, agreement=gt.OPEN, verdict=f"{row.measured} was measured, but is {reason}",
                      measured="refused")
    return told(facts, place, row)


def model_rate(facts, place):
    """What the model said of the rate, and what sets it."""
    said = facts.prediction(*place)
    if said.get("achieved_rate") is None:
        return facts.capacity_text(*place)
    return f"{gt.rate(said['achieved_rate'])}; {facts.capacity_text(*place)}"


def model_cores(facts, place):
    """Cores that the load keeps busy, as the model counts the CPU time of a request."""
    said = facts.prediction(*place)
    if said.get("achieved_rate") is None:
        return gt.NOTHING
    return style.human(said["achieved_rate"] * facts.cost_s(*place)) + " cores"


def model_memory(facts, place):
    said = facts.prediction(*place).get("memory_kib_per_connection")
    return f"{style.human(said)} KiB each" if said else gt.NOTHING


def model_mean(facts, place, cls):
    """The mean response of a class."""
    said = facts.prediction(*place).get("classes", {}).get(cls)
    if said is None:
        return gt.NOTHING
    if said["mean_us"] is None:
        return f"overloaded ({said['model']})"
    return f"{style.duration(said['mean_us'])} in the mean ({said['model']})"
