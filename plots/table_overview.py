#!/usr/bin/python3
"""Every workload, point and architecture in one row: medians over the valid trials."""
import math

from lib import style, table

# heading, metric, class, factor
COLUMNS = (
    ("good/s", "achieved_rate", "", 1),
    ("p50 ms", "response_p50_us", "total", 1e-3),
    ("p99 ms", "response_p99_us", "total", 1e-3),
    ("CPU µs/request", "cpu_us_per_request", "", 1),
    ("switches/request", "switches_per_request", "", 1),
    ("cores used", "cores_used", "", 1),
)
HEADER = ["workload", "point", "architecture",
          *(f"{name}{end}" for name, *_ in COLUMNS for end in ("", " low", " high")),
          "valid", "invalid"]


def number(value):
    if value is None:
        return ""
    return "inf" if math.isinf(value) else f"{value:.6g}"


def with_interval(e):
    """'371 [365, 378]'; without an interval the number alone; in brackets when not valid."""
    if e is None:
        return ""
    if not e.valid:
        return f"({style.human(e.value)})"
    if e.low is None:
        return style.human(e.value)
    return f"{style.human(e.value)} [{style.human(e.low)}, {style.human(e.high)}]"


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


def make(run):
    rows, readable = [], []
    for *where, of, valid, invalid in lines(run):
        cells = [number(v) for e in of for v in ((e.value, e.low, e.high) if e else [None] * 3)]
        rows.append([*where, *cells, valid, invalid])
        verdict = f"{valid} valid" + (f", {invalid} INVALID" if invalid else "")
        readable.append([*where, *map(with_interval, of), verdict])
    heading = ["workload", "point", "architecture", *(c[0] for c in COLUMNS), "cells"]
    text = ("# Overview\n\nMedian over the valid trials [bootstrap 95 % interval]; in brackets: no "
            "valid trial. Latencies are response times of all requests.\n\n"
            + table.markdown(heading, readable))
    return HEADER, rows, text


if __name__ == "__main__":
    table.main(make, __file__)
