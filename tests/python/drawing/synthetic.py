"""Synthetic runs whose answers are known, and what the tests of figures, tables and the report share.

`tests/run --synthetic DIR` writes the full one for looking at."""
import csv
import importlib
import json
import math
from pathlib import Path
import re
import subprocess
import tempfile
import unittest
import warnings

from archbench.drawing import style
from archbench.drawing.chart import plt
from archbench.formats.run import NoData, Run
from archbench.model import queueing
from archbench.places import ENTRY

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
    "upstream": "[workload]\nquestion = How many calls at once?\narrivals = closed\n"
               "[class call]\nrequest = /work?io=upstream:20ms\n",
    "baseline": "[workload]\nquestion = What is machinery?\n[class short]\nrequest = /\n",
    "balance": "[workload]\nquestion = Is it even?\n[class short]\nrequest = /\n"
               "[point 16]\n[point 256]\n",
    "mix_map": "[workload]\nquestion = Who wins where?\narrivals = closed\n",
    "network": "[workload]\nquestion = From afar?\narrivals = closed\n"
               "[class short]\nrequest = /\n[point 1ms]\nthink = exponential 1ms\n"
               "[point 100ms]\nthink = 100ms\n",
}
FIGURES = ("load", "cpu_share", "throughput", "cost", "memory", "bimodal", "idle", "concurrency",
           "churn", "surge", "disk", "upstream", "baseline", "balance", "heatmap", "mix_map",
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
    run.manifest["cells"].append({"workload": "mix", "point": "base", "arch": "hybrid", "trial": 1})
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
            run.cell("upstream", point, arch, trial, {"achieved_rate": rate,
                                                     "total": latencies(2e4, late)},
                     exit={"final": {"spawned": 16}})
        run.cell("baseline", "base", arch, trial, {"cpu_us_per_request": 20 * w * k})
    run.cell("baseline", "base", "iterative", trial, {"cpu_us_per_request": 10 / w})
    for point, parts in (("16", (0, 16, 0, 0)), ("256", (64, 60, 66, 66))):
        slots = [{"connections": n, "requests": 10 * n} for n in (0, *parts)]
        run.cell("balance", point, "multi_loop-shared-4", trial, {"achieved_rate": 2}, slots=slots)
    run.manifest["servers"] = {a: {"name": a, "blocks": ["upstream"] if a == "threads" else []}
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
    archs = [a for a in style.ARCHITECTURES if a not in style.REFERENCES]
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


def draw(run, *words):
    """What `archbench draw` does with a run."""
    return run_program(ENTRY, "draw", run, *words)


def figure(stem):
    """The module archbench/figures/STEM.py, whose functions read and compute what is drawn."""
    return importlib.import_module(f"archbench.figures.{stem}")


def table_module(stem):
    """The module archbench/tables/STEM.py."""
    return importlib.import_module(f"archbench.tables.{stem}")


def drawn(stem, run_folder):
    """The texts in the figure that archbench/figures/STEM.py draws of a run, its title first. They are drawn as
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
