"""compare.sh over synthetic runs."""
import contextlib
import csv
import io
from pathlib import Path
import subprocess
import tempfile
import unittest

import numpy as np

from archbench.places import ENTRY, REPOSITORY
from archbench.report import compare
from synthetic import INF, SyntheticRun

UNTIMED = True  # it starts no server and measures no time
COMPARE = REPOSITORY / "compare.sh"
ARCHS = "processes threads event hybrid threads_b event_b hybrid_b staged actors".split()


class Compare(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def run_of(self, name, seed, cost=None, trials=3, only=("trivial", "io", "mix"), **manifest):
        """Every architecture on some workloads, with 2 % of noise; `cost`: {arch: factor}."""
        rng = np.random.default_rng(seed)
        run = SyntheticRun(self.folder / name, **manifest)
        for workload in only:
            for place, arch in enumerate(ARCHS):
                level = 10.0 * (place + 1) * (cost or {}).get(arch, 1)
                for trial in range(1, trials + 1):
                    noise = np.exp(rng.normal(0, 0.02, 3))
                    run.cell(workload, "base", arch, trial,
                             {"achieved_rate": 1e4 * noise[0],
                              "cpu_us_per_request": level * noise[1], "switches_per_request": 0.0,
                              "short": {"response_p50_us": 100 * noise[2]}})
        return run

    def compare(self, *runs, status=0):
        """What it prints; within this process, for numpy and scipy take a while to load."""
        words = [str(word) for run in runs
                 for word in (run if isinstance(run, list) else [run.write()])]
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                compare.main(words)
                ended = 0
            except SystemExit as end:
                ended = end.code
        self.assertEqual(ended, status, err.getvalue())
        return out.getvalue() or err.getvalue()

    def test_the_runs_that_come_with_the_project(self):
        """The same programs on the same machine, one after the other, as the first user tries it."""
        results = REPOSITORY / "results"
        told = self.compare([results / "reference", results / "reference-again"])
        self.assertIn("0 of 116 rows differ significantly; 0 more", told)

    def test_from_the_command_line(self):
        folders = [self.run_of(name, 1).write() for name in ("a", "b")]
        done = subprocess.run([COMPARE, *folders], capture_output=True, text=True, check=True)
        self.assertIn("0 of 81 rows", done.stdout)
        self.assertEqual(subprocess.run([COMPARE, folders[0]], capture_output=True,
                                        check=False).returncode, 2)

    def test_the_same_twice(self):
        text = self.compare(self.run_of("a", 1), self.run_of("b", 2))
        self.assertIn("## b against a", text)
        self.assertIn("0 of 81 rows differ significantly; 0 more have", text)

    def test_a_slower_server_and_nothing_else(self):
        out = self.folder / "out"
        self.run_of("b", 2, {"event": 1.2}).write()
        text = self.compare(self.run_of("a", 1), [self.folder / "b", "-o", out])
        self.assertIn("3 of 81 rows differ significantly", text)
        rows = [line for line in text.splitlines() if line.startswith("| ") and "---" not in line]
        self.assertEqual(len(rows), 4)
        for row in rows[1:]:
            self.assertRegex(row, r"\| base \| event \| - \| cpu_us_per_request \| 1\.[12]\d\d \|")
        with open(out / "compare.csv", encoding="utf-8") as file:
            table = list(csv.DictReader(file))
        self.assertEqual(len(table), 81)
        differing = [row for row in table if row["verdict"] == "differs"]
        self.assertEqual({row["arch"] for row in differing}, {"event"})
        for row in differing:
            self.assertAlmostEqual(float(row["after"]) / float(row["before"]), 1.2, delta=0.06)
        self.assertEqual((out / "compare.md").read_text(encoding="utf-8"), text)

    def test_a_faster_machine_is_said_apart(self):
        text = self.compare(self.run_of("a", 1),
                            self.run_of("b", 2, {arch: 0.8 for arch in ARCHS}))
        self.assertIn("0 of 81 rows differ", text)
        self.assertRegex(text, r"(?m)^\* trivial, cpu_us_per_request: 0\.(79|80|81)\d$")

    def test_several_runs_against_the_first(self):
        text = self.compare(self.run_of("a", 1), self.run_of("b", 2), self.run_of("c", 3))
        self.assertIn("## b against a", text)
        self.assertIn("## c against a", text)

    def test_one_trial_is_too_few(self):
        text = self.compare(self.run_of("a", 1, trials=1), self.run_of("b", 2, trials=1))
        self.assertIn("0 of 81 rows differ significantly; 0 more have too few valid trials", text)

    def test_single_trials_tell_of_a_server_together(self):
        """Ten workloads of one trial each: no row says anything, all cells of event together do."""
        many = [f"w{k}" for k in range(10)]
        planned = [{"workload": w, "point": "base", "arch": arch, "program": arch.split("_")[0]}
                   for w in many for arch in ARCHS]
        out = self.folder / "out"
        a, b = (self.run_of(name, seed, cost, trials=1, only=many, cells=planned)
                for name, seed, cost in (("a", 1, {}), ("b", 2, {"event": 1.1, "event_b": 1.1})))
        b.write()
        text = self.compare(a, [self.folder / "b", "-o", out])
        self.assertIn("0 of 270 rows differ", text)
        self.assertIn("together, variants included: 1 of 18 differ significantly.", text)
        self.assertRegex(text, r"(?m)^\| event \| cpu_us_per_request \| 20 \| 1\.[01]\d\d \|")
        with open(out / "compare.csv", encoding="utf-8") as file:
            differing = [row for row in csv.DictReader(file) if row["verdict"] == "differs"]
        self.assertEqual([(r["workload"], r["arch"], r["metric"]) for r in differing],
                         [("all", "event", "cpu_us_per_request")])
        self.assertNotIn("together", self.compare(self.run_of("c", 1), self.run_of("d", 2)))

    def test_what_the_machines_are(self):
        environment = {"kernel": "7.0.0", "cpu": "Example CPU", "cores": 2}
        text = self.compare(self.run_of("a", 1), self.run_of("b", 2, environment=environment))
        self.assertIn("* kernel: 6.1.0 there, 7.0.0 here\n", text)
        self.assertNotIn("* cpu", text)

    def test_refusals(self):
        a = self.run_of("a", 1)
        other = self.run_of("other", 2, only=("cpu",))
        self.assertIn("no workload in common", self.compare(a, other, status=3))
        calibration = {"request_us": 25.0, "parallel": 1.0, "units_per_ms": {"hash": 800}}
        machine = self.run_of("machine", 2, calibration=calibration)
        self.assertIn("another calibration", self.compare(a, machine, status=3))
        self.assertIn("rows differ", self.compare(a, [self.folder / "machine", "--anyway"]))
        changed = self.run_of("changed", 2)
        (self.folder / "changed" / "workloads" / "io.ini").write_text("[class x]\nrequest = /\n")
        self.assertIn("workload io is not the same", self.compare(a, changed, status=3))
        unfinished = self.folder / "unfinished"
        unfinished.mkdir()
        self.assertIn("not a finished run", self.compare(a, [unfinished], status=3))

    def test_profiles_and_comments_may_differ(self):
        a, b = self.run_of("a", 1), self.run_of("b", 2)
        file = self.folder / "b" / "workloads" / "io.ini"
        same = file.read_text(encoding="utf-8")
        file.write_text("; why\n" + same.replace("How many", "Who bears how many")
                        + "[quick]\ntrials = 2\n[full]\nservers = event\n")
        self.assertIn("rows differ", self.compare(a, b))
        file.write_text(same + "[point more]\nconnections = 9\n")
        self.assertIn("workload io is not the same", self.compare(a, b, status=3))

    def test_a_profile_that_changed_the_connections(self):
        runs = [self.run_of(name, 1) for name in "ab"]
        for run, connections in zip(runs, (0, 128)):
            run.manifest["cells"] = [{
                "workload": "io", "point": "base", "arch": "event", "trial": 1, "options": [],
                "connections": connections}]
        self.assertIn("io base event had other connections or options",
                      self.compare(*runs, status=3))

    def test_a_run_of_another_version_is_refused(self):
        other = self.run_of("other", 2, schema="archbench-run/2")
        text = self.compare(self.run_of("a", 1), other, status=3)
        self.assertRegex(text, r"^archbench compare: \S+other/manifest.json is archbench-run/2, and what is "
                               "read here is archbench-run/1")

    def test_a_packed_run(self):
        """Says the same as the run itself, and is asked the same."""
        a, b = self.run_of("a", 1).write(), self.run_of("b", 2, {"event": 1.2}).write()
        subprocess.run([ENTRY, "pack", a, self.folder / "kept" / "a"],
                       capture_output=True, check=True)
        packed = self.folder / "kept" / "a"
        text = self.compare([packed], [b])
        self.assertIn("3 of 81 rows differ significantly", text)
        self.assertEqual(text, self.compare([a], [b]))
        (b / "workloads" / "io.ini").write_text("[class x]\nrequest = /\n")
        self.assertIn("workload io is not the same", self.compare([packed], [b], status=3))

    def test_invalid_and_infinite_values_are_no_evidence(self):
        a, b = self.run_of("a", 1), self.run_of("b", 2)
        for run in a, b:
            run.cell("cpu", "base", "event", 1, {"cpu_us_per_request": 1.0}, reasons=["lag"])
            run.cell("cpu", "base", "threads", 1, {"short": {"response_p50_us": INF}})
        self.assertIn("0 of 81 rows differ significantly; 0 more", self.compare(a, b))
