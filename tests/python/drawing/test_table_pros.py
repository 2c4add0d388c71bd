"""Tables C2 and C3, over runs whose answers are known; and what is missing from a run."""
import csv
import json

from archbench.formats.run import NoData, Run
from archbench.tables.parts import guide_table
from synthetic import build_full, draw, latencies, table_module
from table_case import Tables

UNTIMED = True  # it starts no server and measures no time


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
        table = table_module("c3")
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
                table_module(stem).make(Run(self.written()))
        done = draw(self.synthetic.folder, "d")
        self.assertEqual(done.returncode, 3, done.stderr)

    def test_what_is_missing_is_named(self):
        self.rate("cpu", "base", "event", 196)
        for row in self.rows("b"):
            if row["measured"] == "not measured":
                self.assertEqual(row["agreement"], "open")
                self.assertRegex(row["verdict"], "no workload|no case study|[Nn]o valid trial|not measured")

    def test_a_full_run_and_its_files(self):
        folder = build_full(self.folder / "full")
        for stem in self.STEMS[:-1]:
            done = draw(folder, stem)
            self.assertEqual(done.returncode, 0, done.stderr)
            with open(folder / "tables" / f"{stem}.csv", newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            self.assertEqual(list(rows[0]), guide_table.HEADER)
            text = (folder / "tables" / f"{stem}.md").read_text()
            self.assertTrue(all(row["claim"] in text for row in rows))

    def test_a_run_of_nothing_but_invalid_cells_proves_nothing(self):
        self.synthetic.cell("cpu", "base", "event", 1, {"achieved_rate": 196}, ["steal 4 %"])
        with self.assertRaises(NoData):
            table_module("b").make(Run(self.written()))
