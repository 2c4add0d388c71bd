"""The percentile plot of one cell."""
import os

from archbench.places import ENTRY
from synthetic import HGRM, Folder, SyntheticRun, run_program

UNTIMED = True  # it starts no server and measures no time


class Percentiles(Folder):
    def setUp(self):
        super().setUp()
        s = SyntheticRun(self.folder / "run")
        self.cell = s.cell("io", "base", "event", 1, {"achieved_rate": 1})
        (self.cell / "io.hgrm").write_text(HGRM + "#[Infinite = 7]\n")

    def test_picture(self):
        target = self.folder / "it's.png"
        done = run_program(ENTRY, "percentiles", self.cell, "-o", target)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(target.read_bytes()[:8], b"\x89PNG\r\n\x1a\n")

    def test_text(self):
        done = run_program(ENTRY, "percentiles", "--terminal", self.cell,
                           env={**os.environ, "COLUMNS": "90", "LINES": "30"})
        self.assertEqual(done.returncode, 0, done.stderr)
        for expected in ("io (7 infinite)", "99.9 %", "event: io base, trial 1", "****"):
            self.assertIn(expected, done.stdout)
        self.assertLessEqual(max(map(len, done.stdout.splitlines())), 90)

    def test_a_cell_without_replies(self):
        (self.cell / "io.hgrm").write_text("\n".join(HGRM.splitlines()[:2]) + "\n")
        done = run_program(ENTRY, "percentiles", self.cell)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no .hgrm file", done.stderr)
