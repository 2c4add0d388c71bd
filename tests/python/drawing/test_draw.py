"""archbench draw over a whole run, and over the smallest."""
import csv
from pathlib import Path
import re
import tempfile
import unittest

from synthetic import FIGURES, SyntheticRun, build_full, draw, latencies

UNTIMED = True  # it starts no server and measures no time


class Everything(unittest.TestCase):
    """archbench draw over a full run, once; then over the smallest one."""
    @classmethod
    def setUpClass(cls):
        holder = tempfile.TemporaryDirectory(prefix="archbench-plots-")
        cls.addClassCleanup(holder.cleanup)
        cls.folder = build_full(Path(holder.name) / "run")
        cls.done = draw(cls.folder)

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
                ("small_multiples", "8 of the guide's 9 ratings hold; Latency profile "
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
            done = draw(s.write())
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("left out: memory", done.stdout)
            self.assertTrue((Path(folder) / "run" / "report.html").is_file())
