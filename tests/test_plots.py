#!/usr/bin/python3
"""Figures and tables, over synthetic runs whose answers are known.

`tests/test_plots.py --build DIR` writes the full synthetic run for looking at."""
import csv
import json
import math
import os
from pathlib import Path
import re
import subprocess
import sys
import tempfile
import unittest

REPOSITORY = Path(__file__).resolve().parents[1]
PLOTS = REPOSITORY / "plots"
sys.path.insert(0, str(PLOTS))

from lib import stats, style  # noqa: E402  (after the path is set)
from lib.run import NoData, Run  # noqa: E402

INF = math.inf
INI = {
    "trivial": "[workload]\nquestion = What does the smallest request cost?\n"
               "[class short]\nrequest = /\n",
    "io": "[workload]\nquestion = How many waits at once?\narrivals = closed\n"
          "[class io]\nrequest = /work?io=timer:10ms&class=io\n",
    "cpu": "[workload]\nquestion = Who uses every core?\narrivals = closed\n"
           "[class cpu]\nrequest = /work?cpu=hash:5ms&class=cpu\n",
    "mix": "[workload]\nquestion = And both at once?\narrivals = closed\n"
           "[class io]\nweight = 70\nrequest = /work?io=timer:10ms&class=io\n"
           "[class cpu]\nweight = 30\nrequest = /work?cpu=hash:5ms&class=cpu\n",
    "bimodal": "[workload]\nquestion = Do short requests stay short while 10 % are slow?\n"
               "arrivals = poisson\n[class short]\nweight = 90\nrequest = /work?class=short\n"
               "[class slow]\nweight = 10\nrequest = /work?cpu=hash:20ms&class=slow\n",
    "load": "[workload]\nquestion = Where does latency turn upwards? ; the hockey stick\n"
            "[class io]\nrequest = /work?io=timer:10ms\n[class cpu]\nrequest = /work?cpu=hash:5ms\n",
    "cpu_share": "[workload]\nquestion = What does CPU work do to short requests?\n",
    "connections": "[workload]\nquestion = What does an idle connection cost?\n",
}
HGRM = """       Value     Percentile TotalCount 1/(1-Percentile)

       0.100 0.000000000000          1           1.00
       0.200 0.500000000000        500           2.00
       0.400 0.900000000000        900          10.00
       2.000 0.990000000000        990         100.00
       9.000 0.999000000000        999        1000.00
      12.000 1.000000000000       1000
#[Mean    =        0.310, StdDeviation   =        0.500]
#[Max     =       12.000, Total count    =         1000]
#[Buckets =           20, SubBuckets     =         2048]
"""


class SyntheticRun:
    """Writes a run directory as docs/formats.md describes it."""

    def __init__(self, folder, **manifest):
        self.folder = Path(folder)
        self.rows = []
        self.manifest = {
            "schema": "archbench-run/1", "run_id": "synthetic", "profile": "quick", "seed": 1,
            "environment": {"kernel": "6.1.0", "cpu": "Example CPU", "cores": 2},
            "calibration": {"request_us": 20.0, "parallel": 1.0, "units_per_ms": {"hash": 1000}},
            "cells": [], **manifest}
        (self.folder / "workloads").mkdir(parents=True)
        for name, text in INI.items():
            (self.folder / "workloads" / f"{name}.ini").write_text(text)

    def cell(self, workload, point, arch, trial, metrics, reasons=()):
        """`metrics`: {metric: value} of the cell, and {class: {metric: value}}."""
        verdict = "INVALID" if reasons else "VALID"
        folder = self.folder / "cells" / workload / point / f"{arch}.{trial}"
        folder.mkdir(parents=True)
        (folder / "cell.json").write_text(json.dumps({
            "schema": "archbench-cell/1", "server": arch, "workload": workload, "point": point,
            "trial": trial, "load": {"total": {"requests": 1000, "good": 1000}},
            "placement": {"mode": "shared", "server_cores": [0, 1], "generator_cores": [0]},
            "validity": {"verdict": verdict, "reasons": list(reasons)}}))
        for key, value in metrics.items():
            cls, values = (key, value) if isinstance(value, dict) else ("", {key: value})
            for metric, number in values.items():
                text = "inf" if number == INF else f"{number:.6g}"
                self.rows.append([workload, point, arch, trial, verdict, cls, metric, text])
        return folder

    def write(self):
        with open(self.folder / "summary.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow("workload,point,arch,trial,verdict,class,metric,value".split(","))
            writer.writerows(self.rows)
        (self.folder / "manifest.json").write_text(json.dumps(self.manifest))
        return self.folder


def latencies(p50_us, p99_us, requests=1000):
    return {"requests": requests, "good": requests, "errors": 0, "response_p50_us": p50_us,
            "response_p90_us": (p50_us + p99_us) / 2, "response_p99_us": p99_us,
            "response_p999_us": p99_us * 1.5, "response_mean_us": p50_us * 1.1}


CLOSED = {  # workload: {arch: (rate, p50 us, p99 us, CPU us, switches, cores used)}
    "trivial": {"processes": (21000, 1400, 4200, 31, 2.0, 0.9), "threads": (24000, 1300, 3100, 27,
                2.0, 0.9), "event": (41000, 800, 1500, 14, 0.01, 0.6),
                "hybrid": (39000, 850, 1600, 15, 0.012, 0.6)},
    "io": {"processes": (5900, 10900, 14100, 75, 4.1, 0.45), "threads": (6100, 10500, 12600, 52,
           4.0, 0.3), "event": (6290, 10150, 10900, 24, 0.3, 0.15),
           "hybrid": (6280, 10160, 10950, 25, 0.31, 0.15)},
    "cpu": {"processes": (371, 170000, 240000, 5080, 1.6, 1.9), "threads": (378, 168000, 230000,
            5050, 1.5, 1.92), "event": (196, 326000, 331000, 5030, 0.02, 1.0),
            "hybrid": (381, 167000, 175000, 5045, 2.4, 1.95)},
    "mix": {"processes": (1190, 41000, 160000, 1580, 3.6, 1.9), "threads": (1220, 39000, 150000,
            1560, 3.4, 1.9), "event": (640, 97000, 101000, 1540, 0.1, 0.99)},  # hybrid missing
}
BIMODAL = {"processes": (260, 5200), "threads": (240, 4600), "event": (31000, 180000),
           "hybrid": (190, 820)}
MEMORY = {"processes": (118.0, 92.0, 16.0, 9.1), "threads": (21.0, 8.4, 16.0, 9.0),
          "event": (2.9, 0.1, 0.0, 9.0), "hybrid": (3.1, 0.1, -0.01, 9.1)}
KINDS = ("user", "page_tables", "kernel_stacks", "sockets")


def build_full(folder, trials=3):
    """Four architectures, every workload, some cells invalid, some latencies infinite."""
    run = SyntheticRun(folder)
    wobble = [1.0, 1.03, 0.98, 1.01, 0.99]
    for trial in range(1, trials + 1):
        w = wobble[trial % len(wobble)]
        add_closed(run, trial, w)
        add_bimodal(run, trial, w)
        add_load(run, trial, w)
        add_cpu_share(run, trial, w)
        for arch, parts in MEMORY.items():
            values = {f"memory_{k}_kb_per_connection": v * w for k, v in zip(KINDS, parts)}
            total = {"memory_total_kb_per_connection": sum(parts) * w, "connections": 1000}
            run.cell("connections", "base", arch, trial, {**values, **total})
    run.manifest["cells"].append({"workload": "mix", "point": "base", "server": "hybrid",
                                  "trial": 1})
    return run.write()


def add_closed(run, trial, w):
    for workload, archs in CLOSED.items():
        cls = {"mix": "io", "trivial": "short"}.get(workload, workload)
        for arch, (rate, p50, p99, cpu, switches, cores) in archs.items():
            lat = latencies(p50 * w, p99 * w * w)
            lost = arch == "processes" and workload == "trivial"
            folder = run.cell(workload, "base", arch, trial, {
                "achieved_rate": rate / w, "offered_rate": rate / w, "cpu_us_per_request": cpu * w,
                "switches_per_request": switches * w, "cores_used": cores, "tasks": 65,
                "total": lat, cls: lat}, ["the generator lagged"] if lost else ())
            (folder / f"{cls}.hgrm").write_text(HGRM)


def add_bimodal(run, trial, w):
    for arch, (p50, p99) in BIMODAL.items():
        reasons = ["p99 lag 700 us"] if arch == "processes" and trial == 2 else ()
        folder = run.cell("bimodal", "base", arch, trial, {
            "achieved_rate": 640 * w, "offered_rate": 640 * w, "target_rate": 650,
            "cpu_us_per_request": 2050, "switches_per_request": 1.4, "cores_used": 1.3,
            "short": latencies(p50 * w, p99 * w, 900), "total": latencies(p50 * w, 2e5, 1000),
            "slow": latencies(3e4, INF if arch == "event" else 2e5, 100)}, reasons)
        for cls in ("short", "slow"):
            (folder / f"{cls}.hgrm").write_text(HGRM)


def add_load(run, trial, w):
    capacity = {"processes": 1180, "threads": 1210, "event": 640, "hybrid": 1230}
    for point in ("10", "30", "50", "70", "90", "110", "130"):
        offered = 1290 * int(point) / 100
        for arch, limit in capacity.items():
            if arch == "processes" and point == "130":
                continue
            rho = offered / limit
            p50 = 10000 + 300 / max(0.02, 1 - rho) if rho < 1 else 4e5 * (rho - 0.95)
            p99 = 12000 + 4000 / max(0.02, 1 - rho) if rho < 1 else 9e5 * (rho - 0.9)
            p99 = INF if rho > 1.15 else p99
            lat = latencies(p50 * w, p99 * w)
            run.cell("load", point, arch, trial, {
                "offered_rate": offered * (2 - w), "target_rate": offered,
                "achieved_rate": min(offered, limit * w), "total": lat, "io": lat},
                ["steal 4 %"] if arch == "threads" and point == "90" else ())


def add_cpu_share(run, trial, w):
    for share in (0, 10, 30, 50, 70, 100):
        for arch, slope in {"processes": 90, "threads": 70, "event": 2500, "hybrid": 6}.items():
            p99 = 400 + slope * share * (1 + share / 30)
            p99 = INF if arch == "event" and share >= 70 else p99
            short = latencies(200 * w, p99 * w * w, 1000 - 10 * share)
            values = {"short": short} if share < 100 else {}
            values["cpu"] = latencies(9000, 20000, 10 * share)
            run.cell("cpu_share", str(share), arch, trial, {"achieved_rate": 500, **values})


if __name__ == "__main__":
    if sys.argv[1:2] == ["--build"]:
        print(build_full(sys.argv[2]))
    else:
        unittest.main()
