#!/usr/bin/python3
"""The guide's tables, over synthetic runs whose answers are known: each verdict from all sides."""
import csv
import importlib
import json
import math
import unittest

import test_plots
from test_plots import PLOTS, SyntheticRun, latencies, run_program

from lib import facts, guide_table  # noqa: E402  (test_plots sets the path)
from lib.run import NoData, Run  # noqa: E402
from lib.stats import estimate  # noqa: E402

INI = {
    "cpu_time": "[workload]\narrivals = closed\nconnections = 16\n[class io]\nweight = 70\n"
                "request = /work?io=timer:10ms&class=io\n[class cpu]\nweight = 30\n"
                "request = /work?cpu=hash:50ms&class=cpu\n"
                "[point alone50]\nio.weight = 0\ncpu.weight = 100\n"
                "[point alone500]\nio.weight = 0\ncpu.weight = 100\n"
                "cpu.request = /work?cpu=hash:500ms&class=cpu\n[point mix50]\n"
                "[point mix500]\ncpu.request = /work?cpu=hash:500ms&class=cpu\n",
    "concurrency": "[workload]\narrivals = closed\n[class io]\nrequest = /work?io=timer:10ms\n"
                   "[point 1000]\nconnections = 1000\n[point 10000]\nconnections = 10000\n",
    "network": "[workload]\narrivals = closed\n[class short]\nrequest = /\n[point 1ms]\n"
               "connections = 2\nthink = exponential 1ms\n[point 500ms]\nconnections = 1000\n"
               "think = exponential 500ms\n",
    "load": "[workload]\narrivals = poisson\nrate = 90%\n[class io]\nweight = 70\n"
            "request = /work?io=timer:10ms\n[class cpu]\nweight = 30\n"
            "request = /work?cpu=hash:5ms\n[point 50]\nrate = 50%\n[point 110]\nrate = 110%\n",
    "surge": "[workload]\narrivals = poisson\n[class short]\nrequest = /\n[class cpu]\n"
             "request = /work?cpu=hash:2ms\n[phase before]\nduration = 500ms\n[phase surge]\n"
             "duration = 500ms\ncpu.load = 10\n[phase after]\nduration = 1s\n",
    "cpu_share": "[workload]\narrivals = poisson\nrate = 40%\n[class short]\nrequest = /\n"
                 "[class cpu]\nrequest = /work?cpu=hash:2ms\n[point 0]\ncpu.weight = 0\n"
                 "[point 30]\n[point 70]\n[point 100]\nshort.weight = 0\n",
    "counters": "[workload]\narrivals = closed\n[class count]\nrequest = /work?count=9\n",
}
MEMORY_KB = 24 * 2**20  # 24 GiB


class Tables(test_plots.Folder):
    """Builds a run and reads one table of it."""

    def setUp(self):
        super().setUp()
        self.synthetic = SyntheticRun(self.folder / "run", environment={
            "kernel": "6.1.0", "cpu": "Example CPU", "cores": 2, "memory_kb": MEMORY_KB})
        for name, text in INI.items():
            (self.synthetic.folder / "workloads" / f"{name}.ini").write_text(text)
        self.predictions = []

    def cells(self, workload, point, arch, metrics, trials=3, **more):
        """So many trials alike; `metrics` as SyntheticRun.cell() takes them."""
        return [self.synthetic.cell(workload, point, arch, trial, metrics, **more)
                for trial in range(1, trials + 1)]

    def rate(self, workload, point, arch, rate, **metrics):
        self.cells(workload, point, arch, {"achieved_rate": rate, **metrics})

    def predict(self, workload, point, arch, **said):
        self.predictions.append({"workload": workload, "point": point, "arch": arch, **said})

    def written(self):
        (self.synthetic.folder / "predictions.json").write_text(json.dumps(
            {"schema": "archbench-predictions/1", "cells": self.predictions}))
        return self.synthetic.write()

    def facts(self):
        return facts.Facts(Run(self.written()))

    def rows(self, stem):
        """The rows of plots/table_STEM.py, as dicts."""
        header, rows, text = importlib.import_module(f"table_{stem}").make(Run(self.written()))
        self.assertEqual(header, ["id", "claim", "guide", "formula", "model", "measured",
                                  "agreement", "verdict"])
        found = [dict(zip(header, row)) for row in rows]
        for row in found:
            self.assertIn(row["agreement"], ("agree", "disagree", "open"))
            self.assertTrue(all(row.values()), row)
            self.assertTrue(row["verdict"].endswith("."), row)
            self.assertIn(row["verdict"].replace("|", "\\|"), text)
        return found

    def row(self, stem, claim):
        """The one row whose claim holds these words."""
        found = [r for r in self.rows(stem) if claim in r["claim"]]
        self.assertEqual(len(found), 1, claim)
        return found[0]

    def judged(self, stem, claim):
        return self.row(stem, claim)["agreement"]


class Texts(unittest.TestCase):
    def test_an_estimate_says_its_interval_and_few_trials(self):
        told = guide_table.told
        self.assertEqual(told(estimate([192, 193, 194]), "/s"), "193/s [192, 194]")
        self.assertEqual(told(estimate([192, 194]), "/s"), "193/s [192, 194] (2 trials)")
        self.assertEqual(told(estimate([5]), " µs"), "5.00 µs (1 trial)")

    def test_comparisons_in_words(self):
        for value, expected, text in ((100, 100, "equal to"), (112, 100, "12 % above"),
                                      (69, 100, "31 % below"), (310, 100, "3.1 times"),
                                      (31, 100, "0.310 times"), (0, 100, "0 times"),
                                      (math.inf, 1, "infinitely far above")):
            self.assertEqual(guide_table.compared(value, expected), text)

    def test_times_and_shares(self):
        for value, text in ((0, "0 s"), (0.01, "10.0 ms"), (3153.6, "52.6 min"),
                            (math.inf, "infinite")):
            self.assertEqual(guide_table.seconds(value), text)
        for share, text in ((0, "0 %"), (0.456, "46 %"), (0.012, "1.2 %")):
            self.assertEqual(guide_table.percent(share), text)


class Rules(unittest.TestCase):
    def test_near_is_within_ten_percent(self):
        for values, expected in (([91], "agree"), ([109], "agree"), ([89], "disagree"),
                                 ([111], "disagree"), ([85, 88, 95], "open"),
                                 ([105, 112, 120], "open"), ([70, 80, 89], "disagree"),
                                 ([math.inf], "disagree")):
            self.assertEqual(guide_table.near(estimate(values), 100), expected, values)

    def test_below_needs_the_whole_interval(self):
        for values, expected in (([900], "agree"), ([1000], "disagree"), ([800, 900, 999], "agree"),
                                 ([900, 950, 1001], "open"), ([1000, 1100, 1200], "disagree"),
                                 ([900, 900, math.inf], "open")):
            self.assertEqual(guide_table.below(estimate(values), 1000), expected, values)


class Saturation(Tables):
    def test_a_closed_loop_always_asks_for_more(self):
        self.rate("io", "base", "event", 500)
        found = self.facts().saturation("io", "event")
        self.assertEqual((found.point, found.rate.value, found.at_least), ("base", 500, False))

    def test_an_open_loop_must_have_asked_for_more(self):
        self.rate("load", "50", "event", 650, offered_rate=660)
        self.assertIsNone(self.facts().saturation("load", "event"))

    def test_the_most_that_was_given_counts(self):
        self.rate("load", "50", "event", 640, offered_rate=700)
        self.rate("load", "110", "event", 600, offered_rate=1400)
        found = self.facts().saturation("load", "event")
        self.assertEqual((found.point, found.rate.value), ("50", 640))

    def test_answered_above_the_predicted_capacity(self):
        self.rate("load", "110", "event", 690, offered_rate=700)
        self.predict("load", "110", "event", capacity=660, bottleneck="cores")
        found = self.facts().saturation("load", "event")
        self.assertEqual((found.rate.value, found.at_least), (690, True))

    def test_invalid_trials_do_not_count(self):
        self.synthetic.cell("io", "base", "event", 1, {"achieved_rate": 500}, ["steal 4 %"])
        found = self.facts()
        self.assertIsNone(found.saturation("io", "event"))
        self.assertIn("No valid trial of event in io", found.why_unsaturated("io", "event"))


class Work(Tables):
    """What a point asks for, from its file."""

    def test_a_class_without_requests_asks_for_nothing(self):
        self.rate("cpu_share", "0", "event", 500)
        self.rate("cpu_time", "alone500", "event", 2)
        self.rate("cpu_time", "mix50", "event", 60)
        found = self.facts()
        self.assertEqual(found.cpu_of("cpu_share", "0"), (0, 0))
        self.assertEqual(found.cpu_of("cpu_time", "alone500"), (1, 0.5))
        self.assertEqual(found.wait_s("cpu_time", "alone500"), 0)
        self.assertEqual(found.cpu_of("cpu_time", "mix50"), (0.3, 0.05))
        self.assertAlmostEqual(found.cost_s("cpu_time", "mix50"), 0.015020)
        self.assertAlmostEqual(found.wait_s("cpu_time", "mix50"), 0.007)

    def test_a_thread_that_waits_costs_its_wait(self):
        about = {"family": "multi-threaded", "blocks": ["timer"], "tasks": "1 thread",
                 "computes": "any"}
        self.synthetic.manifest["servers"] = {"threads": about, "event": about | {"blocks": []}}
        self.synthetic.manifest["calibration"]["thread"] = {"wait_us": 10.0}
        self.rate("cpu_time", "mix50", "event", 60)
        found = self.facts()
        self.assertAlmostEqual(found.cost_s("cpu_time", "mix50", "threads"), 0.015020 + 0.7 * 10e-6)
        self.assertAlmostEqual(found.cost_s("cpu_time", "mix50", "event"), 0.015020)


class Capacity(Tables):
    """cpu: 5 ms on 2 cores; a request of calibration costs 20 µs more."""

    def closed(self, arch, rate, predicted, used, cost_us, busy=0.0, units_per_ms=1000, slots=None,
               **said):
        self.synthetic.manifest["calibration"]["units_per_ms"] = {"hash": 1000}
        self.cells("cpu", "base", arch, {
            "achieved_rate": rate, "cores_used": used, "cpu_us_per_request": cost_us,
            "generator_busy_max": busy, "hash_units_per_ms": units_per_ms,
            "total": latencies(8e4, 9e4)}, slots=slots)
        self.predict("cpu", "base", arch, **{"capacity": predicted, "bottleneck": "cores",
                                             "achieved_rate": predicted, "mean_us": 5e4, **said})

    def verdict(self):
        row = self.row("capacity", "event, computing")
        return row["agreement"], row["verdict"]

    def test_a_prediction_that_holds(self):
        self.closed("event", 380, 398.4, 1.95, 5100)
        row = self.row("capacity", "event, computing")
        self.assertEqual((row["guide"], row["formula"], row["model"], row["agreement"]),
                         ("3,000/s", "200/s", "398/s (cores)", "agree"))
        self.assertEqual(row["measured"], "380/s [380, 380], 0.954 of the prediction")
        self.assertEqual(row["verdict"],
                         "5 % below the prediction: limited by cores, as predicted.")

    def test_a_miss_by_the_cost_of_a_request(self):
        self.closed("event", 300, 398.4, 1.95, 6500)
        agreement, verdict = self.verdict()
        self.assertEqual(agreement, "disagree")
        self.assertIn("25 % below the prediction: the cores were busy (1.95 of 2.00", verdict)
        self.assertIn("6,500 µs of CPU time instead of 5,020: by that cost the capacity is 300/s",
                      verdict)

    def test_a_miss_by_the_speed_of_the_machine(self):
        """Calibrated at 1,000 units per ms; 0.78 of them make 311 of the 398 per second."""
        self.closed("event", 300, 398.4, 1.95, 6500, units_per_ms=780)
        agreement, verdict = self.verdict()
        self.assertEqual(agreement, "disagree")
        self.assertIn("the machine did 780 units of hash per ms of CPU time just before and after, "
                      "and 1,000 when it was calibrated: at this speed the prediction is 311/s, "
                      "and the measured rate is 3 % below it.", verdict)

    def test_a_speed_that_explains_nothing(self):
        for units in 980, 600, 1300:
            with self.subTest(units=units):
                self.setUp()
                self.closed("event", 300, 398.4, 1.95, 6500, units_per_ms=units)
                self.assertIn("a request cost 6,500 µs", self.verdict()[1])

    def test_a_generator_on_the_same_cores_takes_its_share(self):
        self.closed("event", 300, 398.4, 1.7, 5600, busy=0.25)
        self.assertIn("and the generator took 0.25 of the same", self.verdict()[1])

    def test_a_miss_by_the_generator(self):
        self.closed("event", 300, 398.4, 1.0, 5000, busy=0.95)
        self.assertIn("the generator's core was 95 % busy", self.verdict()[1])

    def test_more_cores_than_the_model_counts_on(self):
        self.closed("event", 380, 199.2, 1.9, 5000)
        self.assertIn("1.90 cores worked where the model counts on 1.00", self.verdict()[1])

    def test_a_miss_by_workers_that_do_not_share(self):
        """32 connections, 31 of them with the second loop; the first slot is the parent's."""
        for used, cost_us, why in (
                (1.0, 5000, "answered 1.94 times its fair share, and only 1.00 of 2 cores"),
                (1.95, 9300, "a request cost 9,300 µs")):
            with self.subTest(why):
                self.setUp()
                self.closed("event", 210, 398.4, used, cost_us,
                            slots=[{"requests": n} for n in (0, 10, 310)])
                self.assertIn(why, self.verdict()[1])

    def test_of_more_workers_than_cores_one_may_idle(self):
        self.closed("event", 210, 398.4, 1.0, 5000,
                    slots=[{"requests": n} for n in (0, 10, 300, 10)])
        self.assertIn("the clients wait", self.verdict()[1])

    def test_a_miss_by_waiting(self):
        self.closed("event", 300, 398.4, 1.0, 5000)
        self.assertIn("a request took 88.0 ms on average instead of 50.0 ms", self.verdict()[1])

    def test_a_miss_that_nothing_explains(self):
        self.rate("load", "110", "event", 600, offered_rate=1400, cores_used=0.5,
                  cpu_us_per_request=1520)
        self.predict("load", "110", "event", capacity=1300, bottleneck="cores")
        row = self.row("capacity", "event, the mix")
        self.assertEqual(row["agreement"], "disagree")
        self.assertIn("not explained by this run: 0.50 of 1.98 cores were busy", row["verdict"])

    def test_clients_may_be_too_few(self):
        self.closed("event", 101, 398.4, 0.5, 5000, achieved_rate=100)
        row = self.row("capacity", "event, computing")
        self.assertEqual((row["model"], row["agreement"]),
                         ("100/s (the clients' own waiting)", "agree"))

    def test_at_least(self):
        for rate, agreement in ((1390, "agree"), (1600, "disagree")):
            with self.subTest(rate=rate):
                self.setUp()
                self.rate("load", "110", "event", rate, offered_rate=rate)
                self.predict("load", "110", "event", capacity=1320, bottleneck="cores")
                row = self.row("capacity", "event, the mix")
                self.assertEqual(row["agreement"], agreement)
                self.assertIn("At least", row["verdict"])
                self.assertIn("at least", row["measured"])

    def test_without_a_prediction(self):
        self.rate("io", "base", "event", 500)
        row = self.row("capacity", "event, waiting")
        self.assertEqual((row["agreement"], row["guide"], row["verdict"]),
                         ("open", "1,000,000/s", "Nothing was predicted for this run."))

    def test_the_guides_formula_of_the_mix(self):
        self.rate("load", "110", "event", 600, offered_rate=1400)
        row = self.row("capacity", "event, the mix")
        self.assertEqual((row["guide"], row["formula"]), ("10,000/s", "667/s"))


class HoldingRows(Tables):
    """B1 and B4."""

    def held(self, arch, point, rate, lost=0.0):
        self.rate("concurrency", point, arch, rate, connections=int(point), error_share=lost,
                  total=latencies(1e5, 6e5))

    def test_ten_thousand_are_held(self):
        self.held("event", "10000", 20000)
        row = self.row("b", "event holds 10,000 I/O")
        self.assertEqual(row["agreement"], "agree")
        self.assertEqual(row["measured"], "10,000 at a time, at 20,000/s [20,000, 20,000], "
                                          "p99 600 ms [600 ms, 600 ms]")

    def test_ten_thousand_are_not_held(self):
        self.held("event", "1000", 20000)
        self.held("event", "10000", 20000, lost=0.2)
        row = self.row("b", "event holds 10,000 I/O")
        self.assertEqual(row["agreement"], "disagree")
        self.assertIn("left 20 % of the requests without a reply; 1,000 it held", row["verdict"])

    def test_ten_thousand_were_not_asked_for(self):
        self.held("event", "1000", 20000)
        self.assertEqual(self.judged("b", "event holds 10,000 I/O"), "open")

    def test_none_are_held(self):
        self.held("event", "1000", 20000, lost=0.5)
        row = self.row("b", "event holds 10,000 I/O")
        self.assertEqual((row["measured"], row["agreement"]), ("none without errors", "disagree"))

    def test_others_have_no_claim(self):
        self.held("threads", "10000", 9000)
        row = self.row("b", "threads holds 10,000 I/O")
        self.assertEqual((row["guide"], row["agreement"]), ("no number", "open"))
        self.assertIn("threads held them", row["verdict"])

    def test_a_concurrency_is_no_rate(self):
        self.held("event", "10000", 20000)
        row = self.row("b", "are the loop's I/O throughput")
        self.assertEqual(row["formula"], "Little: 10,000 / 10.0 ms = 1,000,000/s")
        self.assertEqual(row["agreement"], "disagree")
        self.assertIn("would be 1,000,000/s by Little's law, and were 20,000/s. Of the 10,000 only "
                      "200 wait for their I/O at a time", row["verdict"])

    def test_too_few_clients_to_tell(self):
        self.held("event", "1000", 95000)
        row = self.row("b", "are the loop's I/O throughput")
        self.assertEqual(row["agreement"], "open")
        self.assertIn("1,000 clients cannot ask for more than 100,000/s", row["verdict"])

    def memory(self, arch, total_kb, workload="connections", busy=1000, open_now=1000):
        kinds = {"user": 0.5, "page_tables": 0.3, "kernel_stacks": 0.15, "sockets": 0.05}
        self.cells(workload, "base", arch, {
            "memory_total_kb_per_connection": total_kb, "connections": busy,
            **{f"memory_{k}_kb_per_connection": total_kb * share for k, share in kinds.items()}},
            memory={"connections": open_now})

    def test_64_kb_are_too_many(self):
        self.memory("event", 16)
        row = self.row("b", "event: a connection costs 64 KB")
        self.assertEqual(row["formula"], "24 GiB / 64 KiB = 393,000, 315,000 at 80 %")
        self.assertEqual(row["agreement"], "disagree")
        self.assertIn("user memory 8.00, page tables 4.80, kernel stacks 2.40, sockets of both "
                      "ends 0.800; 1,570,000 fit into this machine", row["measured"])
        self.assertIn("0.250 times the guide's 64, most of it user memory (8.00 KiB): 64 GB would "
                      "hold 4,190,000, enough", row["verdict"])

    def test_memory_was_predicted(self):
        self.memory("event", 16)
        self.memory("threads", 40)
        self.predict("connections", "base", "event", memory_kib_per_connection=12.3)
        self.predict("connections", "base", "threads", memory_kib_per_connection=None)
        for arch, model in ("event", "12.3 KiB"), ("threads", guide_table.NOTHING):
            self.assertEqual(self.row("b", f"{arch}: a connection costs 64 KB")["model"], model)

    def test_64_kb_are_too_few(self):
        self.memory("processes", 128)
        row = self.row("b", "processes: a connection costs 64 KB")
        self.assertEqual(row["agreement"], "disagree")
        self.assertIn("2.0 times the guide's 64", row["verdict"])
        self.assertIn("524,000, not the 1,000,000", row["verdict"])

    def test_64_kb_are_right(self):
        self.memory("threads", 60)
        self.assertEqual(self.judged("b", "threads: a connection costs 64 KB"), "agree")

    def test_less_than_nothing_is_noise(self):
        self.memory("threads", -3)
        self.assertEqual(self.judged("b", "threads: a connection costs 64 KB"), "open")

    def test_idle_connections_tell_when_nothing_better_does(self):
        self.memory("event", 16, workload="idle", busy=8, open_now=10008)
        self.assertIn("with 10,008 open",
                      self.row("b", "event: a connection costs 64 KB")["measured"])


class ComputingRows(Tables):
    """B2, B3, B6 and D1, on 2 cores."""

    def test_a_core_does_20_tasks(self):
        for rate, agreement in ((19.5, "agree"), (14, "disagree")):
            with self.subTest(rate=rate):
                self.setUp()
                self.rate("cpu_time", "alone50", "event", rate)
                row = self.row("b", "so many CPU tasks per second (cpu_time")
                self.assertEqual((row["formula"], row["agreement"]),
                                 ("1 / 50.0 ms = 20.0/s", agreement))

    def test_the_same_formula_for_5_ms(self):
        self.rate("cpu", "base", "event", 196)
        row = self.row("b", "so many CPU tasks per second (cpu:")
        self.assertEqual((row["formula"], row["agreement"]), ("1 / 5.00 ms = 200/s", "agree"))

    def test_no_core_need_be_set_aside(self):
        self.rate("cpu_time", "alone50", "hybrid", 39, cores_used=1.96)
        row = self.row("b", "hybrid: a loop and workers")
        self.assertEqual(row["formula"], "(2 cores, 1 for workers) x 20.0/s = 20.0/s")
        self.assertEqual((row["measured"], row["agreement"]),
                         ("39.0/s [39.0, 39.0], 1.96 cores used", "disagree"))
        self.assertIn("all 2 cores x 20.0/s = 40.0/s is what was measured", row["verdict"])

    def test_on_16_cores_the_core_set_aside_hardly_shows(self):
        self.cells("cpu_time", "alone50", "hybrid", {"achieved_rate": 315}, placement={
            "mode": "shared", "server_cores": list(range(16))})
        row = self.row("b", "hybrid: a loop and workers")
        self.assertEqual((row["formula"], row["agreement"]),
                         ("(16 cores, 15 for workers) x 20.0/s = 300/s", "agree"))
        self.assertNotIn("needs no core", row["verdict"])

    def test_one_core_is_set_aside(self):
        self.rate("cpu_time", "alone50", "hybrid", 20)
        row = self.row("b", "hybrid: a loop and workers")
        self.assertEqual(row["agreement"], "agree")
        self.assertNotIn("needs no core", row["verdict"])

    def test_a_loop_computes_on_one_core_and_threads_on_all(self):
        self.rate("cpu_time", "alone50", "event", 19.8)
        self.rate("cpu_time", "alone50", "threads", 39)
        for claim, formula in (("event: a single loop", "1 x 20.0/s = 20.0/s"),
                               ("threads: every core", "2 x 20.0/s = 40.0/s")):
            row = self.row("b", claim)
            self.assertEqual((row["formula"], row["agreement"]), (formula, "agree"))

    def test_ten_times_the_task(self):
        self.rate("cpu_time", "alone50", "hybrid", 39)
        self.rate("cpu_time", "alone500", "hybrid", 3.9)
        row = self.row("b", "hybrid: CPU tasks of 500 ms")
        self.assertEqual((row["formula"], row["agreement"]),
                         ("500 ms / 50.0 ms = 10.0 times less", "agree"))

    def test_ten_times_the_task_and_less_than_that(self):
        self.rate("cpu_time", "alone50", "hybrid", 39)
        self.rate("cpu_time", "alone500", "hybrid", 13)
        self.assertEqual(self.judged("b", "hybrid: CPU tasks of 500 ms"), "disagree")

    def mix(self, rates, p99_us):
        for point, rate, p99 in zip(("mix50", "mix500"), rates, p99_us):
            self.rate("cpu_time", point, "event", rate, io=latencies(1e4, p99))

    def test_d1_everything_is_ten_times_slower(self):
        self.mix((66, 6.6), (8e5, 8e6))
        self.predict("cpu_time", "mix50", "event", capacity=66.6, bottleneck="cores")
        self.predict("cpu_time", "mix500", "event", capacity=6.67, bottleneck="cores")
        row = self.row("d", "event: CPU tasks of 500 ms")
        self.assertEqual(row["formula"],
                         "20.0/s / 0.3 = 66.7/s, then 2.00/s / 0.3 = 6.67/s")
        self.assertEqual(row["model"], "at most 66.6/s (cores), then at most 6.67/s (cores)")
        self.assertEqual(row["agreement"], "agree")
        self.assertIn("wait for the computations as well: p99 800 ms, then 8.00 s", row["verdict"])

    def test_d1_latency_may_be_spared_when_throughput_is_not(self):
        self.mix((66, 6.6), (1.1e4, 1.5e4))
        self.assertIn("Those that only wait take no longer (p99 11.0 ms, then 15.0 ms)",
                      self.row("d", "event: CPU tasks of 500 ms")["verdict"])

    def test_d1_throughput_may_be_spared(self):
        self.mix((66, 60), (1.1e4, 1.1e4))
        self.assertEqual(self.judged("d", "event: CPU tasks of 500 ms"), "disagree")


class ChallengeRows(Tables):
    """B5."""

    def test_the_cap(self):
        self.rate("cpu_time", "alone50", "hybrid", 39)
        self.rate("cpu_time", "mix50", "hybrid", 128)
        row = self.row("b", "hybrid, cpu_time at mix50")
        self.assertIn("not said", row["guide"])
        self.assertEqual((row["formula"], row["agreement"]), ("20.0/s / 0.3 = 66.7/s", "agree"))
        self.assertIn("Alone, hybrid does 39.0/s of these tasks; / 0.3 = 130/s is the cap",
                      row["verdict"])

    def test_the_cap_does_not_hold(self):
        for mixed in (200, 100):
            with self.subTest(mixed=mixed):
                self.setUp()
                self.rate("cpu_time", "alone50", "hybrid", 39)
                self.rate("cpu_time", "mix50", "hybrid", mixed)
                self.assertEqual(self.judged("b", "hybrid, cpu_time at mix50"), "disagree")

    def test_the_cap_needs_the_rate_alone(self):
        self.rate("cpu_time", "mix50", "hybrid", 200)
        self.assertEqual(self.judged("b", "hybrid, cpu_time at mix50"), "open")

    def test_the_cap_from_the_load(self):
        self.rate("cpu", "base", "hybrid", 390)
        self.rate("load", "110", "hybrid", 1290, offered_rate=1450)
        self.assertEqual(self.judged("b", "hybrid, load"), "agree")

    def test_a_load_that_did_not_reach_the_cap_tells_nothing(self):
        self.rate("cpu", "base", "hybrid", 390)
        self.rate("load", "110", "hybrid", 1000, offered_rate=1000)
        self.predict("load", "110", "hybrid", capacity=900, bottleneck="cores")
        self.assertEqual(self.judged("b", "hybrid, load"), "open")

    def test_connections(self):
        for held, agreement in ((1000, "open"), (100_000, "agree")):
            with self.subTest(held=held):
                self.setUp()
                self.cells("connections", "base", "hybrid",
                           {"memory_total_kb_per_connection": 16, "connections": held})
                row = self.row("b", "hybrid holds 100,000")
                self.assertEqual(row["agreement"], agreement)
        self.assertEqual(row["formula"], "100,000 x 64 KiB = 6.1 GiB")

    def critical(self, arch, p99s, worst=900):
        for trial, p99 in enumerate(p99s, 1):
            self.synthetic.cell("bimodal", "base", arch, trial, {
                "short": {**latencies(100, p99), "response_max_us": worst},
                "slow": latencies(3e4, 9e4)})

    def test_critical_operations(self):
        for p99s, agreement in (((700, 800, 990), "agree"), ((1100, 1200, 1300), "disagree"),
                                ((900, 950, 1300), "open")):
            with self.subTest(p99s=p99s):
                self.setUp()
                self.critical("hybrid", p99s)
                row = self.row("b", "hybrid: critical operations")
                self.assertEqual(row["agreement"], agreement)
                self.assertNotIn("guaranteed", row["verdict"])

    def test_a_p99_is_no_guarantee(self):
        self.critical("hybrid", (700, 700), worst=3770)
        self.predict("bimodal", "base", "hybrid",
                     classes={"short": {"mean_us": 120, "p99_us": None, "model": "M/D/1 loop"}})
        row = self.row("b", "hybrid: critical operations")
        self.assertIn("the slowest took 3.77 ms, so nothing is guaranteed", row["verdict"])
        self.assertEqual(row["model"], "mean 120 µs (M/D/1 loop)")

    def test_critical_operations_of_others_are_no_claim(self):
        self.critical("event", (1e5, 1e5, 1e5))
        self.assertEqual(self.judged("b", "event: critical operations"), "open")

    def test_uptime(self):
        self.cells("failure", "base", "event", {"error_share": 0.1}, load={"duration_s": 3})
        row = self.row("b", "event: 99.99 % uptime")
        self.assertEqual((row["formula"], row["agreement"]),
                         ("0.01 % of a year = 52.6 min without service", "open"))
        self.assertIn("as much as 300 ms without service: 99.99 % leaves room for 10,500 a year",
                      row["verdict"])

    def test_uptime_without_loss(self):
        self.cells("failure", "base", "serverless", {"error_share": 0})
        self.cells("failure", "base", "hybrid", {"error_share": 0}, load={"duration_s": 3})
        self.assertIn("cost hybrid nothing", self.row("b", "hybrid: 99.99 % uptime")["verdict"])


class Distance(Tables):
    """D3."""

    def at(self, arch, point, cost, kb=16, rate=1990):
        self.rate("network", point, arch, rate, cpu_us_per_request=cost,
                  connections={"1ms": 2, "500ms": 1000}[point], switches_per_request=2,
                  memory_total_kb_per_connection=kb)

    def ends(self, arch, near, far, **more):
        self.at(arch, "1ms", near, **more)
        self.at(arch, "500ms", far, **more)

    def test_the_advantage_grows(self):
        self.ends("event", 20, 22)
        self.ends("processes", 30, 66, kb=160)
        row = self.row("d", "beside processes")
        self.assertEqual(row["agreement"], "agree")
        self.assertIn("1.50 [1.50, 1.50] at 1.00 ms, 3.00 [3.00, 3.00] at 500 ms", row["measured"])
        self.assertIn("memory of all connections at 500 ms 156 MiB (event 15.6 MiB)",
                      row["measured"])
        self.assertIn("switches per request 2.00 and 2.00 (event 2.00 and 2.00)", row["measured"])
        self.assertIn("2 connections have become 1,000, and their memory is 10 times that of event",
                      row["verdict"])

    def test_the_advantage_shrinks(self):
        self.ends("event", 20, 40)
        self.ends("threads", 40, 44)
        self.assertEqual(self.judged("d", "beside threads"), "disagree")

    def test_no_clear_change(self):
        self.ends("event", 20, 20)
        self.ends("threads", 40, 41)
        self.assertEqual(self.judged("d", "beside threads"), "open")

    def test_one_distance_tells_nothing(self):
        self.ends("event", 20, 20)
        self.at("threads", "1ms", 40)
        row = self.row("d", "beside threads")
        self.assertEqual((row["measured"], row["agreement"]), ("not measured", "open"))

    def test_littles_law(self):
        for rate, agreement in ((1990, "agree"), (900, "disagree")):
            with self.subTest(rate=rate):
                self.setUp()
                self.ends("event", 20, 20, rate=rate)
                row = self.row("d", "rate x round trip")
                self.assertEqual((row["formula"], row["agreement"]),
                                 ("2,000/s x 500 ms = 1,000", agreement))


class ProsAndCons(Tables):
    """C2."""

    def memory(self, **kb):
        for arch, value in kb.items():
            self.cells("connections", "base", arch, {"memory_total_kb_per_connection": value,
                                                     "connections": 1000})

    def test_memory_as_the_guide_says(self):
        self.memory(processes=130, threads=40, event=12)
        for arch in ("processes", "threads", "event"):
            self.assertEqual(self.judged("c2", f"{arch}: memory"), "agree", arch)

    def test_memory_otherwise(self):
        self.memory(processes=15, threads=40, event=45)
        for arch in ("processes", "threads", "event"):
            self.assertEqual(self.judged("c2", f"{arch}: memory"), "disagree", arch)

    def test_memory_alike(self):
        self.memory(threads=40, event=39, hybrid=41)
        self.assertEqual(self.judged("c2", "event: memory"), "open")
        self.assertEqual(self.judged("c2", "hybrid: memory"), "open")
        self.assertIn("processes were not measured",
                      self.row("c2", "threads: memory")["verdict"])

    def test_less_than_one_of_two_is_not_enough(self):
        self.memory(processes=130, threads=40, event=39)
        self.assertEqual(self.judged("c2", "event: memory"), "open")

    def test_memory_is_compared_where_most_were_measured(self):
        self.memory(processes=130, event=12)
        for point in ("1", "1000"):
            self.cells("idle", point, "event", {"memory_total_kb_per_connection": 99,
                                                "connections": 8})
        self.assertEqual(self.judged("c2", "event: memory"), "agree")

    def switches(self, **measured):
        for arch, (switches, cost) in measured.items():
            self.rate("io", "base", arch, 5000, switches_per_request=switches,
                      cpu_us_per_request=cost)

    def test_switches_as_the_guide_says(self):
        self.switches(processes=(2, 40), threads=(2, 14), event=(0.05, 10))
        for arch in ("processes", "threads", "event"):
            self.assertEqual(self.judged("c2", f"{arch}: context switches"), "agree", arch)
        self.assertIn("add 4.00 µs to the 10.0 that a request costs the event loop: 40 % more",
                      self.row("c2", "threads: context switches")["verdict"])

    def test_switches_otherwise(self):
        self.switches(processes=(2, 14), threads=(2, 30), event=(0.5, 10))
        for arch in ("processes", "threads", "event"):
            self.assertEqual(self.judged("c2", f"{arch}: context switches"), "disagree", arch)

    def test_switches_alike_or_alone(self):
        self.switches(processes=(2, 14), threads=(2, 14.1))
        self.assertEqual(self.judged("c2", "processes: context switches"), "open")
        self.assertEqual(self.judged("c2", "threads: context switches"), "open")

    def count(self, **rates):
        for way, rate in rates.items():
            self.rate("counters", "64", f"threads-{way}", rate)
            self.rate("counters", "1", f"threads-{way}", 100)

    def test_shared_state(self):
        for rates, agreement in (({"tss": 9000, "mutex": 300}, "agree"),
                                 ({"tss": 300, "atomic": 9000}, "disagree"),
                                 ({"tss": 300, "mutex": 301}, "open"),
                                 ({"tss": 301, "mutex": 300}, "open")):
            with self.subTest(rates=rates):
                self.setUp()
                self.count(**rates)
                self.assertEqual(self.judged("c2", "threads: the cost of shared"), agreement)

    def test_the_price_of_sharing_is_that_of_most_connections(self):
        self.count(tss=9000, mutex=300)
        self.assertIn("With 64 connections threads count 30 times as fast",
                      self.row("c2", "threads: the cost of shared")["verdict"])

    def test_lines_of_code(self):
        self.memory(event=12)
        for lines, agreement in (((100, 200), "agree"), ((200, 100), "disagree"),
                                 ((100, 105), "open")):
            servers = zip(("processes", "threads"), lines)
            self.synthetic.manifest["servers"] = {a: {"name": a, "loc": n} for a, n in servers}
            for arch in ("processes", "threads"):
                self.assertEqual(self.judged("c2", f"{arch}: lines"), agreement, lines)

    def test_who_waits_for_the_slow_ones(self):
        """A slow request computes for 20 ms."""
        for arch, p99 in (("event", 10_100), ("hybrid", 300)):
            self.cells("bimodal", "base", arch, {"short": latencies(100, p99, 900),
                                                 "slow": latencies(2e4, 3e4, 100)})
        row = self.row("c2", "event: short requests beside blocking ones (workload bimodal)")
        self.assertEqual(row["agreement"], "agree")
        self.assertIn("Short ones wait for the others", row["verdict"])
        row = self.row("c2", "hybrid: short requests beside blocking ones (workload bimodal)")
        self.assertEqual(row["agreement"], "open")
        self.assertIn("Short ones do not wait", row["verdict"])

    def test_a_loop_that_does_not_block(self):
        self.cells("bimodal", "base", "event", {"short": latencies(100, 9900, 900),
                                                "slow": latencies(2e4, 3e4, 100)})
        self.assertEqual(self.judged("c2", "event: short requests beside blocking ones (workload "
                                     "bimodal)"), "disagree")

    def test_the_largest_share_that_has_short_ones(self):
        for point, short in (("0", latencies(100, 200)), ("30", latencies(100, 900)),
                             ("70", latencies(100, 4000)), ("100", None)):
            metrics = {"short": short} if short else {}
            if point != "0":
                metrics["cpu"] = latencies(3e3, 9e3)
            self.cells("cpu_share", point, "event", metrics)
        row = self.row("c2", "event: short requests beside blocking ones (workload cpu_share)")
        self.assertEqual(row["measured"], "p99 of short 4.00 ms [4.00 ms, 4.00 ms], without the "
                                          "others 200 µs [200 µs, 200 µs]")
        self.assertIn("operations of 2.00 ms", row["verdict"])

    def test_short_requests_alone_tell_nothing_of_blocking(self):
        self.cells("cpu_share", "0", "event", {"short": latencies(100, 4000), "cpu":
                                               {"requests": 0}})
        self.rate("io", "base", "event", 5000, switches_per_request=2, cpu_us_per_request=9)
        row = self.row("c2", "event: short requests beside blocking ones (workload cpu_share)")
        self.assertEqual(row["measured"], "not measured")

    def test_a_read_takes_what_the_device_needs(self):
        self.cells("disk", "8m", "event", {"short": latencies(100, 5000),
                                           "disk": {**latencies(6e3, 9e3),
                                                    "service_p50_us": 6000}})
        row = self.row("c2", "event: short requests beside blocking ones (workload disk)")
        self.assertEqual(row["agreement"], "agree")
        self.assertIn("operations of 6.00 ms", row["verdict"])


class Kinds(Tables):
    """C3."""

    def reaction(self, **p99s):
        for arch, p99 in p99s.items():
            self.cells("trivial", "base", arch, {"total": latencies(10, p99)})

    def p99(self):
        return self.row("c3", "trivial request, p99")

    def test_the_event_driven_are_better(self):
        self.reaction(processes=200, threads=150, event=50, serverless=60)
        row = self.p99()
        self.assertEqual(row["agreement"], "agree")
        self.assertEqual(row["verdict"],
                         "event and serverless are clearly better than processes and threads.")

    def test_the_kind_does_not_decide(self):
        self.reaction(processes=200, threads=150, event=50, serverless=400)
        row = self.p99()
        self.assertEqual(row["agreement"], "disagree")
        self.assertIn("threads is clearly better than serverless", row["verdict"])
        self.assertIn("the kind alone does not decide it", row["verdict"])

    def test_the_other_way_round(self):
        self.reaction(processes=50, threads=50, event=150)
        row = self.p99()
        self.assertEqual(row["agreement"], "disagree")
        self.assertNotIn("alone does not decide", row["verdict"])
        self.assertIn("serverless not measured", row["measured"])

    def test_better_than_some(self):
        self.reaction(processes=200, threads=50, event=50)
        row = self.p99()
        self.assertEqual((row["agreement"], row["verdict"]),
                         ("open", "event is clearly better than processes."))

    def test_no_difference_and_nothing_to_compare(self):
        self.reaction(processes=50, event=50)
        self.assertIn("No clear difference", self.p99()["verdict"])
        self.setUp()
        self.reaction(event=50)
        self.assertEqual(self.p99()["verdict"], "Only event was measured.")

    def test_more_is_better_for_throughput(self):
        self.rate("load", "110", "threads", 1200, offered_rate=1450)
        self.rate("load", "110", "event", 650, offered_rate=1450)
        row = self.row("c3", "Scalability")
        self.assertEqual(row["agreement"], "disagree")
        self.assertEqual(row["formula"], "2 cores at the calibrated cost: 1,320/s")

    def series(self, workload, arch, lines, **more):
        for folder in self.cells(workload, "base", arch, {"error_share": 0.1}, **more):
            text = [json.dumps({"time_s": (k + 1) / 4, "classes": {"short": line}})
                    for k, line in enumerate(lines)]
            (folder / "timeseries.jsonl").write_text("\n".join(text))

    def errors(self, arch, counts):
        self.series("failure", arch, [{"errors": n} for n in counts], kill={"at_s": 0.5})

    def test_how_long_a_kill_hurts(self):
        """Killed at 0.5 s; each interval is a quarter of a second."""
        self.errors("event", [0, 0, 3, 0, 1, 0])
        self.errors("processes", [9, 0, 0, 0, 0, 0])
        self.errors("threads", [0, 0, 0, 0, 0, 1])
        row = self.row("c3", "until the last errors")
        self.assertIn("processes 0 s [0 s, 0 s]; threads infinite", row["measured"])
        self.assertIn("event 750 ms", row["measured"])
        self.assertEqual(row["agreement"], "disagree")

    def test_share_lost_to_a_kill(self):
        self.cells("failure", "base", "threads", {"error_share": 0.1})
        self.cells("failure", "base", "serverless", {"error_share": 0.001})
        row = self.row("c3", "while one process is killed")
        self.assertEqual(row["agreement"], "agree")
        self.assertIn("threads 10.0 % [10.0, 10.0]", row["measured"])

    def absorb(self, arch, p99s):
        self.series("surge", arch, [{"errors": 0 if p else 1, "p99_us": p} for p in p99s])

    def test_how_long_a_surge_lasts(self):
        """The surge takes from 0.5 to 1 s; before it the p99 is 1 ms."""
        self.absorb("event", [1000, 1000, 9000, None, 9000, 2001, 2000, 1000])
        self.absorb("threads", [1000, 1000, 9000, 9000, 1900, 5000, 1000, 1000])
        self.absorb("processes", [1000, 1000, 9000, 9000, 9000, 9000, 9000, None])
        row = self.row("c3", "A surge")
        self.assertIn("event 500 ms", row["measured"])
        self.assertIn("threads 0 s", row["measured"])
        self.assertIn("processes infinite", row["measured"])
        self.assertEqual(row["agreement"], "disagree")

    def test_an_interval_without_requests_is_not_the_end(self):
        table = importlib.import_module("table_c3")
        lines = [(0, 0.25, {"errors": 0, "p99_us": 5}), (0.25, 0.5, {"errors": 0, "p99_us": None}),
                 (0.5, 0.75, {"errors": 0, "p99_us": 9})]
        self.assertEqual(table.absorbed_s(lines, [(0.25, 0.25)]), 0.25)
        self.assertIsNone(table.absorbed_s(lines, [(0.1, 0.25)]))

    def test_no_number_earns_flexibility(self):
        self.reaction(event=50)
        self.synthetic.manifest["servers"] = {"event": {"loc": 89}, "serverless": {"loc": 565}}
        row = self.row("c3", "Flexibility")
        self.assertEqual(row["agreement"], "open")
        self.assertIn("89 lines (event) to 565 (serverless)", row["verdict"])


class Missing(Tables):
    STEMS = ("b", "capacity", "c2", "c3", "d")

    def test_a_run_without_any_of_it(self):
        self.cells("balance", "16", "multi_loop", {"achieved_rate": 1})
        for stem in self.STEMS:
            with self.subTest(stem), self.assertRaises(NoData):
                importlib.import_module(f"table_{stem}").make(Run(self.written()))
        done = run_program(PLOTS / "table_d.py", self.synthetic.folder)
        self.assertEqual(done.returncode, 3, done.stderr)

    def test_what_is_missing_is_named(self):
        self.rate("cpu", "base", "event", 196)
        for row in self.rows("b"):
            if row["measured"] == "not measured":
                self.assertEqual(row["agreement"], "open")
                self.assertRegex(row["verdict"], "no workload|[Nn]o valid trial|not measured")

    def test_a_full_run_and_its_files(self):
        folder = test_plots.build_full(self.folder / "full")
        for stem in self.STEMS[:-1]:
            done = run_program(PLOTS / f"table_{stem}.py", folder)
            self.assertEqual(done.returncode, 0, done.stderr)
            with open(folder / "tables" / f"{stem}.csv", newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            self.assertEqual(list(rows[0]), guide_table.HEADER)
            text = (folder / "tables" / f"{stem}.md").read_text()
            self.assertTrue(all(row["claim"] in text for row in rows))

    def test_a_run_of_nothing_but_invalid_cells_proves_nothing(self):
        self.synthetic.cell("cpu", "base", "event", 1, {"achieved_rate": 196}, ["steal 4 %"])
        with self.assertRaises(NoData):
            importlib.import_module("table_b").make(Run(self.written()))


if __name__ == "__main__":
    unittest.main()
