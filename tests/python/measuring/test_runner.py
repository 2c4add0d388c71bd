"""The runner from outside: runs, resuming, and that nothing is ever left behind."""
import csv
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import unittest.mock

from archbench.runner import calm, run
from runner_case import ROOT, TINY, RunnerTest, alive, wait_until


class RunTest(RunnerTest):
    def test_a_variant_is_run_under_its_name(self):
        self.tiny = self.workload("tiny", TINY.replace(
            "[smoke]", "[smoke]\n    servers = event:--multiplexer=poll\n    points = a"))
        status, _, err = self.do(*self.runner("--smoke", "--workloads", self.tiny))
        self.assertEqual(status, 0, err)
        self.assertEqual([path.parent.name for path in self.cells()], ["event-poll.1"])
        cell = json.loads(self.cells()[0].read_text())
        self.assertEqual(cell["server"], "event-poll")
        self.assertEqual(cell["command"]["server"][0].rpartition("/")[2], "event")
        self.assertIn("--multiplexer=poll", cell["command"]["server"])
        self.assertIn("tiny,a,event-poll,1,", (self.run_folder() / "summary.csv").read_text())
        manifest = json.loads((self.run_folder() / "manifest.json").read_text())
        self.assertEqual(list(manifest["servers"]), ["event"])
        self.assertEqual(self.do(*self.runner("--resume", self.run_folder()))[0], 0)

    def test_a_run_leaves_what_is_documented(self):
        status, out, err = self.do(*self.runner("--smoke", "--workloads", self.tiny, "--only",
                                                "threads,event"))
        self.assertEqual(status, 0, err)
        folder = self.run_folder()
        self.assertEqual(os.readlink(self.results / "latest"), folder.name)
        manifest = json.loads((folder / "manifest.json").read_text())
        for key in ("run_id profile seed started finished environment calibration servers"
                    .split()):
            self.assertTrue(manifest[key], key)
        self.assertEqual(len(self.cells()), len(manifest["cells"]))
        self.assertIn(f"[{len(manifest['cells'])}/{len(manifest['cells'])}]", out)
        for name in "servers/threads", "loadgen", "cell":
            self.assertRegex(manifest["environment"]["binaries"][name], r"^[0-9a-f]{64}$")
        self.check_summary(folder)
        self.assert_nothing_left()

    def check_summary(self, folder):
        with open(folder / "summary.csv", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(list(rows[0]),
                         "workload point arch trial verdict class metric value".split())
        for path in self.cells(folder):
            cell = json.loads(path.read_text())
            mine = {(row["class"], row["metric"]): float(row["value"]) for row in rows
                    if (row["point"], row["arch"]) == (cell["point"], cell["server"])}
            self.assertEqual(mine["", "attempt"], cell["attempt"])
            load = cell["load"]
            self.assertEqual(mine["short", "requests"], load["classes"]["short"]["requests"])
            self.assertEqual(mine["total", "response_p99_us"], load["total"]["response"]["p99_us"])
            self.assertEqual(mine["", "cores_used"], cell["cost"]["cores_used"])

    def test_infinite_and_unknown_values(self):
        self.assertEqual(self.do(*self.runner("--smoke", "--workloads", self.tiny, "--only",
                                              "threads"))[0], 0)
        path = self.cells()[0]
        cell = json.loads(path.read_text())
        cell["load"]["classes"]["short"]["response"]["p99_us"] = None
        cell["cost"]["cpu_us_per_request"] = None
        path.write_text(json.dumps(cell))
        self.assertEqual(self.do(*self.runner("--resume", self.run_folder()))[0], 0)
        table = (self.run_folder() / "summary.csv").read_text()
        self.assertIn("tiny,a,threads,1,VALID,short,response_p99_us,inf\n".replace(
            "VALID", cell["validity"]["verdict"]), table)
        self.assertEqual(table.count(",cpu_us_per_request"), 1)  # the other point's

    def test_killed_and_resumed(self):
        self.kill_and_resume([])

    def test_parent_killed_and_resumed(self):
        """As when run_all.sh is killed: bash dies, its child must not go on alone."""
        self.kill_and_resume(["bash", "-c", '"$@" --with-parent; true', "bash"])

    def kill_and_resume(self, parent):
        runner = self.start(*parent, *self.runner("--smoke", "--trials", "2", "--workloads",
                                                  self.tiny, "--only", "threads,processes"))
        self.assertTrue(wait_until(lambda: self.results.exists() and len(self.cells()) >= 2))
        runner.kill()
        runner.communicate()
        self.assert_nothing_left()
        finished = {path: path.stat().st_ino for path in self.cells() if self.is_settled(path)}
        self.assertLess(len(finished), 8)
        self.resume_and_check(finished, 8)

    @staticmethod
    def is_settled(path):
        """Not a disturbed one, which is going to be repeated."""
        return run.attempts_left(run.load_cell(path.parent)) == 0

    def resume_and_check(self, finished, total):
        """Resuming measures what is missing, and only that."""
        status, out, err = self.do(*self.runner("--resume", self.run_folder()))
        self.assertEqual(status, 0, err)
        self.assertIn(f"{total - len(finished)} cells to run", out)
        self.assertEqual(len(self.cells()), total)
        for path, inode in finished.items():
            self.assertEqual(path.stat().st_ino, inode, f"{path} was measured again")
        self.assertEqual(list(self.run_folder().glob("cells/*/*/.*")), [])

    def test_interrupted(self):
        for number in signal.SIGINT, signal.SIGTERM:
            shutil.rmtree(self.results, ignore_errors=True)
            runner = self.start(*self.runner("--smoke", "--trials", "9", "--workloads", self.tiny))
            self.assertTrue(wait_until(lambda: self.results.exists() and self.cells()))
            time.sleep(0.2)  # into the middle of the second one
            runner.send_signal(number)
            _, err = runner.communicate(timeout=10)
            self.assertEqual(runner.returncode, 130)
            self.assertIn("--resume", err)
            self.assertEqual(alive(self.mark), [])
            self.assertEqual(list(self.run_folder().glob("cells/*/*/.*")), [])
            self.draw_what_there_is(len(self.cells()), err)

    def draw_what_there_is(self, measured, err):
        """A run that was stopped has a report of what it had measured, and says what is missing."""
        planned = len(json.loads((self.run_folder() / "manifest.json").read_text())["cells"])
        self.assertIn(f"stopped after {measured} of {planned} cells; ", err)
        self.assertEqual((self.results / "latest").resolve(), self.run_folder().resolve())
        status, _, err = self.do(ROOT / "bin" / "archbench", "draw", self.run_folder(), "report")
        self.assertEqual(status, 0, err)
        page = (self.run_folder() / "report.html").read_text()
        self.assertIn(f"it was stopped before {planned - measured} more were measured", page)
        self.assertNotIn("planned, but never finished", page)

    def test_torn_cells_do_not_count(self):
        options = ["--smoke", "--workloads", self.tiny, "--only", "threads"]
        self.assertEqual(self.do(*self.runner(*options))[0], 0)
        torn, whole = self.cells()
        torn.write_text(torn.read_text()[:-100])
        temporary = torn.parent.parent / ".threads.1.tmp.1"
        temporary.mkdir()
        shutil.copy(whole, temporary)
        self.resume_and_check({whole: whole.stat().st_ino}, 2)

    def test_a_changed_program_is_recorded(self):
        self.assertEqual(self.do(*self.runner("--smoke", "--workloads", self.tiny, "--only",
                                              "threads"))[0], 0)
        path = self.run_folder() / "manifest.json"
        manifest = json.loads(path.read_text())
        manifest["environment"]["binaries"]["loadgen"] = "0" * 64
        path.write_text(json.dumps(manifest))
        status, _, err = self.do(*self.runner("--resume", self.run_folder()))
        self.assertEqual(status, 0)
        self.assertIn("program loadgen is another one", err)
        self.assertIn("program loadgen is another one",
                      json.loads(path.read_text())["resumed"][0]["changes"])

    def test_one_runner_at_a_time(self):
        first = self.start(*self.runner("--smoke", "--trials", "9", "--workloads", self.tiny))
        self.assertTrue(wait_until(lambda: self.results.exists() and self.cells()))
        status, _, err = self.do(*self.runner("--resume", self.run_folder()))
        self.assertEqual(status, 2)
        self.assertIn("another runner is at work", err)
        first.terminate()
        first.communicate()
        self.assertEqual(first.returncode, 130)

    def test_what_is_no_run_cannot_be_resumed(self):
        status, _, err = self.do(*self.runner("--resume", self.folder))
        self.assertEqual(status, 2)
        self.assertIn("is no run", err)


class CalmTest(unittest.TestCase):
    """Waiting for a machine that others leave alone."""

    def wait(self, budget_s, *shares):
        """(pauses, shares that were told, Patience) when the probes find these shares."""
        pauses, told, found = [], [], iter(shares)
        patience = calm.Patience(budget_s, lambda: next(found), pauses.append)
        patience.wait(told.append)
        return pauses, told, patience

    def test_a_calm_machine_is_not_waited_for(self):
        self.assertEqual(self.wait(60, 0.005)[:2], ([], []))

    def test_pauses_grow_a_little_until_it_is_calm(self):
        pauses, told, patience = self.wait(600, 0.4, 0.3, 0.2, 0.001)
        self.assertEqual((pauses, told), ([2, 4, 4], [0.4, 0.3, 0.2]))
        self.assertEqual(patience.waited_s, 10)

    def test_patience_runs_out_and_stays_so(self):
        pauses, _, patience = self.wait(9, *[1.0] * 9)
        self.assertEqual(pauses, [2, 4, 3])
        patience.wait(self.fail)
        self.assertEqual(patience.waited_s, 9)
        self.assertEqual(self.wait(0, 1.0)[0], [])

    def test_who_is_there_to_stay_is_waited_for_once(self):
        pauses, _, patience = self.wait(600, 1.0, 1.0, 1.0, 1.0, 0.5, 0.0, 0.7, 0.0)
        self.assertEqual((pauses, patience.waited_s), ([2, 4, 4, 2], 12))
        patience.wait(self.fail)  # half a core: still there
        patience.wait(self.fail)  # calm again
        told = []
        patience.wait(told.append)
        self.assertEqual((told, patience.waited_s), ([0.7], 14))

    def test_a_probe_that_fails_ends_all_the_same(self):
        """What is behind the probe is the parent's to do, not the child's."""
        with unittest.mock.patch.object(calm, "lost_ns", side_effect=run.Stopped):
            self.assertEqual(calm.lost_share(os.sched_getaffinity(0)), 0)

    def test_the_manifest_says_how_long_though_the_run_was_stopped(self):
        with tempfile.TemporaryDirectory() as name:
            folder, manifest = pathlib.Path(name), {"cells": []}
            for end in (run.Stopped, None):
                def run_cells(planned, folder, arguments, waited):
                    waited(3)
                    if end:
                        raise end
                with (unittest.mock.patch.object(run, "run_cells", run_cells),
                      unittest.mock.patch.object(run, "finish_run"),
                      unittest.mock.patch.object(sys, "stderr")):
                    status = run.carry_out(folder, manifest, None)
                self.assertEqual(status, 130 if end else 0)
            written = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
            self.assertEqual(written["waited_s"], 6)

    def test_a_core_that_another_process_has_is_noticed(self):
        core = min(os.sched_getaffinity(0))
        hog = subprocess.Popen(["taskset", "-c", str(core), sys.executable, "-c",
                                "while True: pass"])
        try:
            shares = [calm.lost_share({core}) for _ in range(3)]
        finally:
            hog.kill()
            hog.wait()
        self.assertGreater(max(shares), 0.2)
        self.assertLessEqual(max(shares), 1)
