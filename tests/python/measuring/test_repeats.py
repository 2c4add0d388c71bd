"""Invalid cells are run again, and what is expected of the time that is left."""
import datetime
import json
import re
import unittest
import unittest.mock

from archbench.runner import plan
from archbench.runner.progress import Progress, as_clock, time_of_day
from runner_case import CALIBRATION, FAKE_CELL, RUN, RunnerTest, script


class RepeatTest(RunnerTest):
    """Invalid cells are run again, but later."""

    def setUp(self):
        super().setUp()
        self.build = self.fake_servers(event={}, threads={})
        script(self.build / "cell", FAKE_CELL)
        (self.build / "calibration.json").write_text(json.dumps(CALIBRATION))
        self.will_be()

    def will_be(self, **verdicts):
        """How attempts end: a letter and a trial, as in `a1`, stand for a point of `threads`; all
        else is valid. 'no yes' is invalid at first and valid then."""
        told = {f"tiny/{key[0]} threads.{key[1:]}": [word == "yes" for word in text.split()]
                for key, text in verdicts.items()}
        (self.build / "verdicts.json").write_text(json.dumps(told))

    def measure(self, *options):
        """(stdout, names of the cells in the order in which they were run)"""
        (self.build / "order").write_text("")
        status, out, err = self.do(*RUN, "--build", self.build, "--results", self.results,
                                   "--patience", "0", *options)
        self.assertEqual(status, 0, err)
        return out, (self.build / "order").read_text().split("\n")[:-1]

    def run_all(self, *options):
        return self.measure("--smoke", "--workloads", self.tiny, "--trials", "2", *options)

    def test_a_calm_run_repeats_nothing(self):
        out, order = self.run_all()
        self.assertEqual((len(order), len(set(order))), (8, 8))
        self.assertIn("; repeated: 0; still invalid: 0; not sure: 0 of ", out)

    def test_they_wait_for_the_end_of_their_block_and_then_of_the_run(self):
        self.will_be(a1="no yes", b1="no no yes", a2="no no no")
        out, order = self.run_all()
        first, second = order[:4], order[6:10]
        for trial, block in enumerate((first, second), 1):
            self.assertEqual(sorted(block), [f"tiny/{point} {server}.{trial}" for point in "ab"
                                             for server in ("event", "threads")])
        self.assertEqual(set(order[4:6]), {"tiny/a threads.1", "tiny/b threads.1"})
        self.assertEqual(order[10], "tiny/a threads.2")
        self.assertEqual(set(order[11:]), {"tiny/b threads.1", "tiny/a threads.2"})
        self.assertEqual(len(order), 13)
        self.assertEqual(out.splitlines()[-2].partition("; ")[2],
                         "repeated: 3; still invalid: 1; not sure: 1 of 8 numbers")
        self.assertEqual(out.splitlines()[-1], "  tiny/a threads.2: disturbed 3")
        self.assertIn("tiny,a,threads,2,INVALID,,attempt,3\n",
                      (self.run_folder() / "summary.csv").read_text())

    def test_progress_counts_cells_and_says_which_attempt(self):
        self.will_be(a1="no yes")
        lines = self.run_all("--trials", "1")[0].splitlines()
        self.assertEqual([re.match(r"\[.*?\]", line)[0] for line in lines[1:-1]],
                         ["[1/4]", "[2/4]", "[3/4]", "[4/4]", "[4/4, attempt 2]"])
        self.assertRegex(lines[-2], r"^\[4/4, attempt 2\] VALID tiny/a threads.1 \(0:00 left\)$")

    def test_the_begin_says_how_much_and_until_when(self):
        out = self.run_all()[0]
        self.assertRegex(out, r"\A8 cells to run, about 0:0\d, until [\d: -]*\d\d:\d\d; "
                              r"results in \S+smoke\n")

    def test_resumed_where_attempts_are_left(self):
        self.will_be(a1="no no no", b1="no no no")
        self.run_all()
        path = self.run_folder() / "cells/tiny/a/threads.1/cell.json"
        path.write_text(path.read_text().replace('"attempt": 3', '"attempt": 1'))
        out, order = self.measure("--resume", self.run_folder())
        self.assertEqual(order, 2 * ["tiny/a threads.1"])  # not b, which has had its three
        self.assertIn("1 cells to run, ", out)
        self.assertIn("; repeated: 2; still invalid: 2; not sure: ", out)
        self.assertEqual(self.measure("--resume", self.run_folder())[1], [])

    def test_killed_before_the_repetitions(self):
        self.will_be(a1="no yes")
        self.run_all("--trials", "1")
        for server, point in ("threads", "a"), ("event", "b"):
            path = self.run_folder() / f"cells/tiny/{point}/{server}.1/cell.json"
            if server == "threads":  # as it was after the first attempt
                cell = json.loads(path.read_text())
                cell.update(attempt=1, validity={"verdict": "INVALID", "reasons": ["disturbed"]})
                path.write_text(json.dumps(cell))
            else:
                path.unlink()
        order = self.measure("--resume", self.run_folder())[1]
        self.assertEqual(order, ["tiny/b event.1", "tiny/a threads.1"])

    def refused(self, *words):
        status, out, err = self.do(*RUN, "--build", self.build, "--resume", self.run_folder())
        self.assertEqual((status, out), (2, ""))
        self.assertEqual(len(err.splitlines()), 1)
        for word in words:
            self.assertIn(word, err)

    def change(self, path, **keys):
        data = json.loads(path.read_text()) | keys
        path.write_text(json.dumps({k: v for k, v in data.items() if v is not None}))

    def test_a_run_of_another_version_is_not_gone_on_with(self):
        self.run_all()
        path = self.run_folder() / "manifest.json"
        self.change(path, schema="archbench-run/2")
        self.refused("manifest.json is archbench-run/2", "archbench-run/1", "measure anew")
        self.change(path, schema=None)
        self.refused("manifest.json is of no stated version", "archbench-run/1")

    def test_a_cell_of_another_version_is_not_replaced(self):
        self.run_all()
        path = self.run_folder() / "cells/tiny/a/threads.1/cell.json"
        self.change(path, schema="archbench-cell/2")
        self.refused("threads.1/cell.json is archbench-cell/2", "archbench-cell/1")
        self.assertEqual(json.loads(path.read_text())["schema"], "archbench-cell/2")

    def test_a_plan_of_another_kind_is_said(self):
        self.run_all()
        path = self.run_folder() / "manifest.json"
        cells = json.loads(path.read_text())["cells"]
        del cells[0]["program"]
        self.change(path, cells=cells)
        self.refused("cannot be gone on with", "program")

    def test_a_packed_run_is_not_gone_on_with(self):
        self.run_all()
        (self.run_folder() / "cells.jsonl.xz").touch()
        self.refused("is packed")


class ProgressTest(unittest.TestCase):
    """What is expected of the time that is left."""

    def progress(self, cells):
        """So many cells of a second each, none of them run yet."""
        planned = [plan.Cell("event", "w", "w.ini", "p", trial, "0ms", "850ms", 0, 1,
                                    "event", ()) for trial in range(cells)]
        self.assertAlmostEqual(planned[0].expected_s, 1.0)
        return Progress(planned, {cell.name: 3 for cell in planned})

    def end(self, progress, number, left, spent_s):
        with unittest.mock.patch("builtins.print"):
            progress.end(progress.planned[number], left, "INVALID" if left else "VALID", spent_s)

    def test_as_planned(self):
        progress = self.progress(10)
        self.assertAlmostEqual(progress.left_s(), 10)
        self.end(progress, 0, 0, 1.0)
        self.assertAlmostEqual(progress.left_s(), 9)

    def test_at_the_pace_of_those_before(self):
        progress = self.progress(10)
        self.end(progress, 0, 0, 1.0)
        self.end(progress, 1, 0, 2.0)
        self.assertAlmostEqual(progress.left_s(), 1.5 * 8)

    def test_with_repetitions_by_the_share_of_those_before(self):
        progress = self.progress(10)
        self.end(progress, 0, 2, 1.0)
        self.end(progress, 1, 0, 1.0)  # half of them invalid: 1 + 1/2 + 1/4 attempts of eight
        self.assertAlmostEqual(progress.left_s(), 8 * 1.75 + 1.5)  # and 1 + 1/2 of the first

    def test_durations_and_times(self):
        for duration_s, text in ((0, "0:00"), (59.6, "1:00"), (250, "4:10"), (12300, "3:25:00")):
            self.assertEqual(as_clock(duration_s), text)
        self.assertRegex(time_of_day(86400), r"^\d{4}-\d\d-\d\d \d\d:\d\d$")
        before = datetime.datetime.now().strftime("%H:%M")
        said = time_of_day(0)
        self.assertIn(said, (before, datetime.datetime.now().strftime("%H:%M")))
