"""archbench labs: its predictions, what it reads, and what it does with a worksheet."""
import argparse
import contextlib
import io
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from archbench.bench import lab_rows, labs
from archbench.places import ENTRY
import harness
from labs_case import Canned, all_worksheets


class Predictions(unittest.TestCase):
    def verdict(self, prediction, measured):
        return lab_rows.Row(prediction, measured, "{:.1f} s").texts()

    def test_a_row_tells_prediction_measurement_and_verdict(self):
        self.assertEqual(self.verdict(lab_rows.about(10, 0.2), 11.9),
                         ["10.0 s, give or take 20 %", "11.9 s", "holds"])
        self.assertEqual(self.verdict(lab_rows.at_most(1), 1.1),
                         ["at most 1.0 s", "1.1 s", "**does not hold**"])
        self.assertEqual(self.verdict(lab_rows.between(1, 2), float("inf")),
                         ["1.0 s to 2.0 s", "infinite", "**does not hold**"])

    def test_bounds(self):
        for prediction, right, wrong in ((lab_rows.about(10, 0.2), (8, 12), (7.9, 12.1)),
                                         (lab_rows.at_most(3), (-9, 3), (3.1, float("inf"))),
                                         (lab_rows.at_least(3), (3, 99), (2.9,)),
                                         (lab_rows.between(3, 5), (3, 5), (2.9, 5.1))):
            for value in right:
                self.assertEqual(self.verdict(prediction, value)[2], "holds", (prediction, value))
            for value in wrong:
                self.assertNotEqual(self.verdict(prediction, value)[2], "holds",
                                    (prediction, value))

    def test_known_predictions(self):
        """Little's law and the bathtub by hand, so that no parameter goes astray."""
        known = {"1-event-loop": ["40 %", "50.6 ms"],
                 "2-pool-size": ["300/s", "6.53 ms", "2.05 ms"],
                 "3-open-loop": ["200/s", "200 ms", "27.5 ms", "1020 ms", "at most 20.0 ms",
                                 "900 ms"],
                 "6-surge": ["900 ms", "1.07 s", "at most 1.00 ms", "40", "4"],
                 "7-chat": ["53/s", "860 ms", "37.5", "at most 10 %", "at least 40 %",
                            "at most 50 ms", "at least 50 ms", "at most 50 ms", "104 ms", "61 MiB"],
                 "8-trading": ["3.0 %", "14 %", "2.7 ms", "at most 1.00 ms", "at most 2.00 ms",
                               "1.00", "1.0", "0.45 ms", "0.78 ms"]}
        for name, expected in known.items():
            rows = labs.LABS[name](Canned(1.0))
            for row, text in zip(rows, expected):
                with self.subTest(lab=name, expected=text):
                    self.assertRegex(row.texts()[0], rf"^{re.escape(text)}(,|$| to)")


class Reading(unittest.TestCase):
    """What the commands write is read as it was meant."""
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.results = labs.Results(self.folder)

    def put(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def test_percentiles(self):
        self.put("a.json", json.dumps({"total": {"response": {"p99_us": 1500, "p50_us": None}},
                                       "classes": {"x": {"response": {"p99_us": 3}}}}))
        self.assertEqual(self.results.percentile_ms("a", "p99"), 1.5)
        self.assertEqual(self.results.percentile_ms("a", "p50"), float("inf"))
        self.assertEqual(self.results.percentile_ms("a", "p99", "x"), 0.003)

    def test_share_above(self):
        head = "       Value     Percentile TotalCount 1/(1-Percentile)\n\n"
        self.put("a.x.hgrm", head + "0.1 0.0 1 1\n0.9 0.5 5 2\n1.1 0.7 7 3\n9.0 1.0 10 inf\n"
                                    "#[Max     =   9.0, Total count    =  10]\n")
        self.assertAlmostEqual(self.results.share_above("a", "x", 1), 0.4)
        self.assertAlmostEqual(self.results.share_above("a", "x", 10), 0.0)
        self.assertAlmostEqual(self.results.share_above("a", "x", 0.01), 1.0)

    def test_metrics(self):
        self.put("m.txt", "# HELP archbench_workers Workers in the pool.\narchbench_workers 7\n"
                          "archbench_spawned_total 40\n")
        self.assertEqual(self.results.metrics("m"), {"workers": 7, "spawned": 40})

    def test_what_is_not_sure_is_remembered_once(self):
        self.put("3/a.json", json.dumps({"validity": {"reasons": [], "refused": {
            "total.response_p99_us": "sent late"}}}))
        self.put("results/latest/cells/w/base/s.1/cell.json", json.dumps(
            {"load": {}, "validity": {"reasons": ["it lost replies"], "refused": {}}}))
        self.results.load("3/a")
        self.results.load("3/a")
        self.results.cell("w", "base", "s")
        self.assertEqual(self.results.doubts, ["3/a: total.response_p99_us: sent late",
                                               "w/base s: it lost replies"])

    def test_a_cell_that_was_not_measured_ends_it_with_the_reason(self):
        self.put("results/latest/cells/w/base/s.1/cell.json",
                 json.dumps({"load": None, "validity": {"reasons": ["it died"]}}))
        with self.assertRaisesRegex(SystemExit, "it died"):
            self.results.cell("w", "base", "s")


class Tool(unittest.TestCase):
    def labs(self, *arguments, status=0):
        done = subprocess.run([ENTRY, "labs", "--build", harness.BUILD, *arguments],
                              capture_output=True, text=True, check=False,
                              timeout=120 * harness.SLOW)
        self.assertEqual(done.returncode != 0, status != 0, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def test_list(self):
        self.assertEqual([line.split()[0] for line in self.labs("--list").splitlines()],
                         list(labs.LABS))

    def test_dry_run_prints_the_commands_and_does_nothing(self):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "out"
            said = self.labs("--dry-run", "--port", "18765", "--out", out, "2", "4-memory")
            self.assertFalse(out.exists())
        self.assertIn("thread_pool --workers 6 --port 18765 &", said)
        self.assertIn(f"mkdir -p {out}/2\n", said)
        self.assertIn(f"--results {out}/results --quick --only event,", said)
        self.assertIn(f"{out}/results/latest/summary.csv", said)
        self.assertNotRegex(said, r"(?m)8080|^build/|[ '=](build|results)/")

    def test_adapted_changes_places_and_nothing_else(self):
        options = argparse.Namespace(build="B", out="O", port=1, seconds=None)
        for worksheet in all_worksheets():
            script = labs.adapted(worksheet.script, options)
            back = script.replace("bin/archbench run --with-parent --build B --results O/results",
                                  "./run_all.sh cells").replace("O/results", "results")
            back = re.sub(r"\bO/", "build/labs/", re.sub(r"\bB/", "build/", back))
            back = re.sub(r"\bO\b(?!/)", "build/labs", back)
            back = re.sub(r"(--port |127\.0\.0\.1:)1\b(?!\.)", r"\g<1>8080", back)
            self.assertEqual(back, worksheet.script)

    def test_a_folder_may_have_a_blank_in_its_name(self):
        options = argparse.Namespace(build="my build", out="my out", port=1, seconds=None)
        self.assertEqual(labs.adapted("build/loadgen --json build/labs/1/x.json\n", options),
                         "'my build'/loadgen --json 'my out'/1/x.json\n")

    def test_mistakes_are_told(self):
        self.assertIn("no lab is called 9", self.labs("9", status=1))
        self.assertIn("--write", self.labs("--write", "--seconds", "1", "1", status=1))

    def test_a_lab_can_be_done(self):
        """With short windows, in which the numbers mean nothing."""
        with tempfile.TemporaryDirectory() as folder:
            said = self.labs("--seconds", "0.3", "--out", folder, "1")
            self.assertTrue((pathlib.Path(folder) / "1" / "event-wait.json").exists())
        quantities = labs.Worksheet("1-event-loop").quantities
        for number, quantity in enumerate(quantities, 1):
            self.assertRegex(said, rf"(?m)^\| {number} \| {re.escape(quantity)} \| .*\d.* \| .*\d")

    def test_a_command_that_fails_ends_the_lab_and_the_servers(self):
        script = "sleep 300 &\necho $! >&2\nfalse\n"
        with tempfile.NamedTemporaryFile("r") as log:
            with self.assertRaisesRegex(SystemExit, "exit status 1"), \
                    contextlib.redirect_stderr(io.StringIO()):
                labs.run_script(script, log.name)
            pid = int(log.read())
        self.assertTrue(harness.wait_until(lambda: harness.proc_stat(pid) is None, 5))
