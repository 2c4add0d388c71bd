"""Every workload, point and architecture in one row: medians over the valid trials."""
import math

from archbench.drawing import style
from archbench.stats import groups
from archbench.tables.parts import table

# heading, metric, class, factor
COLUMNS = (
    ("good/s", "achieved_rate", "", 1),
    ("p50 ms", "response_p50_us", "total", 1e-3),
    ("p99 ms", "response_p99_us", "total", 1e-3),
    ("CPU µs/request", "cpu_us_per_request", "", 1),
    ("switches/request", "switches_per_request", "", 1),
    ("cores used", "cores_used", "", 1),
)
MORE_IS_BETTER = ("achieved_rate",)
EXPLANATION = (
    "Median over the valid trials [bootstrap 95 % interval, with fewer than 6 trials their range]; "
    "in brackets: no valid trial. Latencies are response times of all requests. Letters behind a "
    "value: who shares one within one workload, point and column differs by no more than chance; "
    "none: too few trials to say.")
HEADER = ["workload", "point", "architecture",
          *(f"{name}{end}" for name, *_ in COLUMNS for end in (
              "", " low", " high", " group", " to best", " to best low", " to best high")),
          "valid", "invalid"]


def number(value):
    if value is None:
        return ""
    return "inf" if math.isinf(value) else f"{value:.6g}"


def with_interval(e, letters=""):
    """'371 [365, 378] ab'; without an interval the number alone; in brackets when not valid."""
    if e is None:
        return ""
    if not e.valid:
        return f"({style.human(e.value)})"
    interval = "" if e.low is None else f" [{style.human(e.low)}, {style.human(e.high)}]"
    return f"{style.human(e.value)}{interval} {letters}".rstrip()


def ranked_at(run, workload, point):
    """{architecture: its Ranked, or None, in the ranking of each column}"""
    rankings = [groups.rank(run, workload, point, metric, cls, metric not in MORE_IS_BETTER)
                for _, metric, cls, _ in COLUMNS]
    found = [{entry.name: entry for entry in ranking.entries} for ranking in rankings]
    return {arch: [of.get(arch) for of in found] for arch in run.archs(workload)}


def lines(run):
    """(workload, point, arch, estimates, valid, invalid) of everything that was run."""
    for workload in run.workloads():
        for point in run.points(workload):
            for arch in style.in_order(run.archs(workload)):
                trials = run.trials(workload, point, arch)
                valid = sum(t.valid for t in trials)
                of = [run.estimate(workload, point, arch, metric, cls)
                      for _, metric, cls, _ in COLUMNS]
                of = [e.scaled(column[3]) if e else None for e, column in zip(of, COLUMNS)]
                if trials:
                    yield workload, point, arch, of, valid, len(trials) - valid


def numbers(of, ranked):
    """The cells of one row of the CSV: value, interval, letters and ratio to the best of each
    estimate."""
    for e, entry in zip(of, ranked):
        yield from triple(e)
        yield entry.letters if entry else ""
        yield from triple(entry.ratio if entry and entry.ratio.valid else None)


def triple(e):
    """Value and interval of an Estimate; empty when it is None."""
    return map(number, (e.value, e.low, e.high) if e else (None, None, None))


def make(run):
    rows, readable = [], []
    rankings = {(w, p): ranked_at(run, w, p) for w in run.workloads() for p in run.points(w)}
    for workload, point, arch, of, valid, invalid in lines(run):
        own = rankings[workload, point][arch]
        letters = [entry.letters if entry else "" for entry in own]
        rows.append([workload, point, arch, *numbers(of, own), valid, invalid])
        verdict = f"{valid} valid" + (f", {invalid} INVALID" if invalid else "")
        readable.append([workload, point, arch, *map(with_interval, of, letters), verdict])
    heading = ["workload", "point", "architecture", *(c[0] for c in COLUMNS), "cells"]
    return HEADER, rows, f"# Overview\n\n{EXPLANATION}\n\n{table.markdown(heading, readable)}"
