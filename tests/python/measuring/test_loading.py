"""A run as it is read: estimates, verdicts, order, and its workload files."""
from archbench.formats.run import NoData, Run
from synthetic import INF, Folder, SyntheticRun, latencies

UNTIMED = True  # it starts no server and measures no time


class Loading(Folder):
    def test_estimates_verdicts_and_order(self):
        synthetic = SyntheticRun(self.folder / "run")
        for trial, rate in enumerate((100, 120, 110), 1):
            synthetic.cell("io", "base", "event", trial, {"achieved_rate": rate})
        synthetic.cell("io", "base", "event", 4, {"achieved_rate": 7}, ["the generator lagged"])
        for point in ("100", "20", "3"):
            synthetic.cell("load", point, "event", 1, {"io": latencies(1, INF)})
        run = Run(synthetic.write())
        e = run.estimate("io", "base", "event", "achieved_rate")
        self.assertEqual((e.value, e.low, e.high, e.trials), (110, 100, 120, 3))
        self.assertEqual(e.invalid, [7])
        self.assertEqual(run.verdicts("io", "event"), (3, 1))
        self.assertEqual(run.points("load"), ["3", "20", "100"])
        self.assertEqual(run.estimate("load", "3", "event", "response_p99_us", "io").value, INF)
        self.assertIsNone(run.estimate("io", "base", "threads", "achieved_rate"))

    def test_cells_that_measured_nothing_are_still_known(self):
        synthetic = SyntheticRun(self.folder / "run", cells=[
            {"workload": "io", "point": "base", "arch": "hybrid", "trial": 2},
            {"workload": "io", "point": "base", "arch": "event", "trial": 1}])
        synthetic.cell("io", "base", "event", 1, {}, ["the server did not become ready"])
        invalid = dict(Run(synthetic.write()).invalid_cells())
        self.assertEqual(invalid["io", "base", "event", "1"], ["the server did not become ready"])
        self.assertEqual(invalid["io", "base", "hybrid", "2"], ["planned, but never finished"])

    def speeds(self, calibration):
        """A run with two trials, the second on a machine that had become half as fast."""
        synthetic = SyntheticRun(self.folder / "run", calibration=calibration)
        for trial, units in (1, 1000), (2, 500):
            synthetic.cell("io", "base", "event", trial, {
                "cpu_us_per_request": 20 * 1000 / units, "hash_units_per_ms": units})
        return Run(synthetic.write())

    def test_cpu_time_is_shown_at_the_calibrated_speed(self):
        run = self.speeds({"units_per_ms": {"hash": 800}})
        cost = run.estimate("io", "base", "event", "cpu_us_per_request")
        self.assertEqual((cost.low, cost.high), (25, 25))
        read = run.estimate("io", "base", "event", "cpu_us_per_request_as_read")
        self.assertEqual((read.low, read.high), (20, 40))

    def test_cpu_time_of_a_run_without_calibration_is_as_it_was_read(self):
        cost = self.speeds({}).estimate("io", "base", "event", "cpu_us_per_request")
        self.assertEqual((cost.low, cost.high), (20, 40))

    def test_workload_file(self):
        synthetic = SyntheticRun(self.folder / "run")
        synthetic.cell("load", "10", "event", 1, {"achieved_rate": 1})
        run = Run(synthetic.write())
        self.assertEqual(run.workload("load").question, "Where does latency turn upwards?")
        self.assertAlmostEqual(run.workload("io").wait_s("io"), 0.010)
        self.assertAlmostEqual(run.workload("bimodal").cpu_s("slow"), 0.020)
        self.assertEqual(run.workload("bimodal").cpu_s("short"), 0)

    def test_not_a_run(self):
        with self.assertRaises(NoData):
            Run(self.folder)


class Damage(Folder):
    """Files that were cut, or are of another kind: each is named in one line."""

    def setUp(self):
        super().setUp()
        synthetic = SyntheticRun(self.folder / "run")
        for arch in ("event", "threads"):
            synthetic.cell("io", "base", arch, 1, {"achieved_rate": 100})
        self.run = synthetic.write()

    def refused(self):
        with self.assertRaises(NoData) as caught:
            Run(self.run)
        self.assertNotIn("\n", str(caught.exception))
        return str(caught.exception)

    def test_a_manifest(self):
        for text in ("{", "", "\xff"):
            (self.run / "manifest.json").write_text(text, encoding="latin-1")
            self.assertIn("manifest.json is damaged", self.refused())
        (self.run / "manifest.json").write_text("[1]")
        self.assertIn("manifest.json is of no stated version", self.refused())

    def test_a_summary(self):
        for text in ("foo\n1\n", "workload,point,arch,trial,verdict,class,metric,value\na,b,c\n"):
            (self.run / "summary.csv").write_text(text)
            self.assertIn("summary.csv is damaged", self.refused())

    def test_a_cell_is_left_out_and_the_rest_is_read(self):
        folder = self.run / "cells" / "io" / "base"
        for name in ("event.1", "threads.1"):
            (folder / name).mkdir(parents=True, exist_ok=True)
            (folder / name / "cell.json").write_text('{"schema": "archbench-cell/1"}')
        (folder / "event.1" / "cell.json").write_text('{"schema": "archbe')
        run = Run(self.run)
        self.assertEqual([cell["where"][2] for cell in run.cells], ["threads"])
        self.assertEqual(len(run.damaged), 1)
        self.assertRegex(run.damaged[0], r"event\.1/cell\.json is damaged: [^\n]+$")

    def test_a_workload(self):
        (self.run / "workloads" / "io.ini").write_text("no section\n")
        with self.assertRaisesRegex(NoData, r"io\.ini is damaged: .*"):
            Run(self.run).workload("io")

