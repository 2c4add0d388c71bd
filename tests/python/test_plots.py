#!/usr/bin/python3
"""Figures and tables, over synthetic runs whose answers are known.

`tests/test_plots.py --build DIR` writes the full synthetic run for looking at, and `--crowd DIR`
one with every architecture."""
import csv
import importlib
import json
import math
import os
from pathlib import Path
import re
import subprocess
import sys
import tempfile
import unittest
import warnings

REPOSITORY = Path(__file__).resolve().parents[1]
PLOTS = REPOSITORY / "plots"
sys.path.insert(0, str(PLOTS))

from lib import chart, histogram, stats, style, sweep  # noqa: E402  (after the path is set)
from lib.run import NoData, Run  # noqa: E402
from lib.chart import plt  # noqa: E402
sys.path.append(str(REPOSITORY / "model"))
import queueing  # noqa: E402

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
            "[class io]\nrequest = /work?io=timer:10ms\n"
            "[class cpu]\nrequest = /work?cpu=hash:5ms\n",
    "cpu_share": "[workload]\nquestion = What does CPU work do to short requests?\n",
    "connections": "[workload]\nquestion = What does an idle connection cost?\n",
    "idle": "[workload]\nquestion = What do silent connections take?\narrivals = closed\n"
            "[point 0]\n[point 100]\nidle = 100\n[point 10000]\nidle = 10000\n",
    "concurrency": "[workload]\nquestion = From one client to many?\narrivals = closed\n"
                   "[class io]\nrequest = /work?io=timer:10ms\n[point 1]\nconnections = 1\n"
                   "[point 100]\nconnections = 100\n[point 10000]\nconnections = 10000\n",
    "churn": "[workload]\nquestion = And when connections do not last?\n[point 1]\nchurn = 1\n"
             "[point 100]\nchurn = 100\n[point kept]\n",
    "surge": "[workload]\nquestion = And in a surge?\n[class short]\nrequest = /\n"
             "[class cpu]\nrequest = /work?cpu=hash:2ms\n[phase before]\nduration = 500ms\n"
             "[phase surge]\nduration = 1s\ncpu.load = 2..10\n[phase after]\nduration = 1s\n",
    "disk": "[workload]\nquestion = And while others read?\n[class short]\nrequest = /\n"
            "[class disk]\nrate = 64\nrequest = /work?io=disk:1m&class=disk\n[point none]\n"
            "disk.rate = 0\n[point 256k]\ndisk.request = /work?io=disk:256k&class=disk\n"
            "[point 1m]\n[point 8m]\ndisk.request = /work?io=disk:4m&io=disk:4m&class=disk\n",
    "backend": "[workload]\nquestion = How many calls at once?\narrivals = closed\n"
               "[class call]\nrequest = /work?io=backend:20ms\n",
    "baseline": "[workload]\nquestion = What is machinery?\n[class short]\nrequest = /\n",
    "balance": "[workload]\nquestion = Is it even?\n[class short]\nrequest = /\n"
               "[point 16]\n[point 256]\n",
    "mix_map": "[workload]\nquestion = Who wins where?\narrivals = closed\n",
    "network": "[workload]\nquestion = From afar?\narrivals = closed\n"
               "[class short]\nrequest = /\n[point 1ms]\nthink = exponential 1ms\n"
               "[point 100ms]\nthink = 100ms\n",
}
FIGURES = ("load", "cpu_share", "throughput", "cost", "memory", "bimodal", "idle", "concurrency",
           "churn", "surge", "disk", "backend", "baseline", "balance", "heatmap", "mix_map",
           "penalty", "tail", "small_multiples", "scaling", "network")  # build_full has their data
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
        self.predictions = []
        self.manifest = {
            "schema": "archbench-run/1", "run_id": "synthetic", "profile": "quick", "seed": 1,
            "environment": {"kernel": "6.1.0", "cpu": "Example CPU", "cores": 2},
            "calibration": {"request_us": 20.0, "parallel": 1.0, "units_per_ms": {"hash": 1000}},
            "cells": [], **manifest}
        (self.folder / "workloads").mkdir(parents=True)
        for name, text in INI.items():
            (self.folder / "workloads" / f"{name}.ini").write_text(text)

    def cell(self, workload, point, arch, trial, metrics, reasons=(), **more):
        """`metrics`: {metric: value} of the cell, and {class: {metric: value}}; `more`: further
        keys of cell.json."""
        verdict = "INVALID" if reasons else "VALID"
        folder = self.folder / "cells" / workload / point / f"{arch}.{trial}"
        folder.mkdir(parents=True)
        (folder / "cell.json").write_text(json.dumps({
            "schema": "archbench-cell/1", "server": arch, "workload": workload, "point": point,
            "trial": trial, "load": {"total": {"requests": 1000, "good": 1000}},
            "placement": {"mode": "shared", "server_cores": [0, 1], "generator_cores": [0]},
            "validity": {"verdict": verdict, "reasons": list(reasons)}, **more}))
        for key, value in metrics.items():
            cls, values = (key, value) if isinstance(value, dict) else ("", {key: value})
            for metric, number in values.items():
                text = "inf" if number == INF else f"{number:.6g}"
                self.rows.append([workload, point, arch, trial, verdict, cls, metric, text])
        return folder

    def predict(self, workload, point, arch, **said):
        """One cell of predictions.json."""
        self.predictions.append({"workload": workload, "point": point, "arch": arch, **said})

    def write(self):
        if self.predictions:
            (self.folder / "predictions.json").write_text(json.dumps({
                "schema": "archbench-predictions/1", "cells": self.predictions}))
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
        add_sweeps(run, trial, w, list(MEMORY))
        add_maps(run, trial, w, list(MEMORY))
        for arch, parts in MEMORY.items():
            values = {f"memory_{k}_kb_per_connection": v * w for k, v in zip(KINDS, parts)}
            total = {"memory_total_kb_per_connection": sum(parts) * w, "connections": 1000}
            run.cell("connections", "base", arch, trial, {**values, **total})
    run.manifest["cells"].append({"workload": "mix", "point": "base", "server": "hybrid",
                                  "trial": 1})
    predict_load(run)
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


def predict_load(run):
    """Capacities a little off, and the mean of M/M/1 behind a wait of 10 ms, of one class."""
    for arch, capacity in (("processes", 1290), ("threads", 1290), ("event", 645),
                           ("hybrid", 1290)):
        for point in ("10", "30", "50", "70", "90", "110", "130"):
            u = 12.9 * int(point) / capacity
            mean_us = 1e4 + 1500 / (1 - u) if u < 1 else None
            run.predict("load", point, arch, capacity=capacity, bottleneck="cores", utilisation=u,
                        classes={"io": {"mean_us": mean_us, "p99_us": None, "model": "x"}})


def add_cpu_share(run, trial, w):
    for share in (0, 10, 30, 50, 70, 100):
        for arch, slope in {"processes": 90, "threads": 70, "event": 2500, "hybrid": 6}.items():
            p99 = 400 + slope * share * (1 + share / 30)
            p99 = INF if arch == "event" and share >= 70 else p99
            short = latencies(200 * w, p99 * w * w, 1000 - 10 * share)
            values = {"short": short} if share < 100 else {}
            values["cpu"] = latencies(9000, 20000, 10 * share)
            run.cell("cpu_share", str(share), arch, trial, {"achieved_rate": 500, **values})


def add_sweeps(run, trial, w, archs):
    """The workloads of the figures idle, concurrency, churn, surge, disk, backend, baseline."""
    for k, arch in enumerate(archs, 1):
        for point in ("0", "100", "10000"):
            slower = 1 + int(point) / 2000 if arch == "event" else 1
            run.cell("idle", point, arch, trial, {"achieved_rate": 20000 * w / slower / k,
                                                  "cpu_us_per_request": 20 * w * slower * k})
        for point in ("1", "10", "100", "1000", "10000"):
            if (arch, point) == ("processes", "10000"):
                continue
            run.cell("concurrency", point, arch, trial, {
                "achieved_rate": queueing.usl(int(point), 100, 1e-4 * k, 1e-7 * (k % 2)) * w,
                "switches_per_request": 0 if arch == "event" else k * w,
                "memory_total_kb_per_connection": 10 * k * w})
        for point, cost in (("1", 30 + 50 * k), ("100", 35), ("kept", 30)):
            run.cell("churn", point, arch, trial, {"cpu_us_per_request": cost * w}, load={
                "connect": {"count": 0 if point == "kept" else 9, "p50_us": 50 * k * w,
                            "p99_us": 200 * k * w}})
        add_surge(run, trial, w, arch, k)
        for point, late in (("none", 1), ("1m", 5 * k), ("8m", 40 * k)):
            run.cell("disk", point, arch, trial, {"short": latencies(100 * w, 300 * late * w, 900),
                                                  "disk": latencies(3e3, 2e4, 100)})
        for point in ("16", "64", "512"):
            top = 700 if arch == "threads" else 4000 * k
            rate = min(50 * int(point), top) * w
            late = INF if rate < 10 * int(point) else 1e6 * int(point) / rate
            run.cell("backend", point, arch, trial, {"achieved_rate": rate,
                                                     "total": latencies(2e4, late)},
                     exit={"final": {"spawned": 16}})
        run.cell("baseline", "base", arch, trial, {"cpu_us_per_request": 20 * w * k})
    run.cell("baseline", "base", "iterative", trial, {"cpu_us_per_request": 10 / w})
    for point, parts in (("16", (0, 16, 0, 0)), ("256", (64, 60, 66, 66))):
        slots = [{"connections": n, "requests": 10 * n} for n in (0, *parts)]
        run.cell("balance", point, "multi_loop-shared-4", trial, {"achieved_rate": 2}, slots=slots)
    run.manifest["servers"] = {a: {"name": a, "blocks": ["fd"] if a == "threads" else []}
                               for a in archs}
    run.manifest["servers"].setdefault("processes", {})["peers"] = "--workers"


def add_surge(run, trial, w, arch, k):
    folder = run.cell("surge", "base", arch, trial, {"achieved_rate": 2100,
                                                     "short": latencies(100, 200)})
    with open(folder / "timeseries.jsonl", "w", encoding="utf-8") as file:
        for quarter in range(1, 11):
            late = k * w * (50 if 3 <= quarter <= 6 else 1)
            lost = arch == "event" and quarter == 6
            slow = 100 * min(k, 4) if 3 <= quarter <= 6 else 4  # of 500
            bins = [[64, 300 - slow // 2], [128, 200 - slow // 2], [32768, slow]]
            short = {"achieved": 2000, "errors": 5 if lost else 0, "p50_us": 100 * late,
                     "p99_us": None if lost else 400 * late,
                     "histogram": bins + [[None, 5]] * lost}
            row = {"time_s": quarter / 4, "achieved": 1, "p99_us": 1e9, "classes": {"short": short}}
            file.write(json.dumps(row) + "\n")


def add_maps(run, trial, w, archs):
    """The workloads of the figures mix_map and network."""
    for k, arch in enumerate(archs, 1):
        for connections in (8, 64, 512):
            for share in (0, 10, 30, 100):
                best = "event" if share == 0 or (share == 10 and connections > 8) else "hybrid"
                rate = 10 * connections * (1.4 if arch == best else 1 + 0.01 * k)
                if share == 100 and connections == 8:
                    rate = 100  # all alike
                io = {"io": latencies(1e4, 12e3 * k * w)} if share < 100 else {}
                run.cell("mix_map", f"{connections}x{share}", arch, trial,
                         {"achieved_rate": rate * w, **io})
        for ms in (1, 10, 100, 500):
            grows = 1 + ms / 250 if arch == "threads" else 1
            run.cell("network", f"{ms}ms", arch, trial, {
                "cpu_us_per_request": 15 * k * w * grows, "switches_per_request": k * w},
                memory={"connections": 2 * ms, "per_connection": {"total_kb": 10 * k * w}})


def build_crowd(folder, trials=3):
    """Every architecture there is, and variants, over the same workloads: for looking at."""
    run = SyntheticRun(folder)
    archs = [a for a in style.ARCHITECTURES if a not in style.FAMILIES["references"]]
    archs += ["event-poll", "event-select"]
    for trial in range(1, trials + 1):
        w = 1 + 0.03 * (trial - 2)
        add_sweeps(run, trial, w, archs[1:])
        add_maps(run, trial, w, archs[1:])
        for k, arch in enumerate(archs[1:], 1):
            add_crowd_of_others(run, trial, w, arch, k)
    for k, arch in enumerate(archs[1:], 1):
        for point in ("10", "50", "90", "130"):
            run.predict("load", point, arch, capacity=1280 if k > 6 else 640, bottleneck="cores")
    return run.write()


def add_crowd_of_others(run, trial, w, arch, k):
    for workload, rate in (("trivial", 20000), ("io", 6000), ("cpu", 300), ("mix", 1000)):
        run.cell(workload, "base", arch, trial, {
            "achieved_rate": rate * w / k, "cpu_us_per_request": 30 * w * k,
            "switches_per_request": 0.01 * k * k * w, "total": latencies(900 * k, 3000 * k * w)},
            ["steal 4 %"] if (workload, k % 7) == ("io", 0) else ())
    folder = run.cell("bimodal", "base", arch, trial, {
        "short": latencies(200 * w * k, INF if k == 9 else 700 * w * k * k, 900),
        "slow": latencies(3e4, 9e4, 100)})
    for cls in ("short", "slow"):
        (folder / f"{cls}.hgrm").write_text(HGRM)
    for point in ("10", "50", "90", "130"):
        offered = 13 * int(point)
        run.cell("load", point, arch, trial, {
            "offered_rate": offered, "achieved_rate": min(offered, 500 + 60 * k) * w,
            "total": latencies(1e4 * w, INF if offered > 1000 + 60 * k else 1.5e4 * w * k)})
    for share in (0, 30, 70):
        run.cell("cpu_share", str(share), arch, trial, {
            "short": latencies(200, 300 * w * (1 + share * k), 500),
            "cpu": latencies(5e3, 9e3, 500)})
    parts = {f"memory_{kind}_kb_per_connection": 3 * k * w for kind in KINDS}
    run.cell("connections", "base", arch, trial, {
        **parts, "memory_total_kb_per_connection": 12 * k * w, "connections": 1000})


class Folder(unittest.TestCase):
    """A folder for one test, gone afterwards."""

    def setUp(self):
        holder = tempfile.TemporaryDirectory(prefix="archbench plots ")  # with a space
        self.addCleanup(holder.cleanup)
        self.folder = Path(holder.name)


def run_program(*command, **keywords):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=300,
                          check=False, **keywords)


class Statistics(unittest.TestCase):
    def test_median_keeps_infinity(self):
        self.assertEqual(stats.median([3, 1, 2]), 2)
        self.assertEqual(stats.median([1, 2, 3, 4]), 2.5)
        self.assertEqual(stats.median([1, INF, 2]), 2)
        self.assertEqual(stats.median([1, INF, INF]), INF)

    def test_interval_is_repeatable_and_holds_the_median(self):
        values = [10, 11, 12, 13, 14, 50]
        low, high = stats.bootstrap_median(values)
        self.assertEqual((low, high), stats.bootstrap_median(values))
        self.assertLess(low, stats.median(values))
        self.assertGreater(high, stats.median(values))
        self.assertGreaterEqual(low, 10)
        self.assertLessEqual(high, 50)

    def test_interval_of_three_trials_is_their_range(self):
        self.assertEqual(stats.bootstrap_median([5, 1, 3]), (1, 5))

    def test_interval_reaches_infinity_without_inventing_numbers(self):
        low, high = stats.bootstrap_median([1, 2, INF])
        self.assertEqual((low, high), (1, INF))

    def test_interval_coverage(self):
        """Of 95 % intervals over 9 trials, about 95 % hold the true median (here 0)."""
        draws = stats.np.random.default_rng(7).normal(size=(200, 9))
        intervals = [stats.bootstrap_median(list(d)) for d in draws]
        covered = sum(low <= 0 <= high for low, high in intervals) / len(intervals)
        self.assertGreater(covered, 0.88)
        self.assertLess(covered, 1.0)

    def test_one_trial_has_no_interval(self):
        e = stats.estimate([5.0])
        self.assertIsNone(e.low)
        self.assertTrue(e.valid)

    def test_invalid_trials_do_not_touch_the_median(self):
        e = stats.estimate([1.0, 2.0, 3.0], [100.0])
        self.assertEqual((e.value, e.trials, e.invalid), (2.0, 3, [100.0]))
        alone = stats.estimate([], [100.0])
        self.assertEqual(alone.value, 100.0)
        self.assertFalse(alone.valid)
        self.assertIsNone(stats.estimate([]))

    def test_difference_needs_more_than_scatter(self):
        near = stats.estimate([1.0, 1.2, 1.4]), stats.estimate([1.3, 1.5, 1.7])
        far = stats.estimate([1.0, 1.1, 1.2]), stats.estimate([2.0, 2.1, 2.2])
        self.assertFalse(stats.clearly_above(near[1], near[0]))
        self.assertTrue(stats.clearly_above(far[1], far[0]))
        self.assertFalse(stats.clearly_above(far[0], far[1]))
        self.assertFalse(stats.clearly_above(stats.estimate([], [9.0]), far[0]))
        self.assertTrue(stats.clearly_above(stats.estimate([INF]), far[0]))


class Style(unittest.TestCase):
    def test_known_architectures_all_look_different(self):
        looks = [style.look(a) for a in style.ARCHITECTURES]
        self.assertEqual(len(set(looks)), len(looks))
        core = [style.look(a) for a in ("processes", "threads", "event", "hybrid")]
        self.assertEqual(len({c for c, _ in core}), 4)
        self.assertEqual(len({m for _, m in core}), 4)

    def test_every_server_of_the_suite_has_its_own_colour_and_its_own_marker(self):
        """References such as nginx are compared with some of them only, and may share."""
        references = style.FAMILIES["references"]
        looks = [style.look(a) for a in style.ARCHITECTURES if a not in references]
        self.assertEqual(len(looks), 15)
        self.assertEqual(len({colour for colour, _ in looks}), len(looks))
        self.assertEqual(len({marker for _, marker in looks}), len(looks))

    def test_a_variant_shows_whose_it_is(self):
        event, _ = style.look("event")
        looks = [style.look(a) for a in ("event", "event-select", "event-poll")]
        self.assertEqual({colour for colour, _ in looks}, {event})
        self.assertEqual(len(set(looks)), 3)
        self.assertEqual(style.in_order(["other", "event-poll", "hybrid", "event", "threads"]),
                         ["threads", "event", "event-poll", "hybrid", "other"])

    def test_variants_that_workloads_name_are_unlike_each_other_and_their_server(self):
        for server, variants in (("event", ("select", "poll", "64")),
                                 ("thread_pool", ("16", "32", "64", "sjf")),
                                 ("multi_loop", ("shared-4", "reuseport-4")),
                                 ("threads", ("tss", "mutex", "atomic"))):
            looks = [style.look(server), *(style.look(f"{server}-{v}") for v in variants)]
            self.assertEqual(len(set(looks)), len(looks), server)

    def test_families_keep_together(self):
        found = style.families(["nobody", "multi_loop", "threads", "event-poll", "event"])
        self.assertEqual(found, {"threads": ["threads"], "others": ["nobody"],
                                 "event loops": ["event", "event-poll", "multi_loop"]})

    def test_unknown_architecture_looks_the_same_in_every_process(self):
        code = "import sys; sys.path.insert(0, sys.argv[1]); from lib import style; " \
               "print(style.look('future_server'))"
        seen = {run_program("/usr/bin/python3", "-c", code, PLOTS,
                            env={**os.environ, "PYTHONHASHSEED": seed}).stdout
                for seed in ("1", "2")}
        self.assertEqual(seen, {f"{style.look('future_server')}\n"})

    def test_titles_keep_within_the_figure(self):
        text = " ".join(["ab"] * 41)  # 122 characters: not far from two full lines
        self.assertEqual(list(map(len, chart.balanced(text, 64))), [62, 59])
        self.assertEqual(chart.balanced("word " * 13 + "orphan", 64),
                         [" ".join(["word"] * 8), "word word word word word orphan"])

    def test_numbers_for_people(self):
        for value, text in ((0.01234, "0.0123"), (4.561, "4.56"), (78.91, "78.9"),
                            (1234.5, "1,230"), (0, "0"), (INF, "∞"), (None, "–"),
                            (-3.14159, "-3.14")):
            self.assertEqual(style.human(value), text)
        for value, text in ((0, "0"), (0.25, "0.25"), (300, "300"), (1200, "1,200"), (1000, "1k"),
                            (40000, "40k"), (2e6, "2M")):
            self.assertEqual(style.short(value), text)
        for count, text in ((0, "0"), (2 ** 18, "256 KiB"), (1.5 * 2 ** 20, "1.5 MiB")):
            self.assertEqual(style.size(count), text)
        for us, text in ((850, "850 µs"), (1200, "1.20 ms"), (2.5e6, "2.50 s"), (INF, "infinite")):
            self.assertEqual(style.duration(us), text)


class Loading(Folder):
    def test_estimates_verdicts_and_order(self):
        synthetic = SyntheticRun(self.folder / "run")
        for trial, rate in enumerate((100, 120, 110), 1):
            synthetic.cell("io", "base", "event", trial, {"achieved_rate": rate})
        synthetic.cell("io", "base", "event", 4, {"achieved_rate": 7}, ["the generator lagged"])
        for point in ("100", "20", "3"):
            synthetic.cell("load", point, "event", 1, {"io": latencies(1, INF)})
        run = Run(synthetic.write())
        e = run.estimate("io", "base", "event", "achieved_rate")
        self.assertEqual((e.value, e.low, e.high, e.trials), (110, 100, 120, 3))
        self.assertEqual(e.invalid, [7])
        self.assertEqual(run.verdicts("io", "event"), (3, 1))
        self.assertEqual(run.points("load"), ["3", "20", "100"])
        self.assertEqual(run.estimate("load", "3", "event", "response_p99_us", "io").value, INF)
        self.assertIsNone(run.estimate("io", "base", "threads", "achieved_rate"))

    def test_cells_that_measured_nothing_are_still_known(self):
        synthetic = SyntheticRun(self.folder / "run", cells=[
            {"workload": "io", "point": "base", "server": "hybrid", "trial": 2},
            "cells/io/base/event.1"])
        synthetic.cell("io", "base", "event", 1, {}, ["the server did not become ready"])
        invalid = dict(Run(synthetic.write()).invalid_cells())
        self.assertEqual(invalid["io", "base", "event", "1"], ["the server did not become ready"])
        self.assertEqual(invalid["io", "base", "hybrid", "2"], ["planned, but never finished"])

    def test_workload_file(self):
        synthetic = SyntheticRun(self.folder / "run")
        synthetic.cell("load", "10", "event", 1, {"achieved_rate": 1})
        run = Run(synthetic.write())
        self.assertEqual(run.workload("load").question, "Where does latency turn upwards?")
        self.assertAlmostEqual(run.workload("io").wait_s("io"), 0.010)
        self.assertAlmostEqual(run.workload("bimodal").cpu_s("slow"), 0.020)
        self.assertEqual(run.workload("bimodal").cpu_s("short"), 0)

    def test_not_a_run(self):
        with self.assertRaises(NoData):
            Run(self.folder)


class TableC1(Folder):
    """Each threshold from both sides."""

    def words(self, synthetic):
        folder = synthetic.write()
        done = run_program(PLOTS / "table_c1.py", folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(folder / "tables" / "c1.csv", newline="", encoding="utf-8") as file:
            return {(r["architecture"], r["column"]): r for r in csv.DictReader(file)}

    def three_trials(self, synthetic, workload, arch, metrics):
        for trial in (1, 2, 3):
            synthetic.cell(workload, "base", arch, trial, metrics)

    def test_io_word_is_the_worse_of_rate_and_cost(self):
        s = SyntheticRun(self.folder / "run")
        for arch, rate, cpu in (("event", 1000, 20), ("hybrid", 760, 20), ("threads", 1000, 30),
                                ("processes", 320, 21)):
            self.three_trials(s, "io", arch, {"achieved_rate": rate, "cpu_us_per_request": cpu})
        rows = self.words(s)
        earned = {a: rows[a, "I/O throughput"]["earned"] for a in
                  ("event", "hybrid", "threads", "processes")}
        self.assertEqual(earned, {"event": "Excellent", "hybrid": "Excellent",
                                  "threads": "Moderate", "processes": "Poor"})
        self.assertEqual(rows["threads", "I/O throughput"]["agreement"], "agree")
        self.assertEqual(rows["processes", "I/O throughput"]["agreement"], "no claim")
        self.assertAlmostEqual(float(rows["threads", "I/O throughput"]["value"]), 2 / 3, 3)

    def test_cpu_word_is_the_share_of_all_cores(self):
        """Two cores and 5 ms per request at best: 400 requests/s are possible. Who spends more
        CPU time on a request does not thereby look busier. Another workload leaves one core."""
        s = SyntheticRun(self.folder / "run")
        s.cell("backend", "16", "event", 1, {"achieved_rate": 1}, placement={
            "mode": "split", "server_cores": [0], "generator_cores": [1]})
        for arch, rate, cpu in (("event", 199, 5000), ("hybrid", 341, 5500), ("threads", 339, 6000),
                                ("processes", 241, 9000)):
            self.three_trials(s, "cpu", arch, {"achieved_rate": rate, "cores_used": 1.5,
                                               "cpu_us_per_request": cpu})
        rows = self.words(s)
        earned = {a: rows[a, "CPU efficiency"]["earned"] for a in
                  ("event", "hybrid", "threads", "processes")}
        self.assertEqual(earned, {"event": "Poor", "hybrid": "Excellent", "threads": "Moderate",
                                  "processes": "Moderate"})
        self.assertEqual(rows["threads", "CPU efficiency"]["agreement"], "disagree")
        self.assertAlmostEqual(float(rows["event", "CPU efficiency"]["value"]), 0.4975, 3)

    def test_cpu_share_is_open_when_more_was_not_asked_for(self):
        s = SyntheticRun(self.folder / "run")
        self.three_trials(s, "cpu", "hybrid", {"achieved_rate": 200, "target_rate": 201,
                                                "cpu_us_per_request": 5000})
        row = self.words_of_one(s, "hybrid", "CPU efficiency")
        self.assertEqual((row["earned"], row["agreement"]), ("not saturated", "open"))

    def words_of_one(self, synthetic, arch, column):
        return self.words(synthetic)[arch, column]

    def test_latency_words(self):
        """io waits 10 ms, a slow request computes for 20 ms: limits at 20 ms and 2 ms."""
        s = SyntheticRun(self.folder / "run")
        for arch, io_p99, short_p99 in (("hybrid", 19e3, 1.9e3), ("event", 19e3, INF),
                                        ("threads", 21e3, 1.9e3), ("processes", 19e3, 2.1e3)):
            self.three_trials(s, "io", arch, {"total": latencies(1e4, io_p99)})
            self.three_trials(s, "bimodal", arch, {"short": latencies(300, short_p99),
                                                   "slow": latencies(3e4, 9e4, 100)})
        rows = self.words(s)
        earned = {a: rows[a, "Latency profile"]["earned"] for a in
                  ("hybrid", "event", "threads", "processes")}
        self.assertEqual(earned, {"hybrid": "Optimal", "event": "Low (I/O)",
                                  "threads": "High (blocking)", "processes": "Low (I/O)"})

    def test_doubt_is_stated(self):
        s = SyntheticRun(self.folder / "run")
        for trial, rate in ((1, 70), (2, 95)):
            s.cell("io", "base", "hybrid", trial, {"achieved_rate": rate})
        s.cell("io", "base", "event", 1, {"achieved_rate": 100})
        s.cell("io", "base", "threads", 1, {"achieved_rate": 1e6}, ["wrong digest"])
        rows = self.words(s)
        note = rows["hybrid", "I/O throughput"]["note"]
        self.assertIn("borderline", note)
        self.assertIn("only 2 valid trials", note)
        self.assertEqual(rows["threads", "I/O throughput"]["earned"], "not measured")
        self.assertEqual(rows["event", "I/O throughput"]["earned"], "Excellent")
        self.assertEqual(rows["event", "CPU efficiency"]["earned"], "not measured")


class Figures(Folder):
    def title(self, stem, folder):
        """Draw one figure as SVG; its title, or the error."""
        target = self.folder / f"{stem}.svg"
        done = run_program(PLOTS / f"{stem}.py", folder, "-o", target)
        self.assertEqual(done.returncode, 0, done.stderr)
        return re.search(r"<dc:title>(.*?)</dc:title>", target.read_text()).group(1)

    def test_no_difference_is_said(self):
        s = SyntheticRun(self.folder / "run")
        for trial, wobble in ((1, 0.9), (2, 1.0), (3, 1.1)):
            for arch, factor in (("event", 1.0), ("threads", 1.05)):
                s.cell("io", "base", arch, trial, {"achieved_rate": 1000 * wobble * factor})
        self.assertEqual(self.title("throughput", s.write()),
                         "No workload separates the architectures clearly")

    def test_an_invalid_cell_is_drawn_but_proves_nothing(self):
        s = SyntheticRun(self.folder / "run")
        s.cell("io", "base", "event", 1, {"achieved_rate": 9000}, ["the generator lagged"])
        s.cell("io", "base", "threads", 1, {"achieved_rate": 1000})
        s.cell("io", "base", "hybrid", 1, {"achieved_rate": 2000})
        title = self.title("throughput", s.write())
        self.assertIn("hybrid serves 2.0 times the requests of threads", title)

    def size(self, archs):
        """The figure of the load with so many architectures: its height, and its lines' widths."""
        s = SyntheticRun(self.folder / f"run{archs}")
        for arch in list(style.ARCHITECTURES)[:archs]:
            for point in ("10", "90"):
                s.cell("load", point, arch, 1, {"offered_rate": 13 * int(point),
                                                "achieved_rate": 12 * int(point),
                                                "total": latencies(1000, 2000)})
        self.title("load", s.write())
        svg = (self.folder / "load.svg").read_text()
        widths = {float(w) for w in re.findall(r"stroke-width: ([\d.]+)", svg)}
        return float(re.search(r'<svg [^>]*height="([\d.]+)pt"', svg).group(1)), widths

    def test_a_crowd_gets_finer_lines(self):
        few, few_widths = self.size(4)
        many, many_widths = self.size(14)
        self.assertGreaterEqual(many, few)
        fine = round(3 * math.sqrt(6 / 14), 6)
        self.assertIn(fine, many_widths)
        self.assertNotIn(fine, few_widths)

    def test_a_variant_of_one_workload_has_no_row_in_others(self):
        s = SyntheticRun(self.folder / "run")
        s.cell("io", "base", "event", 1, {"achieved_rate": 1000})
        s.cell("connections", "base", "event", 1, {"memory_total_kb_per_connection": 9,
                                                   "connections": 10})
        s.cell("idle", "0", "event-poll", 1, {"achieved_rate": 1000})
        (s.folder / "workloads" / "idle.ini").write_text("[point 0]\n[point 10]\nidle = 10\n")
        s.write()
        for stem in ("throughput", "memory"):
            self.title(stem, s.folder)
            text = (self.folder / f"{stem}.svg").read_text()
            self.assertIn("<!-- event -->", text)
            self.assertNotIn("event-poll", text, stem)
            self.assertNotIn("<!-- idle -->", text, stem)

    def test_offered_load_is_measured_not_named(self):
        s = SyntheticRun(self.folder / "run")
        s.cell("load", "90", "event", 1, {"offered_rate": 100, "achieved_rate": 99})
        s.cell("load", "10", "event", 1, {"offered_rate": 300, "achieved_rate": 200})
        points = figure("load").series(Run(s.write()), "event", "achieved_rate")
        self.assertEqual([(x, e.value) for x, e in points], [(100, 99), (300, 200)])

    def counters(self, rates, trials=3):
        """A run of the workload counters. `rates`: {architecture: {connections: rate}}."""
        s = SyntheticRun(self.folder / "run")
        for arch, points in rates.items():
            for point, rate in points.items():
                for trial in range(trials):
                    s.cell("counters", point, arch, trial,
                           {"achieved_rate": rate * (1 + trial / 99)})
        return s.write()

    def test_ways_of_counting_are_told_apart(self):
        run = self.counters({
            "threads-tss": {"1": 9000, "8": 18000}, "threads-mutex": {"1": 4000, "8": 500},
            "threads-atomic": {"1": 6000, "8": 2000}, "thread_pool-mutex": {"8": 700},
            "thread_pool": {"8": 17000}})
        self.assertEqual(self.title("counters", run),
                         "With 8 connections, threads counts 36 times as fast by tss as by mutex")
        text = (self.folder / "counters.svg").read_text()
        for word in ("threads", "thread_pool", "tss", "mutex", "atomic", "connections"):
            self.assertIn(f"<!-- {word} -->", text)

    def test_ways_of_counting_that_do_not_differ(self):
        run = self.counters({"threads-tss": {"1": 1010}, "threads-mutex": {"1": 1000}})
        self.assertEqual(self.title("counters", run),
                         "No clear difference between the ways in which threads count")
        self.assertNotIn("<!-- atomic -->", (self.folder / "counters.svg").read_text())

    def test_the_note_tells_what_bars_are_worth(self):
        """Three trials' range holds the true median in 1 - 2 / 2^3 of all cases; one has no bar."""
        s = SyntheticRun(self.folder / "run")
        for arch, trials in (("event", 3), ("hybrid", 1)):
            for trial in range(trials):
                s.cell("io", "base", arch, trial, {"achieved_rate": 1000 + trial})
        self.title("throughput", s.write())
        self.assertIn("<!-- median of 1–3 trials, bars: an interval that holds the true median in "
                      "75 % of cases -->", (self.folder / "throughput.svg").read_text())

    def test_nothing_to_draw_is_not_a_failure(self):
        s = SyntheticRun(self.folder / "run")
        s.cell("io", "base", "event", 1, {"achieved_rate": 1})
        done = run_program(PLOTS / "memory.py", s.write())
        self.assertEqual(done.returncode, 3)
        self.assertIn("no workload connections", done.stderr)


def figure(stem):
    """The module plots/STEM.py, whose functions read and compute what is drawn."""
    sys.modules.pop(stem, None)
    return importlib.import_module(stem)


def drawn(stem, run_folder):
    """The texts in the figure that plots/STEM.py draws of a run, its title first. They are drawn as
    outlines; matplotlib keeps the words beside them as comments. No warning may come with it."""
    target = run_folder.parent / f"{stem}.svg"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure(stem).draw(Run(run_folder)).save(target)
    plt.close("all")
    text = target.read_text().replace("\u00a0", " ")
    return re.findall("<title>(.*?)</title>", text) + re.findall("<!-- (.*?) -->", text)


class OneRun(Folder):
    """A run to be filled with cells, and then read or drawn."""

    def setUp(self):
        super().setUp()
        self.synthetic = SyntheticRun(self.folder / "run")

    def read(self):
        return Run(self.synthetic.write())

    def draws(self, stem):
        """The texts in a figure, its title first."""
        return drawn(stem, self.synthetic.write())

    def finds_nothing(self, stem, reason):
        with self.assertRaisesRegex(NoData, reason):
            figure(stem).draw(self.read())


class Sweeps(OneRun):
    """What the figures of the sweeps draw and say, from runs whose answers are known."""

    def test_idle_connections_stand_where_the_workload_says(self):
        for point, rate in (("10000", 50), ("0", 200), ("100", 180)):
            self.synthetic.cell("idle", point, "event", 1, {"achieved_rate": rate})
        idle = figure("idle")
        line = idle.series(self.read(), "event", "achieved_rate")
        self.assertEqual([(x, e.value) for x, e in line], [(0, 200), (100, 180), (10000, 50)])
        self.assertEqual(idle.kept({"event": line}), (10000, {"event": (0.25, True)}))

    def test_idle_needs_both_ends_valid_to_find_anything(self):
        for arch, rate, reasons in (("event", 50, ()), ("threads", 10, ["steal 4 %"])):
            self.synthetic.cell("idle", "0", arch, 1, {"achieved_rate": 200})
            self.synthetic.cell("idle", "10000", arch, 1, {"achieved_rate": rate}, reasons)
        self.synthetic.cell("idle", "0", "hybrid", 1, {"achieved_rate": 200})  # its line ends early
        words = self.draws("idle")
        for expected in ("Beside 10,000 idle connections, event keeps 25 % of its throughput",
                         "INVALID", "idle connections",
                         "without hybrid from 10000 on (not in the plan of this run)"):
            self.assertIn(expected, words)

    def test_why_a_line_ends_early(self):
        s = self.synthetic
        s.manifest["servers"] = {"iterative": {"peers": 1}, "prefork": {"peers": "--workers"}}
        s.manifest["cells"] = [{"workload": "concurrency", "point": "100", "arch": "threads",
                                "trial": 1}]
        for arch in ("event", "iterative", "prefork", "threads"):
            s.cell("concurrency", "1", arch, 1, {"achieved_rate": 99})
        s.cell("concurrency", "100", "event", 1, {"achieved_rate": 9900})
        run = self.read()
        reasons = {a: run.why_absent("concurrency", "100", a)
                   for a in ("event", "iterative", "prefork", "threads", "hybrid")}
        self.assertEqual(reasons, {
            "event": None, "iterative": "serves one connection at a time",
            "prefork": "needs a worker for each connection", "threads": "never finished",
            "hybrid": "not in the plan of this run"})
        said = sweep.ends_early(run, "concurrency", ["prefork", "event", "iterative"])
        self.assertEqual(said, "without iterative from 100 on (serves one connection at a time); "
                               "without prefork from 100 on (needs a worker for each connection)")

    def test_concurrency(self):
        for arch, most in (("event", 20000), ("threads", 5000)):
            for point in ("1", "100", "10000"):
                self.synthetic.cell("concurrency", point, arch, 1, {
                    "achieved_rate": min(most, 100 * int(point)), "switches_per_request": 0,
                    "memory_total_kb_per_connection": 20})
        run, concurrency = self.read(), figure("concurrency")
        self.assertEqual(concurrency.asked_for(run, 10000), 1e6)
        memory = concurrency.series(run, "event", "memory_total_kb_per_connection",
                                    concurrency.ENOUGH_CONNECTIONS)
        self.assertEqual([x for x, _ in memory], [10000])
        words = self.draws("concurrency")
        self.assertEqual(words[0],
                         "With 10,000 clients event serves 20,000 requests/s, threads 5,000")
        self.assertIn("lower edge: zero", words)

    def test_concurrency_of_one_client(self):
        for arch in ("event", "threads"):
            self.synthetic.cell("concurrency", "1", arch, 1, {"achieved_rate": 99})
        words = self.draws("concurrency")
        self.assertEqual(words[0], "With one client there is no clear difference in throughput")
        self.assertIn("good replies/s", words)
        self.assertNotIn("KiB/connection", words)  # nothing was measured: no empty panel

    def test_churn_is_priced_per_request(self):
        for arch, cost in (("event", 50), ("processes", 400)):
            for point, us in (("1", cost), ("100", 31), ("kept", 30)):
                self.synthetic.cell("churn", point, arch, 1, {"cpu_us_per_request": us}, load={
                    "connect": {"count": 0 if point == "kept" else 5, "p50_us": 60,
                                "p99_us": None if arch == "processes" else 90}})
        churn, run = figure("churn"), self.read()
        self.assertEqual(churn.two_points(run), ("kept", "1"))
        self.assertEqual(churn.connect_us(run, "1", "event", "p99").value, 90)
        self.assertEqual(churn.connect_us(run, "1", "processes", "p99").value, INF)
        self.assertIsNone(churn.connect_us(run, "kept", "event", "p99"))
        self.assertEqual(self.draws("churn")[0], "A connection of its own costs a request 20.0 µs "
                         "of CPU time in event, 370 µs in processes")

    def test_churn_without_its_other_half(self):
        self.synthetic.cell("churn", "1", "event", 1, {"cpu_us_per_request": 50})
        self.finds_nothing("churn", "both with lasting and with brief")

    def test_surge_over_time_is_that_of_the_short_class(self):
        for trial, w in ((1, 1.0), (2, 1.2), (3, 5.0)):
            folder = self.synthetic.cell("surge", "base", "event", trial, {
                "short": latencies(1, 2), "cpu": latencies(1, 2)},
                ["steal 4 %"] if trial == 3 else ())
            rows = [{"time_s": t, "p99_us": 1, "achieved": 1, "classes": {"short": {
                "achieved": 2000, "errors": errors, "p50_us": 100, "p99_us": us and us * w}}}
                for t, us, errors in ((0.25, 1000, 0), (0.5, None, 0), (0.75, None, 3),
                                      (0.9, 4000, 0))]
            (folder / "timeseries.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
        surge, run = figure("surge"), self.read()
        line = surge.over_time(run, "event", "short", "p99_us")
        self.assertEqual([(x, e.value) for x, e in line],
                         [(0.125, 1.1), (0.625, INF), (0.825, 4.4)])
        self.assertEqual(line[0][1].invalid, [5.0])
        self.assertEqual(surge.surges(run), [(0.5, 1.5)])

    def test_surge_without_time_series(self):
        self.synthetic.cell("surge", "base", "event", 1, {"short": latencies(1, 2)})
        self.finds_nothing("surge", "no cell of workload surge has a time series")

    def test_disk_is_ordered_by_what_one_read_takes(self):
        for point, ms in (("1m", 5), ("none", 1), ("8m", 40), ("256k", 2)):
            for arch, factor in (("event", 1), ("hybrid", 0.1)):
                self.synthetic.cell("disk", point, arch, 1, {
                    "short": latencies(90, 1000 * ms * factor), "disk": latencies(9e3, 9e4)})
        line = figure("disk").series(self.read(), "event", "short", "p99")
        self.assertEqual([(x, e.value) for x, e in line],
                         [(0, 1), (2 ** 18, 2), (2 ** 20, 5), (2 ** 23, 40)])
        words = self.draws("disk")
        self.assertEqual(words[0], "Beside reads of 8 MiB, the p99 of short requests is 4.00 ms in "
                         "hybrid, 40.0 ms in event")
        self.assertLessEqual({"0", "256 KiB", "8 MiB"}, set(words))

    def test_short_requests_among_all_kinds(self):
        for arch, p99 in (("event", 9000), ("hybrid", 600), ("threads", 2000)):
            self.synthetic.cell("mixed_io", "base", arch, 1, {
                "short": latencies(100, p99, 60), "call": latencies(2e4, 3e4, 30),
                "disk": latencies(1e3, 2e3, 4), "slow": latencies(5e3, 9e3, 6)})
        words = self.draws("mixed_io")
        self.assertEqual(words[0], "Beside calls, reads and computations, the p99 of short ones is "
                                   "600 µs in hybrid, 9.00 ms in event")
        self.assertIn("40 % are calls, reads and computations; shown are the others", words)
        rows = [word for word in words if word in ("event", "hybrid", "threads")]
        self.assertEqual(rows, ["hybrid", "threads", "event"])

    def backend(self, arch, connections, rate, spawned, *options):
        self.synthetic.cell("backend", str(connections), arch, 1, {"achieved_rate": rate},
                            command={"server": ["x", *options]},
                            exit={"final": {"spawned": spawned}})

    def test_backend_ceilings(self):
        """20 ms a call: 16 workers make 800 per second, 64 pooled connections 3200."""
        self.synthetic.manifest["servers"] = {
            name: {"name": name, "blocks": blocks} for name, blocks in
            (("thread_pool", ["fd"]), ("threads", ["fd"]), ("event", []), ("multi_loop", []))}
        for connections in (16, 512):
            self.backend("thread_pool-16", connections, 790, 16, "--backend-pool=512")
            self.backend("threads", connections, 50 * connections, connections)
            self.backend("event-64", connections, 3000, 0, "--backend-pool=512",
                         "--backend-pool=64")
            self.backend("multi_loop", connections, 6000, 2, "--backend-pool", "64")
            self.backend("event", connections, 50 * connections, 0)
        backend, run = figure("backend"), self.read()
        at = {a: [backend.ceiling(run, p, a) for p in ("16", "512")]
              for a in run.archs("backend")}
        self.assertEqual(at, {"thread_pool-16": [None, 800], "threads": [None, None],
                              "event-64": [None, 3200], "multi_loop": [None, 6400],
                              "event": [None, None]})
        words = self.draws("backend")
        self.assertEqual(words[0], "Waiting for a backend, threads serves up to 25,600 requests/s, "
                         "thread_pool-16 790 (its ceiling: 800)")
        self.assertIn("ceiling: calls at a time / time of a call", words)

    def test_baseline_is_a_ratio_with_an_interval(self):
        for trial, (base, us) in enumerate(((10, 30), (11, 32), (9, 31)), 1):
            for arch, cost in (("iterative", base), ("actors", us)):
                self.synthetic.cell("baseline", "base", arch, trial, {"cpu_us_per_request": cost})
        self.synthetic.cell("baseline", "base", "event", 1, {"cpu_us_per_request": 20}, ["steal"])
        found = figure("baseline").ratios(self.read())
        self.assertAlmostEqual(found["actors"].value, 3.1)
        self.assertLess(found["actors"].low, 3.1)
        self.assertGreater(found["actors"].high, 3.1)
        self.assertEqual((found["event"].value, found["event"].valid), (2.0, False))
        words = self.draws("baseline")
        self.assertIn("INVALID", words)
        self.assertTrue(any(word.startswith("3.10 (31.0 µs)") for word in words))

    def test_baseline_without_the_base(self):
        self.synthetic.cell("baseline", "base", "event", 1, {"cpu_us_per_request": 20})
        self.synthetic.cell("baseline", "base", "iterative", 1, {"cpu_us_per_request": 9},
                            ["steal"])
        self.finds_nothing("baseline", "no valid trial of iterative")

    def test_balance(self):
        balance = figure("balance")
        slots = [{"connections": n, "requests": r} for n, r in ((0, 0), (6, 90), (2, 10), (0, 0))]
        self.assertEqual(balance.shares(slots, "connections"), [75, 25, 0])
        self.assertAlmostEqual(balance.excess(slots, "requests"), 2.7)
        self.assertIsNone(balance.excess(None, "requests"))
        self.assertIsNone(balance.excess([{"connections": 1, "requests": 1}], "requests"))
        self.synthetic.cell("balance", "16", "multi_loop-shared-4", 1, {}, slots=slots)
        self.synthetic.cell("balance", "16", "multi_loop-reuseport-4", 1, {}, slots=None)
        self.assertEqual(balance.rows_of(self.read()), [("multi_loop-shared-4", "16")])
        self.assertEqual(self.draws("balance")[0], "With 16 connections, the busiest worker of "
                         "multi_loop-shared-4 does 2.7 times its fair share")

    def test_a_run_of_nothing_but_invalid_cells_is_drawn_and_finds_nothing(self):
        build_full(self.folder / "full", trials=1)
        for path in (self.folder / "full").glob("cells/*/*/*/cell.json"):
            cell = json.loads(path.read_text())
            cell["validity"] = {"verdict": "INVALID", "reasons": ["steal"]}
            path.write_text(json.dumps(cell))
        table = self.folder / "full" / "summary.csv"
        table.write_text(table.read_text().replace(",VALID,", ",INVALID,"))
        for stem in ("idle", "concurrency", "churn", "surge", "disk", "backend", "balance"):
            words = drawn(stem, self.folder / "full")
            self.assertLessEqual({"INVALID", "no valid trial"}, set(words), stem)

    def test_every_architecture_is_named_once_in_a_crowd(self):
        build_crowd(self.folder / "crowd", trials=1)
        for stem in ("idle", "load"):
            words = drawn(stem, self.folder / "crowd")
            for name in ("leader_followers", "event-select", "serverless", "loop + workers"):
                self.assertEqual(words.count(name), 1, f"{stem}: {name}")


class Maps(OneRun):
    """Predictions over measurements, histograms over time, winners, tails and fits, from runs whose
    answers are known."""

    # load

    def test_predictions_are_found_by_cell(self):
        self.synthetic.cell("load", "10", "event", 1, {"achieved_rate": 1})
        self.assertEqual(self.read().prediction("load", "10", "event"), {})
        self.synthetic.predict("load", "10", "event", capacity=5)
        found = self.read()
        self.assertEqual(found.prediction("load", "10", "event")["capacity"], 5)
        self.assertEqual(found.prediction("load", "10", "hybrid"), {})

    def test_who_was_offered_less_has_no_peak(self):
        """event met the heaviest load, hybrid nearly, threads half of it and validly no more."""
        def at(rate, *valid):
            return rate, stats.estimate(list(valid), () if valid else (rate,))
        found = figure("load").peaks_of({
            "event": [at(500, 400), at(1000, 350)], "hybrid": [at(950, 940)],
            "threads": [at(500, 500), at(1000)]})
        self.assertEqual({a: e.value for a, e in found.items()}, {"event": 400, "hybrid": 940})
        self.assertEqual(figure("load").peaks_of({}), {})

    def test_capacities_that_agree_share_a_line(self):
        load = figure("load")
        found = load.alike({"event": 640, "hybrid": 1290, "threads": 1285, "actors": 1305})
        self.assertEqual(found, [(640, ["event"]), (1285, ["threads", "hybrid"]),
                                 (1305, ["actors"])])

    def test_predicted_curve_is_that_of_a_queue(self):
        """M/G/1: mean = service + A u / (1 - u), whichever points it was predicted at."""
        load = figure("load")
        def mean(u):
            return 10 + 3 * u / (1 - u)
        rates, ms = load.queueing_curve([(u, mean(u)) for u in (0.1, 0.4, 0.7)], 200)
        self.assertAlmostEqual(rates[0], 20)
        self.assertAlmostEqual(rates[-1], 200 * load.FULLEST)
        for rate, at in zip(rates, ms):
            self.assertAlmostEqual(at, mean(rate / 200), places=9)
        self.assertIsNone(load.queueing_curve([(0.5, 9.0)], 200))

    def test_predicted_mean_counts_classes_as_they_came(self):
        for point, slow_us in (("10", 5000), ("90", None)):
            self.synthetic.cell("load", point, "event", 1, {
                "achieved_rate": 1, "io": latencies(1, 2, 700), "cpu": latencies(1, 2, 300)})
            self.synthetic.predict("load", point, "event", capacity=100, utilisation=0.1, classes={
                "io": {"mean_us": 10000}, "cpu": {"mean_us": slow_us}})
        run = self.read()
        means = figure("load").predicted_means(run, "event")
        self.assertEqual(means, [(0.1, 8.5)])

    def test_load_without_predictions_has_no_lines_for_them(self):
        for point in ("10", "90"):
            self.synthetic.cell("load", point, "event", 1, {
                "offered_rate": int(point), "achieved_rate": int(point),
                "total": latencies(1e4, 2e4)})
        words = self.draws("load")
        self.assertNotIn("predicted: capacity, mean response", words)
        self.synthetic.predict("load", "90", "event", capacity=77)
        words = self.draws("load")
        self.assertIn("predicted: capacity, mean response", words)
        self.assertIn("77.0", words)

    # histograms

    def test_quantiles_of_added_histograms(self):
        both = histogram.add([{1: 90, 5: 9}, {1: 9, INF: 1}])
        self.assertEqual(both, {1: 99, 5: 9, INF: 1})
        self.assertEqual([histogram.quantile(both, q) for q in (0.5, 99 / 109, 0.95, 0.999)],
                         [1, 1, 5, INF])
        self.assertEqual(histogram.quantile(histogram.add([{1: 7, 5: 93}]), 0.07), 1)
        self.assertIsNone(histogram.quantile(histogram.add([]), 0.5))

    def test_bins_of_a_time_series(self):
        """Eight of equal width in a doubling; the first doubling is as wide as all below it."""
        for upper_us, lower_us in ((0.128, 0), (1.024, 0.896), (1.152, 1.024), (2.048, 1.92),
                                   (2.304, 2.048), (2097.152, 1966.08)):
            self.assertAlmostEqual(histogram.lower_edge_us(upper_us), lower_us, msg=upper_us)
        found = histogram.read_bins([[1966.08, 4], [2097.152, 3], [2359.296, 2], [None, 1]])
        self.assertEqual(found[INF], 1)
        self.assertEqual(histogram.share_above(found, 2000), 0.3)  # 2000 is inside the second bin
        self.assertEqual(histogram.share_above(found, 1966.08), 0.6)
        self.assertIsNone(histogram.share_above(histogram.add([]), 1))

    def surge(self, arch, trial, quarters, reasons=()):
        """A cell of the workload surge; `quarters`: the bins of the class short in each."""
        folder = self.synthetic.cell("surge", "base", arch, trial, {
            "short": latencies(1, 2), "cpu": latencies(1, 2)}, reasons)
        lines = [json.dumps({"time_s": (k + 1) / 4, "classes": {"short": {"histogram": bins}}})
                 for k, bins in enumerate(quarters)]
        (folder / "timeseries.jsonl").write_text("\n".join(lines) + "\n")

    def test_heat_map_adds_valid_trials_and_counts_the_surge(self):
        """The surge lasts from 0.5 to 1.5 s: quarters 2 to 5, counted from 0."""
        calm, bad = [[64, 10]], [[64, 1], [4096, 8], [None, 1]]
        for trial, in_surge in ((1, bad), (2, bad), (3, calm)):
            self.surge("event", trial, [calm, calm] + [in_surge] * 4 + [bad],
                       ["steal"] if trial == 3 else ())
            self.surge("hybrid", trial, [calm, calm, [[64, 9], [4096, 1]], calm, calm, calm, bad])
        heatmap, run = figure("heatmap"), self.read()
        cells, valid = histogram.cells_to_merge(run, "surge", "base", "event")
        columns = heatmap.over_time(run, cells, "short")
        self.assertTrue(valid)
        self.assertEqual(columns[0.5, 0.75], {64: 2, 4096: 16, INF: 2})
        held_up = heatmap.held_up(run, "event", "short", 2000)
        self.assertEqual((held_up.value, held_up.invalid), (0.9, [0.0]))
        words = self.draws("heatmap")
        self.assertEqual(words[0], "In the surge, 90.0 % of the short requests take longer than "
                                   "2.00 ms in event, 2.50 % in hybrid")
        self.assertLessEqual({"event", "hybrid", "upper edge: without a good reply",
                              "begin and end of the surge"}, set(words))

    def test_heat_map_of_invalid_trials_says_so(self):
        self.surge("event", 1, [[[64, 10]]] * 8, ["steal"])
        words = self.draws("heatmap")
        self.assertIn("event (INVALID)", words)
        self.assertIn("no valid trial", words)

    def test_heat_map_needs_histograms(self):
        folder = self.synthetic.cell("surge", "base", "event", 1, {"short": latencies(1, 2)})
        line = {"time_s": 0.25, "classes": {"short": {"achieved": 9}}}  # as once without them
        (folder / "timeseries.jsonl").write_text(json.dumps(line) + "\n")
        self.finds_nothing("heatmap", "has histograms of class short")

    def test_tail_adds_requests_and_not_percentiles(self):
        """990 fast in one trial, 10 slow of 100 in the other: the p99 of all is not their mean."""
        for trial, rows, lost in ((1, ((1, 990),), 0), (2, ((1, 90), (50, 99)), 1)):
            folder = self.synthetic.cell("bimodal", "base", "event", trial, {
                "short": latencies(1, 2)})
            (folder / "short.hgrm").write_text(hgrm(rows, lost))
        tail = figure("tail")
        found, trials = tail.merged(self.read(), "bimodal", "event", "short")
        self.assertEqual((found, trials), ({1000: 1080, 50000: 9, INF: 1}, 2))
        line = tail.line(found, trials)
        self.assertEqual([(x, e.value) for x, e in line],
                         [(2, 1), (4, 1), (10, 1), (20, 1), (40, 1), (100, 1)])

    def test_tail_ends_where_few_lie_beyond(self):
        tail = figure("tail")
        self.assertEqual(tail.line(stats_of({1: 999}), 1)[-1][0], 40)
        self.assertEqual(tail.line(stats_of({1: 1000}), 1)[-1][0], 100)
        self.assertEqual(tail.line(stats_of({1: 19}), 1), [])

    def test_tail_title(self):
        for arch, slow_ms, lost in (("event", 80, 0), ("hybrid", 2, 0), ("threads", 9, 30)):
            folder = self.synthetic.cell("bimodal", "base", arch, 1, {"short": latencies(1, 2)},
                                         ["steal"] if arch == "threads" else ())
            (folder / "short.hgrm").write_text(hgrm(((1, 900), (slow_ms, 1000)), lost))
        words = self.draws("tail")
        self.assertEqual(words[0], "One short request in 100 takes over 2.00 ms in hybrid, over "
                                   "80.0 ms in event")
        self.assertLessEqual({"50 %", "90 %", "99 %", "INVALID", "one valid trial"}, set(words))
        (self.folder / "run/cells/bimodal/base/event.1/short.hgrm").write_text(
            hgrm(((1, 900),), 100))
        self.assertIn("for ever in event", self.draws("tail")[0])

    # mix_map

    def mixes(self, rates, trials=3):
        """`rates`: {point: {arch: (replies/s, p99 of io in us or None)}}."""
        for point, archs in rates.items():
            for arch, (rate, p99) in archs.items():
                for trial in range(1, trials + 1):
                    w = 1 + 0.01 * trial
                    io = {"io": latencies(1, p99 * w)} if p99 else {}
                    self.synthetic.cell("mix_map", point, arch, trial,
                                        {"achieved_rate": rate * w, **io})

    def test_a_mix_has_a_winner_or_several(self):
        self.mixes({"8x0": {"event": (200, 900), "hybrid": (100, 300), "threads": (50, 950)},
                    "64x0": {"event": (200, 900), "hybrid": (199, 900), "threads": (50, 900)},
                    "64x100": {"event": (100, None), "hybrid": (200, None)}})
        mix_map, run = figure("mix_map"), self.read()
        rate = mix_map.fields(run, "achieved_rate", "", True)
        self.assertEqual({p: f.best for p, f in rate.items()}, {
            (8, 0): ("event",), (64, 0): ("event", "hybrid"), (64, 100): ("hybrid",)})
        self.assertAlmostEqual(rate[8, 0].factor, 2)
        p99 = mix_map.fields(run, "response_p99_us", "io", False)
        self.assertEqual(p99[8, 0].best, ("hybrid",))
        self.assertAlmostEqual(p99[8, 0].factor, 3)
        self.assertEqual(set(p99[64, 0].best), {"event", "hybrid", "threads"})
        self.assertNotIn((64, 100), p99)
        words = self.draws("mix_map")
        self.assertEqual(words[0], "event serves most in 1 of 3 mixes, hybrid 1; no clear winner "
                                   "in 1")
        self.assertLessEqual({"next: −50 %", "next: 3.0 ×", "no such", "no clear winner"},
                             set(words))

    def test_one_trial_needs_a_large_factor_to_win(self):
        self.mixes({"8x0": {"event": (140, None), "hybrid": (100, None)},
                    "8x30": {"event": (160, None), "hybrid": (100, None)}}, trials=1)
        rate = figure("mix_map").fields(self.read(), "achieved_rate", "", True)
        self.assertEqual([rate[8, s].best for s in (0, 30)], [("event", "hybrid"), ("event",)])

    def test_an_invalid_cell_wins_nothing(self):
        self.synthetic.cell("mix_map", "8x0", "event", 1, {"achieved_rate": 900}, ["steal"])
        self.synthetic.cell("mix_map", "8x0", "hybrid", 1, {"achieved_rate": 100})
        self.synthetic.cell("mix_map", "8x30", "event", 1, {"achieved_rate": 900}, ["steal"])
        rate = figure("mix_map").fields(self.read(), "achieved_rate", "", True)
        self.assertEqual((rate[8, 0].best, rate[8, 30].best), (("hybrid",), ()))
        words = self.draws("mix_map")
        self.assertEqual(words[0], "Who serves most, by clients and share of computation")
        self.assertLessEqual({"alone", "no valid trial", "INVALID"}, set(words))

    def test_who_lets_requests_fail_wins_nothing(self):
        for point, arch, rate, share in (("8x0", "event", 200, 0.009), ("8x0", "hybrid", 900, 0.011),
                                         ("8x30", "event", 900, 0.5), ("8x30", "hybrid", 900, 0.02)):
            for trial in 1, 2, 3:
                self.synthetic.cell("mix_map", point, arch, trial,
                                    {"achieved_rate": rate, "error_share": share})
        rate = figure("mix_map").fields(self.read(), "achieved_rate", "", True)
        self.assertEqual((rate[8, 0].best, rate[8, 0].failing), (("event",), (("hybrid", 0.011),)))
        self.assertEqual((rate[8, 30].best, len(rate[8, 30].failing)), ((), 2))
        self.assertLessEqual({"nobody", "failed: hybrid 1 %"}, set(self.draws("mix_map")))

    # penalty

    def test_penalty_is_a_ratio_of_medians(self):
        for trial, (alone, mixed) in enumerate(((100, 900), (110, 1100), (120, 1000)), 1):
            for arch, share in (("event", 1), ("hybrid", 0.2)):
                self.synthetic.cell("cpu_share", "0", arch, trial, {"short": latencies(9, alone)})
                self.synthetic.cell("cpu_share", "30", arch, trial, {
                    "short": latencies(9, 5 * alone), "cpu": latencies(9, 9)})
                self.synthetic.cell("cpu_share", "70", arch, trial, {
                    "short": latencies(9, mixed * share), "cpu": latencies(9, 9)})
                self.synthetic.cell("cpu_share", "100", arch, trial, {"cpu": latencies(9, 9)})
        penalty, run = figure("penalty"), self.read()
        of = penalty.pair(run, "cpu_share")
        self.assertEqual((of.alone, of.mixed), ("0", "70"))
        found = penalty.multiple(run, of, "event")
        self.assertAlmostEqual(found.value, 1000 / 110)
        self.assertLess(found.low, found.value)
        self.assertEqual(self.draws("penalty")[0], "Among 70 % computing requests, the p99 of "
                         "short ones is 1.8 times that alone in hybrid, 9.1 times in event")

    def test_penalty_of_the_largest_read_and_of_invalid_and_lost_ones(self):
        for point, p99s in (("none", (100, 100)), ("256k", (900, 900)), ("8m", (INF, 300))):
            for trial, p99 in enumerate((*p99s, p99s[0]), 1):
                self.synthetic.cell("disk", point, "event", trial, {"short": latencies(9, p99)})
            self.synthetic.cell("disk", point, "hybrid", 1, {"short": latencies(9, 100)},
                                ["steal"] if point == "none" else ())
        self.synthetic.cell("disk", "8m", "threads", 1, {"short": latencies(9, 100)})
        penalty, run = figure("penalty"), self.read()
        of = penalty.pair(run, "disk")
        self.assertEqual((of.alone, of.mixed, of.among), ("none", "8m", "reads of 8 MiB"))
        event, hybrid = (penalty.multiple(run, of, a) for a in ("event", "hybrid"))
        self.assertEqual((event.value, event.low, event.trials), (INF, None, 3))
        self.assertEqual((hybrid.value, hybrid.valid), (1, False))
        self.assertIsNone(penalty.multiple(run, of, "threads"))
        words = self.draws("penalty")
        self.assertLessEqual({"∞  (100 µs → infinite)", "not measured at both", "INVALID"},
                             set(words))

    def test_penalty_needs_the_short_ones_alone(self):
        self.synthetic.cell("cpu_share", "70", "event", 1, {"short": latencies(9, 9),
                                                            "cpu": latencies(9, 9)})
        self.finds_nothing("penalty", "both alone and beside")

    # small_multiples

    def test_words_of_the_guide(self):
        for arch, rate in (("event", 1000), ("threads", 400)):
            self.synthetic.cell("io", "base", arch, 1, {
                "achieved_rate": rate, "total": latencies(1e4, 15e3 if arch == "event" else 4e4)})
        small, run = figure("small_multiples"), self.read()
        measurements = figure("table_c1").Measurements(run)
        self.assertAlmostEqual(small.stretched(measurements, "event").value, 1.5)
        io = small.PANELS[0]
        self.assertEqual((io.edges, io.words), ((0.33, 0.75), ("Poor", "Moderate", "Excellent")))
        self.assertEqual(small.judged(measurements, io, "event")[1], "Excellent\nas the guide says")
        words = self.draws("small_multiples")
        self.assertEqual(words[0], "2 of 2 words that the guide gives are earned")
        self.assertLessEqual({"Moderate", "4.00 ×", "not measured"}, set(words))

    def test_a_word_that_is_not_earned(self):
        for arch, rate in (("event", 200), ("threads", 1000)):
            self.synthetic.cell("io", "base", arch, 1, {"achieved_rate": rate})
        words = self.draws("small_multiples")
        self.assertEqual(words[0], "0 of 2 words that the guide gives are earned; I/O throughput "
                                   "of event is Poor, not Excellent")
        self.assertIn("guide: Excellent", words)

    # scaling

    def concurrency(self, arch, connections, *law, reasons=()):
        for n in connections:
            self.synthetic.cell("concurrency", str(n), arch, 1,
                                {"achieved_rate": queueing.usl(n, *law)}, reasons)

    def test_scaling_finds_the_law_again(self):
        self.concurrency("threads", (1, 10, 100, 1000, 10000), 100, 1e-3, 4e-6)
        self.concurrency("event", (1, 10, 100, 1000), 100, 1e-4, 0)
        self.concurrency("hybrid", (1, 10, 100), 100, 1e-4, 0)
        scaling, run = figure("scaling"), self.read()
        lines = {a: scaling.concurrency.series(run, a, "achieved_rate")
                 for a in ("threads", "event", "hybrid")}
        found = scaling.fit(lines["threads"])
        self.assertAlmostEqual(found.single / 100, 1, 2)
        self.assertAlmostEqual(found.contention / 1e-3, 1, 1)
        self.assertAlmostEqual(found.coherence / 4e-6, 1, 1)
        self.assertAlmostEqual(found.peak / 500, 1, 1)
        self.assertIsNone(scaling.fit(lines["hybrid"]))
        words = self.draws("scaling")
        self.assertEqual(words[0], "By the fitted law, threads peaks at 500 connections, event "
                                   "grows up to 1,000")
        self.assertLessEqual({"not determined:", "3 valid points, needs 4", "no peak up to 1,000"},
                             set(words))

    def test_scaling_by_invalid_points_is_not_determined(self):
        self.concurrency("event", (1, 10, 100, 1000), 100, 1e-4, 0, reasons=["steal"])
        self.assertEqual(self.draws("scaling")[0],
                         "Too few points to fit the scalability law: it needs 4")

    def test_scaling_findings(self):
        scaling = figure("scaling")
        early, late, never = (scaling.Fit(100, 0, k) for k in (1e-4, 2.5e-5, 0))
        lasts = {"event": 1000, "threads": 1000, "hybrid": 50}
        for fits, text in (
                ({"event": early, "threads": late},
                 "event peaks at 100 connections, threads at 200"),
                ({"event": early}, "event peaks at 100 connections"),
                ({"event": never, "hybrid": early},
                 "throughput has no peak up to 1,000 connections")):
            self.assertEqual(scaling.finding(fits, lasts), f"By the fitted law, {text}")

    # network

    def test_network_by_round_trip(self):
        for arch, grows in (("event", 1), ("threads", 3)):
            for ms, held in ((100, 200), (1, 2)):
                self.synthetic.cell("network", f"{ms}ms", arch, 1, {
                    "cpu_us_per_request": 20 * (grows if ms == 100 else 1),
                    "switches_per_request": 1},
                    memory={"connections": held, "per_connection": {"total_kb": 512}})
        network, run = figure("network"), self.read()
        self.assertEqual([network.round_trip_ms(run, p) for p in ("1ms", "100ms")], [1, 100])
        cell, = run.cells_at("network", "100ms", "event")
        self.assertEqual(network.memory_mib(cell), 100)
        self.assertIsNone(network.memory_mib({"memory": None}))
        words = self.draws("network")
        self.assertEqual(words[0], "At 100 ms of round trip a request costs threads 3.0 times the "
                                   "CPU time of one at 1 ms, event 1.0 times")
        self.assertLessEqual({"CPU time/request (µs)", "switches/request", "memory of all (MiB)",
                              "round trip (ms)"}, set(words))

    def test_network_without_a_difference(self):
        for arch in ("event", "threads"):
            for point in ("1ms", "100ms"):
                self.synthetic.cell("network", point, arch, 1, {"cpu_us_per_request": 20})
        self.assertEqual(self.draws("network")[0], "From 1 to 100 ms of round trip, CPU time per "
                                                   "request changes alike everywhere")


def hgrm(rows, infinite=0):
    """Text as loadgen --hgrm writes it; `rows`: (ms, requests that took no longer)."""
    total = rows[-1][1] + infinite
    lines = [f"{ms:12.3f} {count / total:14.12f} {count:10d} {1 / (1 - count / (total + 1)):14.2f}"
             for ms, count in rows]
    return "\n".join(["       Value     Percentile TotalCount 1/(1-Percentile)", "", *lines,
                      f"#[Infinite = {infinite}]", ""])


def stats_of(counts):
    """A histogram in us of {ms: requests}."""
    return histogram.add({1000 * ms: n} for ms, n in counts.items())


class Percentiles(Folder):
    def setUp(self):
        super().setUp()
        s = SyntheticRun(self.folder / "run")
        self.cell = s.cell("io", "base", "event", 1, {"achieved_rate": 1})
        (self.cell / "io.hgrm").write_text(HGRM + "#[Infinite = 7]\n")

    def test_picture(self):
        target = self.folder / "it's.png"
        done = run_program(PLOTS / "percentiles", self.cell, "-o", target)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(target.read_bytes()[:8], b"\x89PNG\r\n\x1a\n")

    def test_text(self):
        done = run_program(PLOTS / "percentiles", "--terminal", self.cell,
                           env={**os.environ, "COLUMNS": "90", "LINES": "30"})
        self.assertEqual(done.returncode, 0, done.stderr)
        for expected in ("io (7 infinite)", "99.9 %", "event: io base, trial 1", "****"):
            self.assertIn(expected, done.stdout)
        self.assertLessEqual(max(map(len, done.stdout.splitlines())), 90)

    def test_a_cell_without_replies(self):
        (self.cell / "io.hgrm").write_text("\n".join(HGRM.splitlines()[:2]) + "\n")
        done = run_program(PLOTS / "percentiles", self.cell)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no .hgrm file", done.stderr)


class Everything(unittest.TestCase):
    """plots/all over a full run, once; then over the smallest one."""

    @classmethod
    def setUpClass(cls):
        holder = tempfile.TemporaryDirectory(prefix="archbench-plots-")
        cls.addClassCleanup(holder.cleanup)
        cls.folder = build_full(Path(holder.name) / "run")
        cls.done = run_program(PLOTS / "all", cls.folder)

    def test_everything_is_written(self):
        self.assertEqual(self.done.returncode, 0, self.done.stderr)
        for stem in FIGURES:
            for kind in ("png", "svg"):
                self.assertTrue((self.folder / "figures" / f"{stem}.{kind}").is_file(), stem)
        for name in ("c1.csv", "c1.md", "overview.csv", "overview.md"):
            self.assertTrue((self.folder / "tables" / name).is_file(), name)

    def test_findings(self):
        for stem, finding in (
                ("load", "hybrid serves up to 1,240 requests/s (predicted: 1,290), event up to 646 "
                         "(645)"),
                ("cpu_share", "At 70 % CPU work, the p99 of short requests is 1.84 ms in hybrid, "
                              "infinite in event"),
                ("throughput", "The gap is widest in cpu: hybrid serves 1.9 times"),
                ("cost", "In io, a request costs processes 3.1 times the CPU time of event"),
                ("memory", "An open connection costs 12.1 KiB in event, 237 KiB in processes"),
                ("bimodal", "Beside slow requests, the p99 of short ones is 828 µs in hybrid"),
                ("idle", "Beside 10,000 idle connections, event keeps 17 % of its throughput"),
                ("surge", "In the surge, the p99 of short requests rises to 20.2 ms in processes, "
                          "infinite in event"),
                ("balance", "With 16 connections, the busiest worker of multi_loop-shared-4 does "
                            "4.0 times its fair share"),
                ("heatmap", "In the surge, 80.0 % of the short requests take longer than 2.00 ms "
                            "in hybrid, 20.0 % in processes"),
                ("mix_map", "hybrid serves most in 6 of 12 mixes, event 5; no clear winner in 1"),
                ("penalty", "Among 70 % computing requests, the p99 of short ones is 4.5 times "
                            "that alone in hybrid, infinitely many times in event"),
                ("tail", "No clear difference: 99.5 % of short requests fare alike everywhere"),
                ("small_multiples", "8 of 9 words that the guide gives are earned; Latency profile "
                                    "of threads is Low (I/O), not High (blocking)"),
                ("scaling", "By the fitted law, event peaks at 3,160 connections, threads grows up "
                            "to 10,000"),
                ("network", "At 500 ms of round trip a request costs threads 3.0 times the CPU "
                            "time of one at 1 ms, event 1.0 times")):
            text = (self.folder / "figures" / f"{stem}.svg").read_text()
            title = re.search("<title>(.*?)</title>", text).group(1)
            self.assertEqual(title[:len(finding)], finding, stem)

    def test_infinite_and_invalid_are_shown_and_explained(self):
        """Text is drawn as outlines; matplotlib keeps the words beside it as a comment."""
        for stem, infinite, invalid in (("load", True, True), ("cpu_share", True, False),
                                        ("throughput", False, True), ("memory", False, False)):
            text = (self.folder / "figures" / f"{stem}.svg").read_text()
            self.assertEqual("<!-- infinite: too many" in text, infinite, stem)
            self.assertEqual("<!-- ∞ -->" in text, infinite, stem)
            self.assertEqual("<!-- INVALID -->" in text, invalid, stem)

    def test_overview_counts_verdicts(self):
        with open(self.folder / "tables" / "overview.csv", newline="", encoding="utf-8") as file:
            rows = {(r["workload"], r["point"], r["architecture"]): r for r in csv.DictReader(file)}
        self.assertEqual((rows["trivial", "base", "processes"]["valid"],
                          rows["trivial", "base", "processes"]["invalid"]), ("0", "3"))
        self.assertEqual(rows["load", "130", "event"]["p99 ms"], "inf")
        self.assertNotIn(("mix", "base", "hybrid"), rows)

    def test_smallest_run(self):
        with tempfile.TemporaryDirectory() as folder:
            s = SyntheticRun(Path(folder) / "run")
            s.cell("trivial", "base", "newcomer", 1, {"achieved_rate": 5, "total": latencies(1, 2)})
            done = run_program(PLOTS / "all", s.write())
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("left out: memory", done.stdout)
            self.assertTrue((Path(folder) / "run" / "report.html").is_file())


if __name__ == "__main__":
    if sys.argv[1:2] == ["--build"]:
        print(build_full(sys.argv[2]))
    elif sys.argv[1:2] == ["--crowd"]:
        print(build_crowd(sys.argv[2]))
    else:
        unittest.main()
