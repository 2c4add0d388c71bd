"""Figures of sweeps, over runs whose answers are known."""
import json

from archbench.drawing import sweep
from synthetic import INF, OneRun, build_crowd, build_full, drawn, figure, latencies

UNTIMED = True  # it starts no server and measures no time


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
        self.assertEqual(run.workload("surge").surges, [(0.5, 1.5)])

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

    def calls(self, arch, connections, rate, spawned, *options):
        self.synthetic.cell("upstream", str(connections), arch, 1, {"achieved_rate": rate},
                            command={"server": ["x", *options]},
                            exit={"final": {"spawned": spawned}})

    def test_upstream_ceilings(self):
        """20 ms a call: 16 workers make 800 per second, 64 pooled connections 3200."""
        self.synthetic.manifest["servers"] = {
            name: {"name": name, "blocks": blocks} for name, blocks in
            (("thread_pool", ["upstream"]), ("threads", ["upstream"]), ("event", []), ("multi_loop", []))}
        for connections in (16, 512):
            self.calls("thread_pool-16", connections, 790, 16, "--upstream-pool=512")
            self.calls("threads", connections, 50 * connections, connections)
            self.calls("event-64", connections, 3000, 0, "--upstream-pool=512",
                         "--upstream-pool=64")
            self.calls("multi_loop", connections, 6000, 2, "--upstream-pool", "64")
            self.calls("event", connections, 50 * connections, 0)
        upstream, run = figure("upstream"), self.read()
        at = {a: [upstream.ceiling(run, p, a) for p in ("16", "512")]
              for a in run.archs("upstream")}
        self.assertEqual(at, {"thread_pool-16": [None, 800], "threads": [None, None],
                              "event-64": [None, 3200], "multi_loop": [None, 6400],
                              "event": [None, None]})
        words = self.draws("upstream")
        self.assertEqual(words[0], "Waiting for an upstream, threads serves up to 25,600 requests/s, "
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
        for stem in ("idle", "concurrency", "churn", "surge", "disk", "upstream", "balance"):
            words = drawn(stem, self.folder / "full")
            self.assertLessEqual({"INVALID", "no valid trial"}, set(words), stem)

    def test_every_architecture_is_named_once_in_a_crowd(self):
        build_crowd(self.folder / "crowd", trials=1)
        for stem in ("idle", "load"):
            words = drawn(stem, self.folder / "crowd")
            for name in ("leader_followers", "event-select", "serverless", "loop and workers"):
                self.assertEqual(words.count(name), 1, f"{stem}: {name}")
