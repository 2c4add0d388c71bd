"""A run from which the guide's tables are made, and its rows."""
import json

from archbench.formats.run import Run
from archbench.tables.parts import facts
from synthetic import Folder, SyntheticRun, table_module


INI = {
    "cpu_time": "[workload]\narrivals = closed\nconnections = 16\n[class io]\nweight = 70\n"
                "request = /work?io=timer:10ms&class=io\n[class cpu]\nweight = 30\n"
                "request = /work?cpu=hash:50ms&class=cpu\n"
                "[point alone50]\nio.weight = 0\ncpu.weight = 100\n"
                "[point alone500]\nio.weight = 0\ncpu.weight = 100\n"
                "cpu.request = /work?cpu=hash:500ms&class=cpu\n[point mix50]\n"
                "[point mix500]\ncpu.request = /work?cpu=hash:500ms&class=cpu\n",
    "concurrency": "[workload]\narrivals = closed\n[class io]\nrequest = /work?io=timer:10ms\n"
                   "[point 1000]\nconnections = 1000\n[point 10000]\nconnections = 10000\n",
    "network": "[workload]\narrivals = closed\n[class short]\nrequest = /\n[point 1ms]\n"
               "connections = 2\nthink = exponential 1ms\n[point 500ms]\nconnections = 1000\n"
               "think = exponential 500ms\n",
    "load": "[workload]\narrivals = poisson\nrate = 90%\n[class io]\nweight = 70\n"
            "request = /work?io=timer:10ms\n[class cpu]\nweight = 30\n"
            "request = /work?cpu=hash:5ms\n[point 50]\nrate = 50%\n[point 110]\nrate = 110%\n",
    "surge": "[workload]\narrivals = poisson\n[class short]\nrequest = /\n[class cpu]\n"
             "request = /work?cpu=hash:2ms\n[phase before]\nduration = 500ms\n[phase surge]\n"
             "duration = 500ms\ncpu.load = 10\n[phase after]\nduration = 1s\n",
    "cpu_share": "[workload]\narrivals = poisson\nrate = 40%\n[class short]\nrequest = /\n"
                 "[class cpu]\nrequest = /work?cpu=hash:2ms\n[point 0]\ncpu.weight = 0\n"
                 "[point 30]\n[point 70]\n[point 100]\nshort.weight = 0\n",
    "counters": "[workload]\narrivals = closed\n[class count]\nrequest = /work?count=9\n",
}
MEMORY_KB = 24 * 2**20  # 24 GiB


class Tables(Folder):
    """Builds a run and reads one table of it."""
    def setUp(self):
        super().setUp()
        self.synthetic = SyntheticRun(self.folder / "run", environment={
            "kernel": "6.1.0", "cpu": "Example CPU", "cores": 2, "memory_kb": MEMORY_KB})
        for name, text in INI.items():
            (self.synthetic.folder / "workloads" / f"{name}.ini").write_text(text)
        self.predictions = []

    def cells(self, workload, point, arch, metrics, trials=3, **more):
        """So many trials alike; `metrics` as SyntheticRun.cell() takes them."""
        return [self.synthetic.cell(workload, point, arch, trial, metrics, **more)
                for trial in range(1, trials + 1)]

    def rate(self, workload, point, arch, rate, **metrics):
        self.cells(workload, point, arch, {"achieved_rate": rate, **metrics})

    def predict(self, workload, point, arch, **said):
        self.predictions.append({"workload": workload, "point": point, "arch": arch, **said})

    def written(self):
        (self.synthetic.folder / "predictions.json").write_text(json.dumps(
            {"schema": "archbench-predictions/1", "cells": self.predictions}))
        return self.synthetic.write()

    def facts(self):
        return facts.Facts(Run(self.written()))

    def rows(self, stem):
        """The rows of archbench/tables/STEM.py, as dicts."""
        header, rows, text = table_module(stem).make(Run(self.written()))
        self.assertEqual(header, ["id", "claim", "guide", "formula", "model", "measured",
                                  "agreement", "verdict"])
        found = [dict(zip(header, row)) for row in rows]
        for row in found:
            self.assertIn(row["agreement"], ("agree", "disagree", "open"))
            self.assertTrue(all(row.values()), row)
            self.assertTrue(row["verdict"].endswith("."), row)
            self.assertIn(row["verdict"].replace("|", "\\|"), text)
        return found

    def row(self, stem, claim):
        """The one row whose claim holds these words."""
        found = [r for r in self.rows(stem) if claim in r["claim"]]
        self.assertEqual(len(found), 1, claim)
        return found[0]

    def judged(self, stem, claim):
        return self.row(stem, claim)["agreement"]
