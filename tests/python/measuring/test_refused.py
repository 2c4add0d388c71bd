"""A verdict on every number: what is refused of a valid cell, and what that changes."""
import csv
import unittest

from archbench.formats import summary
from archbench.formats.run import Run
from archbench.formats.workload import Workload
from archbench.places import REPOSITORY
from archbench.runner import attempts
from synthetic import Folder, SyntheticRun, latencies

UNTIMED = True  # it starts no server and measures no time
LATE = "up to 20 % of it may come from requests that the generator sent late and together"
STEAL = "3.0 % of the CPU time was stolen by the hypervisor"


def cell(verdict="VALID", **refused):
    lag = {"p99_us": 1}
    times = {"p50_us": 100, "p99_us": 200}
    counts = {"requests": 10, "good": 10, "errors": 0, "response": times, "service": times,
              "lag": lag}
    return {"workload": "io", "point": "base", "server": "event", "trial": 1, "attempt": 1,
            "load": {"achieved_rate": 5.0, "duration_s": 2.0, "total": counts,
                     "classes": {"io": counts}},
            "cost": {"cpu_us_per_request": 7.0}, "memory": None,
            "validity": {"verdict": verdict, "reasons": [],
                         "refused": {name.replace("__", "."): why
                                     for name, why in refused.items()}}}


class Rows(Folder):
    def verdicts(self, data):
        path = self.folder / "summary.csv"
        summary.write([data], path)
        with open(path, encoding="utf-8") as file:
            return {(row["class"], row["metric"]): row["verdict"] for row in csv.DictReader(file)}

    def invalid(self, data):
        return {name for name, verdict in self.verdicts(data).items() if verdict == "INVALID"}

    def test_one_number(self):
        self.assertEqual(self.invalid(cell(total__response_p99_us=LATE)),
                         {("total", "response_p99_us")})

    def test_a_pattern(self):
        data = cell()
        data["validity"]["refused"] = {"*.response_*": STEAL, "achieved_rate": STEAL}
        self.assertEqual(self.invalid(data), {
            ("", "achieved_rate"), *((cls, f"response_{p}_us") for cls in ("total", "io")
                                     for p in ("p50", "p99"))})

    def test_an_invalid_cell_has_no_valid_number(self):
        verdicts = self.verdicts(cell("INVALID"))
        self.assertEqual(set(verdicts.values()), {"INVALID"})

    def test_cells_of_old_runs_refuse_nothing(self):
        data = cell()
        del data["validity"]["refused"]
        self.assertEqual(self.invalid(data), set())


class Reading(Folder):
    def test_an_estimate_leaves_out_what_is_refused_and_nothing_else(self):
        made = SyntheticRun(self.folder / "run")
        for trial in (1, 2, 3):
            made.cell("io", "base", "event", trial,
                      {"achieved_rate": 100 + trial, "total": latencies(10, 20 + trial)})
        for row in made.rows:
            if row[3] == 2 and row[6] == "response_p99_us":
                row[4] = "INVALID"
        run = Run(made.write())
        tail = run.estimate("io", "base", "event", "response_p99_us", "total")
        self.assertEqual((tail.trials, tail.low, tail.high, tail.invalid), (2, 21, 23, [22]))
        self.assertEqual(run.estimate("io", "base", "event", "achieved_rate").trials, 3)
        self.assertEqual(run.verdicts("io", "event"), (3, 0))


class Repeating(unittest.TestCase):
    """A cell is repeated when the number is refused that its workload is about."""

    def test_the_number_that_counts(self):
        late = cell(io__response_p99_us=LATE)
        self.assertEqual(attempts.attempts_left(late, "response_p99_us"), 2)
        self.assertEqual(attempts.attempts_left(late, "achieved_rate"), 0)
        self.assertTrue(attempts.is_valid(late))
        stolen = cell()
        stolen["validity"]["refused"] = {"*.response_*": STEAL}
        self.assertEqual(attempts.attempts_left(stolen, "response_p99_us"), 2)
        self.assertEqual(attempts.attempts_left(stolen, "memory_total_kb_per_connection"), 0)

    def test_what_a_workload_is_about(self):
        for name, metric in (("io", "achieved_rate"), ("bimodal", "response_p99_us"),
                             ("connections", "memory_total_kb_per_connection"),
                             ("trivial", "cpu_us_per_request")):
            with self.subTest(name):
                self.assertEqual(Workload(REPOSITORY / "workloads" / f"{name}.ini").metric(), metric)
        self.assertEqual(Workload().metric(), "achieved_rate")


if __name__ == "__main__":
    unittest.main()
