"""Table C1: each threshold from both sides."""
import csv

from synthetic import INF, Folder, SyntheticRun, draw, latencies

UNTIMED = True  # it starts no server and measures no time


class TableC1(Folder):
    """Each threshold from both sides."""
    def words(self, synthetic):
        folder = synthetic.write()
        done = draw(folder, "c1")
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
        """Two cores and 5 ms per request at best: 400 requests/s are possible. One that spends more
        CPU time on a request does not thereby look busier. Another workload leaves one core."""
        s = SyntheticRun(self.folder / "run")
        s.cell("upstream", "16", "event", 1, {"achieved_rate": 1}, placement={
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
