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
            "[class io]\nrequest = /work?io=timer:10ms\n"
            "[class cpu]\nrequest = /work?cpu=hash:5ms\n",
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


class Folder(unittest.TestCase):
    """A folder for one test, gone afterwards."""

    def setUp(self):
        holder = tempfile.TemporaryDirectory(prefix="archbench plots ")  # with a space
        self.addCleanup(holder.cleanup)
        self.folder = Path(holder.name)


def run_program(*command, **keywords):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=60,
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
        references = ("serverless", "nginx", "apache")
        looks = [style.look(a) for a in style.ARCHITECTURES if a not in references]
        self.assertEqual(len(looks), 14)
        self.assertEqual(len({colour for colour, _ in looks}), len(looks))
        self.assertEqual(len({marker for _, marker in looks}), len(looks))

    def test_a_variant_shows_whose_it_is(self):
        event, _ = style.look("event")
        looks = [style.look(a) for a in ("event", "event-select", "event-poll")]
        self.assertEqual({colour for colour, _ in looks}, {event})
        self.assertEqual(len(set(looks)), 3)
        self.assertEqual(style.in_order(["other", "event-poll", "hybrid", "event", "threads"]),
                         ["threads", "event", "event-poll", "hybrid", "other"])

    def test_unknown_architecture_looks_the_same_in_every_process(self):
        code = "import sys; sys.path.insert(0, sys.argv[1]); from lib import style; " \
               "print(style.look('future_server'))"
        seen = {run_program("/usr/bin/python3", "-c", code, PLOTS,
                            env={**os.environ, "PYTHONHASHSEED": seed}).stdout
                for seed in ("1", "2")}
        self.assertEqual(seen, {f"{style.look('future_server')}\n"})

    def test_numbers_for_people(self):
        for value, text in ((0.01234, "0.0123"), (4.561, "4.56"), (78.91, "78.9"),
                            (1234.5, "1,230"), (0, "0"), (INF, "∞"), (None, "–"),
                            (-3.14159, "-3.14")):
            self.assertEqual(style.human(value), text)
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
        CPU time on a request does not thereby look busier."""
        s = SyntheticRun(self.folder / "run")
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

    def test_a_crowd_gets_a_taller_figure_and_finer_lines(self):
        few, few_widths = self.size(4)
        many, many_widths = self.size(14)
        self.assertGreater(many, 1.4 * few)
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
        sys.modules.pop("load", None)
        import load  # noqa: PLC0415
        s = SyntheticRun(self.folder / "run")
        s.cell("load", "90", "event", 1, {"offered_rate": 100, "achieved_rate": 99})
        s.cell("load", "10", "event", 1, {"offered_rate": 300, "achieved_rate": 200})
        points = load.series(Run(s.write()), "event", "achieved_rate")
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

    def test_nothing_to_draw_is_not_a_failure(self):
        s = SyntheticRun(self.folder / "run")
        s.cell("io", "base", "event", 1, {"achieved_rate": 1})
        done = run_program(PLOTS / "memory.py", s.write())
        self.assertEqual(done.returncode, 3)
        self.assertIn("no workload connections", done.stderr)


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
        for stem in ("load", "cpu_share", "throughput", "cost", "memory", "bimodal"):
            for kind in ("png", "svg"):
                self.assertTrue((self.folder / "figures" / f"{stem}.{kind}").is_file(), stem)
        for name in ("c1.csv", "c1.md", "overview.csv", "overview.md"):
            self.assertTrue((self.folder / "tables" / name).is_file(), name)

    def test_findings(self):
        for stem, finding in (
                ("load", "hybrid serves up to 1,240 requests/s, event up to 646"),
                ("cpu_share", "At 70 % CPU work, the p99 of short requests is 1.84 ms in hybrid, "
                              "infinite in event"),
                ("throughput", "The gap is widest in cpu: hybrid serves 1.9 times"),
                ("cost", "In io, a request costs processes 3.1 times the CPU time of event"),
                ("memory", "An open connection costs 12.1 KiB in event, 237 KiB in processes"),
                ("bimodal", "Beside slow requests, the p99 of short ones is 828 µs in hybrid")):
            self.assertIn(finding, (self.folder / "figures" / f"{stem}.svg").read_text(), stem)

    def test_infinite_and_invalid_are_shown_and_explained(self):
        """Text is drawn as outlines; matplotlib keeps the words beside it as a comment."""
        for stem, infinite, invalid in (("load", True, True), ("cpu_share", True, False),
                                        ("throughput", False, True), ("memory", False, False)):
            text = (self.folder / "figures" / f"{stem}.svg").read_text()
            self.assertEqual("<!-- infinite: too many" in text, infinite, stem)
            self.assertEqual("<!-- ∞ -->" in text, infinite, stem)
            self.assertEqual("<!-- INVALID -->" in text, invalid, stem)

    def test_report_is_one_file_and_complete(self):
        text = (self.folder / "report.html").read_text()
        self.assertEqual(re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', text), [])
        self.assertEqual(text.count("data:image/svg+xml"), 6)
        for expected in ("Do short requests stay short", "the generator lagged", "Example CPU",
                         "planned, but never finished", "prefers-color-scheme", "Low (I/O)"):
            self.assertIn(expected, text)

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
    else:
        unittest.main()
