"""Runs on disk: packed ones say the same as the runs they were made of, and files of another
version are refused."""
import json
import lzma
import math
import os
from pathlib import Path
import shutil
import subprocess
import tempfile
import unittest

from archbench.formats.run import NoData, Run
from archbench.places import ENTRY
import synthetic as made

UNTIMED = True  # it starts no server and measures no time
LATENCY = {"p50_us": 100.0, "p99_us": 300.0, "min_us": 5.5, "p75_us": 7.5, "p9999_us": 8.5,
           "intervals": {"p50": [90.0, 110.0], "p75": [1.0, 2.0], "p9999": None}}
COMMAND = {"server": ["build/servers/event"], "loadgen": ["build/loadgen", "-q"],
           "upstream": ["build/upstream"]}


class StoredRun(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.plain, self.packed = self.folder / "run", self.folder / "kept" / "packed"

    def build(self):
        """A small run with everything in it that packing must keep."""
        synthetic = made.SyntheticRun(self.plain, run_id="some")
        cell = synthetic.cell("mix", "base", "event", 1, {"achieved_rate": 100.5, "io":
                              made.latencies(100, made.INF)}, command=COMMAND,
                              load={"total": {"response": LATENCY}}, slots=None)
        (cell / "io.hgrm").write_text(made.HGRM + "#[Infinite = 7]\n")
        (cell / "server.log").write_text("ready\n")
        synthetic.cell("mix", "base", "event", 2, {"achieved_rate": 7}, ["steal 4 %"])
        made.add_surge(synthetic, 1, 1.0, "event", 1)
        said = {"workload": "mix", "point": "base", "arch": "event", "capacity": 123.0}
        self.write(self.plain / "predictions.json",
                   {"schema": "archbench-predictions/1", "cells": [said]})
        return synthetic.write()

    @staticmethod
    def write(path, data):
        path.write_text(json.dumps(data), encoding="utf-8")

    @staticmethod
    def do(*command):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    def pack(self, source=None):
        return self.do(ENTRY, "pack", source or self.plain, self.packed)

    def both(self):
        """The run, and its packed copy."""
        self.build()
        status, _, err = self.pack()
        self.assertEqual(status, 0, err)
        return Run(self.plain), Run(self.packed)

    def change(self, path, **keys):
        """Set keys of a JSON file; None removes one."""
        data = json.loads(path.read_text(encoding="utf-8")) | keys
        self.write(path, {key: value for key, value in data.items() if value is not None})


class Packing(StoredRun):
    def test_the_same_numbers(self):
        run, packed = self.both()
        self.assertEqual(packed.workloads(), ["mix", "surge"])
        for args in (("mix", "base", "event", "achieved_rate"),
                     ("mix", "base", "event", "response_p99_us", "io"),
                     ("surge", "base", "event", "response_p50_us", "short")):
            self.assertEqual(packed.values(*args), run.values(*args))
            self.assertTrue(any(packed.values(*args)), args)
        self.assertEqual(packed.manifest, run.manifest)
        self.assertEqual(list(packed.invalid_cells()), list(run.invalid_cells()))
        self.assertEqual(packed.prediction("mix", "base", "event")["capacity"], 123.0)
        self.assertEqual(packed.workload("mix").question, run.workload("mix").question)

    def test_the_same_cells_but_for_what_nobody_reads(self):
        run, packed = self.both()
        self.assertEqual([c["where"] for c in packed.cells], [c["where"] for c in run.cells])
        (before, *_), (after, *_) = run.cells_at("mix", "base", "event"), packed.cells_at(
            "mix", "base", "event")
        self.assertEqual(after["command"], {"server": COMMAND["server"], "loadgen": None,
                                            "upstream": None})
        self.assertEqual(after["load"]["total"]["response"],
                         {"p50_us": 100.0, "p99_us": 300.0, "intervals": {"p50": [90.0, 110.0]}})
        same = set(before) - {"command", "load"}
        self.assertEqual({key: after[key] for key in same}, {key: before[key] for key in same})

    def test_the_same_histograms_and_time_series(self):
        for run in self.both():
            first, second = run.cells_at("mix", "base", "event")
            self.assertEqual(run.histogram(first, "io"), [
                (100, 1), (200, 499), (400, 400), (2000, 90), (9000, 9), (12000, 1),
                (math.inf, 7)])
            self.assertEqual((run.histogram(first, "cpu"), run.histogram(second, "io")), ([], []))
            self.assertEqual(run.text_of(first, "io.hgrm"),
                             made.HGRM + "#[Infinite = 7]\n")
            self.assertIsNone(run.text_of(first, "io.txt"))
            self.assertEqual(run.timeseries(first), [])
            rows = run.timeseries(run.cells_at("surge", "base", "event")[0])
            self.assertEqual([row["time_s"] for row in rows], [k / 4 for k in range(1, 11)])
            self.assertEqual(rows[0]["classes"]["short"]["achieved"], 2000)

    def test_a_figure_is_the_same(self):
        self.both()
        for run in self.plain, self.packed:
            status, _, err = self.do(ENTRY, "draw", run, "surge")
            self.assertEqual(status, 0, err)
        drawn = [(run / "figures" / "surge.svg").read_bytes() for run in (self.plain, self.packed)]
        self.assertEqual(*drawn)

    def test_it_is_small(self):
        made.build_full(self.plain)
        status, out, err = self.pack()
        self.assertEqual(status, 0, err)
        sizes = [sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
                 for folder in (self.plain, self.packed)]
        self.assertLess(sizes[1], sizes[0] / 10)
        self.assertEqual(out, f"{self.packed}: {sizes[1] / 1024:.0f} KiB\n")

    def refused(self, word, source=None):
        before = sorted(self.folder.rglob("*"))
        status, out, err = self.pack(source)
        self.assertEqual((status, out), (1, ""))
        self.assertRegex(err, rf"\Aarchbench pack: .*{word}.*\n\Z")
        left = [path for path in self.folder.rglob("*") if path not in before]
        self.assertEqual([path for path in left if path != self.packed.parent], [])

    def test_what_it_refuses(self):
        self.refused("not a finished run")
        self.build()
        (self.plain / "summary.csv").rename(self.plain / "summary")
        self.refused("not a finished run")
        (self.plain / "summary").rename(self.plain / "summary.csv")
        path = self.plain / "cells" / "surge" / "base" / "event.1" / "cell.json"
        self.change(path, schema="archbench-cell/2")
        self.refused("event.1/cell.json is archbench-cell/2")
        self.change(path, schema="archbench-cell/1")
        self.assertEqual(self.pack()[0], 0)
        self.refused("is there already")
        other = self.packed.rename(self.folder / "other")
        self.refused("is packed already", other)


class Versions(StoredRun):
    """Neither an older number, nor a newer one, nor none is taken for ours."""
    def refused(self, folder, *words):
        with self.assertRaises(NoData) as refusal:
            Run(folder)
        for word in words:
            self.assertIn(word, str(refusal.exception))

    def test_of_each_file(self):
        self.build()
        cell = Path("cells", "mix", "base", "event.2", "cell.json")
        for name, ours in (("manifest.json", "archbench-run/1"), (cell, "archbench-cell/1"),
                           ("predictions.json", "archbench-predictions/1")):
            path = self.plain / name
            for other in "archbench-run/0", "archbench-cell/2":
                self.change(path, schema=other)
                self.refused(self.plain, f"{path} is {other}", ours, "measure anew")
            self.change(path, schema=None)
            self.refused(self.plain, f"{path} is of no stated version", ours)
            self.write(path, [])
            self.refused(self.plain, f"{path} is of no stated version")
            shutil.rmtree(self.plain)
            self.build()
        self.assertEqual(len(Run(self.plain).cells), 3)

    def test_of_packed_cells(self):
        self.both()
        path = self.packed / "cells.jsonl.xz"
        text = lzma.decompress(path.read_bytes()).decode()
        for ours in "archbench-packed-cell/1", "archbench-cell/1":
            other = ours[:-1] + "2"
            path.write_bytes(lzma.compress(text.replace(ours, other).encode()))
            self.refused(self.packed, f"{path} is {other}", ours)

    def test_runs_without_predictions_are_read(self):
        self.build()
        (self.plain / "predictions.json").unlink()
        self.assertEqual(Run(self.plain).prediction("mix", "base", "event"), {})

    def test_what_is_missing_is_named(self):
        self.build()
        for name in "summary.csv", "manifest.json":
            (self.plain / name).rename(self.folder / name)
            self.refused(self.plain, "is not a finished run: it has no " + name)
            (self.folder / name).rename(self.plain / name)

    def test_drawing_refuses_once(self):
        self.build()
        self.change(self.plain / "manifest.json", schema="archbench-run/2")
        status, out, err = self.do(ENTRY, "draw", self.plain)
        self.assertEqual((status, out), (1, ""))
        self.assertRegex(err, r"\Aarchbench draw: \S+manifest.json is archbench-run/2, .*\n\Z")
        self.assertEqual(os.listdir(self.plain / "cells"), ["mix", "surge"])
        self.assertFalse((self.plain / "figures").exists())

    def test_nothing_is_predicted_for_another_version(self):
        self.build()
        self.change(self.plain / "manifest.json", schema="archbench-run/2")
        status, _, err = self.do(ENTRY, "predict", self.plain)
        self.assertEqual(status, 1)
        self.assertRegex(err, r"\Aarchbench predict: \S+manifest.json is archbench-run/2, .*\n\Z")
