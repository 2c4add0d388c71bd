"""Figures of single points: what they find, and how they are drawn."""
import math
import re

from archbench.drawing import style
from archbench.formats.run import Run
from synthetic import Folder, SyntheticRun, draw, figure, latencies

UNTIMED = True  # it starts no server and measures no time


class Figures(Folder):
    def title(self, stem, folder):
        """Draw one figure as SVG; its title, or the error."""
        target = self.folder / f"{stem}.svg"
        done = draw(folder, stem, "-o", target)
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
        done = draw(s.write(), "memory")
        self.assertEqual(done.returncode, 3)
        self.assertIn("no workload connections", done.stderr)
